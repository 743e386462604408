// From a map of numbers to colours, in double on host copies.
#include "report/heatmap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "report/colormap.h"

namespace backlight::report {
namespace {

Tensor to_f32(const std::vector<double>& values, const Shape& shape) {
    const std::vector<float> narrow(values.begin(), values.end());
    return Tensor::from(narrow, shape);
}

struct Extent {
    int64_t height, width;
};

/// Of (H,W), (H,W,1) or (1,H,W,1).
Extent map_extent(const Tensor& map, std::string_view who) {
    if (map.rank() == 2) {
        return {map.dim(0), map.dim(1)};
    }
    const bool fits = (map.rank() == 3 || (map.rank() == 4 && map.dim(0) == 1)) && map.dim(-1) == 1;
    BACKLIGHT_CHECK(fits, who, ": expected a map (H,W) or (H,W,1), got ", map.shape(),
                    "; reduce_channels makes one channel of several");
    return {map.dim(-3), map.dim(-2)};
}

/// One axis of a resize: the two sources of each target and the weight of the second.
struct Tap {
    int64_t first, second;
    double weight;
};

std::vector<Tap> taps(int64_t from, int64_t to, Interpolation interpolation) {
    std::vector<Tap> list(static_cast<size_t>(to));
    for (int64_t i = 0; i < to; ++i) {
        // Half-pixel centres: target centre i + 1/2 lies at (i + 1/2) from / to in the source.
        const double centre =
            (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to);
        if (interpolation == Interpolation::nearest) {
            const int64_t k = std::min(static_cast<int64_t>(centre), from - 1);
            list[static_cast<size_t>(i)] = {k, k, 0};
        } else {
            const double x = std::clamp(centre - 0.5, 0.0, static_cast<double>(from - 1));
            const auto k = static_cast<int64_t>(x);
            list[static_cast<size_t>(i)] = {k, std::min(k + 1, from - 1), x - static_cast<double>(k)};
        }
    }
    return list;
}

std::vector<double> resized(const std::vector<double>& map, Extent from, Extent to,
                            Interpolation interpolation) {
    if (from.height == to.height && from.width == to.width) {
        return map;
    }
    const std::vector<Tap> rows = taps(from.height, to.height, interpolation);
    const std::vector<Tap> columns = taps(from.width, to.width, interpolation);
    std::vector<double> out;
    out.reserve(static_cast<size_t>(to.height * to.width));
    const auto value = [&](int64_t y, int64_t x) { return map[static_cast<size_t>(y * from.width + x)]; };
    for (const Tap& y : rows) {
        for (const Tap& x : columns) {
            const double top = value(y.first, x.first) * (1 - x.weight) + value(y.first, x.second) * x.weight;
            const double bottom =
                value(y.second, x.first) * (1 - x.weight) + value(y.second, x.second) * x.weight;
            out.push_back(top * (1 - y.weight) + bottom * y.weight);
        }
    }
    return out;
}

/// Upsampled values divided by the scale: in [-1, 1] unless clipping is meant.
struct Ratios {
    std::vector<double> values;
    Extent extent;
};

Ratios ratios(const Tensor& map, const HeatmapOptions& options, Extent target, Interpolation interpolation,
              std::string_view who) {
    const Extent extent = map_extent(map, who);
    std::vector<double> values = finite_values(map, who);
    BACKLIGHT_CHECK(!values.empty(), who, ": the map is empty, shape ", map.shape());
    BACKLIGHT_CHECK(std::isfinite(options.scale) && options.scale >= 0, who,
                    ": expected a scale >= 0 (0: from the map), got ", options.scale);
    if (!colormap(options.colormap).diverging()) {
        const double least = *std::min_element(values.begin(), values.end());
        BACKLIGHT_CHECK(least >= 0, who, ": colormap ", options.colormap,
                        " starts at zero, but the map goes down to ", least,
                        "; take blue-white-red, or reduce by abs-sum or pos-sum");
    }
    double scale = options.scale;
    if (scale == 0) {
        scale = percentile_abs(values, options.percentile);
    }
    if (scale == 0) {
        scale = percentile_abs(values, 100);
    }
    values = resized(values, extent, target, interpolation);
    for (double& value : values) {
        value = scale == 0 ? 0 : std::clamp(value / scale, -1.0, 1.0);
    }
    return {std::move(values), target};
}

}  // namespace

Tensor resize_map(const Tensor& map, int64_t height, int64_t width, Interpolation interpolation) {
    BACKLIGHT_CHECK(height > 0 && width > 0 && map.numel() > 0, "resize_map: cannot resize ", map.shape(),
                    " to (", height, ", ", width, ")");
    const std::vector<double> values = finite_values(map, "resize_map");
    return to_f32(resized(values, map_extent(map, "resize_map"), {height, width}, interpolation),
                  {height, width});
}

Tensor heatmap_image(const Tensor& map, const HeatmapOptions& options) {
    BACKLIGHT_CHECK(options.upscale >= 1, "heatmap_image: expected an upscale factor >= 1, got ",
                    options.upscale);
    const Extent extent = map_extent(map, "heatmap_image");
    const auto [values, size] =
        ratios(map, options, {extent.height * options.upscale, extent.width * options.upscale},
               options.interpolation, "heatmap_image");
    const Colormap& colors = colormap(options.colormap);
    std::vector<uint8_t> pixels;
    pixels.reserve(values.size() * 3);
    for (const double value : values) {
        const Color color = colors.of_signed(value);
        pixels.insert(pixels.end(), {color.red, color.green, color.blue});
    }
    return Tensor::from(pixels, {size.height, size.width, 3});
}

Tensor picture(const Tensor& image, double low, double high) {
    BACKLIGHT_CHECK(image.defined(), "picture: the image is undefined");
    const bool batch = image.rank() == 4 && image.dim(0) == 1;
    BACKLIGHT_CHECK(image.rank() == 2 || image.rank() == 3 || batch,
                    "picture: expected (H,W), (H,W,C) or (1,H,W,C), got ", image.shape());
    const int64_t channels = image.rank() == 2 ? 1 : image.dim(-1);
    BACKLIGHT_CHECK(channels == 1 || channels == 3 || channels == 4,
                    "picture: expected 1, 3 or 4 channels, got ", image.shape());
    std::vector<double> values;
    if (image.dtype() == DType::u8) {
        const std::vector<uint8_t> bytes = image.to_vector<uint8_t>();
        values.assign(bytes.begin(), bytes.end());
    } else {
        BACKLIGHT_CHECK(std::isfinite(low) && std::isfinite(high) && low < high,
                        "picture: expected a range low < high, got [", low, ", ", high, "]");
        values = finite_values(image, "picture");
        for (double& value : values) {
            value = 255 * std::clamp((value - low) / (high - low), 0.0, 1.0);
        }
    }
    std::vector<uint8_t> pixels;
    const auto step = static_cast<size_t>(channels);
    pixels.reserve(values.size() / step * 3);
    for (size_t i = 0; i < values.size(); i += step) {
        const double alpha = channels == 4 ? values[i + 3] / 255 : 1;
        for (size_t c = 0; c < 3; ++c) {
            const double value = values[i + (channels == 1 ? 0 : c)];
            pixels.push_back(static_cast<uint8_t>(std::lround(alpha * value + (1 - alpha) * 255)));
        }
    }
    const int64_t height = image.dim(batch ? 1 : 0), width = image.dim(batch ? 2 : 1);
    return Tensor::from(pixels, {height, width, 3});
}

Tensor overlay(const Tensor& image, const Tensor& map, const OverlayOptions& options) {
    BACKLIGHT_CHECK(
        options.alpha >= 0 && options.alpha <= 1 && options.desaturate >= 0 && options.desaturate <= 1,
        "overlay: expected alpha and desaturate in [0, 1], got ", options.alpha, " and ", options.desaturate);
    BACKLIGHT_CHECK(options.heatmap.upscale >= 1, "overlay: expected an upscale factor >= 1, got ",
                    options.heatmap.upscale);
    const Tensor base = picture(image);
    const std::vector<uint8_t> under = base.to_vector<uint8_t>();
    const int64_t factor = options.heatmap.upscale;
    const Extent extent{base.dim(0), base.dim(1)};
    const Extent size{extent.height * factor, extent.width * factor};
    const Extent map_size = map_extent(map, "overlay");
    const bool same_size = map_size.height == extent.height && map_size.width == extent.width;
    const auto [values, unused] =
        ratios(map, options.heatmap, size,
               same_size ? options.heatmap.interpolation : Interpolation::bilinear, "overlay");
    const Colormap& colors = colormap(options.heatmap.colormap);
    std::vector<uint8_t> pixels;
    pixels.reserve(values.size() * 3);
    for (int64_t y = 0; y < size.height; ++y) {
        for (int64_t x = 0; x < size.width; ++x) {
            const double value = values[static_cast<size_t>(y * size.width + x)];
            const uint8_t* below = &under[static_cast<size_t>((y / factor * extent.width + x / factor) * 3)];
            const double grey = 0.2126 * below[0] + 0.7152 * below[1] + 0.0722 * below[2];
            const Color color = colors.of_signed(value);
            const std::array<uint8_t, 3> above{color.red, color.green, color.blue};
            const double alpha = options.alpha * std::abs(value);
            for (size_t c = 0; c < 3; ++c) {
                const double beneath = below[c] + (grey - below[c]) * options.desaturate;
                pixels.push_back(static_cast<uint8_t>(std::lround(beneath + (above[c] - beneath) * alpha)));
            }
        }
    }
    return Tensor::from(pixels, {size.height, size.width, 3});
}

}  // namespace backlight::report
