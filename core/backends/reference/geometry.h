// Which input a tap of a convolution's window reads, and where elements lie.
#pragma once

#include "core/backend.h"
#include "core/tensor.h"

namespace backlight::reference {

// One axis of the image: which input position a tap of a window reads, and which window a tap came from.
struct Axis {
    int64_t in, out, kernel, stride, dilation, before;

    // -1 in the padding.
    [[nodiscard]] int64_t input(int64_t window, int64_t tap) const {
        const int64_t at = window * stride + tap * dilation - before;
        return at >= 0 && at < in ? at : -1;
    }
    // -1 when no window has this tap here.
    [[nodiscard]] int64_t window(int64_t input, int64_t tap) const {
        const int64_t start = input + before - tap * dilation;
        return start >= 0 && start % stride == 0 && start / stride < out ? start / stride : -1;
    }
};

struct Geometry {
    Axis height, width;
    int64_t batch, in_channels, out_channels, group_in, group_out;

    Geometry(const Conv2dAttrs& attrs, const Shape& x, const Shape& weight, const Shape& y)
        : height{x[1], y[1], weight[1], attrs.stride[0], attrs.dilation[0], attrs.padding.top},
          width{x[2], y[2], weight[2], attrs.stride[1], attrs.dilation[1], attrs.padding.left},
          batch(x[0]),
          in_channels(x[3]),
          out_channels(weight[0]),
          group_in(x[3] / attrs.groups),
          group_out(weight[0] / attrs.groups) {}

    [[nodiscard]] int64_t in_image(int64_t n, int64_t h, int64_t w, int64_t c) const {
        return ((n * height.in + h) * width.in + w) * in_channels + c;
    }
    [[nodiscard]] int64_t in_output(int64_t n, int64_t i, int64_t j, int64_t o) const {
        return ((n * height.out + i) * width.out + j) * out_channels + o;
    }
    [[nodiscard]] int64_t in_weight(int64_t o, int64_t a, int64_t b, int64_t c) const {
        return ((o * height.kernel + a) * width.kernel + b) * group_in + c;
    }
};

}  // namespace backlight::reference
