// Batch normalisation over channels, the last axis: statistics, the affine map, the gradient. Formulas:
// core/backends/reference/normalization.cpp. Statistics are taken of x - shift in one pass over memory, with
// the mean of a few rows as the shift:
//   variance = sum d^2 / M - (sum d / M)^2,  d = x - shift
// The shift is nearly the mean, so that little cancels; a constant channel has variance 0 exactly.
#include <cmath>

#include "core/backends/buffer.h"
#include "core/backends/cpu/blocks.h"
#include "core/backends/cpu/column_sums.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/functors.h"
#include "core/backends/reference/walk.h"

namespace backlight {
namespace {

using cpu::WideRows;

// sums[0..width) += d,  sums[width..2 width) += d^2. Four rows are added up in f32 before double takes over.
BACKLIGHT_CLONES void statistics_loop(const float* x, int64_t rows, int64_t width, int64_t columns,
                                      const float* shift, double* sums) {
    double* squares = sums + width;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float* row = x + r * width;
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const float d0 = row[c] - shift[c];
            const float d1 = row[width + c] - shift[c];
            const float d2 = row[2 * width + c] - shift[c];
            const float d3 = row[3 * width + c] - shift[c];
            sums[c] += static_cast<double>((d0 + d1) + (d2 + d3));
            squares[c] += static_cast<double>((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3));
        }
    }
    for (; r < rows; ++r) {
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const float d = x[r * width + c] - shift[c];
            sums[c] += static_cast<double>(d);
            squares[c] += static_cast<double>(d * d);
        }
    }
}

template <bool Relu, bool Residual>
BACKLIGHT_CLONES void affine_loop(const float* x, const float* scale, const float* shift,
                                  const float* residual, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const float affine = x[i] * scale[i] + shift[i];
        const float value = Residual ? affine + residual[i] : affine;
        y[i] = Relu ? functors::Relu{}(value, 0.0f) : value;
    }
}

template <bool Relu>
inline double passed(const float* d_y, const float* relu, int64_t at) {
    return static_cast<double>(!Relu || relu[at] > 0.0f ? d_y[at] : 0.0f);
}

// sums[0..width) += g,  sums[width..2 width) += g (x - mean);  g = d_y where the ReLU passes
template <bool Relu>
BACKLIGHT_CLONES void gradient_sums_loop(const float* x, const float* d_y, const float* relu, int64_t rows,
                                         int64_t width, int64_t columns, const float* mean, double* sums) {
    double* products = sums + width;
    int64_t r = 0;
    for (; r + 2 <= rows; r += 2) {
        const int64_t first = r * width;
        const int64_t second = first + width;
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const auto centre = static_cast<double>(mean[c]);
            const double g0 = passed<Relu>(d_y, relu, first + c);
            const double g1 = passed<Relu>(d_y, relu, second + c);
            sums[c] += g0 + g1;
            products[c] += g0 * (static_cast<double>(x[first + c]) - centre) +
                           g1 * (static_cast<double>(x[second + c]) - centre);
        }
    }
    for (; r < rows; ++r) {
        const int64_t row = r * width;
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const double g = passed<Relu>(d_y, relu, row + c);
            sums[c] += g;
            products[c] += g * (static_cast<double>(x[row + c]) - static_cast<double>(mean[c]));
        }
    }
}

// d_x = factor (g - offset - (x - mean) slope), and d_residual = g if it is wanted
template <bool Relu, bool Residual>
BACKLIGHT_CLONES void gradient_loop(const float* x, const float* d_y, const float* relu, const float* mean,
                                    const float* factor, const float* offset, const float* slope, float* d_x,
                                    float* d_residual, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const float g = !Relu || relu[i] > 0.0f ? d_y[i] : 0.0f;
        d_x[i] = factor[i] * (g - offset[i] - (x[i] - mean[i]) * slope[i]);
        if (Residual) {
            d_residual[i] = g;
        }
    }
}

// run(at, column, count, out) for each piece of a wide row in a block of elements.
template <typename Run>
auto by_wide_rows(const WideRows& wide, Run run) {
    return [width = wide.width, run](float* out, int64_t at, int64_t count) {
        int64_t column = cpu::divide(at, width).remainder;
        for (int64_t done = 0; done < count; column = 0) {
            const int64_t piece = std::min(width - column, count - done);
            run(at + done, column, piece, out + done);
            done += piece;
        }
    };
}

// Two sums a channel over all elements: add(first element, rows, columns, sums) for whole wide rows and for
// the rest.
template <typename Add>
std::vector<double> channel_sums(const WideRows& wide, Add add) {
    std::vector<double> sums(static_cast<size_t>(2 * wide.width), 0.0);
    cpu::reduce_rows_in_chunks<cpu::SumReduction>(wide.rows, wide.width, 2 * wide.width, sums.data(),
                                                  [&](int64_t begin, int64_t end, double* out) {
                                                      add(begin * wide.width, end - begin, wide.width, out);
                                                  });
    add(wide.rows * wide.width, 1, wide.rest, sums.data());
    wide.fold(sums.data());
    wide.fold(sums.data() + wide.width);
    return sums;
}

// The mean of up to 16 elements of channel c, spread over all rows.
double mean_of_some(const Tensor& x, int64_t c) {
    const Rows rows = rows_of(x.shape());
    const int64_t count = std::min<int64_t>(rows.count, 16);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
        sum += static_cast<double>(buffer<float>(x)[rows.count * i / count * rows.length + c]);
    }
    return sum / static_cast<double>(count);
}

}  // namespace

