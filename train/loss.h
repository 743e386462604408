// The loss of a training step, and the weights of classes in it.
#pragma once

#include <string>

#include "autograd/variable.h"
#include "datasets/dataset.h"

namespace backlight {

/// (K), from `balanced` or one number a class, 1:2:0.5; undefined for an empty text. `balanced` is samples /
/// (classes that occur * samples of the class); in a multi-label set it is negatives / positives, 1 for a
/// class without positives. Throws Error on another number of weights, and on one that is negative or not
/// finite.
[[nodiscard]] Tensor class_weights(const std::string& text, const Dataset& data, int64_t classes);

/// A mean as its two sums, for a mean over several batches.
struct SummedLoss {
    Variable sum;
    double weight;  // of what was summed; 0 where nothing counts
};

/// Cross-entropy of logits (N,K), against `soft_label` where the batch has it, samples weighted by its `sample_weight`;
/// of a multi-label batch the binary one of every class that is not to be
/// ignored, whose targets `smoothing` moves towards one half. `class_weight` (K) may be undefined; in a
/// multi-label batch it weighs the positives.
[[nodiscard]] SummedLoss loss_of(const Variable& logits, const Batch& batch, double smoothing,
                                 const Tensor& class_weight);

}  // namespace backlight
