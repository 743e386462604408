// Max pooling, its scatter and its gather; formulas: core/backends/reference/pooling.cpp. Channels lie side
// by side, so every step is taken for all channels of a pixel at once. The scatter is done row by row of the
// image, each row by one thread: the windows that reach a row are visited in order, hence the sums do not
// depend on the threads.
#include <type_traits>
#include <vector>

#include "core/backends/buffer.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/parallel.h"
#include "core/backends/cpu/windows.h"

namespace backlight {
namespace {

using cpu::Span;
using cpu::WindowAxis;

constexpr int64_t kChannels =
    64;  // of one pass: values and indices stay in registers or the first-level cache

struct Geometry {
    WindowAxis height, width;
    int64_t batch, channels;
    Geometry(const PoolAttrs& attrs, const Shape& x, const Shape& y)
        : height(cpu::height_of(attrs, x, y)),
          width(cpu::width_of(attrs, x, y)),
          batch(x[0]),
          channels(x[3]) {}
    [[nodiscard]] int64_t in_row() const { return width.in * channels; }
    [[nodiscard]] int64_t out_row() const { return width.out * channels; }
};

// One output pixel. `x` points at the image, (h, w) is the tap at rows.begin, columns.begin.
template <typename T>
BACKLIGHT_CLONES void max_pixel(const T* x, int64_t row_step, int64_t channels, const Span& rows,
                                const Span& columns, int64_t first_tap, int64_t kernel_width, T* y,
                                uint8_t* index) {
    for (int64_t c0 = 0; c0 < channels; c0 += kChannels) {
        const int64_t count = std::min(kChannels, channels - c0);
        float best[kChannels];
        int32_t winner[kChannels];
        const T* first = x + rows.begin * row_step + columns.begin * channels + c0;
        for (int64_t c = 0; c < count; ++c) {
            best[c] = static_cast<float>(first[c]);
            winner[c] = static_cast<int32_t>(first_tap);
        }
        for (int64_t h = rows.begin; h < rows.end; ++h) {
            for (int64_t w = columns.begin; w < columns.end; ++w) {
                const T* from = x + h * row_step + w * channels + c0;
                const auto tap =
                    static_cast<int32_t>(first_tap + (h - rows.begin) * kernel_width + w - columns.begin);
                for (int64_t c = 0; c < count; ++c) {
                    const auto value = static_cast<float>(from[c]);
                    // Not <= and not already NaN: larger, or the first NaN.
                    const bool wins = !(value <= best[c]) && best[c] == best[c];
                    best[c] = wins ? value : best[c];
                    winner[c] = wins ? tap : winner[c];
                }
            }
        }
        for (int64_t c = 0; c < count; ++c) {
            y[c0 + c] = T(best[c]);
            index[c0 + c] = static_cast<uint8_t>(winner[c]);
        }
    }
}

template <typename T>
BACKLIGHT_CLONES void add_where(const T* d_y, const uint8_t* index, int32_t tap, float* d_x, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t c = 0; c < count; ++c) {
        d_x[c] += static_cast<int32_t>(index[c]) == tap ? static_cast<float>(d_y[c]) : 0.0f;
    }
}

// One row of the image: zeros, then what the windows that reach it sent here.
template <typename T>
void scatter_row(const Geometry& g, const T* d_y, const uint8_t* index, int64_t h, float* d_x) {
    std::fill_n(d_x, g.in_row(), 0.0f);
    for (int64_t i = g.height.first_window(h); i < g.height.last_window(h); ++i) {
        const int64_t first_tap = (h - g.height.start(i)) * g.width.kernel;
        for (int64_t j = 0; j < g.width.out; ++j) {
            const Span columns = g.width.span(j, false);
            const int64_t from = i * g.out_row() + j * g.channels;
            for (int64_t w = columns.begin; w < columns.end; ++w) {
                const int64_t tap = first_tap + w - g.width.start(j);
                add_where(d_y + from, index + from, static_cast<int32_t>(tap), d_x + w * g.channels,
                          g.channels);
            }
        }
    }
}

template <typename T>
void pool(const Geometry& g, const Tensor& x, Tensor& y, Tensor& index) {
    const auto* in = buffer<T>(x);
    auto* out = buffer<T>(y);
    auto* winners = buffer<uint8_t>(index);
    const int64_t work = g.out_row() * g.height.kernel * g.width.kernel;
    cpu::parallel_items(g.batch * g.height.out, work, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const T* image = in + row / g.height.out * g.height.in * g.in_row();
            const int64_t i = row % g.height.out;
            const Span rows = g.height.span(i, false);
            for (int64_t j = 0; j < g.width.out; ++j) {
                const Span columns = g.width.span(j, false);
                const int64_t first_tap =
                    (rows.begin - g.height.start(i)) * g.width.kernel + columns.begin - g.width.start(j);
                const int64_t at = row * g.out_row() + j * g.channels;
                max_pixel(image, g.in_row(), g.channels, rows, columns, first_tap, g.width.kernel, out + at,
                          winners + at);
            }
        }
    });
}

