// The random numbers of the kernels: element i of a tensor is a pure function of (key, i), written once for
// host and device code, so that every backend, thread count and resume gives the same bits (normals: up to
// the rounding of log, sin and cos).
//   key of the generator   mix(mix(seed) + purpose), mix a bijection of 64 bits
//   counter words          {block of elements, sample, step low, step high}
//   f32   block i/4        uniform: word i%4;  normals: words (0,1) and (2,3) give two each
//   f64   block i/2        uniform: words 2(i%2), 2(i%2)+1;  normals: words (0,1) and (2,3) give two
// Hence f32 and f64 draw different numbers. Under one seed, different purposes, steps or samples never share
// a block. A tensor may have up to 2^33 elements.
// Box and Muller: with u1 in (0, 1], u2 in [0, 1) uniform, sqrt(-2 log u1) (cos, sin)(2 pi u2) are N(0, 1).
#pragma once

#include <cmath>
#include <cstdint>

#include "core/backend.h"
#include "core/backends/functors.h"

namespace backlight::random_values {

/// What all elements of one tensor have in common.
struct Stream {
    uint32_t key[2];
    uint32_t sample;
    uint32_t step[2];
};

/// Finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
BACKLIGHT_HD inline uint64_t mix(uint64_t z) {
    z += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

BACKLIGHT_HD inline Stream stream_of(const RandomKey& key) {
    const uint64_t mixed = mix(mix(key.seed) + key.purpose);
    return {{static_cast<uint32_t>(mixed), static_cast<uint32_t>(mixed >> 32)},
            key.sample,
            {static_cast<uint32_t>(key.step), static_cast<uint32_t>(key.step >> 32)}};
}

BACKLIGHT_HD inline functors::PhiloxBlock block_at(const Stream& stream, uint64_t block) {
    return functors::philox({{static_cast<uint32_t>(block), stream.sample, stream.step[0], stream.step[1]}},
                            stream.key[0], stream.key[1]);
}

/// The elements that one block yields: 4 of f32, 2 of f64.
template <typename T>
inline constexpr int kPerBlock = sizeof(T) == 4 ? 4 : 2;

/// Uniform in [0, 1) from word `lane` (f32) or from the words of pair `lane` (f64).
BACKLIGHT_HD inline float uniform_of(const functors::PhiloxBlock& block, int lane, float /*type*/) {
    return functors::uniform_from_bits(block.word[lane]);
}
BACKLIGHT_HD inline double uniform_of(const functors::PhiloxBlock& block, int lane, double /*type*/) {
    return functors::uniform_from_bits(block.word[2 * lane], block.word[2 * lane + 1]);
}

/// N(0, 1); lanes 2j and 2j+1 are the cosine and the sine of pair j.
BACKLIGHT_HD inline float normal_of(const functors::PhiloxBlock& block, int lane, float /*type*/) {
    const int pair = lane & ~1;
    // All 32 bits and half a step: never 0, hence the logarithm is finite and reaches |z| = 6.8.
    const float u1 = (static_cast<float>(block.word[pair]) + 0.5f) * 2.3283064365386963e-10f;
    const float angle = 6.283185307179586f * functors::uniform_from_bits(block.word[pair + 1]);
    const float radius = std::sqrt(-2.0f * std::log(u1));
    return radius * ((lane & 1) == 0 ? std::cos(angle) : std::sin(angle));
}
BACKLIGHT_HD inline double normal_of(const functors::PhiloxBlock& block, int lane, double type) {
    const double u1 = 1.0 - uniform_of(block, 0, type);  // (0, 1]
    const double angle = 6.283185307179586 * uniform_of(block, 1, type);
    const double radius = std::sqrt(-2.0 * std::log(u1));
    return radius * ((lane & 1) == 0 ? std::cos(angle) : std::sin(angle));
}

/// Element i of a tensor of T.
template <typename T>
BACKLIGHT_HD inline T uniform_at(const Stream& stream, uint64_t i) {
    return uniform_of(block_at(stream, i / kPerBlock<T>), static_cast<int>(i % kPerBlock<T>), T{});
}
template <typename T>
BACKLIGHT_HD inline T normal_at(const Stream& stream, uint64_t i) {
    return normal_of(block_at(stream, i / kPerBlock<T>), static_cast<int>(i % kPerBlock<T>), T{});
}
template <typename T>
BACKLIGHT_HD inline T bernoulli_at(const Stream& stream, uint64_t i, double probability) {
    return T(static_cast<double>(uniform_at<T>(stream, i)) < probability);
}

}  // namespace backlight::random_values
