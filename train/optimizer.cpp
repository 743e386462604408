#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/profile.h"

namespace backlight {
namespace {

class Sgd final : public Optimizer {
public:
    using Optimizer::Optimizer;

protected:
    void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                double learning_rate) override {
        SgdAttrs attrs{.lr = learning_rate,
                       .momentum = config().momentum,
                       .weight_decay = config().weight_decay,
                       .nesterov = config().nesterov};
        Tensor none;
        Tensor& velocity = attrs.momentum > 0 ? slot(parameter, "momentum", &attrs.first_step) : none;
        weight.backend().sgd_step(attrs, weight, gradient, velocity);
    }
};

class Adam final : public Optimizer {
public:
    using Optimizer::Optimizer;

protected:
    void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                double learning_rate) override {
        const AdamAttrs attrs{.lr = learning_rate,
                              .beta1 = config().beta1,
                              .beta2 = config().beta2,
                              .eps = config().eps,
                              .weight_decay = config().weight_decay,
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

protected:
    void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                double learning_rate) override {
        const AdadeltaAttrs attrs{.lr = learning_rate,
                                  .rho = config().rho,
                                  .eps = config().eps,
                                  .weight_decay = config().weight_decay};
        Tensor& square_mean = slot(parameter, "square_mean");
        Tensor& delta_mean = slot(parameter, "delta_mean");
        weight.backend().adadelta_step(attrs, weight, gradient, square_mean, delta_mean);
    }
};

template <typename T>
std::unique_ptr<Optimizer> make(const OptimizerConfig& config, std::vector<Parameter> parameters) {
    return std::make_unique<T>(std::move(parameters), config);
}

struct Entry {
    std::string name;
    std::unique_ptr<Optimizer> (*build)(const OptimizerConfig&, std::vector<Parameter>);
};

const std::vector<Entry>& entries() {
    static const std::vector<Entry> table = {
        {"sgd", make<Sgd>}, {"adam", make<Adam>}, {"adamw", make<Adam>}, {"adadelta", make<Adadelta>}};
    return table;
}

}  // namespace

void Optimizer::step(double learning_rate) {
    const Span span("optimizer");
    for (const Parameter& parameter : parameters_) {
        const Tensor& gradient = parameter.value.grad();
        if (!gradient.defined()) {
            continue;
        }
        Tensor weight = parameter.value.data();
        update(parameter, weight, gradient, learning_rate);
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
        const auto owner = std::find_if(parameters_.begin(), parameters_.end(),
                                        [&](const Parameter& p) { return p.name == name; });
        BACKLIGHT_CHECK(owner != parameters_.end() && owner->value.shape() == tensor.shape(),
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

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, std::vector<Parameter> parameters) {
    BACKLIGHT_CHECK(config.momentum >= 0 && config.momentum < 1,
                    "optimizer: expected 0 <= momentum < 1, got ", config.momentum);
    BACKLIGHT_CHECK(config.weight_decay >= 0, "optimizer: expected weight_decay >= 0, got ",
                    config.weight_decay);
    BACKLIGHT_CHECK(config.beta1 >= 0 && config.beta1 < 1 && config.beta2 >= 0 && config.beta2 < 1,
                    "optimizer: expected 0 <= beta1, beta2 < 1, got ", config.beta1, " and ", config.beta2);
    BACKLIGHT_CHECK(config.rho >= 0 && config.rho < 1, "optimizer: expected 0 <= rho < 1, got ", config.rho);
    BACKLIGHT_CHECK(config.eps >= 0, "optimizer: expected eps >= 0, got ", config.eps);
    BACKLIGHT_CHECK(!config.nesterov || config.momentum > 0, "optimizer: nesterov needs momentum > 0");
    for (const Entry& entry : entries()) {
        if (entry.name == config.name) {
            return entry.build(config, std::move(parameters));
        }
    }
    throw_error(unknown_name("optimizer", config.name, list_optimizers()));
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
        for (const Parameter& parameter : parameters) {
            if (parameter.value.grad().defined()) {
                parameter.value.set_grad((Variable(parameter.value.grad()) * (limit / norm)).data());
            }
        }
    }
    return norm;
}

}  // namespace backlight
