// Frame: where each pixel of a transformed picture comes from. Transforms are collected here before any pixel
// is touched, so that only what will be seen is decoded and computed, once.
#pragma once

#include <cstdint>
#include <vector>

#include "core/io/picture.h"

namespace backlight {

class Frame {
public:
    /// The whole of a picture of this size.
    Frame(int64_t height, int64_t width);

    /// The size so far.
    [[nodiscard]] int64_t height() const { return stages_.back().target.height; }
    [[nodiscard]] int64_t width() const { return stages_.back().target.width; }

    /// The window; zeros where it reaches outside. Throws Error unless its size is positive.
    void crop(const PixelWindow& window);
    /// The central window: offset round((H - height) / 2), halves to even, as in torchvision.
    void center_crop(int64_t height, int64_t width);
    /// Bilinear, antialiased when shrinking, see datasets/image.h. Throws Error unless the size is positive.
    void resize(int64_t height, int64_t width);
    /// The shorter side becomes `size`, the other keeps the ratio, rounded down.
    void resize_shorter_side(int64_t size);
    void flip();

    /// Cut `source` out, resize it to (height, width), cut `target` out of that, mirror it. Most chains of
    /// transforms are one such stage.
    struct Stage {
        PixelWindow source;  // inside the picture
        int64_t height = 0, width = 0;
        PixelWindow target;  // may reach outside
        bool mirrored = false;
    };
    [[nodiscard]] const std::vector<Stage>& stages() const { return stages_; }

private:
    std::vector<Stage> stages_;  // one after another, never none
};

}  // namespace backlight
