// Runs whose network is looked at after every epoch.
#pragma once

#include <functional>

#include "experiments/reproduction.h"

namespace backlight {

/// Trains without a run folder, with the augmentations of the registry. `each_epoch` sees the network as it
/// is then, and the evaluation of the test set; it must change nothing.
[[nodiscard]] TrainResult train_watched(
    TrainConfig config, const std::function<void(const TrainingRun&, const Evaluation&)>& each_epoch);

}  // namespace backlight
