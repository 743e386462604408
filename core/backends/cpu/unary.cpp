// y_i = f(x_i; p): the functors as vector loops. exp, log and their like use core/backends/cpu/vector_math.h.
#include "core/backends/buffer.h"
#include "core/backends/cpu/blocks.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/vector_math.h"
#include "core/backends/reference/dispatch.h"

namespace backlight {
namespace {

using UnaryLoop = void (*)(const float* x, float p, float* y, int64_t count);

template <typename F>
BACKLIGHT_CLONES void unary_loop(const float* x, float p, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = F{}(x[i], p);
    }
}

// What is computed on bfloat16: functions that leave its precision as it is.
using NarrowLoop = void (*)(const BFloat16* x, float p, BFloat16* y, int64_t count);

template <typename F>
BACKLIGHT_CLONES void narrow_loop(const BFloat16* x, float p, BFloat16* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = BFloat16(F{}(static_cast<float>(x[i]), p));
    }
}

NarrowLoop narrow_loop_for(UnaryOp op) {
    switch (op) {
        case UnaryOp::relu:
            return narrow_loop<functors::Relu>;
        case UnaryOp::relu6:
            return narrow_loop<functors::Relu6>;
        case UnaryOp::clamp_min:
            return narrow_loop<functors::ClampMin>;
        case UnaryOp::clamp_max:
            return narrow_loop<functors::ClampMax>;
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

UnaryLoop loop_for(UnaryOp op, float p) {
    switch (op) {
        case UnaryOp::exp:
            return unary_loop<cpu::FastExp>;
        case UnaryOp::log:
            return unary_loop<cpu::FastLog>;
        case UnaryOp::tanh:
            return unary_loop<cpu::FastTanh>;
        case UnaryOp::sigmoid:
            return unary_loop<cpu::FastSigmoid>;
        case UnaryOp::silu:
            return unary_loop<cpu::FastSilu>;
        case UnaryOp::elu:
            return unary_loop<cpu::FastElu>;
        case UnaryOp::softplus:
            return unary_loop<cpu::FastSoftplus>;
        case UnaryOp::power_scalar:
            if (p == 2.0f) {
                return unary_loop<functors::Square>;
            }
            break;
        default:
            break;
    }
    UnaryLoop loop = nullptr;
    dispatch_unary(op, [&](auto f) { loop = unary_loop<decltype(f)>; });
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
    const NarrowLoop narrow = x.dtype() == DType::bf16 ? narrow_loop_for(op) : nullptr;
    if (narrow != nullptr) {
        return run<BFloat16>(narrow, x, parameter, y);
    }
    ReferenceBackend::unary(op, x, p, y);
}

}  // namespace backlight
