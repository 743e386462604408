// Rendering: the pixels of a frame, from bytes or floats to what a network reads, in one pass over the rows.
#pragma once

#include <span>

#include "datasets/frame.h"
#include "datasets/image.h"

namespace backlight {

/// y = (x / unit - mean) / std, per channel; one value stands for all channels, none for mean 0 and std 1.
struct Scaling {
    float unit = 1.0f;  // what stands for 1: 255 for bytes
    std::span<const float> mean{};
    std::span<const float> std{};
};

/// The part of the source that `render` reads; empty when the frame shows nothing of it.
[[nodiscard]] PixelWindow needed(const Frame& frame);

/// Fills (frame.height(), frame.width(), C). The block holds at least what is needed. Throws Error when `out`
/// has another size.
void render(const PixelBlock& pixels, const Frame& frame, const Scaling& scaling, std::span<float> out);
void render(const Image& image, const Frame& frame, const Scaling& scaling, std::span<float> out);

}  // namespace backlight
