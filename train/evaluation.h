// How good a classifier is on a data set.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "datasets/dataset.h"
#include "layers/module.h"

namespace backlight {

struct Evaluation {
    double loss = 0;      // mean cross-entropy
    double accuracy = 0;  // 0..1
    int64_t samples = 0;
    int64_t top_k = 0;          // 0: not asked for
    double top_k_accuracy = 0;  // share of samples whose class is among the k largest logits
    std::vector<std::vector<int64_t>> confusion;  // [label][prediction]

    /// Share of right answers of each class; NaN for a class without samples.
    [[nodiscard]] std::vector<double> class_accuracy() const;
};

/// In evaluation mode, without history; the mode is restored. Throws Error when the data has a label that the
/// network has no output for, and on more than as many classes as top_k. Samples that cannot be read are
/// noted in `corrupt` and do not count; without it they are an Error, and so is a set of nothing else.
[[nodiscard]] Evaluation evaluate(Module& net, const Dataset& data, int64_t batch_size = 256,
                                  int64_t top_k = 0,
                                  const std::shared_ptr<CorruptSamples>& corrupt = nullptr);

/// Logits of a batch in evaluation mode, without history, computed in pieces of `batch_size`.
[[nodiscard]] Tensor predict(Module& net, const Tensor& inputs, int64_t batch_size = 256);

}  // namespace backlight
