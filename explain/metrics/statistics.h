// Numbers about numbers, in double: correlations, structural similarity, summaries and the bootstrap.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace backlight {

/// NaN where either is constant, or for fewer than two values.
[[nodiscard]] double pearson(std::span<const double> a, std::span<const double> b);
/// Pearson's correlation of the ranks, equal values having their mean rank. NaN as pearson.
[[nodiscard]] double spearman(std::span<const double> a, std::span<const double> b);
/// Ranks from 0, equal values having their mean rank.
[[nodiscard]] std::vector<double> mean_ranks(std::span<const double> values);

/// Mean structural similarity of two pictures (H W values each), with uniform windows of an odd side that lie
/// inside, unbiased variances, K1 = 0.01, K2 = 0.03; `range` is that of the values. NaN where no window fits.
/// Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
[[nodiscard]] double ssim(std::span<const double> a, std::span<const double> b, int64_t height, int64_t width,
                          int64_t window = 7, double range = 2);

/// |.| of each value.
[[nodiscard]] std::vector<double> absolute(std::span<const double> values);
/// Divided by the largest |.|; zeros stay.
[[nodiscard]] std::vector<double> over_max_abs(std::span<const double> values);

/// Area under a curve over [0, 1] at equal steps by the trapezoid rule: (Σ - first/2 - last/2) / steps. A
/// curve of one point: that value.
[[nodiscard]] double area(std::span<const double> curve);

/// Of the values that are not NaN; all of it NaN where there is none.
struct Summary {
    double mean = 0, std = 0, median = 0;  // std with n - 1; 0 for one value
    int64_t valid = 0, skipped = 0;        // skipped: NaN
};
[[nodiscard]] Summary summarize(std::span<const double> values);

/// Mean of a - b over the pairs without NaN, and its 95 % interval by the percentile bootstrap.
struct PairedDifference {
    double difference = 0, low = 0, high = 0;
    int64_t pairs = 0;
};
/// Throws Error when the lengths differ.
[[nodiscard]] PairedDifference paired_difference(std::span<const double> a, std::span<const double> b,
                                                 uint64_t seed, int64_t resamples = 1000);

}  // namespace backlight
