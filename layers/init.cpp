#include "layers/init.h"

#include <cmath>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/backend.h"
#include "core/glob.h"
#include "core/random.h"
#include "layers/layers.h"

namespace backlight {
namespace {

struct Fan {
    double in, out;
};

/// fan_in and fan_out of a weight (O, [Kh, Kw,] I): channels times the kernel's area.
Fan fan_of(const Shape& weight) {
    const auto outputs = static_cast<double>(std::max<int64_t>(weight[0], 1));
    const auto inputs = static_cast<double>(std::max<int64_t>(weight[-1], 1));
    const double area = static_cast<double>(weight.numel()) / (outputs * inputs);
    return {inputs * area, outputs * area};
}

constexpr double kSmallDeviation = 0.1;

Tensor uniform(const Shape& shape, double bound, const RandomKey& key) {
    Tensor u = Tensor::empty(shape);
    u.backend().random_uniform(u, key);
    return ((Variable(u) - 0.5) * (2.0 * bound)).data();
}

Tensor normal(const Shape& shape, double deviation, const RandomKey& key) {
    Tensor n = Tensor::empty(shape);
    n.backend().random_normal(n, key);
    return (Variable(n) * deviation).data();
}

Tensor weight_values(const Shape& shape, Init scheme, const RandomKey& key) {
    const Fan fan = fan_of(shape);
    switch (scheme) {
        case Init::pytorch:
            return uniform(shape, 1.0 / std::sqrt(fan.in), key);
        case Init::he_normal:
            return normal(shape, std::sqrt(2.0 / fan.in), key);
        case Init::xavier_uniform:
            return uniform(shape, std::sqrt(6.0 / (fan.in + fan.out)), key);
        case Init::small_normal:
            return normal(shape, kSmallDeviation, key);
    }
    return {};
}

}  // namespace

void initialize(Module& root, Init scheme, uint64_t seed, std::string_view pattern) {
    const NoGrad off;
    uint64_t place = 0;
    for (const auto& [path, module] : root.modules()) {
        const bool is_norm = dynamic_cast<BatchNorm*>(module) != nullptr ||
                             dynamic_cast<LayerNorm*>(module) != nullptr ||
                             dynamic_cast<GroupNorm*>(module) != nullptr;
        const bool is_embedding = dynamic_cast<Embedding*>(module) != nullptr;
        const std::string prefix = path.empty() ? path : path + ".";
        double fan_in = 1;
        for (const Parameter& parameter : module->own_parameters()) {
            const RandomKey key{.seed = seed, .purpose = purpose::kWeights, .step = place++};
            Tensor value = parameter.value.data();
            const Shape& shape = value.shape();
            fan_in = shape.rank() >= 2 ? fan_of(shape).in : fan_in;
            if (!glob_match(pattern, prefix + parameter.name)) {
                continue;
            }
            Tensor start;
            if (is_norm) {
                start = Tensor::full(shape, parameter.name == "weight" ? 1.0 : 0.0);
            } else if (is_embedding) {
                start = normal(shape, 1.0, key);
            } else if (shape.rank() >= 2) {
                start = weight_values(shape, scheme, key);
            } else {
                start = scheme == Init::pytorch        ? uniform(shape, 1.0 / std::sqrt(fan_in), key)
                        : scheme == Init::small_normal ? normal(shape, kSmallDeviation, key)
                                                       : Tensor::zeros(shape);
            }
            value.copy_from(start.to(value.dtype()));
        }
        for (const Buffer& buffer : module->own_buffers()) {
            if (glob_match(pattern, prefix + buffer.name)) {
                buffer.value->fill(buffer.name == "running_var" ? 1.0 : 0.0);
            }
        }
    }
}

}  // namespace backlight
