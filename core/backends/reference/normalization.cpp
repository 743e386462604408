// Softmax over rows and batch normalisation over channels, both along the last axis.
//   softmax       y_i = e_i / sum_k e_k,  e_k = exp(x_k - max x)     the shift cancels and keeps exp in range
//   log_softmax   y_i = x_i - max x - log sum_k e_k
//   statistics    mean = sum x / M,  variance = sum (x - mean)^2 / M   over the M elements of a channel
//   affine        y = x scale + shift, then max(y, 0) if asked
// Batch norm y = scale h + shift with h = (x - mean) inv_std, inv_std = 1 / sqrt(variance + eps) (Ioffe and
// Szegedy, "Batch normalization", 2015). mean and variance depend on x, hence
//   d_shift = sum d_y,   d_scale = sum d_y h,   d_x = scale inv_std (d_y - d_shift / M - h d_scale / M)
// A fused ReLU first sets d_y to 0 where its output is not positive.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"
#include "core/backends/reference/walk.h"
#include "core/backends/reference/widen.h"

namespace backlight {
namespace {

// The greatest element and the sum of exp(x - greatest). A row with a NaN gives NaN.
template <typename T>
struct RowSum {
    double greatest = 0;
    double sum = 0;
    RowSum(const T* row, int64_t length) {
        greatest = static_cast<double>(*std::max_element(row, row + length));
        for (int64_t i = 0; i < length; ++i) {
            sum += std::exp(static_cast<double>(row[i]) - greatest);
        }
    }
};

}  // namespace

void ReferenceBackend::softmax(const Tensor& x, Tensor& y) {
    dispatch_floating("softmax", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const Rows rows = rows_of(x.shape());
        for (int64_t r = 0; r < rows.count; ++r) {
            const T* in = buffer<T>(x) + r * rows.length;
            T* out = buffer<T>(y) + r * rows.length;
            const RowSum<T> exps(in, rows.length);
            for (int64_t i = 0; i < rows.length; ++i) {
                out[i] = static_cast<T>(std::exp(static_cast<double>(in[i]) - exps.greatest) / exps.sum);
            }
        }
    });
}

void ReferenceBackend::log_softmax(const Tensor& x, Tensor& y) {
    dispatch_floating("log_softmax", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const Rows rows = rows_of(x.shape());
        for (int64_t r = 0; r < rows.count; ++r) {
            const T* in = buffer<T>(x) + r * rows.length;
            T* out = buffer<T>(y) + r * rows.length;
            const RowSum<T> exps(in, rows.length);
            for (int64_t i = 0; i < rows.length; ++i) {
                out[i] = static_cast<T>(static_cast<double>(in[i]) - exps.greatest - std::log(exps.sum));
            }
        }
    });
}

void ReferenceBackend::channel_statistics(const Tensor& x, Tensor& mean, Tensor& variance) {
    if (x.dtype() == DType::bf16) {
        return channel_statistics(widened(x), mean, variance);
    }
    dispatch_floating("channel_statistics", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const Rows rows = rows_of(x.shape());
        for (int64_t c = 0; c < rows.length; ++c) {
            const T* channel = buffer<T>(x) + c;
            double sum = 0;
            for (int64_t r = 0; r < rows.count; ++r) {
                sum += static_cast<double>(channel[r * rows.length]);
            }
            const double centre = sum / static_cast<double>(rows.count);
            double squares = 0;
            for (int64_t r = 0; r < rows.count; ++r) {
                const double difference = static_cast<double>(channel[r * rows.length]) - centre;
                squares += difference * difference;
            }
            buffer<T>(mean)[c] = static_cast<T>(centre);
            buffer<T>(variance)[c] = static_cast<T>(squares / static_cast<double>(rows.count));
        }
    });
}

void ReferenceBackend::channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift,
                                      const Tensor& residual, bool relu, Tensor& y) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) {
            channel_affine(widened(x), scale, shift, widened(residual), relu, wide);
        });
    }
    dispatch_floating("channel_affine", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const int64_t channels = rows_of(x.shape()).length;
        for (int64_t i = 0; i < x.numel(); ++i) {
            const int64_t c = i % channels;
            const double added = residual.defined() ? static_cast<double>(buffer<T>(residual)[i]) : 0.0;
            const double value =
                static_cast<double>(buffer<T>(x)[i]) * static_cast<double>(buffer<T>(scale)[c]) +
                static_cast<double>(buffer<T>(shift)[c]) + added;
            buffer<T>(y)[i] = static_cast<T>(relu ? functors::Relu{}(value, 0.0) : value);
        }
    });
}

void ReferenceBackend::batch_norm_backward(const Tensor& x, const Tensor& d_y, const Tensor& mean,
                                           const Tensor& inv_std, const Tensor& scale, const ReluMask& mask,
                                           Tensor& d_x, Tensor& d_scale, Tensor& d_shift,
                                           Tensor& d_residual) {
    if (x.dtype() == DType::bf16) {
        WidenedOutput wide_x(d_x);
        WidenedOutput wide_residual(d_residual);
        batch_norm_backward(widened(x), widened(d_y), mean, inv_std, scale,
                            {widened(mask.output), mask.shift}, wide_x.tensor(), d_scale, d_shift,
                            wide_residual.tensor());
        wide_x.round();
        return wide_residual.round();
    }
    dispatch_floating("batch_norm_backward", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const Rows rows = rows_of(x.shape());
        const auto count = static_cast<double>(rows.count);
        for (int64_t c = 0; c < rows.length; ++c) {
            const double centre = static_cast<double>(buffer<T>(mean)[c]);
            const double inverse = static_cast<double>(buffer<T>(inv_std)[c]);
            const auto normalized = [&](int64_t at) {
                return (static_cast<double>(buffer<T>(x)[at]) - centre) * inverse;
            };
            const double factor = static_cast<double>(buffer<T>(scale)[c]) * inverse;
            const T relu_scale = buffer<T>(scale)[c] * buffer<T>(inv_std)[c];  // rounded as channel_affine's
            const auto passes = [&](int64_t at) {
                if (mask.output.defined()) {
                    return buffer<T>(mask.output)[at] > T{0};
                }
                return !mask.shift.defined() ||
                       static_cast<double>(buffer<T>(x)[at]) * static_cast<double>(relu_scale) +
                               static_cast<double>(buffer<T>(mask.shift)[c]) >
                           0;
            };
            const auto gradient = [&](int64_t at) {
                return passes(at) ? static_cast<double>(buffer<T>(d_y)[at]) : 0.0;
            };
            double sum = 0;
            double product = 0;
            for (int64_t at = c; at < x.numel(); at += rows.length) {
                sum += gradient(at);
                product += gradient(at) * normalized(at);
            }
            for (int64_t at = c; at < x.numel(); at += rows.length) {
                const double value = gradient(at) - sum / count - normalized(at) * product / count;
                buffer<T>(d_x)[at] = static_cast<T>(factor * value);
                if (d_residual.defined()) {
                    buffer<T>(d_residual)[at] = static_cast<T>(gradient(at));
                }
            }
            buffer<T>(d_shift)[c] = static_cast<T>(sum);
            buffer<T>(d_scale)[c] = static_cast<T>(product);
        }
    });
}

}  // namespace backlight
