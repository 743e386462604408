// y_i = f(x_i; p): the functors as vector loops. exp, log and their like use core/backends/cpu/vector_math.h.
#include "core/backends/buffer.h"
#include "core/backends/cpu/blocks.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/vector_math.h"
#include "core/backends/reference/dispatch.h"

namespace backlight {
namespace {

template <typename T>
using UnaryLoop = void (*)(const T* x, float p, T* y, int64_t count);

// Elements of T, float or bfloat16; the function is computed in float.
template <typename F, typename T>
BACKLIGHT_CLONES void unary_loop(const T* x, float p, T* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = T(F{}(static_cast<float>(x[i]), p));
    }
}

// What is computed on bfloat16: functions that leave its precision as it is.
UnaryLoop<BFloat16> narrow_loop_for(UnaryOp op) {
    switch (op) {
        case UnaryOp::relu:
            return unary_loop<functors::Relu, BFloat16>;
        case UnaryOp::relu6:
            return unary_loop<functors::Relu6, BFloat16>;
        case UnaryOp::clamp_min:
            return unary_loop<functors::ClampMin, BFloat16>;
        case UnaryOp::clamp_max:
            return unary_loop<functors::ClampMax, BFloat16>;
        default:
            return nullptr;
    }
}

template <typename T, typename Loop>
void run(Loop loop, const Tensor& x, float parameter, Tensor& y) {
    const auto* in = buffer<T>(x);
    auto* out = buffer<T>(y);
    const int64_t count = x.numel();
    if (count < cpu::kParallelElements) {
        return loop(in, parameter, out, count);
    }
    cpu::write_elements(out, count, 0, [=] {
        return [=](T* block, int64_t at, int64_t n) { loop(in + at, parameter, block, n); };
    });
}

UnaryLoop<float> loop_for(UnaryOp op, float p) {
    switch (op) {
        case UnaryOp::exp:
            return unary_loop<cpu::FastExp, float>;
        case UnaryOp::log:
            return unary_loop<cpu::FastLog, float>;
        case UnaryOp::tanh:
            return unary_loop<cpu::FastTanh, float>;
        case UnaryOp::sigmoid:
            return unary_loop<cpu::FastSigmoid, float>;
        case UnaryOp::silu:
            return unary_loop<cpu::FastSilu, float>;
        case UnaryOp::elu:
            return unary_loop<cpu::FastElu, float>;
        case UnaryOp::softplus:
            return unary_loop<cpu::FastSoftplus, float>;
        case UnaryOp::power_scalar:
            if (p == 2.0f) {
                return unary_loop<functors::Square, float>;
            }
            break;
        default:
            break;
    }
    UnaryLoop<float> loop = nullptr;
    dispatch_unary(op, [&](auto f) { loop = unary_loop<decltype(f), float>; });
    return loop;
}

}  // namespace

void CpuBackend::unary(UnaryOp op, const Tensor& x, double p, Tensor& y) {
    const auto parameter = static_cast<float>(p);
    if (op == UnaryOp::identity) {
        return copy(x, y);
    }
    if (x.dtype() == DType::f32) {
        return run<float>(loop_for(op, parameter), x, parameter, y);
    }
    const UnaryLoop<BFloat16> narrow = x.dtype() == DType::bf16 ? narrow_loop_for(op) : nullptr;
    if (narrow != nullptr) {
        return run<BFloat16>(narrow, x, parameter, y);
    }
    ReferenceBackend::unary(op, x, p, y);
}

}  // namespace backlight
