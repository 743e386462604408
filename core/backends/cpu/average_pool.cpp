// Average pooling over regular and adaptive windows, and the adjoints; formulas:
// core/backends/reference/pooling.cpp. Sums over a window are double. The adjoint goes row by row of the
// image, as max pooling's scatter does.
#include "core/backends/buffer.h"
#include "core/backends/cpu/column_sums.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/windows.h"

namespace backlight {
namespace {

using cpu::Span;
using cpu::WindowAxis;

constexpr int64_t kChannels = 512;  // of one pass

struct Windows {
    WindowAxis axis;
    bool count_padding;
    [[nodiscard]] Span span(int64_t window) const { return axis.span(window, count_padding); }
    [[nodiscard]] int64_t first_window(int64_t position) const { return axis.first_window(position); }
    [[nodiscard]] int64_t last_window(int64_t position) const { return axis.last_window(position); }
};

// [floor(i in/out), ceil((i+1) in/out))
struct AdaptiveWindows {
    int64_t in, out;
    [[nodiscard]] Span span(int64_t window) const {
        const int64_t begin = window * in / out;
        const int64_t end = ((window + 1) * in + out - 1) / out;
        return {begin, end, end - begin};
    }
    // Window i covers h when i in / out < h + 1 and (i + 1) in / out > h.
    [[nodiscard]] int64_t first_window(int64_t position) const { return position * out / in; }
    [[nodiscard]] int64_t last_window(int64_t position) const {
        return std::min(((position + 1) * out + in - 1) / in, out);
    }
};

BACKLIGHT_CLONES void divide_loop(const double* sums, double size, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t c = 0; c < count; ++c) {
        y[c] = static_cast<float>(sums[c] / size);
    }
}

// Adds factor d_y to each of the pixels of a window's row.
BACKLIGHT_CLONES void add_share(const float* d_y, float factor, int64_t pixels, int64_t channels,
                                float* d_x) {
    for (int64_t w = 0; w < pixels; ++w) {
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < channels; ++c) {
            d_x[w * channels + c] += d_y[c] * factor;
        }
    }
}

// The mean of one window for all channels; `x` is the image.
void average_pixel(const float* x, int64_t row_step, int64_t channels, const Span& rows, const Span& columns,
                   float* y) {
    double sums[kChannels];
    for (int64_t c = 0; c < channels; c += kChannels) {
        const int64_t count = std::min(kChannels, channels - c);
        std::fill_n(static_cast<double*>(sums), count, 0.0);
        for (int64_t h = rows.begin; h < rows.end; ++h) {
            cpu::reduce_columns<cpu::SumReduction>(x + h * row_step + columns.begin * channels + c,
                                                   columns.end - columns.begin, channels, count, sums);
        }
        divide_loop(sums, static_cast<double>(rows.size * columns.size), y + c, count);
    }
}

template <typename HeightWindows, typename WidthWindows>
void average(const HeightWindows& height, const WidthWindows& width, const Tensor& x, Tensor& y) {
    const int64_t channels = x.dim(3);
    const int64_t in_row = x.dim(2) * channels;
    const int64_t in_image = x.dim(1) * in_row;
    const int64_t out_height = y.dim(1);
    const int64_t out_width = y.dim(2);
    const auto* in = buffer<float>(x);
    auto* out = buffer<float>(y);
    if (y.numel() == 0) {
        return;
    }
    const int64_t work = x.numel() / (x.dim(0) * out_height) + out_width * channels;
    cpu::parallel_items(x.dim(0) * out_height, work, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const Span rows = height.span(row % out_height);
            for (int64_t j = 0; j < out_width; ++j) {
                average_pixel(in + row / out_height * in_image, in_row, channels, rows, width.span(j),
                              out + (row * out_width + j) * channels);
            }
        }
    });
}

template <typename HeightWindows, typename WidthWindows>
void average_adjoint(const HeightWindows& height, const WidthWindows& width, const Tensor& d_y, Tensor& d_x) {
    const int64_t channels = d_x.dim(3);
    const int64_t in_height = d_x.dim(1);
    const int64_t in_row = d_x.dim(2) * channels;
    const int64_t out_width = d_y.dim(2);
    const int64_t out_image = d_y.dim(1) * out_width * channels;
    const auto* from = buffer<float>(d_y);
    auto* out = buffer<float>(d_x);
    cpu::parallel_items(d_x.dim(0) * in_height, in_row * 4, [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            const int64_t h = row % in_height;
            float* target = out + row * in_row;
            std::fill_n(target, in_row, 0.0f);
            for (int64_t i = height.first_window(h); i < height.last_window(h); ++i) {
                const Span rows = height.span(i);
                const float* sources = from + row / in_height * out_image + i * out_width * channels;
                for (int64_t j = 0; j < out_width; ++j) {
                    const Span columns = width.span(j);
                    const float factor = 1.0f / static_cast<float>(rows.size * columns.size);
                    add_share(sources + j * channels, factor, columns.end - columns.begin, channels,
                              target + columns.begin * channels);
                }
            }
        }
    });
}

}  // namespace

void CpuBackend::avg_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y) {
    if (x.dtype() != DType::f32) {
        return ReferenceBackend::avg_pool(attrs, x, y);
    }
    average(Windows{cpu::height_of(attrs, x.shape(), y.shape()), attrs.count_padding},
            Windows{cpu::width_of(attrs, x.shape(), y.shape()), attrs.count_padding}, x, y);
}

void CpuBackend::avg_pool_adjoint(const PoolAttrs& attrs, const Tensor& d_y, Tensor& d_x) {
    if (d_y.dtype() != DType::f32) {
        return ReferenceBackend::avg_pool_adjoint(attrs, d_y, d_x);
    }
    average_adjoint(Windows{cpu::height_of(attrs, d_x.shape(), d_y.shape()), attrs.count_padding},
                    Windows{cpu::width_of(attrs, d_x.shape(), d_y.shape()), attrs.count_padding}, d_y, d_x);
}

void CpuBackend::adaptive_avg_pool(const Tensor& x, Tensor& y) {
    if (x.dtype() != DType::f32) {
        return ReferenceBackend::adaptive_avg_pool(x, y);
    }
    average(AdaptiveWindows{x.dim(1), y.dim(1)}, AdaptiveWindows{x.dim(2), y.dim(2)}, x, y);
}

void CpuBackend::adaptive_avg_pool_adjoint(const Tensor& d_y, Tensor& d_x) {
    if (d_y.dtype() != DType::f32) {
        return ReferenceBackend::adaptive_avg_pool_adjoint(d_y, d_x);
    }
    average_adjoint(AdaptiveWindows{d_x.dim(1), d_y.dim(1)}, AdaptiveWindows{d_x.dim(2), d_y.dim(2)}, d_y,
                    d_x);
}

}  // namespace backlight
