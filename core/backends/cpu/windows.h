// How pooling windows lie over an image axis, as in core/backends/reference/pooling.cpp.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/backend.h"

namespace backlight::cpu {

/// The image positions [begin, end) of a window, and the extent that an average divides by.
struct Span {
    int64_t begin, end, size;
};

/// One axis of regular windows.
struct WindowAxis {
    int64_t in, out, kernel, stride, before, after;

    [[nodiscard]] int64_t start(int64_t window) const { return window * stride - before; }
    [[nodiscard]] Span span(int64_t window, bool count_padding) const {
        const int64_t first = start(window);
        const int64_t begin = std::max<int64_t>(first, 0);
        const int64_t end = std::min(first + kernel, in);
        return {begin, end, count_padding ? std::min(first + kernel, in + after) - first : end - begin};
    }
    /// The windows [first, last) that cover an image position.
    [[nodiscard]] int64_t first_window(int64_t position) const {
        const int64_t beyond = position + before - kernel;  // the last start that does not reach the position
        return beyond < 0 ? 0 : beyond / stride + 1;
    }
    [[nodiscard]] int64_t last_window(int64_t position) const {
        return std::min((position + before) / stride + 1, out);
    }
};

[[nodiscard]] inline WindowAxis height_of(const PoolAttrs& attrs, const Shape& x, const Shape& y) {
    return {x[1], y[1], attrs.kernel[0], attrs.stride[0], attrs.padding.top, attrs.padding.bottom};
}
[[nodiscard]] inline WindowAxis width_of(const PoolAttrs& attrs, const Shape& x, const Shape& y) {
    return {x[2], y[2], attrs.kernel[1], attrs.stride[1], attrs.padding.left, attrs.padding.right};
}

}  // namespace backlight::cpu
