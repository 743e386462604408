// Rectifiers that leave a bit an element, the selection by these bits, eight lanes at a time, and the
// question whether anything arrives where a rectifier did not pass.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/backends/buffer.h"
#include "core/backends/cpu/blocks.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/functors.h"
#include "core/passed_bits.h"

namespace backlight {
namespace {

constexpr int kLanes = PassedBits::kWords, kSteps = PassedBits::kGroup / kLanes;
using Floats = float __attribute__((vector_size(4 * kLanes)));
using Words = int32_t __attribute__((vector_size(4 * kLanes)));

/// Lanes of T as they lie in memory, as integers.
template <typename T>
struct Stored;
template <>
struct Stored<float> {
    using Lanes = Words;
};
template <>
struct Stored<BFloat16> {
    using Lanes = int16_t __attribute__((vector_size(2 * kLanes)));
};

/// all |= bit where the rectifier passes; compared in float, into which bfloat16 goes exactly. By reference:
/// a vector that is returned has another ABI at each level of instructions.
template <UnaryOp kind, typename Lanes>
inline __attribute__((always_inline)) void add_passed(const Lanes& lanes, const Words& bit, Words& all) {
    Words wide = __builtin_convertvector(lanes, Words);
    if constexpr (sizeof(Lanes) < sizeof(Words)) {
        wide <<= 16;
    }
    Floats x;
    std::memcpy(&x, &wide, sizeof x);
    const Words positive = x > Floats{};
    all |= kind == UnaryOp::relu6 ? positive & (x < Floats{} + 6.0f) & bit : positive & bit;
}

template <UnaryOp kind, typename T>
BACKLIGHT_CLONES void passed_loop(const T* x, int32_t* passed, int64_t groups) {
    using Lanes = typename Stored<T>::Lanes;
    for (; groups > 0; --groups, passed += kLanes) {
        Words words{}, bit = Words{} + 1;
        for (int k = 0; k < kSteps; ++k, x += kLanes, bit += bit) {
            Lanes lanes;
            std::memcpy(&lanes, x, sizeof lanes);
            add_passed<kind>(lanes, bit, words);
        }
        std::memcpy(passed, &words, sizeof words);
    }
}

template <typename F, typename T>
BACKLIGHT_CLONES void rectify_loop(const T* x, T* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = T(F{}(static_cast<float>(x[i]), 0.0f));
    }
}

template <typename T>
BACKLIGHT_CLONES void gate_loop(const T* x, const int32_t* passed, T* y, int64_t groups) {
    using Lanes = typename Stored<T>::Lanes;
    for (; groups > 0; --groups, passed += kLanes) {
        Words words, bit = Words{} + 1;
        std::memcpy(&words, passed, sizeof words);
        for (int k = 0; k < kSteps; ++k, x += kLanes, y += kLanes, bit += bit) {
            Lanes lanes;
            std::memcpy(&lanes, x, sizeof lanes);
            lanes &= __builtin_convertvector((words & bit) != 0, Lanes);
            std::memcpy(static_cast<void*>(y), &lanes, sizeof lanes);
        }
    }
}

BACKLIGHT_CLONES int32_t any_loop(const float* x, const float* z, int64_t count) {
    int32_t found = 0;
    for (int64_t i = 0; i < count; ++i) {
        found |= static_cast<int32_t>(x[i] != 0) & static_cast<int32_t>(!(z[i] > 0));
    }
    return found;
}

/// body(in, out, words, groups) over all threads; a last group that is not whole goes through copies.
template <typename T, typename Word, typename Body>
void run(const Tensor& x, Word* words, Tensor& y, const Body& body) {
    const auto* in = buffer<T>(x);
    cpu::write_elements(buffer<T>(y), y.numel(), PassedBits::kGroup, [=] {
        return [=](T* block, int64_t at, int64_t count) {
            const int64_t groups = count / PassedBits::kGroup, whole = groups * PassedBits::kGroup;
            Word* const from = words + at / PassedBits::kGroup * kLanes;
            body(in + at, block, from, groups);
            if (whole < count) {
                T rest[PassedBits::kGroup] = {}, out[PassedBits::kGroup];
                std::copy(in + at + whole, in + at + count, rest);
                body(rest, out, from + groups * kLanes, 1);
                std::copy(out, out + (count - whole), block + whole);
            }
        };
    });
}

template <UnaryOp kind, typename F, typename T>
void rectify_by(const Tensor& x, Tensor& y, Tensor& passed) {
    run<T>(x, buffer<int32_t>(passed), y, [](const T* in, T* out, int32_t* words, int64_t groups) {
        passed_loop<kind>(in, words, groups);
        rectify_loop<F>(in, out, groups * PassedBits::kGroup);
    });
}

template <typename T>
void rectify_as(UnaryOp kind, const Tensor& x, Tensor& y, Tensor& passed) {
    if (kind == UnaryOp::relu6) {
        return rectify_by<UnaryOp::relu6, functors::Relu6, T>(x, y, passed);
    }
    rectify_by<UnaryOp::relu, functors::Relu, T>(x, y, passed);
}

template <typename T>
void gate_as(const Tensor& x, const Tensor& passed, Tensor& y) {
    run<T>(x, buffer<int32_t>(passed), y, [](const T* in, T* out, const int32_t* words, int64_t groups) {
        gate_loop(in, words, out, groups);
    });
}

}  // namespace

void CpuBackend::rectify(UnaryOp kind, const Tensor& x, Tensor& y, Tensor& passed) {
    switch (x.dtype()) {
        case DType::f32:
            return rectify_as<float>(kind, x, y, passed);
        case DType::bf16:
            return rectify_as<BFloat16>(kind, x, y, passed);
        default:
            return ReferenceBackend::rectify(kind, x, y, passed);
    }
}

void CpuBackend::gate(const Tensor& x, const Tensor& passed, Tensor& y) {
    switch (x.dtype()) {
        case DType::f32:
            return gate_as<float>(x, passed, y);
        case DType::bf16:
            return gate_as<BFloat16>(x, passed, y);
        default:
            return ReferenceBackend::gate(x, passed, y);
    }
}

bool CpuBackend::any_where_not_positive(const Tensor& x, const Tensor& z) {
    if (x.dtype() != DType::f32) {
        return ReferenceBackend::any_where_not_positive(x, z);
    }
    const auto* values = buffer<float>(x);
    const auto* signs = buffer<float>(z);
    std::atomic<bool> found = false;
    cpu::parallel_ranges(x.numel(), cpu::kParallelElements / 2, cpu::kBlock, [&](int64_t begin, int64_t end) {
        for (int64_t at = begin; at < end && !found.load(std::memory_order_relaxed); at += cpu::kBlock) {
            if (any_loop(values + at, signs + at, std::min(cpu::kBlock, end - at)) != 0) {
                found.store(true, std::memory_order_relaxed);
            }
        }
    });
    return found;
}

}  // namespace backlight
