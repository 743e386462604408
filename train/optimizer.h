// Optimisers over named parameters. The step itself is one kernel a parameter (core/backend.h); what lies
// here is the state, its names in checkpoints, and which parameters decay.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "layers/module.h"

namespace backlight {

struct OptimizerConfig {
    std::string name = "sgd";  // sgd, adam, adamw, adadelta
    double momentum = 0.9;     // sgd
    bool nesterov = false;     // sgd
    double weight_decay = 0;
    double beta1 = 0.9, beta2 = 0.999,
           eps = 1e-8;  // adam, adamw; eps also of adadelta (where PyTorch has 1e-6)
    double rho = 0.9;   // adadelta
};

class Optimizer {
public:
    Optimizer(std::vector<Parameter> parameters, const OptimizerConfig& config)
        : parameters_(std::move(parameters)), config_(config) {}
    virtual ~Optimizer() = default;
    Optimizer(const Optimizer&) = delete;
    Optimizer& operator=(const Optimizer&) = delete;

    /// One update with the gradients that `backward` left in the parameters; those without one are skipped.
    void step(double learning_rate);
    /// Steps taken, and the state tensors as "NAME.momentum" and so on.
    [[nodiscard]] int64_t steps() const { return steps_; }
    [[nodiscard]] std::map<std::string, Tensor> state() const { return state_; }
    /// Throws Error when an entry does not fit a parameter.
    void restore(const std::map<std::string, Tensor>& state, int64_t steps);

protected:
    virtual void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                        double learning_rate) = 0;
    /// The parameter's state tensor of that name, zeros at first; `fresh` tells whether it was just made.
    [[nodiscard]] Tensor& slot(const Parameter& parameter, const std::string& name, bool* fresh = nullptr);
    [[nodiscard]] const OptimizerConfig& config() const { return config_; }

private:
    std::vector<Parameter> parameters_;
    OptimizerConfig config_;
    std::map<std::string, Tensor> state_;
    int64_t steps_ = 0;
};

/// Throws Error on an unknown name or numbers out of range.
[[nodiscard]] std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                                        std::vector<Parameter> parameters);
[[nodiscard]] const std::vector<std::string>& list_optimizers();

/// √(Σ |g|²) over all parameters; scales every gradient down when it exceeds `limit` (0: never). Source:
/// Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
double clip_gradients(const std::vector<Parameter>& parameters, double limit);

}  // namespace backlight
