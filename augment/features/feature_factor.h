// Features times a factor that knows their relevance: h' = F ⊙ h at the output of a layer, in training only.
// F is a constant of the step: gradients flow through h, none through the explanation.
// Weber et al., "Beyond explaining: opportunities and challenges of XAI-based model improvement", 2022,
// section 4.1.
#pragma once

#include <string>

#include "core/random.h"
#include "train/augmentation.h"

namespace backlight {

class FeatureFactor : public Augmentation {
public:
    struct Config {
        std::string layer;       // whose output is changed
        std::string explainer;   // of that output; empty: the system needs none
        bool predicted = false;  // explains the predicted class instead of the label
    };
    explicit FeatureFactor(Config config) : config_(std::move(config)) {}

    /// Runs the network, and the explainer, on one sample, so that what does not fit is told here.
    void begin(const TrainingRun& run) override;
    void before_forward(TrainingStep& step) override;
    [[nodiscard]] std::vector<std::string> feature_layers() const override { return {config_.layer}; }
    [[nodiscard]] Variable change_features(TrainingStep& step, const std::string& layer,
                                           const Variable& features) override;

protected:
    /// F for features h (N,D) or (N,H,W,C), a shape that broadcasts to theirs. `relevance` is of h's shape,
    /// undefined without an explainer.
    [[nodiscard]] virtual Tensor factor(const TrainingStep& step, const Tensor& features,
                                        const Tensor& relevance) = 0;
    /// F = 1: nothing is explained and nothing changed.
    [[nodiscard]] virtual bool is_identity() const = 0;
    /// Throws Error when the layer's output (N,D) or (N,H,W,C) does not suit the system.
    virtual void check_features(const Shape& /*features*/) const {}

    [[nodiscard]] bool explains() const { return !config_.explainer.empty(); }
    /// Random numbers of sample n of the batch in this step; another layer has others.
    [[nodiscard]] RandomStream stream_of(const TrainingStep& step, size_t n) const;

private:
    [[nodiscard]] std::vector<int64_t> targets_of(TrainingStep& step) const;

    Config config_;
    Tensor relevance_;  // of the present batch
};

/// Reads layer=L (which must be given), explainer, target=label|predicted. `explainer` empty: it is not asked
/// for.
[[nodiscard]] FeatureFactor::Config read_feature_options(const Options& options,
                                                         const std::string& explainer);

}  // namespace backlight
