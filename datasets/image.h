// Image: floats on the host in (H, W, C) order, and what can be done to it. Readers and transforms work on
// it; tensors begin where a batch is made.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace backlight {

struct Image {
    int64_t height = 0, width = 0, channels = 0;
    std::vector<float> values;

    Image() = default;
    Image(int64_t h, int64_t w, int64_t c, float value = 0.0f)
        : height(h), width(w), channels(c), values(static_cast<size_t>(h * w * c), value) {}

    [[nodiscard]] bool empty() const { return values.empty(); }
    [[nodiscard]] float& at(int64_t row, int64_t column, int64_t channel = 0) {
        return values[static_cast<size_t>((row * width + column) * channels + channel)];
    }
    [[nodiscard]] float at(int64_t row, int64_t column, int64_t channel = 0) const {
        return values[static_cast<size_t>((row * width + column) * channels + channel)];
    }
};

/// u8 (H, W, C) with values 0..255 -> 0..1. Throws Error on another type or rank.
[[nodiscard]] Image to_image(const Tensor& bytes);

/// Bilinear with half-pixel centres. Shrinking widens the triangle filter to the scale (antialiasing), as
/// Pillow and torchvision's antialias=True do; growing is plain bilinear interpolation with clamped edges.
[[nodiscard]] Image resize(const Image& image, int64_t height, int64_t width);
/// The shorter side becomes `size`, the other keeps the ratio, rounded down.
[[nodiscard]] Image resize_shorter_side(const Image& image, int64_t size);
/// The window (top, left, height, width); what lies outside the image is `fill`.
[[nodiscard]] Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width,
                         float fill = 0.0f);
/// The central window: offset round((H - height) / 2), halves to even, as in torchvision. May reach outside.
[[nodiscard]] Image center_crop(const Image& image, int64_t height, int64_t width);
[[nodiscard]] Image flip_horizontal(const Image& image);

}  // namespace backlight
