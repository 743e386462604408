#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/glob.h"
#include "core/options.h"
#include "core/profile.h"

namespace backlight {
namespace {

class Sgd final : public Optimizer {
public:
    using Optimizer::Optimizer;

protected:
    void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                const Rates& rates) override {
        SgdAttrs attrs{.lr = rates.lr,
                       .momentum = config().momentum,
                       .weight_decay = rates.weight_decay,
                       .nesterov = config().nesterov};
        Tensor none;
        Tensor& velocity = attrs.momentum > 0 ? slot(parameter, "momentum", &attrs.first_step) : none;
        weight.backend().sgd_step(attrs, weight, gradient, velocity);
    }
};

class Adam final : public Optimizer {
public:
    using Optimizer::Optimizer;

    [[nodiscard]] bool is_scale_free() const override { return true; }

protected:
    void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                const Rates& rates) override {
        const AdamAttrs attrs{.lr = rates.lr,
                              .beta1 = config().beta1,
                              .beta2 = config().beta2,
                              .eps = config().eps,
                              .weight_decay = rates.weight_decay,
                              .decoupled = config().name == "adamw",
                              .step = steps() + 1};
        Tensor& m = slot(parameter, "mean");
        Tensor& v = slot(parameter, "square_mean");
        weight.backend().adam_step(attrs, weight, gradient, m, v);
    }
};

class Adadelta final : public Optimizer {
public:
    using Optimizer::Optimizer;

    [[nodiscard]] bool is_scale_free() const override { return true; }

protected:
    void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                const Rates& rates) override {
        const AdadeltaAttrs attrs{
            .lr = rates.lr, .rho = config().rho, .eps = config().eps, .weight_decay = rates.weight_decay};
        Tensor& square_mean = slot(parameter, "square_mean");
        Tensor& delta_mean = slot(parameter, "delta_mean");
        weight.backend().adadelta_step(attrs, weight, gradient, square_mean, delta_mean);
    }
};

class Rmsprop final : public Optimizer {
public:
    using Optimizer::Optimizer;

    [[nodiscard]] bool is_scale_free() const override { return true; }

protected:
    void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                const Rates& rates) override {
        const RmspropAttrs attrs{.lr = rates.lr,
                                 .alpha = config().alpha,
                                 .eps = config().eps,
                                 .momentum = config().momentum,
                                 .weight_decay = rates.weight_decay,
                                 .centered = config().centered};
        Tensor none;
        Tensor& square_mean = slot(parameter, "square_mean");
        Tensor& mean = attrs.centered ? slot(parameter, "mean") : none;
        Tensor& velocity = attrs.momentum > 0 ? slot(parameter, "momentum") : none;
        weight.backend().rmsprop_step(attrs, weight, gradient, square_mean, mean, velocity);
    }
};

template <typename T>
std::unique_ptr<Optimizer> make(const OptimizerConfig& config, const std::vector<Parameter>& parameters) {
    return std::make_unique<T>(parameters, config);
}

struct Entry {
    std::string name;
    std::unique_ptr<Optimizer> (*build)(const OptimizerConfig&, const std::vector<Parameter>&);
};

const std::vector<Entry>& entries() {
    static const std::vector<Entry> table = {{"sgd", make<Sgd>},
                                             {"adam", make<Adam>},
                                             {"adamw", make<Adam>},
                                             {"adadelta", make<Adadelta>},
                                             {"rmsprop", make<Rmsprop>}};
    return table;
}

}  // namespace

ParameterGroup parse_group(const std::string& text) {
    const size_t colon = text.rfind(':');
    BACKLIGHT_CHECK(colon != std::string::npos && colon > 0,
                    "group: expected \"GLOB:lr=0.1,weight_decay=0\", got \"", text, "\"");
    // The same reader as for all options, so that unknown keys and bad numbers are told the same way.
    const Options options(parse_spec("group(" + text.substr(colon + 1) + ")"));
    constexpr double kLargest = 1e12;
    ParameterGroup group{.pattern = text.substr(0, colon)};
    if (options.has("lr")) {
        group.lr = options.get_within("lr", 1.0, 0.0, kLargest);
    }
    if (options.has("weight_decay")) {
        group.weight_decay = options.get_within("weight_decay", 0.0, 0.0, kLargest);
    }
    options.finish();
    BACKLIGHT_CHECK(group.lr || group.weight_decay, "group: expected lr or weight_decay in \"", text, "\"");
    return group;
}

