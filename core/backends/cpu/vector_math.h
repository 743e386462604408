// Exponential, logarithm and what is made of them as straight-line f32 arithmetic that a compiler turns into
// vector code; the library's own are calls. Within 2.3 units in the last place of the exact value; infinities
// and NaN as in <cmath>. Polynomials: Moshier, Cephes mathematical library (expf.c, logf.c, tanhf.c), 1989.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace backlight::cpu {

// exp x = 2^n exp r,  n = round(x / ln 2),  |r| <= ln 2 / 2
// Adding 1.5 2^23 leaves round(x / ln 2) in the low bits of the mantissa: rounding and conversion at once.
// 2^n is applied as 2 2^(n-1), so that n = 128 does not overflow too early; results below 2^-125 are 0.
inline float vector_exp(float x) {
    constexpr float kRound = 12582912.0f;
    constexpr uint32_t kRoundBits = 0x4B400000U;
    const float bounded = x > 89.0f ? 89.0f : x;  // exp 89 is infinite already; NaN stays
    const float shifted = bounded * 1.44269504088896341f + kRound;
    const float n = shifted - kRound;
    const float r =
        (bounded - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts: n times the first is exact
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const float e = p * (r * r) + r + 1.0f;
    const float half = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) + (126U - kRoundBits)) << 23);
    const float y = (e + e) * half;
    return x < -86.6f ? 0.0f : y;
}

// log x = n ln 2 + log m,  m in [sqrt(1/2), sqrt 2);  x positive and normal
inline float vector_log_normal(float x, float more_n) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    // Subtracting the bits of sqrt(1/2) makes the exponent field count from there.
    const auto n = static_cast<int32_t>(bits - 0x3F3504F3U) >> 23;
    const float r = std::bit_cast<float>(bits - (static_cast<uint32_t>(n) << 23)) - 1.0f;
    const float square = r * r;
    float p = 7.0376836292e-2f;
    p = p * r - 1.1514610310e-1f;
    p = p * r + 1.1676998740e-1f;
    p = p * r - 1.2420140846e-1f;
    p = p * r + 1.4249322787e-1f;
    p = p * r - 1.6668057665e-1f;
    p = p * r + 2.0000714765e-1f;
    p = p * r - 2.4999993993e-1f;
    p = p * r + 3.3333331174e-1f;
    const float exponent = static_cast<float>(n) + more_n;
    const float tail = p * r * square - 2.12194440e-4f * exponent - 0.5f * square;
    return r + tail + 0.693359375f * exponent;
}

inline float vector_log(float x) {
    const bool tiny = x < 1.17549435e-38f;  // below the normal range: scaled into it by 2^23 first
    const float y = vector_log_normal(tiny ? x * 8388608.0f : x, tiny ? -23.0f : 0.0f);
    const float special =
        x == 0.0f ? -INFINITY : (x < 0.0f ? NAN : x);  // +infinity and NaN are their own logarithm
    return x > 0.0f && x < INFINITY ? y : special;
}

// log(1 + x), 0 <= x <= 1: what rounding of 1 + x lost is put back to first order.
inline float vector_log1p(float x) {
    const float u = 1.0f + x;
    return vector_log_normal(u, 0.0f) + (x - (u - 1.0f)) / u;
}

// exp x - 1: where the 1 would cancel, the polynomial without it.
inline float vector_expm1(float x) {
    float p = 1.9875691500e-4f;
    p = p * x + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    const float small = p * (x * x) + x;
    const float large = vector_exp(x) - 1.0f;
    return x > -0.34f && x < 0.34f ? small : large;
}

inline float vector_sigmoid(float x) {
    const float e = vector_exp(x < 0.0f ? x : -x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// tanh |x| = 1 - 2 / (exp 2|x| + 1); near 0 the odd polynomial.
inline float vector_tanh(float x) {
    const float a = x < 0.0f ? -x : x;
    const float e = vector_exp(2.0f * a);
    const float t = 1.0f - 2.0f / (e + 1.0f);
    const float square = x * x;
    float p = -5.70498872745e-3f;
    p = p * square + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    const float small = p * square * x + x;
    const float large = x < 0.0f ? -t : t;
    return a < 0.625f ? small : large;
}

// The functors of core/backends/functors.h that these make faster.
struct FastExp {
    float operator()(float x, float) const { return vector_exp(x); }
};
struct FastLog {
    float operator()(float x, float) const { return vector_log(x); }
};
struct FastSigmoid {
    float operator()(float x, float) const { return vector_sigmoid(x); }
};
struct FastTanh {
    float operator()(float x, float) const { return vector_tanh(x); }
};
struct FastSilu {
    float operator()(float x, float) const { return x / (1.0f + vector_exp(-x)); }
};
struct FastElu {
    float operator()(float x, float p) const { return x > 0.0f ? x : p * vector_expm1(x); }
};
struct FastSoftplus {
    float operator()(float x, float p) const {
        const float t = p * x;
        return ((t > 0.0f ? t : (t != t ? t : 0.0f)) + vector_log1p(vector_exp(t > 0.0f ? -t : t))) / p;
    }
};

}  // namespace backlight::cpu
