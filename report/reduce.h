// From a relevance to one number a pixel: reduce over channels, then normalise. A relevance that is not
// finite is an Error. The functions work on host copies, in double; results are on the CPU.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace backlight::report {

/// How the channels of a relevance become one number a pixel.
enum class Reduce : uint8_t {
    none,     // all channels stay
    sum,      // sum_c R: keeps conservation
    abs_sum,  // sum_c |R|
    max_abs,  // max_c |R|: the classic saliency map (Simonyan et al., 2014)
    mean,     // sum_c R / C
    l2,       // sqrt(sum_c R^2)
    pos_sum,  // max(sum_c R, 0)
};

/// How a sample is scaled; a sample that is zero everywhere stays so.
enum class Normalize : uint8_t {
    none,
    max_abs,  // R / max |R|: the sign and the zero stay
    minmax,   // (R - min) / (max - min): moves the zero, so never for the display of a signed map
    sum_abs,  // R / sum |R|
};

/// From the names of the command line ("max-abs", "pos-sum", ...). Throw Error, naming the near ones.
[[nodiscard]] Reduce parse_reduce(std::string_view name);
[[nodiscard]] Normalize parse_normalize(std::string_view name);
[[nodiscard]] std::vector<std::string> reduce_names();
[[nodiscard]] std::vector<std::string> normalize_names();

/// (H,W,C) -> (H,W,1), (N,H,W,C) -> (N,H,W,1), both f32; Reduce::none keeps the shape. f32 or f64 comes in.
/// Sums run in double. Throws Error when the relevance is not finite.
[[nodiscard]] Tensor reduce_channels(const Tensor& relevance, Reduce reduce);

/// Scales each sample of (N,H,W,C), or the one sample of (H,W) or (H,W,C); f32 comes out.
[[nodiscard]] Tensor normalize(const Tensor& relevance, Normalize mode);

/// The value below which `percent` % of |map| lies (linear between order statistics, as numpy's default).
/// 100 is max |map|; 0 where the map is empty.
[[nodiscard]] double percentile_abs(const Tensor& map, double percent);

/// (N,H,W,C) -> sample `index` as (H,W,C), any type.
[[nodiscard]] Tensor batch_item(const Tensor& batch, int64_t index);

/// The elements as double, for what is drawn. Throws Error, naming `who`, on a type other than f32 and f64
/// and on an element that is not finite.
[[nodiscard]] std::vector<double> finite_values(const Tensor& tensor, std::string_view who);

/// The `percent`-th percentile of |values|, as percentile_abs.
[[nodiscard]] double percentile_abs(std::vector<double> values, double percent);

}  // namespace backlight::report