Optimizer::Optimizer(const std::vector<Parameter>& parameters, const OptimizerConfig& config)
    : config_(config) {
    for (const Parameter& parameter : parameters) {
        const bool spared =
            config.no_decay_norm_bias && (parameter.value.rank() <= 1 || parameter.name.ends_with("bias"));
        members_.push_back({parameter, {.lr = 1, .weight_decay = spared ? 0 : config.weight_decay}});
    }
    for (const ParameterGroup& group : config.groups) {
        bool matched = false;
        for (auto& [parameter, rates] : members_) {
            if (glob_match(group.pattern, parameter.name)) {
                matched = true;
                rates = {.lr = group.lr.value_or(rates.lr),
                         .weight_decay = group.weight_decay.value_or(rates.weight_decay)};
            }
        }
        BACKLIGHT_CHECK(matched, "group: no trained parameter matches \"", group.pattern, "\"");
    }
}

void Optimizer::step(double learning_rate) {
    const Span span("optimizer");
    for (const auto& [parameter, rates] : members_) {
        const Tensor& gradient = parameter.value.grad();
        if (!gradient.defined()) {
            continue;
        }
        Tensor weight = parameter.value.data();
        update(parameter, weight, gradient,
               {.lr = learning_rate * rates.lr, .weight_decay = rates.weight_decay});
        weight.mark_modified();
    }
    ++steps_;
}

Tensor& Optimizer::slot(const Parameter& parameter, const std::string& name, bool* fresh) {
    Tensor& tensor = state_[parameter.name + "." + name];
    const bool made = !tensor.defined();
    if (made) {
        const Tensor& like = parameter.value.data();
        tensor = Tensor::zeros(like.shape(), like.dtype(), like.device());
    }
    if (fresh != nullptr) {
        *fresh = made;
    }
    return tensor;
}

void Optimizer::restore(const std::map<std::string, Tensor>& state, int64_t steps) {
    for (const auto& [key, tensor] : state) {
        const std::string name = key.substr(0, key.rfind('.'));
        const auto owner = std::find_if(members_.begin(), members_.end(),
                                        [&](const Member& member) { return member.parameter.name == name; });
        BACKLIGHT_CHECK(owner != members_.end() && owner->parameter.value.shape() == tensor.shape(),
                        "optimizer: the saved state ", key, " ", tensor.shape(), " fits no parameter");
    }
    state_ = state;
    steps_ = steps;
}

const std::vector<std::string>& list_optimizers() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const Entry& entry : entries()) {
            all.push_back(entry.name);
        }
        return all;
    }();
    return names;
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                          const std::vector<Parameter>& parameters) {
    BACKLIGHT_CHECK(config.momentum >= 0 && config.momentum < 1,
                    "optimizer: expected 0 <= momentum < 1, got ", config.momentum);
    BACKLIGHT_CHECK(config.weight_decay >= 0, "optimizer: expected weight_decay >= 0, got ",
                    config.weight_decay);
    BACKLIGHT_CHECK(config.beta1 >= 0 && config.beta1 < 1 && config.beta2 >= 0 && config.beta2 < 1,
                    "optimizer: expected 0 <= beta1, beta2 < 1, got ", config.beta1, " and ", config.beta2);
    BACKLIGHT_CHECK(config.rho >= 0 && config.rho < 1, "optimizer: expected 0 <= rho < 1, got ", config.rho);
    BACKLIGHT_CHECK(config.alpha >= 0 && config.alpha < 1, "optimizer: expected 0 <= alpha < 1, got ",
                    config.alpha);
    BACKLIGHT_CHECK(config.eps >= 0, "optimizer: expected eps >= 0, got ", config.eps);
    BACKLIGHT_CHECK(!config.nesterov || config.momentum > 0, "optimizer: nesterov needs momentum > 0");
    for (const Entry& entry : entries()) {
        if (entry.name == config.name) {
            return entry.build(config, parameters);
        }
    }
    throw_error(unknown_name("optimizer", config.name, list_optimizers()));
}

void scale_gradients(const std::vector<Parameter>& parameters, double factor) {
    const NoGrad off;
    for (const Parameter& parameter : parameters) {
        if (parameter.value.grad().defined()) {
            parameter.value.set_grad((Variable(parameter.value.grad()) * factor).data());
        }
    }
}

double clip_gradients(const std::vector<Parameter>& parameters, double limit) {
    const NoGrad off;
    double squares = 0;
    for (const Parameter& parameter : parameters) {
        if (parameter.value.grad().defined()) {
            squares += sum(square(Variable(parameter.value.grad()))).item();
        }
    }
    const double norm = std::sqrt(squares);
    if (limit > 0 && norm > limit) {
        scale_gradients(parameters, limit / norm);
    }
    return norm;
}

}  // namespace backlight
