// Copies, constants, conversions, selection and in-place addition.
#include <bit>
#include <cstring>

#include "core/backends/buffer.h"
#include "core/backends/cpu/blocks.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/reference/dispatch.h"

namespace backlight {
namespace {

template <typename T>
BACKLIGHT_CLONES void add_loop(T* y, const T* x, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = T(static_cast<float>(y[i]) + static_cast<float>(x[i]));
    }
}

BACKLIGHT_CLONES void fill_loop(float* y, float value, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = value;
    }
}

template <typename Condition>
BACKLIGHT_CLONES void select_loop(const Condition* condition, const float* a, const float* b, float* y,
                                  int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = condition[i] != Condition{0} ? a[i] : b[i];
    }
}

template <typename From, typename To>
BACKLIGHT_CLONES void cast_loop(const From* x, To* y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = convert<To>(x[i]);
    }
}

}  // namespace

void CpuBackend::copy(const Tensor& x, Tensor& y) {
    const auto* from = buffer<std::byte>(x);
    auto* to = buffer<std::byte>(y);
    if (from == to) {
        return;
    }
    cpu::parallel_ranges(static_cast<int64_t>(x.bytes()), cpu::kParallelElements * 4, 64,
                         [=](int64_t begin, int64_t end) {
                             std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
                         });
}

void CpuBackend::fill(Tensor& y, double value) {
    if (y.dtype() != DType::f32) {
        return ReferenceBackend::fill(y, value);
    }
    const auto element = static_cast<float>(value);
    auto* out = buffer<float>(y);
    cpu::parallel_ranges(y.numel(), cpu::kParallelElements / 2, 64, [=](int64_t begin, int64_t end) {
        if (std::bit_cast<uint32_t>(element) == 0) {
            std::memset(out + begin, 0, static_cast<size_t>(end - begin) * sizeof(float));
        } else {
            fill_loop(out + begin, element, end - begin);
        }
    });
}

void CpuBackend::cast(const Tensor& x, Tensor& y) {
    const auto convert_all = [&](auto from, auto to) {
        using From = decltype(from);
        using To = decltype(to);
        const auto* in = buffer<From>(x);
        auto* out = buffer<To>(y);
        cpu::parallel_ranges(x.numel(), cpu::kParallelElements / 2, 64, [=](int64_t begin, int64_t end) {
            cast_loop(in + begin, out + begin, end - begin);
        });
    };
    if (x.dtype() == y.dtype()) {
        return copy(x, y);
    }
    if (!is_floating(y.dtype())) {
        return ReferenceBackend::cast(x, y);  // into integers: saturates
    }
    dispatch_any(x.dtype(), [&](auto from) {
        if (y.dtype() == DType::bf16) {
            return convert_all(from, BFloat16{});
        }
        dispatch_floating("cast", y.dtype(), [&](auto to) { convert_all(from, to); });
    });
}

void CpuBackend::select(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
    if (y.dtype() != DType::f32) {
        return ReferenceBackend::select(condition, a, b, y);
    }
    const auto* left = buffer<float>(a);
    const auto* right = buffer<float>(b);
    dispatch_any(condition.dtype(), [&](auto type) {
        using Condition = decltype(type);
        const auto* chosen = buffer<Condition>(condition);
        cpu::write_elements(buffer<float>(y), y.numel(), 0, [=] {
            return [=](float* block, int64_t at, int64_t n) {
                select_loop(chosen + at, left + at, right + at, block, n);
            };
        });
    });
}

void CpuBackend::accumulate(Tensor& y, const Tensor& x) {
    const auto add_all = [&](auto zero) {
        using T = decltype(zero);
        const auto* from = buffer<T>(x);
        auto* to = buffer<T>(y);
        cpu::parallel_ranges(y.numel(), cpu::kParallelElements / 2, 16, [=](int64_t begin, int64_t end) {
            add_loop(to + begin, from + begin, end - begin);
        });
    };
    if (y.dtype() == DType::f32) {
        add_all(float{});
    } else if (y.dtype() == DType::bf16) {
        add_all(BFloat16{});
    } else {
        ReferenceBackend::accumulate(y, x);
    }
}

}  // namespace backlight
