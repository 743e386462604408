// The general form of loss augmentation: L = L_pred + lambda ζ(r), r an explanation of the step's own forward
// pass with its history (Weber et al., "Beyond explaining", 2022, Eq. 6 and 18). RRR and the penalties by
// name are forms of it; a program gives its own ζ as a function.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/options.h"
#include "explain/explainer.h"
#include "train/augmentation.h"

namespace backlight {

class ExplanationPenalty : public Augmentation {
public:
    struct Config {
        double lambda = 1;
        std::string explainer = "gradient";  // a method, explained for the label; sum_log_prob: d/dx Σ_c log
                                             // p_c, with several labels d/dx Σ_c log p_c (1 - p_c)
        bool relative = false;  // lambda counts in units of L_pred / ζ of the first step that it acts in
        std::string layer;      // whose relevance, "features.7" or "features.7:in"; empty: the input's
    };
    explicit ExplanationPenalty(Config config) : config_(std::move(config)) {}
    [[nodiscard]] bool reads_input_gradient() const override { return config_.lambda != 0; }
    [[nodiscard]] bool reads_layers() const override { return config_.lambda != 0; }
    void begin(const TrainingRun& run) override;
    [[nodiscard]] Variable loss_term(TrainingStep& step) final;
    [[nodiscard]] std::map<std::string, Tensor> state() const override;
    void restore(const std::map<std::string, Tensor>& state) override;

protected:
    /// ζ, a mean over the batch, in differentiable ops. `r` has the shape of what is explained.
    [[nodiscard]] virtual Variable penalty(const TrainingStep& step, const Variable& r) = 0;

private:
    [[nodiscard]] Variable relevance(TrainingStep& step);

    Config config_;
    std::unique_ptr<Explainer> explainer_;
    double unit_ = 0;  // relative: L_pred / ζ of the first step; 0: there was none
};

/// lambda, explainer and layer of a spec.
[[nodiscard]] ExplanationPenalty::Config read_penalty_options(const Options& options, double lambda,
                                                              const char* explainer);

/// ζ as a function: zeta(step, r) -> a scalar with history. For AugmentationBuilder of train
/// (train/trainer.h).
[[nodiscard]] std::unique_ptr<Augmentation> explanation_penalty(
    ExplanationPenalty::Config config, std::function<Variable(const TrainingStep&, const Variable&)> zeta);

}  // namespace backlight
