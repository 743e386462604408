// The systems of a run together.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "train/augmentation.h"

namespace backlight {

/// Throws Error when two systems claim the same, or one what an option of the run has claimed: `taken` names
/// the option by its claim.
void check_claims(const Augmentations& systems, std::map<std::string, std::string> taken = {});

/// Calls the feature hooks of the active systems while it lives.
class FeatureHooks {
public:
    FeatureHooks(const std::vector<Augmentation*>& systems, TrainingStep& step);
    ~FeatureHooks();
    FeatureHooks(const FeatureHooks&) = delete;
    FeatureHooks& operator=(const FeatureHooks&) = delete;

private:
    std::vector<std::pair<Module*, int>> installed_;
};

/// The network without what only training has, while it lives.
class AsTested {
public:
    AsTested(const Augmentations& systems, const TrainingRun& run);
    ~AsTested();
    AsTested(const AsTested&) = delete;
    AsTested& operator=(const AsTested&) = delete;

private:
    const Augmentations& systems_;
    const TrainingRun& run_;
};

/// States and metrics of all, for a checkpoint: "0.state.NAME", "0.metrics.NAME" of the first.
[[nodiscard]] std::map<std::string, Tensor> state_of(const Augmentations& systems);
void restore(const Augmentations& systems, const std::map<std::string, Tensor>& state);

/// What moves in a step before the weights do: running statistics and what the systems note.
class StepBegin {
public:
    StepBegin() = default;
    StepBegin(Module& net, const Augmentations& systems);
    void bring_back(Module& net, const Augmentations& systems) const;

private:
    std::vector<Tensor> buffers_;
    std::vector<std::map<std::string, Tensor>> metrics_;  // of each system
};

}  // namespace backlight
