// y = f(a, b) with broadcasting. Equal shapes and scalars have their own loops; any other operand is read
// block by block as if it had y's shape.
#include "core/backends/buffer.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/stretched_reader.h"
#include "core/backends/reference/dispatch.h"

namespace backlight {
namespace {

constexpr int64_t kLongRun = 32;

struct BinaryLoops {
    void (*both)(const float* a, const float* b, float* y, int64_t count);
    void (*scalar_a)(float a, const float* b, float* y, int64_t count);
    void (*scalar_b)(const float* a, float b, float* y, int64_t count);
};

// Elements of T, float or bfloat16; the function is computed in float.
template <typename F, typename T>
BACKLIGHT_CLONES void loop_both(const T* a, const T* b, T* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = T(F{}(static_cast<float>(a[i]), static_cast<float>(b[i])));
    }
}
template <typename F>
BACKLIGHT_CLONES void loop_scalar_a(float a, const float* b, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = F{}(a, b[i]);
    }
}
template <typename F>
BACKLIGHT_CLONES void loop_scalar_b(const float* a, float b, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = F{}(a[i], b);
    }
}

template <bool Clip>
BACKLIGHT_CLONES void loop_stabilized(const float* a, const float* b, float factor, float eps, float* y,
                                      int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = functors::DivideStabilized<Clip>{}(a[i], b[i], factor, eps);
    }
}

// What is computed on bfloat16: sums, and the derivative of a ReLU.
using NarrowLoop = void (*)(const BFloat16* a, const BFloat16* b, BFloat16* y, int64_t count);

NarrowLoop narrow_loop_for(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& y) {
    if (a.dtype() != DType::bf16 || a.numel() != y.numel() || b.numel() != y.numel()) {
        return nullptr;
    }
    switch (op) {
        case BinaryOp::add:
            return loop_both<functors::Add, BFloat16>;
        case BinaryOp::subtract:
            return loop_both<functors::Subtract, BFloat16>;
        case BinaryOp::where_positive:
            return loop_both<functors::WherePositive, BFloat16>;
        default:
            return nullptr;
    }
}

BinaryLoops loops_for(BinaryOp op) {
    BinaryLoops loops{};
    dispatch_binary(op, [&](auto f) {
        using F = decltype(f);
        loops = {loop_both<F, float>, loop_scalar_a<F>, loop_scalar_b<F>};
    });
    return loops;
}

}  // namespace

void CpuBackend::binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) {
    if (const NarrowLoop loop = narrow_loop_for(op, a, b, y)) {
        const auto* left = buffer<BFloat16>(a);
        const auto* right = buffer<BFloat16>(b);
        return cpu::write_elements(buffer<BFloat16>(y), y.numel(), 0, [=] {
            return [=](BFloat16* block, int64_t at, int64_t n) { loop(left + at, right + at, block, n); };
        });
    }
    if (a.dtype() != DType::f32 || y.numel() == 0) {
        return ReferenceBackend::binary(op, a, b, y);
    }
    const BinaryLoops loops = loops_for(op);
    const auto* left = buffer<float>(a);
    const auto* right = buffer<float>(b);
    auto* out = buffer<float>(y);
    const int64_t count = y.numel();
    const auto write = [&](auto compute) {
        if (count < cpu::kParallelElements) {
            return compute(out, int64_t{0}, count);
        }
        cpu::write_elements(out, count, 0, [&] { return compute; });
    };
    const bool whole_a = a.numel() == count;
    const bool whole_b = b.numel() == count;
    if (whole_a && whole_b) {
        return write(
            [=](float* block, int64_t at, int64_t n) { loops.both(left + at, right + at, block, n); });
    }
    if (whole_a && b.numel() == 1) {
        return write(
            [=](float* block, int64_t at, int64_t n) { loops.scalar_b(left + at, *right, block, n); });
    }
    if (whole_b && a.numel() == 1) {
        return write(
            [=](float* block, int64_t at, int64_t n) { loops.scalar_a(*left, right + at, block, n); });
    }
    const cpu::StretchedReader reader_a(a, y.shape());
    const cpu::StretchedReader reader_b(b, y.shape());
    // A long row is read where it lies, a column as one scalar for each run of elements.
    const int64_t run = std::max(reader_b.repetition(), reader_b.period());
    if (whole_a && run >= kLongRun) {
        const bool is_row = reader_b.period() > 0;
        return cpu::write_elements(out, count, run, [&] {
            return [&](float* target, int64_t at, int64_t n) {
                auto [row, inside] = cpu::divide(at, run);
                for (int64_t done = 0; done < n; ++row, inside = 0) {
                    const int64_t piece = std::min(run - inside, n - done);
                    if (is_row) {
                        loops.both(left + at + done, right + inside, target + done, piece);
                    } else {
                        loops.scalar_b(left + at + done, right[row], target + done, piece);
                    }
                    done += piece;
                }
            };
        });
    }
    cpu::write_elements(out, count, std::max(reader_a.period(), reader_b.period()), [&] {
        return [&loops, from_a = reader_a, from_b = reader_b](float* target, int64_t at, int64_t n) mutable {
            loops.both(from_a.read(at, n), from_b.read(at, n), target, n);
        };
    });
}

void CpuBackend::divide_stabilized(const StabilizedAttrs& attrs, const Tensor& a, const Tensor& b,
                                   Tensor& y) {
    if (a.dtype() != DType::f32) {
        return ReferenceBackend::divide_stabilized(attrs, a, b, y);
    }
    const auto* left = buffer<float>(a);
    const auto* right = buffer<float>(b);
    const auto factor = static_cast<float>(attrs.factor), eps = static_cast<float>(attrs.eps);
    const auto loop = attrs.clip ? loop_stabilized<true> : loop_stabilized<false>;
    cpu::write_elements(buffer<float>(y), y.numel(), 0, [=] {
        return
            [=](float* block, int64_t at, int64_t n) { loop(left + at, right + at, factor, eps, block, n); };
    });
}

void CpuBackend::broadcast(const Tensor& x, Tensor& y) {
    if (x.dtype() != DType::f32 || y.numel() == 0) {
        return ReferenceBackend::broadcast(x, y);
    }
    const cpu::StretchedReader reader(x, y.shape());
    cpu::write_elements(buffer<float>(y), y.numel(), reader.period(), [&] {
        return [from = reader](float* target, int64_t at, int64_t n) mutable {
            std::memcpy(target, from.read(at, n), static_cast<size_t>(n) * sizeof(float));
        };
    });
}

}  // namespace backlight
