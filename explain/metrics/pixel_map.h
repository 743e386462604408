// From a relevance to one number a pixel, and the order of pixels by it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/tensor.h"

namespace backlight {

/// How the channels of a method's relevance become one number unless the user says otherwise: the largest |.|
/// of saliency, the sum of all others, which keeps conservation.
[[nodiscard]] std::string default_reduce(const std::string& method);
/// sum, max-abs, abs-sum, mean, l2, pos-sum.
[[nodiscard]] const std::vector<std::string>& reduce_names();

/// Relevance (U,h,w,C) or (U,D) -> one map of H W (or D) values a unit, row-major. A map smaller than
/// the picture (height, width) is upsampled bilinearly, half-pixel centres. `reduce` as reduce_names().
/// Throws Error when the relevance does not fit the picture.
[[nodiscard]] std::vector<std::vector<double>> pixel_maps(const Tensor& relevance, const std::string& reduce,
                                                          int64_t height, int64_t width);

/// Element numbers, the largest value first, equal ones by number.
[[nodiscard]] std::vector<int64_t> ranking(std::span<const double> values);

enum class Order : uint8_t {
    morf,    // most relevant first: the ranking
    lerf,    // least relevant first: the ranking from its end
    random,  // a permutation drawn with `key`
};
[[nodiscard]] std::vector<int64_t> removal_order(std::span<const double> values, Order order,
                                                 const RandomKey& key);
[[nodiscard]] const char* name_of(Order order);
/// "morf", "lerf", "random".
[[nodiscard]] Order parse_order(const std::string& name, const std::string& who);

/// max(1, ⌊fraction n + ½⌋), at most n: how many elements the top `fraction` is.
[[nodiscard]] int64_t top_count(double fraction, int64_t n);

/// Square regions of `size` pixels from the top left, the last row and column of them clipped.
struct Regions {
    int64_t count = 0;
    std::vector<int64_t> of_pixel;  // (H W): which region
};
[[nodiscard]] Regions square_regions(int64_t height, int64_t width, int64_t size);
/// Sum of the map in each region.
[[nodiscard]] std::vector<double> region_sums(const Regions& regions, std::span<const double> map);

}  // namespace backlight
