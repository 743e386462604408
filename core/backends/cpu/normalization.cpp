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

// The loops take images of T, float or bfloat16, and compute in float.
inline float wide(float value) { return value; }
inline float wide(BFloat16 value) { return value; }

// sums[0..width) += d,  sums[width..2 width) += d^2. Four rows are added up in f32 before double takes over.
template <typename T>
BACKLIGHT_CLONES void statistics_loop(const T* x, int64_t rows, int64_t width, int64_t columns,
                                      const float* shift, double* sums) {
    double* squares = sums + width;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const T* row = x + r * width;
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const float d0 = wide(row[c]) - shift[c];
            const float d1 = wide(row[width + c]) - shift[c];
            const float d2 = wide(row[2 * width + c]) - shift[c];
            const float d3 = wide(row[3 * width + c]) - shift[c];
            sums[c] += static_cast<double>((d0 + d1) + (d2 + d3));
            squares[c] += static_cast<double>((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3));
        }
    }
    for (; r < rows; ++r) {
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const float d = wide(x[r * width + c]) - shift[c];
            sums[c] += static_cast<double>(d);
            squares[c] += static_cast<double>(d * d);
        }
    }
}

template <typename T, bool Relu, bool Residual>
BACKLIGHT_CLONES void affine_loop(const T* x, const float* scale, const float* shift, const T* residual, T* y,
                                  int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const float affine = wide(x[i]) * scale[i] + shift[i];
        const float value = Residual ? affine + wide(residual[i]) : affine;
        y[i] = T(Relu ? functors::Relu{}(value, 0.0f) : value);
    }
}

enum class Mask : uint8_t { none, output, affine };

// Where the ReLU passed: `output`, its output, or the terms of affine_loop from which that came.
template <typename T>
struct MaskOf {
    const T* output;
    const float* scale;
    const float* shift;

    [[nodiscard]] MaskOf from(int64_t at, int64_t column) const {
        return {output == nullptr ? nullptr : output + at, scale + column, shift + column};
    }
};

// What arrives behind the ReLU, if there is one; `at` counts elements, c columns.
template <Mask M, typename T>
inline float passed(const T* x, const T* d_y, const MaskOf<T>& mask, int64_t at, int64_t c) {
    if constexpr (M == Mask::none) {
        return wide(d_y[at]);
    } else if constexpr (M == Mask::output) {
        return wide(mask.output[at]) > 0.0f ? wide(d_y[at]) : 0.0f;
    } else {
        return wide(x[at]) * mask.scale[c] + mask.shift[c] > 0.0f ? wide(d_y[at]) : 0.0f;
    }
}

// sums[0..width) += g,  sums[width..2 width) += g (x - mean);  g = d_y where the ReLU passes. Four rows are
// added up in f32 before double takes over.
template <typename T, Mask M>
BACKLIGHT_CLONES void gradient_sums_loop(const T* x, const T* d_y, MaskOf<T> mask, int64_t rows,
                                         int64_t width, int64_t columns, const float* mean, double* sums) {
    double* products = sums + width;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const int64_t at0 = r * width;
        const int64_t at1 = at0 + width;
        const int64_t at2 = at1 + width;
        const int64_t at3 = at2 + width;
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const float g0 = passed<M>(x, d_y, mask, at0 + c, c);
            const float g1 = passed<M>(x, d_y, mask, at1 + c, c);
            const float g2 = passed<M>(x, d_y, mask, at2 + c, c);
            const float g3 = passed<M>(x, d_y, mask, at3 + c, c);
            const float first = g0 * (wide(x[at0 + c]) - mean[c]) + g1 * (wide(x[at1 + c]) - mean[c]);
            const float second = g2 * (wide(x[at2 + c]) - mean[c]) + g3 * (wide(x[at3 + c]) - mean[c]);
            sums[c] += static_cast<double>((g0 + g1) + (g2 + g3));
            products[c] += static_cast<double>(first + second);
        }
    }
    for (; r < rows; ++r) {
        const int64_t row = r * width;
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const float g = passed<M>(x, d_y, mask, row + c, c);
            sums[c] += static_cast<double>(g);
            products[c] += static_cast<double>(g * (wide(x[row + c]) - mean[c]));
        }
    }
}

// d_x = factor (g - offset - (x - mean) slope), and d_residual = g if it is wanted
template <typename T, Mask M, bool Residual>
BACKLIGHT_CLONES void gradient_loop(const T* x, const T* d_y, MaskOf<T> mask, const float* mean,
                                    const float* factor, const float* offset, const float* slope, T* d_x,
                                    T* d_residual, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        const float g = passed<M>(x, d_y, mask, i, i);
        d_x[i] = T(factor[i] * (g - offset[i] - (wide(x[i]) - mean[i]) * slope[i]));
        if (Residual) {
            d_residual[i] = T(g);
        }
    }
}

template <typename T, bool Residual>
auto gradient_loop_of(const ReluMask& relu) {
    return relu.output.defined()  ? gradient_loop<T, Mask::output, Residual>
           : relu.shift.defined() ? gradient_loop<T, Mask::affine, Residual>
                                  : gradient_loop<T, Mask::none, Residual>;
}

/// Calls body(T{}) for images that these loops take; false for others.
template <typename Body>
bool with_image_type(const Tensor& x, Body&& body) {
    if (x.numel() == 0 || (x.dtype() != DType::f32 && x.dtype() != DType::bf16)) {
        return false;
    }
    x.dtype() == DType::f32 ? body(float{}) : body(BFloat16{});
    return true;
}

