// Average precision of scores against yes-or-no targets.
#pragma once

#include <span>
#include <vector>

#include "core/tensor.h"

namespace backlight {

/// Samples count from the largest score down; those of equal scores count together.
enum class AveragePrecision {
    steps,         // Σ (R_n - R_{n-1}) P_n: what scikit-learn computes
    voc_all,       // area under the precision made monotone: PASCAL VOC from 2010 on
    voc_11_points  // mean of the monotone precision at recall 0, 0.1, ..., 1: PASCAL VOC 2007
};

/// Targets above 0.5 are positive; samples of weight 0 (empty: none) do not count, other weights are 1. NaN
/// without positives. Throws Error on scores that are not finite and on lengths that differ.
[[nodiscard]] double average_precision(std::span<const double> scores, std::span<const double> targets,
                                       std::span<const double> weights = {},
                                       AveragePrecision kind = AveragePrecision::voc_all);

/// Of each column of scores and targets (N,K); `weights` (N,K) or undefined.
[[nodiscard]] std::vector<double> class_average_precision(const Tensor& scores, const Tensor& targets,
                                                          const Tensor& weights = {},
                                                          AveragePrecision kind = AveragePrecision::voc_all);

/// Mean over the classes that are not NaN; NaN when there is none.
[[nodiscard]] double mean_average_precision(std::span<const double> of_classes);

}  // namespace backlight
