#include "explain/metrics/network_copy.h"

#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/fingerprint.h"
#include "core/random.h"
#include "explain/metrics/builders.h"

namespace backlight {
namespace {

/// With the seed that the network was trained with, a fresh start would be its own.
uint64_t apart_from_training(uint64_t seed) { return seed ^ fingerprint("randomisation"); }

bool has_matrix(const Module& module) {
    for (const Parameter& parameter : module.own_parameters()) {
        if (parameter.value.rank() >= 2) {
            return true;
        }
    }
    return false;
}

std::string join(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "." + name;
}

void redraw(Tensor weight, Reinit how, const RandomKey& key) {
    const NoGrad off;
    if (how == Reinit::shuffle) {
        std::vector<double> values = weight.to(DType::f64).to_vector<double>();
        RandomStream(key).shuffle(values);
        weight.copy_from(Tensor::from(values, weight.shape()).to(weight.dtype()).to(weight.device()));
        return;
    }
    const auto n = static_cast<double>(weight.numel());
    const double average = sum(Variable(weight)).item() / n;
    const double deviation = std::sqrt(sum(square(Variable(weight) - average)).item() / n);
    Tensor drawn = Tensor::empty(weight.shape(), DType::f32, weight.device());
    drawn.backend().random_normal(drawn, key);
    weight.copy_from((Variable(drawn.to(weight.dtype())) * deviation + average).data());
}

}  // namespace

Reinit parse_reinit(const std::string& name) {
    return name == "reset" ? Reinit::reset : name == "shuffle" ? Reinit::shuffle : Reinit::matched;
}

NetworkCopy::NetworkCopy(Module& original, std::unique_ptr<Module> fresh)
    : original_(&original), copy_(std::move(fresh)) {
    BACKLIGHT_CHECK(copy_ != nullptr, "network copy: no network was built");
    const auto dtype = original.parameters().empty() ? DType::f32 : original.parameters()[0].value.dtype();
    copy_->to(dtype);
    restore();
    for (const auto& [path, module] : copy_->modules()) {
        if (has_matrix(*module)) {
            names_.push_back(path);
            members_.push_back({path});
        } else if (!module->own_parameters().empty() && !names_.empty()) {
            members_.back().push_back(path);
        }
    }
}

void NetworkCopy::restore() {
    const std::vector<Parameter> from = original_->parameters(), to = copy_->parameters();
    bool fits = from.size() == to.size();
    for (size_t i = 0; fits && i < from.size(); ++i) {
        fits = from[i].name == to[i].name && from[i].value.shape() == to[i].value.shape();
        if (fits) {
            Tensor value = to[i].value.data();
            value.copy_from(from[i].value.data());
        }
    }
    const std::vector<Buffer> kept = original_->buffers(), copied = copy_->buffers();
    fits = fits && kept.size() == copied.size();
    for (size_t i = 0; fits && i < kept.size(); ++i) {
        fits = kept[i].name == copied[i].name && kept[i].value->shape() == copied[i].value->shape();
        if (fits) {
            copied[i].value->copy_from(*kept[i].value);
        }
    }
    BACKLIGHT_CHECK(fits, "network copy: the second network is not built like the first");
}

void NetworkCopy::randomize(size_t index, Reinit how, Init init, uint64_t seed) {
    for (const std::string& path : members_.at(index)) {
        Module& module = path.empty() ? *copy_ : copy_->at(path);
        for (const Parameter& parameter : module.own_parameters()) {
            const std::string name = join(path, parameter.name);
            if (how == Reinit::reset) {
                initialize(*copy_, init, apart_from_training(seed), name);
            } else if (parameter.name == "weight") {
                const RandomKey key{.seed = seed, .purpose = purpose::kMetric, .step = fingerprint(name)};
                redraw(parameter.value.data(), how, key);
            }
        }
        for (const Buffer& buffer : module.own_buffers()) {
            if (how == Reinit::reset) {
                initialize(*copy_, init, apart_from_training(seed), join(path, buffer.name));
            }
        }
    }
}

}  // namespace backlight
