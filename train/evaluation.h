// How good a classifier is on a data set.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "datasets/dataset.h"
#include "layers/module.h"

namespace backlight {

/// How evenly a network serves its classes (Weber et al., "Beyond explaining", 2022, section 4.2 and appendix
/// B.2): of the accuracy of each class, in multi-label data the average precision.
struct ClassSpread {
    double mean = 0, deviation = 0, minimum = 0;  // deviation of the population; all NaN without classes
    /// mean / max(deviation, 1e-6). It has no bound, and a network that only knows one class has 1 / sqrt(K -
    /// 1): to be read beside its two parts.
    [[nodiscard]] double balance() const;
};

/// Of a data set with one label a sample: accuracy and confusion. Of a multi-label one: average precision.
struct Evaluation {
    double loss = 0;      // mean cross-entropy; multi-label: mean binary one of all that is not to be ignored
    double accuracy = 0;  // 0..1
    int64_t samples = 0;
    int64_t top_k = 0;          // 0: not asked for
    double top_k_accuracy = 0;  // share of samples whose class is among the k largest logits
    std::vector<std::vector<int64_t>> confusion;  // [label][prediction]
    std::vector<double> average_precision;  // multi-label: of each class (AveragePrecision::voc_all), NaN
                                            // where no sample shows it; empty otherwise
    std::vector<int64_t> positives;         // multi-label: samples of each class

    [[nodiscard]] bool is_multi_label() const { return !average_precision.empty(); }
    /// Mean average precision of a multi-label set, else accuracy: the one number, and what it is called.
    [[nodiscard]] double score() const;
    [[nodiscard]] const char* score_name() const { return is_multi_label() ? "mAP" : "accuracy"; }

    /// Share of right answers of each class; NaN for a class without samples.
    [[nodiscard]] std::vector<double> class_accuracy() const;
    /// Over the classes that have samples.
    [[nodiscard]] ClassSpread class_spread() const;
};

/// Samples at once where nobody says otherwise: 256, and of large pictures so many that they have two million
/// pixels, 41 of 224 x 224. More is not faster, and 256 of those take 12 GB in VGG-16.
[[nodiscard]] int64_t default_batch(const Shape& sample);

/// In evaluation mode, without history; the mode is restored. `batch_size` 0: default_batch. Where a sample
/// is several views (`ten_crops`), the probabilities (softmax, multi-label: sigmoid) of its views are
/// averaged. Throws Error when the data has a label that the network has no output for, on top_k beyond the
/// number of classes and in a multi-label set. Samples that cannot be read are noted in `corrupt` and do not
/// count; without it they are an Error, and so is a set of nothing else.
[[nodiscard]] Evaluation evaluate(Module& net, const Dataset& data, int64_t batch_size = 0, int64_t top_k = 0,
                                  const std::shared_ptr<CorruptSamples>& corrupt = nullptr);

/// Logits of a batch in evaluation mode, without history, computed in pieces of `batch_size`, 0:
/// default_batch.
[[nodiscard]] Tensor predict(Module& net, const Tensor& inputs, int64_t batch_size = 0);

}  // namespace backlight
