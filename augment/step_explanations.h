// Explanations of the batch of a step: computed once, whoever asks.
#pragma once

#include <string>

#include "explain/explainer.h"
#include "train/augmentation.h"

namespace backlight {

/// A forward pass of its own on the batch as it is now: evaluation mode, nothing of the training changes (no gradient, no
/// running statistic, no random number).
[[nodiscard]] const ExplainedForward& explained_batch(TrainingStep& step);

/// The map of `method` for `targets` (one a sample) on that pass, (N,H,W,C) or (N,D), without history. A sample whose map
/// is not finite gets zeros.
[[nodiscard]] Tensor explained_map(TrainingStep& step, const std::string& method, const std::vector<int64_t>& targets);

/// The labels of a batch, on the host. Throws Error in a multi-label batch.
[[nodiscard]] std::vector<int64_t> labels_of(const Batch& batch, const std::string& who);

/// The range of every sample's map moved to [0,1]; one that is constant becomes zeros.
[[nodiscard]] Tensor minmax_by_sample(const Tensor& map);

}  // namespace backlight
