// Explanations of the batch of a step: computed once, whoever asks.
#pragma once

#include <string>

#include "core/random.h"
#include "explain/explainer.h"
#include "train/augmentation.h"

namespace backlight {

/// What a run tells explainers and fills: range and normalisation of the data, the layer of the CAM methods,
/// the seed.
[[nodiscard]] ExplainContext explain_context(const TrainingRun& run);

/// What a system claims or reads: Augmentation::claims.
inline constexpr const char* kDecoyMasks = "the masks of decoys";

/// Samples that a recorded pass takes at once where their number is free: a million input values, at most
/// 128. A recording keeps more than a training step.
[[nodiscard]] int64_t samples_at_once(const Shape& sample);

/// One sample of zeros, (1,...), of the type of the network: what does not fit is told before the first step.
[[nodiscard]] Tensor blank_sample(const TrainingRun& run);
/// It as a batch with the label 0 (or none of several labels) and the masks that the data has, of zeros.
[[nodiscard]] Batch blank_batch(const TrainingRun& run);

/// Throws Error where the forward pass calls `layer` several times: which call is meant cannot be said.
void check_called_once(const ExplainedForward& forward, const std::string& layer, const std::string& who);

/// Random numbers of a system (`owner`, which may name a layer or a use too) for a row of this step's batch:
/// those of its sample, and others where the batch has the sample again.
[[nodiscard]] RandomStream stream_of(const TrainingStep& step, const std::string& owner, size_t row);

/// Numbers of the batch's samples for methods that draw: others in each step.
[[nodiscard]] std::vector<int64_t> numbers_of(const TrainingStep& step);

/// A forward pass of its own on the batch as it is now: evaluation mode, nothing of the training changes (no
/// gradient, no running statistic, no random number). For `method` alone, on `layers`, one recorded no
/// further than it reads will do, if there is no other yet.
[[nodiscard]] const ExplainedForward& explained_batch(TrainingStep& step, const std::string& method = "",
                                                      const std::vector<std::string>& layers = {});

/// Maps of `method` for `targets` (one a sample) on that pass, one a layer ("L": output of layer L, "L:in":
/// its input, none given: the input of the network), without history. A sample with a value that is not
/// finite gets zeros.
[[nodiscard]] std::vector<Tensor> explained_maps(TrainingStep& step, const std::string& method,
                                                 const std::vector<int64_t>& targets,
                                                 const std::vector<std::string>& layers);
/// How many maps of this step got zeros so far: systems note it by this name.
constexpr const char* kMapsNotFinite = "maps not finite";
[[nodiscard]] double maps_not_finite(const TrainingStep& step);
/// One of them: (N,H,W,C) or (N,D).
[[nodiscard]] Tensor explained_map(TrainingStep& step, const std::string& method,
                                   const std::vector<int64_t>& targets, const std::string& layer = "");

/// Every sample's map, zeros in the place of one with a value that is not finite; `replaced` grows by how
/// many.
[[nodiscard]] Tensor finite_or_zero(const Tensor& map, double* replaced = nullptr);

/// The labels of a batch, on the host; of a mixed sample (soft labels) the class with the largest share.
/// Throws Error in a multi-label batch.
[[nodiscard]] std::vector<int64_t> labels_of(const Batch& batch, const std::string& who);

/// A request that starts at the batch's labels: 1 at the label, at each of several labels, a mixed sample's
/// shares.
[[nodiscard]] ExplainRequest label_request(const Batch& batch);

/// Every sample's map divided by its largest magnitude; one of zeros stays.
[[nodiscard]] Tensor maxabs_by_sample(const Tensor& map);

/// The range of every sample's map moved to [0,1]; one that is constant becomes zeros.
[[nodiscard]] Tensor minmax_by_sample(const Tensor& map);

}  // namespace backlight
