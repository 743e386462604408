// Elementwise formulas and the Philox generator, written once for every backend: host code and device code.
// Only language features that nvcc takes without --expt-relaxed-constexpr: no std::max, no numeric_limits in
// bodies.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define BACKLIGHT_HD __host__ __device__
#else
#define BACKLIGHT_HD
#endif

namespace backlight::functors {

// Unary: struct F { T operator()(T x, T p) }.
#define BACKLIGHT_UNARY(Name, expression)                            \
    struct Name {                                                    \
        template <typename T>                                        \
        BACKLIGHT_HD T operator()(T x, [[maybe_unused]] T p) const { \
            return expression;                                       \
        }                                                            \
    };

BACKLIGHT_UNARY(Identity, x)
BACKLIGHT_UNARY(Negative, -x)
BACKLIGHT_UNARY(Absolute, x < T(0) ? -x : x)
BACKLIGHT_UNARY(Sign, T(x > T(0)) - T(x < T(0)))
BACKLIGHT_UNARY(Exp, std::exp(x))
BACKLIGHT_UNARY(Log, std::log(x))
BACKLIGHT_UNARY(Sqrt, std::sqrt(x))
BACKLIGHT_UNARY(Square, (x * x))
BACKLIGHT_UNARY(Reciprocal, T(1) / x)
BACKLIGHT_UNARY(Sin, std::sin(x))
BACKLIGHT_UNARY(Cos, std::cos(x))
BACKLIGHT_UNARY(Tanh, std::tanh(x))
BACKLIGHT_UNARY(Erf, std::erf(x))
// x Phi(x); erfc instead of 1 + erf, which cancels for x << 0.
BACKLIGHT_UNARY(Gelu, T(0.5) * x * std::erfc(-x * T(0.70710678118654752440)))
BACKLIGHT_UNARY(Silu, x / (T(1) + std::exp(-x)))
BACKLIGHT_UNARY(Relu, x > T(0) ? x : (x != x ? x : T(0)))
BACKLIGHT_UNARY(Relu6, x > T(0) ? (x < T(6) ? x : T(6)) : (x != x ? x : T(0)))
BACKLIGHT_UNARY(NegativePart, x < T(0) ? x : (x != x ? x : T(0)))
BACKLIGHT_UNARY(StabilizerSign, x >= T(0) ? T(1) : T(-1))
BACKLIGHT_UNARY(IsPositive, T(x > T(0)))
BACKLIGHT_UNARY(IsNegative, T(x < T(0)))
BACKLIGHT_UNARY(IsZero, T(x == T(0)))
BACKLIGHT_UNARY(IsFinite, T(x - x == T(0)))
BACKLIGHT_UNARY(AddScalar, x + p)
BACKLIGHT_UNARY(MultiplyScalar, (x * p))
BACKLIGHT_UNARY(PowerScalar, std::pow(x, p))
BACKLIGHT_UNARY(LeakyRelu, x > T(0) ? x : p * x)
BACKLIGHT_UNARY(Elu, x > T(0) ? x : p * std::expm1(x))
// log(1 + exp(t)) / p with t = p x, written so that neither branch overflows.
BACKLIGHT_UNARY(Softplus,
                (p * x > T(0) ? p * x + std::log1p(std::exp(-p * x)) : std::log1p(std::exp(p * x))) / p)
BACKLIGHT_UNARY(Stabilize, x >= T(0) ? x + p : x - p)
BACKLIGHT_UNARY(StabilizeClip, x >= T(0) ? (x > p ? x : p) : (-x > p ? x : -p))
BACKLIGHT_UNARY(ClampMin, x > p ? x : (x != x ? x : p))
BACKLIGHT_UNARY(ClampMax, x < p ? x : (x != x ? x : p))
BACKLIGHT_UNARY(Floor, std::floor(x))

// 1 / (1 + exp(-x)): the exponent is never positive, so nothing overflows.
struct Sigmoid {
    template <typename T>
    BACKLIGHT_HD T operator()(T x, T /*p*/) const {
        const T e = std::exp(x < T(0) ? x : -x);
        return (x < T(0) ? e : T(1)) / (T(1) + e);
    }
};
#undef BACKLIGHT_UNARY

// Binary: struct F { T operator()(T a, T b) }.
#define BACKLIGHT_BINARY(Name, expression)          \
    struct Name {                                   \
        template <typename T>                       \
        BACKLIGHT_HD T operator()(T a, T b) const { \
            return expression;                      \
        }                                           \
    };

BACKLIGHT_BINARY(Add, a + b)
BACKLIGHT_BINARY(Subtract, a - b)
BACKLIGHT_BINARY(Multiply, (a * b))
BACKLIGHT_BINARY(Divide, a / b)
BACKLIGHT_BINARY(Power, std::pow(a, b))
BACKLIGHT_BINARY(Maximum, a > b ? a : (a != a ? a : b))
BACKLIGHT_BINARY(Minimum, a < b ? a : (a != a ? a : b))
BACKLIGHT_BINARY(Greater, T(a > b))
BACKLIGHT_BINARY(GreaterEqual, T(a >= b))
BACKLIGHT_BINARY(Less, T(a < b))
BACKLIGHT_BINARY(LessEqual, T(a <= b))
BACKLIGHT_BINARY(Equal, T(a == b))
BACKLIGHT_BINARY(DivideOrZero, b == T(0) ? T(0) : a / b)
BACKLIGHT_BINARY(WherePositive, b > T(0) ? a : T(0))
#undef BACKLIGHT_BINARY

// factor a / stab(b), see StabilizedAttrs.
template <bool Clip>
struct DivideStabilized {
    template <typename T>
    BACKLIGHT_HD T operator()(T a, T b, T factor, T eps) const {
        const T below = Clip ? StabilizeClip{}(b, eps) : Stabilize{}(b, eps);
        return factor * a / below;
    }
};

// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): a keyed bijection of a
// 128-bit counter; every block of four words is independent of every other, so any element can be computed
// alone.
struct PhiloxBlock {
    uint32_t word[4];
};

BACKLIGHT_HD inline PhiloxBlock philox(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t product0 = uint64_t{0xD2511F53U} * counter.word[0];
        const uint64_t product1 = uint64_t{0xCD9E8D57U} * counter.word[2];
        counter = PhiloxBlock{{static_cast<uint32_t>(product1 >> 32) ^ counter.word[1] ^ key0,
                               static_cast<uint32_t>(product1),
                               static_cast<uint32_t>(product0 >> 32) ^ counter.word[3] ^ key1,
                               static_cast<uint32_t>(product0)}};
        key0 += 0x9E3779B9U;  // Weyl sequence: golden ratio and sqrt(3) - 1
        key1 += 0xBB67AE85U;
    }
    return counter;
}

// Uniform in [0, 1) with 24 bits (f32) or 53 bits (f64): exact in both types, no rounding can reach 1.
BACKLIGHT_HD inline float uniform_from_bits(uint32_t bits) {
    return static_cast<float>(bits >> 8) * 5.9604644775390625e-8f;
}
BACKLIGHT_HD inline double uniform_from_bits(uint32_t high, uint32_t low) {
    const uint64_t bits = (uint64_t{high} << 21) ^ (uint64_t{low} >> 11);
    return static_cast<double>(bits & ((uint64_t{1} << 53) - 1)) * 1.1102230246251565e-16;
}

}  // namespace backlight::functors
