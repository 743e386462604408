// How evenly a network serves its classes, over the epochs of a training (Weber et al., "Beyond explaining",
// 2022, section 4.2 and appendix B.2). Of one evaluation: ClassSpread (train/evaluation.h).
#pragma once

#include "datasets/dataset.h"
#include "experiments/reproduction.h"
#include "train/evaluation.h"

namespace backlight {

/// The mean probability (softmax, in multi-label data sigmoid) of the true class, class by class.
struct TrueClassProbability {
    double minimum = 0, maximum = 0, mean = 0;
    double difference = 0;  // mean over pairs of classes of the absolute difference
};
[[nodiscard]] TrueClassProbability true_class_probability(Module& net, const Dataset& data);

/// Each value the mean of the last `window` ones up to it.
[[nodiscard]] std::vector<double> smoothed(const std::vector<double>& values, size_t window = 10);

/// Adds the metrics "class mean", "class deviation", "class minimum", "balance" (of `final`), "balance over
/// epochs" (the mean over `epochs` from number `from` on, counted from 0) and those of TrueClassProbability.
void add_balance(Measurements& measured, const std::string& arm, int64_t seed,
                 const std::vector<ClassSpread>& epochs, size_t from,
                 const TrueClassProbability& probability);

/// mu_p and sigma_p, means over the seeds, and b_p = mu_p / max(sigma_p, 1e-6), an arm a row.
[[nodiscard]] report::Table balance_table(const Measurements& measured);

}  // namespace backlight
