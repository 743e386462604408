// Resizing of images (N,H,W,C), linear in x, each axis on its own: y[i] = sum of weight x[at].
//   nearest    at = floor(i H/Ho)
//   bilinear   s = (i + 1/2) H/Ho - 1/2 clamped to [0, H-1] (pixels have their values at their centres);
//              taps floor(s) and floor(s)+1 with weights 1 - (s - floor s) and s - floor s
// Both as PyTorch's interpolate with align_corners=False; nothing is smoothed before it is made smaller.
// The adjoint sends d_y back through the same taps.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"

namespace backlight {
namespace {

struct Taps {
    int64_t count = 1;
    int64_t at[2]{};
    double weight[2]{1.0, 0.0};
};

Taps taps_of(ResizeMode mode, int64_t i, int64_t in, int64_t out) {
    if (mode == ResizeMode::nearest) {
        return {.at = {i * in / out, 0}};
    }
    const double centre =
        (static_cast<double>(i) + 0.5) * static_cast<double>(in) / static_cast<double>(out) - 0.5;
    const double source = std::clamp(centre, 0.0, static_cast<double>(in - 1));
    const double lower = std::floor(source);
    const double fraction = source - lower;
    const auto first = static_cast<int64_t>(lower);
    // Without weight a tap is not read: it may lie beyond the edge.
    return {.count = fraction > 0 ? 2 : 1, .at = {first, first + 1}, .weight = {1.0 - fraction, fraction}};
}

// visit(offset in y, offset in x, weight) for every pair of elements that the map connects.
template <typename Visit>
void for_each_tap(ResizeMode mode, const Shape& x, const Shape& y, Visit visit) {
    const int64_t channels = x[3];
    for (int64_t n = 0; n < y[0]; ++n) {
        for (int64_t i = 0; i < y[1]; ++i) {
            const Taps rows = taps_of(mode, i, x[1], y[1]);
            for (int64_t j = 0; j < y[2]; ++j) {
                const Taps columns = taps_of(mode, j, x[2], y[2]);
                for (int64_t a = 0; a < rows.count; ++a) {
                    for (int64_t b = 0; b < columns.count; ++b) {
                        const int64_t in = ((n * x[1] + rows.at[a]) * x[2] + columns.at[b]) * channels;
                        const int64_t out = ((n * y[1] + i) * y[2] + j) * channels;
                        for (int64_t c = 0; c < channels; ++c) {
                            visit(out + c, in + c, rows.weight[a] * columns.weight[b]);
                        }
                    }
                }
            }
        }
    }
}

template <typename T>
void store(const std::vector<double>& sums, Tensor& y) {
    std::ranges::transform(sums, buffer<T>(y), [](double sum) { return static_cast<T>(sum); });
}

}  // namespace

void ReferenceBackend::resize(ResizeMode mode, const Tensor& x, Tensor& y) {
    dispatch_floating("resize", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<double> sums(static_cast<size_t>(y.numel()), 0.0);
        for_each_tap(mode, x.shape(), y.shape(), [&](int64_t out, int64_t in, double weight) {
            sums[static_cast<size_t>(out)] += weight * static_cast<double>(buffer<T>(x)[in]);
        });
        store<T>(sums, y);
    });
}

void ReferenceBackend::resize_adjoint(ResizeMode mode, const Tensor& d_y, Tensor& d_x) {
    dispatch_floating("resize_adjoint", d_y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<double> sums(static_cast<size_t>(d_x.numel()), 0.0);
        for_each_tap(mode, d_x.shape(), d_y.shape(), [&](int64_t out, int64_t in, double weight) {
            sums[static_cast<size_t>(in)] += weight * static_cast<double>(buffer<T>(d_y)[out]);
        });
        store<T>(sums, d_x);
    });
}

}  // namespace backlight
