// y_i = f(x_i) and y = f(a, b) with broadcasting; the formulas f are in core/backends/functors.h.
// Broadcasting (numpy's rule): shapes are aligned at the last axis, an extent of 1 is read at every position.
#include <algorithm>
#include <type_traits>

#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"
#include "core/backends/reference/walk.h"
#include "core/backends/reference/widen.h"
#include "core/passed_bits.h"

namespace backlight {

void ReferenceBackend::unary(UnaryOp op, const Tensor& x, double p, Tensor& y) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { unary(op, widened(x), p, wide); });
    }
    dispatch_numeric("unary", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const auto apply = [&](auto f) {
            const T* in = buffer<T>(x);
            T* out = buffer<T>(y);
            const T parameter = convert<T>(p);
            for (int64_t i = 0, n = x.numel(); i < n; ++i) {
                out[i] = f(in[i], parameter);
            }
        };
        if constexpr (std::is_floating_point_v<T>) {
            dispatch_unary(op, apply);
        } else {
            dispatch_integer_unary(op, apply);
        }
    });
}

void ReferenceBackend::binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) {
    if (a.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { binary(op, widened(a), widened(b), wide); });
    }
    dispatch_numeric("binary", a.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const auto apply = [&](auto f) {
            const T* left = buffer<T>(a);
            const T* right = buffer<T>(b);
            T* out = buffer<T>(y);
            walk(y.shape(), broadcast_strides(a.shape(), y.shape()), broadcast_strides(b.shape(), y.shape()),
                 [&](int64_t i, int64_t at_a, int64_t at_b) { out[i] = f(left[at_a], right[at_b]); });
        };
        if constexpr (std::is_floating_point_v<T>) {
            dispatch_binary(op, apply);
        } else {
            dispatch_integer_binary(op, apply);
        }
    });
}

void ReferenceBackend::divide_stabilized(const StabilizedAttrs& attrs, const Tensor& a, const Tensor& b,
                                         Tensor& y) {
    if (a.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { divide_stabilized(attrs, widened(a), widened(b), wide); });
    }
    dispatch_floating("divide_stabilized", a.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* left = buffer<T>(a);
        const T* right = buffer<T>(b);
        const auto factor = static_cast<T>(attrs.factor), eps = static_cast<T>(attrs.eps);
        for (int64_t i = 0; i < y.numel(); ++i) {
            buffer<T>(y)[i] = attrs.clip
                                  ? functors::DivideStabilized<true>{}(left[i], right[i], factor, eps)
                                  : functors::DivideStabilized<false>{}(left[i], right[i], factor, eps);
        }
    });
}

void ReferenceBackend::select(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
    dispatch_any(condition.dtype(), [&](auto condition_zero) {
        dispatch_any(y.dtype(), [&](auto zero) {
            using T = decltype(zero);
            const auto* chosen = buffer<decltype(condition_zero)>(condition);
            for (int64_t i = 0; i < y.numel(); ++i) {
                buffer<T>(y)[i] = chosen[i] != condition_zero ? buffer<T>(a)[i] : buffer<T>(b)[i];
            }
        });
    });
}

void ReferenceBackend::rectify(UnaryOp kind, const Tensor& x, Tensor& y, Tensor& passed) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { rectify(kind, widened(x), wide, passed); });
    }
    unary(kind, x, 0, y);
    dispatch_floating("rectify", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        auto* words = buffer<uint32_t>(passed);
        std::fill(words, words + PassedBits::words(x.numel()), 0U);
        for (int64_t i = 0; i < x.numel(); ++i) {
            const T value = buffer<T>(x)[i];
            if (value > 0 && (kind == UnaryOp::relu || value < 6)) {
                words[PassedBits::word_of(i)] |= PassedBits::bit_of(i);
            }
        }
    });
}

void ReferenceBackend::gate(const Tensor& x, const Tensor& passed, Tensor& y) {
    if (x.dtype() == DType::bf16) {
        return widened_into(y, [&](Tensor& wide) { gate(widened(x), passed, wide); });
    }
    dispatch_floating("gate", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const auto* words = buffer<uint32_t>(passed);
        for (int64_t i = 0; i < x.numel(); ++i) {
            const bool on = (words[PassedBits::word_of(i)] & PassedBits::bit_of(i)) != 0;
            buffer<T>(y)[i] = on ? buffer<T>(x)[i] : T{0};
        }
    });
}

bool ReferenceBackend::any_where_not_positive(const Tensor& x, const Tensor& z) {
    bool found = false;
    dispatch_floating("any_where_not_positive", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < x.numel() && !found; ++i) {
            found = buffer<T>(x)[i] != 0 && !(buffer<T>(z)[i] > 0);
        }
    });
    return found;
}

void ReferenceBackend::accumulate(Tensor& y, const Tensor& x) {
    if (y.dtype() == DType::bf16) {
        Tensor wide = widened(y);
        accumulate(wide, widened(x));
        return cast(wide, y);
    }
    dispatch_numeric("accumulate", y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < y.numel(); ++i) {
            buffer<T>(y)[i] += buffer<T>(x)[i];
        }
    });
}

}  // namespace backlight