// run(at, column, count, out) for each piece of a wide row in a block of elements.
template <typename Run>
auto by_wide_rows(const WideRows& wide, Run run) {
    return [width = wide.width, run](auto* out, int64_t at, int64_t count) {
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
template <typename T>
double mean_of_some(const T* x, const Rows& rows, int64_t c) {
    const int64_t count = std::min<int64_t>(rows.count, 16);
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
        sum += static_cast<double>(wide(x[rows.count * i / count * rows.length + c]));
    }
    return sum / static_cast<double>(count);
}

template <typename T>
void statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
    const Rows rows = rows_of(x.shape());
    const WideRows wide(x.numel(), rows.length);
    const auto* in = buffer<T>(x);
    const auto shift = wide.spread<float>([&](int64_t c) { return mean_of_some(in, rows, c); });
    const auto sums = channel_sums(wide, [&](int64_t at, int64_t count, int64_t columns, double* out) {
        statistics_loop<T>(in + at, count, wide.width, columns, shift.data(), out);
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

template <typename T>
void affine(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool relu,
            Tensor& y) {
    const WideRows wide(x.numel(), rows_of(x.shape()).length);
    const auto factor = wide.spread<float>([&](int64_t c) { return buffer<float>(scale)[c]; });
    const auto offset = wide.spread<float>([&](int64_t c) { return buffer<float>(shift)[c]; });
    const auto* in = buffer<T>(x);
    const T* added = residual.defined() ? buffer<T>(residual) : nullptr;
    const auto loop = added != nullptr ? (relu ? affine_loop<T, true, true> : affine_loop<T, false, true>)
                                       : (relu ? affine_loop<T, true, false> : affine_loop<T, false, false>);
    cpu::write_elements(buffer<T>(y), x.numel(), 0, [&] {
        return by_wide_rows(wide, [&](int64_t at, int64_t column, int64_t count, T* out) {
            loop(in + at, factor.data() + column, offset.data() + column,
                 added == nullptr ? added : added + at, out, count);
        });
    });
}

template <typename T>
void gradient(const Tensor& x, const Tensor& d_y, const Tensor& mean, const Tensor& inv_std,
              const Tensor& scale, const ReluMask& relu, Tensor& d_x, Tensor& d_scale, Tensor& d_shift,
              Tensor& d_residual) {
    const WideRows wide(x.numel(), rows_of(x.shape()).length);
    const auto* in = buffer<T>(x);
    const auto* from = buffer<T>(d_y);
    // In float, as the op that made the scale of channel_affine.
    const auto relu_scale =
        wide.spread<float>([&](int64_t c) { return buffer<float>(scale)[c] * buffer<float>(inv_std)[c]; });
    const auto relu_shift = wide.spread<float>(
        [&](int64_t c) { return relu.shift.defined() ? buffer<float>(relu.shift)[c] : 0.0f; });
    const MaskOf<T> mask{relu.output.defined() ? buffer<T>(relu.output) : nullptr, relu_scale.data(),
                         relu_shift.data()};
    const auto centre = wide.spread<float>([&](int64_t c) { return buffer<float>(mean)[c]; });
    const auto sums_loop = relu.output.defined()  ? gradient_sums_loop<T, Mask::output>
                           : relu.shift.defined() ? gradient_sums_loop<T, Mask::affine>
                                                  : gradient_sums_loop<T, Mask::none>;
    const auto sums = channel_sums(wide, [&](int64_t at, int64_t rows, int64_t columns, double* out) {
        sums_loop(in + at, from + at, mask.from(at, 0), rows, wide.width, columns, centre.data(), out);
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
    T* passed_on = d_residual.defined() ? buffer<T>(d_residual) : nullptr;
    const auto loop =
        passed_on != nullptr ? gradient_loop_of<T, true>(relu) : gradient_loop_of<T, false>(relu);
    cpu::write_elements(buffer<T>(d_x), x.numel(), 0, [&] {
        return by_wide_rows(wide, [&](int64_t at, int64_t column, int64_t n, T* out) {
            loop(in + at, from + at, mask.from(at, column), centre.data() + column, factor.data() + column,
                 offset.data() + column, slope.data() + column, out,
                 passed_on == nullptr ? passed_on : passed_on + at, n);
        });
    });
}

}  // namespace

void CpuBackend::channel_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
    if (!with_image_type(x, [&](auto zero) { statistics<decltype(zero)>(x, mean, variance); })) {
        ReferenceBackend::channel_statistics(x, mean, variance);
    }
}

void CpuBackend::channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift,
                                const Tensor& residual, bool relu, Tensor& y) {
    if (!with_image_type(x, [&](auto zero) { affine<decltype(zero)>(x, scale, shift, residual, relu, y); })) {
        ReferenceBackend::channel_affine(x, scale, shift, residual, relu, y);
    }
}

void CpuBackend::batch_norm_backward(const Tensor& x, const Tensor& d_y, const Tensor& mean,
                                     const Tensor& inv_std, const Tensor& scale, const ReluMask& mask,
                                     Tensor& d_x, Tensor& d_scale, Tensor& d_shift, Tensor& d_residual) {
    if (!with_image_type(x, [&](auto zero) {
            gradient<decltype(zero)>(x, d_y, mean, inv_std, scale, mask, d_x, d_scale, d_shift, d_residual);
        })) {
        ReferenceBackend::batch_norm_backward(x, d_y, mean, inv_std, scale, mask, d_x, d_scale, d_shift,
                                              d_residual);
    }
}

}  // namespace backlight
