// Pooling (N,H,W,C): window (i,j) has tap (a,b) at (h,w) = (i*stride + a - top, j*stride + b - left).
//   max_pool          y = max over the taps inside the image; index = a*Kw + b of the first one that has it.
//                     A NaN counts as the maximum
//   max_pool_scatter  d_x = sum of the d_y whose index points here
//   max_pool_gather   y = x where index points
//   avg_pool          y = sum over the taps inside the image / size; size counts the taps on the image
//                     or its padding (not those beyond it, in ceil mode), or only those on the image
//   adaptive          the same with windows [floor(i H/Ho), ceil((i+1) H/Ho))
// Scatter and gather are adjoint: <gather(x), s> = <x, scatter(s)>. So are an average and its adjoint.
#include <algorithm>
#include <vector>

#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"
#include "core/backends/reference/widen.h"

namespace backlight {
namespace {

// One axis of a window: the image positions [begin, end) that it covers, and the extent that an average
// divides by.
struct Span {
    int64_t begin, end, size;
};

struct Axis {
    int64_t in, kernel, stride, before, after;

    [[nodiscard]] int64_t start(int64_t window) const { return window * stride - before; }
    [[nodiscard]] Span span(int64_t window, bool count_padding) const {
        const int64_t first = start(window);
        const int64_t begin = std::max<int64_t>(first, 0);
        const int64_t end = std::min(first + kernel, in);
        return {begin, end, count_padding ? std::min(first + kernel, in + after) - first : end - begin};
    }
};

Axis height_of(const PoolAttrs& attrs, const Shape& x) {
    return {x[1], attrs.kernel[0], attrs.stride[0], attrs.padding.top, attrs.padding.bottom};
}
Axis width_of(const PoolAttrs& attrs, const Shape& x) {
    return {x[2], attrs.kernel[1], attrs.stride[1], attrs.padding.left, attrs.padding.right};
}

// [floor(i in/out), ceil((i+1) in/out))
Span adaptive_span(int64_t i, int64_t in, int64_t out) {
    const int64_t begin = i * in / out;
    const int64_t end = ((i + 1) * in + out - 1) / out;
    return {begin, end, end - begin};
}

// visit(element, n, i, j, c) for each element of an (N,H,W,C) tensor.
template <typename Visit>
void for_each_element(const Shape& y, Visit visit) {
    int64_t element = 0;
    for (int64_t n = 0; n < y[0]; ++n) {
        for (int64_t i = 0; i < y[1]; ++i) {
            for (int64_t j = 0; j < y[2]; ++j) {
                for (int64_t c = 0; c < y[3]; ++c) {
                    visit(element++, n, i, j, c);
                }
            }
        }
    }
}

int64_t offset(const Shape& x, int64_t n, int64_t h, int64_t w, int64_t c) {
    return ((n * x[1] + h) * x[2] + w) * x[3] + c;
}

template <typename T>
void store(const std::vector<double>& sums, Tensor& y) {
    std::ranges::transform(sums, buffer<T>(y), [](double sum) { return static_cast<T>(sum); });
}

// y = mean over rows(i) x columns(j); both give Spans.
template <typename RowsOf, typename ColumnsOf>
void average(const Tensor& x, Tensor& y, RowsOf rows_of_window, ColumnsOf columns_of_window) {
    dispatch_floating("avg_pool", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_each_element(y.shape(), [&](int64_t element, int64_t n, int64_t i, int64_t j, int64_t c) {
            const Span rows = rows_of_window(i);
            const Span columns = columns_of_window(j);
            double sum = 0;
            for (int64_t h = rows.begin; h < rows.end; ++h) {
                for (int64_t w = columns.begin; w < columns.end; ++w) {
                    sum += static_cast<double>(buffer<T>(x)[offset(x.shape(), n, h, w, c)]);
                }
            }
            buffer<T>(y)[element] = static_cast<T>(sum / static_cast<double>(rows.size * columns.size));
        });
    });
}

template <typename RowsOf, typename ColumnsOf>
void average_adjoint(const Tensor& d_y, Tensor& d_x, RowsOf rows_of_window, ColumnsOf columns_of_window) {
    dispatch_floating("avg_pool_adjoint", d_y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<double> sums(static_cast<size_t>(d_x.numel()), 0.0);
        for_each_element(d_y.shape(), [&](int64_t element, int64_t n, int64_t i, int64_t j, int64_t c) {
            const Span rows = rows_of_window(i);
            const Span columns = columns_of_window(j);
            const double share =
                static_cast<double>(buffer<T>(d_y)[element]) / static_cast<double>(rows.size * columns.size);
            for (int64_t h = rows.begin; h < rows.end; ++h) {
                for (int64_t w = columns.begin; w < columns.end; ++w) {
                    sums[static_cast<size_t>(offset(d_x.shape(), n, h, w, c))] += share;
                }
            }
        });
        store<T>(sums, d_x);
    });
}

