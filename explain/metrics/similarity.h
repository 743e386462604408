// How alike two explanations of the same input are, and explanations under other conditions.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "explain/metrics/metric.h"

namespace backlight {

/// Spearman of |r|, Spearman of r, structural similarity of maps divided by max |r|, Pearson of r. 1: the
/// same. NaN where a map is constant or too small for a window.
struct Similarity {
    static constexpr size_t kCount = 4;
    static constexpr std::array<const char*, kCount> kNames{"spearman", "spearman_signed", "ssim", "pearson"};
    std::array<double, kCount> values{};
};
/// A map with what is sorted and scaled of it, for who compares one with many.
struct ComparedMap {
    explicit ComparedMap(const std::vector<double>& map);
    std::vector<double> values, scaled, ranks, ranks_of_magnitude;
};
[[nodiscard]] Similarity similarity(const ComparedMap& a, const ComparedMap& b, int64_t height, int64_t width,
                                    int64_t window);

/// What `explained`'s method says of the inputs x under a network: relevance f64 as the method gives it. The
/// classes are the batch's own unless others are given. Not checked to be finite.
[[nodiscard]] Tensor explain_again(const ExplainedBatch& explained, Module& net, const Tensor& x);
[[nodiscard]] Tensor explain_again(const ExplainedBatch& explained, const ExplainedForward& forward,
                                   const std::vector<int64_t>& targets);
/// Its pixel maps, reduced as `explained`'s are.
[[nodiscard]] std::vector<std::vector<double>> maps_of(const ExplainedBatch& explained,
                                                       const Tensor& relevance);

}  // namespace backlight
