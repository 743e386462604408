// Pictures of relevance: a map in colours, and over its image. The order is fixed: reduce, normalise (both in
// report/reduce.h), upsample, colour. A relevance that is not finite is an Error, never a picture.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"
#include "report/reduce.h"

namespace backlight::report {

enum class Interpolation : uint8_t { nearest, bilinear };  // bilinear: half-pixel centres, edges clamped

/// A map (H,W) or (H,W,1) to (height,width), f32. Both directions; shrinking does not average.
[[nodiscard]] Tensor resize_map(const Tensor& map, int64_t height, int64_t width,
                                Interpolation interpolation);

struct HeatmapOptions {
    std::string colormap = "blue-white-red";
    double scale = 0;  // |R| that gets the strongest colour; 0: from `percentile`. Share it to compare maps.
    double percentile =
        100;  // of |R|; values above it are clipped. Where it is 0 (sparse maps), max |R| is taken.
    int64_t upscale = 1;  // whole factor
    Interpolation interpolation = Interpolation::nearest;
};

/// map (H,W), (H,W,1) or (1,H,W,1) -> u8 (H*upscale, W*upscale, 3).
/// A diverging colormap spans [-scale, scale], so zero is always the neutral colour; a map of zeros is all
/// neutral. A sequential one spans [0, scale] and throws Error for a map with negative values: reduce it by
/// abs-sum or pos-sum.
[[nodiscard]] Tensor heatmap_image(const Tensor& map, const HeatmapOptions& options = {});

/// Any image (H,W), (H,W,C) or (1,H,W,C) as u8 (H,W,3); C is 1, 3 or 4 (alpha lies over white).
/// u8 is taken as it is; floating values map [low, high] to [0, 255], clipped. Not finite is an Error.
[[nodiscard]] Tensor picture(const Tensor& image, double low = 0, double high = 1);

struct OverlayOptions {
    double alpha = 0.85;       // opacity of the strongest colour
    double desaturate = 0;     // 0 keeps the image's colours beneath, 1 makes it grey
    HeatmapOptions heatmap{};  // `upscale` is applied to the result
};

/// The heatmap over the image; u8 (H*upscale, W*upscale, 3).
///   out = (1 - a) image + a colour(r),   a = alpha min(|r| / scale, 1)
/// Hence the image is untouched where the map is zero. A map of another size is resized to the image
/// (bilinear).
[[nodiscard]] Tensor overlay(const Tensor& image, const Tensor& map, const OverlayOptions& options = {});

}  // namespace backlight::report
