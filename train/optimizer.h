// Optimisers over named parameters. The step itself is one kernel a parameter (core/backend.h); what lies
// here is the state, its names in checkpoints, and which parameters decay.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/module.h"

namespace backlight {

/// What differs for the parameters whose name matches a glob.
struct ParameterGroup {
    std::string pattern;
    std::optional<double> lr;  // a factor on the learning rate
    std::optional<double> weight_decay;
};
/// "GLOB:lr=0.1,weight_decay=0", one key or both. Throws Error on other text.
[[nodiscard]] ParameterGroup parse_group(const std::string& text);

struct OptimizerConfig {
    std::string name = "sgd";  // sgd, adam, adamw, adadelta, rmsprop
    double momentum = 0.9;     // sgd, rmsprop (where PyTorch has 0)
    bool nesterov = false;     // sgd
    double weight_decay = 0;
    double beta1 = 0.9, beta2 = 0.999,
           eps = 1e-8;      // adam, adamw, rmsprop; eps also of adadelta (where PyTorch has 1e-6)
    double rho = 0.9;       // adadelta
    double alpha = 0.99;    // rmsprop
    bool centered = false;  // rmsprop
    bool no_decay_norm_bias =
        false;  // no decay of biases and of parameters with one axis, unless a group has one
    std::vector<ParameterGroup> groups;  // of those that match, the last that states a number counts
};

class Optimizer {
public:
    /// Throws Error when a group matches no parameter.
    Optimizer(const std::vector<Parameter>& parameters, const OptimizerConfig& config);
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

    /// Whether a constant factor on a gradient leaves its update as it is (Adam and its kin divide by the
    /// gradient's size).
    [[nodiscard]] virtual bool is_scale_free() const { return false; }

protected:
    struct Rates {
        double lr, weight_decay;
    };
    virtual void update(const Parameter& parameter, Tensor& weight, const Tensor& gradient,
                        const Rates& rates) = 0;
    /// The parameter's state tensor of that name, zeros at first; `fresh` tells whether it was just made.
    [[nodiscard]] Tensor& slot(const Parameter& parameter, const std::string& name, bool* fresh = nullptr);
    [[nodiscard]] const OptimizerConfig& config() const { return config_; }

private:
    struct Member {
        Parameter parameter;
        Rates rates;  // lr: the factor
    };
    std::vector<Member> members_;
    OptimizerConfig config_;
    std::map<std::string, Tensor> state_;
    int64_t steps_ = 0;
};

/// Throws Error on an unknown name or numbers out of range.
[[nodiscard]] std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                                        const std::vector<Parameter>& parameters);
[[nodiscard]] const std::vector<std::string>& list_optimizers();

void scale_gradients(const std::vector<Parameter>& parameters, double factor);

/// √(Σ |g|²) over all parameters; scales every gradient down when it exceeds `limit` (0: never). Source:
/// Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
double clip_gradients(const std::vector<Parameter>& parameters, double limit);

}  // namespace backlight