template <typename T>
void scatter(const Geometry& g, const Tensor& d_y, const Tensor& index, Tensor& d_x) {
    const auto* from = buffer<T>(d_y);
    const auto* winners = buffer<uint8_t>(index);
    auto* out = buffer<T>(d_x);
    const int64_t in_image = g.height.in * g.in_row();
    const int64_t out_image = g.height.out * g.out_row();
    cpu::parallel_items(g.batch * g.height.in, g.in_row() * 4, [=](int64_t begin, int64_t end) {
        std::vector<float> sums(std::is_same_v<T, float> ? 0 : static_cast<size_t>(g.in_row()));
        for (int64_t row = begin; row < end; ++row) {
            const int64_t n = row / g.height.in;
            const int64_t h = row % g.height.in;
            T* target = out + n * in_image + h * g.in_row();
            if constexpr (std::is_same_v<T, float>) {
                scatter_row(g, from + n * out_image, winners + n * out_image, h, target);
            } else {  // summed in float, rounded once
                scatter_row(g, from + n * out_image, winners + n * out_image, h, sums.data());
                std::ranges::transform(sums, target, [](float value) { return T(value); });
            }
        }
    });
}

template <typename T>
void gather(const Geometry& g, const Tensor& x, const Tensor& index, Tensor& y) {
    const auto* in = buffer<T>(x);
    const auto* winners = buffer<uint8_t>(index);
    auto* out = buffer<T>(y);
    int64_t tap_offset[256] = {};
    for (int64_t tap = 0; tap < std::min<int64_t>(256, g.height.kernel * g.width.kernel); ++tap) {
        tap_offset[tap] = tap / g.width.kernel * g.in_row() + tap % g.width.kernel * g.channels;
    }
    cpu::parallel_items(
        g.batch * g.height.out, g.out_row() * 4, [=, &tap_offset](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
                const int64_t image = row / g.height.out * g.height.in * g.in_row();
                for (int64_t j = 0; j < g.width.out; ++j) {
                    const int64_t at = row * g.out_row() + j * g.channels;
                    // The corner may lie in the padding, what an index names does not.
                    const int64_t corner = image + g.height.start(row % g.height.out) * g.in_row() +
                                           g.width.start(j) * g.channels;
                    for (int64_t c = 0; c < g.channels; ++c) {
                        out[at + c] = in[corner + tap_offset[winners[at + c]] + c];
                    }
                }
            }
        });
}

}  // namespace

void CpuBackend::max_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y, Tensor& index) {
    const Geometry g(attrs, x.shape(), y.shape());
    if (x.dtype() == DType::f32) {
        return pool<float>(g, x, y, index);
    }
    x.dtype() == DType::bf16 ? pool<BFloat16>(g, x, y, index)
                             : ReferenceBackend::max_pool(attrs, x, y, index);
}

void CpuBackend::max_pool_scatter(const PoolAttrs& attrs, const Tensor& d_y, const Tensor& index,
                                  Tensor& d_x) {
    const Geometry g(attrs, d_x.shape(), d_y.shape());
    if (d_y.dtype() == DType::f32) {
        return scatter<float>(g, d_y, index, d_x);
    }
    d_y.dtype() == DType::bf16 ? scatter<BFloat16>(g, d_y, index, d_x)
                               : ReferenceBackend::max_pool_scatter(attrs, d_y, index, d_x);
}

void CpuBackend::max_pool_gather(const PoolAttrs& attrs, const Tensor& x, const Tensor& index, Tensor& y) {
    const Geometry g(attrs, x.shape(), y.shape());
    if (x.dtype() == DType::f32) {
        return gather<float>(g, x, index, y);
    }
    x.dtype() == DType::bf16 ? gather<BFloat16>(g, x, index, y)
                             : ReferenceBackend::max_pool_gather(attrs, x, index, y);
}

}  // namespace backlight