void CpuBackend::channel_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
    if (x.dtype() != DType::f32 || x.numel() == 0) {
        return ReferenceBackend::channel_statistics(x, mean, variance);
    }
    const WideRows wide(x.numel(), rows_of(x.shape()).length);
    const auto* in = buffer<float>(x);
    const auto shift = wide.spread<float>([&](int64_t c) { return mean_of_some(x, c); });
    const auto sums = channel_sums(wide, [&](int64_t at, int64_t rows, int64_t columns, double* out) {
        statistics_loop(in + at, rows, wide.width, columns, shift.data(), out);
    });
    const double count = static_cast<double>(x.numel()) / static_cast<double>(wide.channels);
    for (int64_t c = 0; c < wide.channels; ++c) {
        const auto i = static_cast<size_t>(c);
        const double centre = sums[i] / count;
        const double spread = sums[i + static_cast<size_t>(wide.width)] / count - centre * centre;
        buffer<float>(mean)[c] = static_cast<float>(centre + static_cast<double>(shift[i]));
        buffer<float>(variance)[c] = static_cast<float>(spread < 0.0 ? 0.0 : spread);
    }
}

void CpuBackend::channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift,
                                const Tensor& residual, bool relu, Tensor& y) {
    if (x.dtype() != DType::f32 || x.numel() == 0) {
        return ReferenceBackend::channel_affine(x, scale, shift, residual, relu, y);
    }
    const WideRows wide(x.numel(), rows_of(x.shape()).length);
    const auto factor = wide.spread<float>([&](int64_t c) { return buffer<float>(scale)[c]; });
    const auto offset = wide.spread<float>([&](int64_t c) { return buffer<float>(shift)[c]; });
    const auto* in = buffer<float>(x);
    const float* added = residual.defined() ? buffer<float>(residual) : nullptr;
    const auto loop = added != nullptr ? (relu ? affine_loop<true, true> : affine_loop<false, true>)
                                       : (relu ? affine_loop<true, false> : affine_loop<false, false>);
    cpu::write_elements(buffer<float>(y), x.numel(), 0, [&] {
        return by_wide_rows(wide, [&](int64_t at, int64_t column, int64_t count, float* out) {
            loop(in + at, factor.data() + column, offset.data() + column,
                 added == nullptr ? added : added + at, out, count);
        });
    });
}

void CpuBackend::batch_norm_backward(const Tensor& x, const Tensor& d_y, const Tensor& mean,
                                     const Tensor& inv_std, const Tensor& scale, const Tensor& relu_output,
                                     Tensor& d_x, Tensor& d_scale, Tensor& d_shift, Tensor& d_residual) {
    if (x.dtype() != DType::f32 || x.numel() == 0) {
        return ReferenceBackend::batch_norm_backward(x, d_y, mean, inv_std, scale, relu_output, d_x, d_scale,
                                                     d_shift, d_residual);
    }
    const WideRows wide(x.numel(), rows_of(x.shape()).length);
    const auto* in = buffer<float>(x);
    const auto* from = buffer<float>(d_y);
    const float* relu = relu_output.defined() ? buffer<float>(relu_output) : nullptr;
    const auto centre = wide.spread<float>([&](int64_t c) { return buffer<float>(mean)[c]; });
    const auto sums_loop = relu != nullptr ? gradient_sums_loop<true> : gradient_sums_loop<false>;
    const auto sums = channel_sums(wide, [&](int64_t at, int64_t rows, int64_t columns, double* out) {
        sums_loop(in + at, from + at, relu == nullptr ? relu : relu + at, rows, wide.width, columns,
                  centre.data(), out);
    });
    const double count = static_cast<double>(x.numel()) / static_cast<double>(wide.channels);
    const auto inverse = [&](int64_t c) { return static_cast<double>(buffer<float>(inv_std)[c]); };
    const auto product = [&](int64_t c) { return sums[static_cast<size_t>(wide.width + c)] * inverse(c); };
    const auto factor = wide.spread<float>(
        [&](int64_t c) { return inverse(c) * static_cast<double>(buffer<float>(scale)[c]); });
    const auto offset = wide.spread<float>([&](int64_t c) { return sums[static_cast<size_t>(c)] / count; });
    const auto slope = wide.spread<float>([&](int64_t c) { return product(c) * inverse(c) / count; });
    for (int64_t c = 0; c < wide.channels; ++c) {
        buffer<float>(d_shift)[c] = static_cast<float>(sums[static_cast<size_t>(c)]);
        buffer<float>(d_scale)[c] = static_cast<float>(product(c));
    }
    float* passed_on = d_residual.defined() ? buffer<float>(d_residual) : nullptr;
    const auto loop = passed_on != nullptr
                          ? (relu != nullptr ? gradient_loop<true, true> : gradient_loop<false, true>)
                          : (relu != nullptr ? gradient_loop<true, false> : gradient_loop<false, false>);
    cpu::write_elements(buffer<float>(d_x), x.numel(), 0, [&] {
        return by_wide_rows(wide, [&](int64_t at, int64_t column, int64_t n, float* out) {
            loop(in + at, from + at, relu == nullptr ? relu : relu + at, centre.data() + column,
                 factor.data() + column, offset.data() + column, slope.data() + column, out,
                 passed_on == nullptr ? passed_on : passed_on + at, n);
        });
    });
}

}  // namespace backlight