// Offset in x of the element that a window's index names.
int64_t winner(const PoolAttrs& attrs, const Shape& x, int64_t n, int64_t i, int64_t j, int64_t c,
               uint8_t index) {
    const int64_t tap = index;
    return offset(x, n, height_of(attrs, x).start(i) + tap / attrs.kernel[1],
                  width_of(attrs, x).start(j) + tap % attrs.kernel[1], c);
}

}  // namespace

void ReferenceBackend::max_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y, Tensor& index) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { max_pool(attrs, widened(x), wide, index); });
    }
    const Axis height = height_of(attrs, x.shape());
    const Axis width = width_of(attrs, x.shape());
    dispatch_floating("max_pool", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_each_element(y.shape(), [&](int64_t element, int64_t n, int64_t i, int64_t j, int64_t c) {
            const Span rows = height.span(i, false);
            const Span columns = width.span(j, false);
            int64_t best_h = rows.begin;
            int64_t best_w = columns.begin;
            T best = buffer<T>(x)[offset(x.shape(), n, best_h, best_w, c)];
            for (int64_t h = rows.begin; h < rows.end; ++h) {
                for (int64_t w = columns.begin; w < columns.end; ++w) {
                    const T value = buffer<T>(x)[offset(x.shape(), n, h, w, c)];
                    const bool first_nan = value != value && best == best;
                    if (value > best || first_nan) {
                        best = value;
                        best_h = h;
                        best_w = w;
                    }
                }
            }
            const int64_t tap = (best_h - height.start(i)) * width.kernel + best_w - width.start(j);
            buffer<T>(y)[element] = best;
            buffer<uint8_t>(index)[element] = static_cast<uint8_t>(tap);
        });
    });
}

void ReferenceBackend::max_pool_scatter(const PoolAttrs& attrs, const Tensor& d_y, const Tensor& index,
                                        Tensor& d_x) {
    if (d_y.dtype() == DType::bf16) {
        return widened_into(d_x, [&](Tensor& wide) { max_pool_scatter(attrs, widened(d_y), index, wide); });
    }
    dispatch_floating("max_pool_scatter", d_y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<double> sums(static_cast<size_t>(d_x.numel()), 0.0);
        for_each_element(d_y.shape(), [&](int64_t element, int64_t n, int64_t i, int64_t j, int64_t c) {
            const int64_t at = winner(attrs, d_x.shape(), n, i, j, c, buffer<uint8_t>(index)[element]);
            sums[static_cast<size_t>(at)] += static_cast<double>(buffer<T>(d_y)[element]);
        });
        store<T>(sums, d_x);
    });
}

void ReferenceBackend::max_pool_gather(const PoolAttrs& attrs, const Tensor& x, const Tensor& index,
                                       Tensor& y) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { max_pool_gather(attrs, widened(x), index, wide); });
    }
    dispatch_floating("max_pool_gather", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for_each_element(y.shape(), [&](int64_t element, int64_t n, int64_t i, int64_t j, int64_t c) {
            const int64_t at = winner(attrs, x.shape(), n, i, j, c, buffer<uint8_t>(index)[element]);
            buffer<T>(y)[element] = buffer<T>(x)[at];
        });
    });
}

void ReferenceBackend::avg_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y) {
    average(
        x, y, [&](int64_t i) { return height_of(attrs, x.shape()).span(i, attrs.count_padding); },
        [&](int64_t j) { return width_of(attrs, x.shape()).span(j, attrs.count_padding); });
}

void ReferenceBackend::avg_pool_adjoint(const PoolAttrs& attrs, const Tensor& d_y, Tensor& d_x) {
    average_adjoint(
        d_y, d_x, [&](int64_t i) { return height_of(attrs, d_x.shape()).span(i, attrs.count_padding); },
        [&](int64_t j) { return width_of(attrs, d_x.shape()).span(j, attrs.count_padding); });
}

void ReferenceBackend::adaptive_avg_pool(const Tensor& x, Tensor& y) {
    average(
        x, y, [&](int64_t i) { return adaptive_span(i, x.dim(1), y.dim(1)); },
        [&](int64_t j) { return adaptive_span(j, x.dim(2), y.dim(2)); });
}

void ReferenceBackend::adaptive_avg_pool_adjoint(const Tensor& d_y, Tensor& d_x) {
    average_adjoint(
        d_y, d_x, [&](int64_t i) { return adaptive_span(i, d_x.dim(1), d_y.dim(1)); },
        [&](int64_t j) { return adaptive_span(j, d_x.dim(2), d_y.dim(2)); });
}

}  // namespace backlight
