// Random tensors: the values of core/backends/random_values.h, a block of counters at a time so that the
// generator and Box and Muller's transformation run in vector registers.
#include <array>
#include <bit>
#include <cmath>

#include "core/backends/buffer.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/parallel.h"
#include "core/backends/cpu/vector_math.h"
#include "core/backends/random_values.h"

namespace backlight {
namespace {

using random_values::Stream;

constexpr int64_t kCounters = 64;             // counters of one pass
constexpr int64_t kElements = 4 * kCounters;  // and the f32 elements that they yield

using Words = std::array<std::array<uint32_t, kCounters>, 4>;

// words[k][i]: word k of block first + i. The rounds of functors::philox for all counters at once.
BACKLIGHT_CLONES void philox_blocks(const Stream& stream, uint32_t first, Words& words) {
    uint32_t key0 = stream.key[0];
    uint32_t key1 = stream.key[1];
    for (int64_t i = 0; i < kCounters; ++i) {
        const auto k = static_cast<size_t>(i);
        words[0][k] = first + static_cast<uint32_t>(i);
        words[1][k] = stream.sample;
        words[2][k] = stream.step[0];
        words[3][k] = stream.step[1];
    }
    for (int round = 0; round < 10; ++round) {
        for (size_t i = 0; i < kCounters; ++i) {
            const uint64_t product0 = uint64_t{0xD2511F53U} * words[0][i];
            const uint64_t product1 = uint64_t{0xCD9E8D57U} * words[2][i];
            words[0][i] = static_cast<uint32_t>(product1 >> 32) ^ words[1][i] ^ key0;
            words[2][i] = static_cast<uint32_t>(product0 >> 32) ^ words[3][i] ^ key1;
            words[1][i] = static_cast<uint32_t>(product1);
            words[3][i] = static_cast<uint32_t>(product0);
        }
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
    }
}

// cos and sin of an angle in [0, 2 pi]: quarter turns are taken off in three parts (Cody and Waite), then the
// polynomials of Cephes' sinf.c for |r| <= pi/4.
struct CosineSine {
    float cosine, sine;
};
inline CosineSine cosine_sine(float angle) {
    constexpr float kRound = 12582912.0f;
    const float shifted = angle * 0.63661977236758134f + kRound;
    const uint32_t quarter = std::bit_cast<uint32_t>(shifted);  // its two low bits count
    const float n = shifted - kRound;
    const float r = ((angle - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978995489188216e-8f;
    const float square = r * r;
    const float sine =
        ((-1.9515295891e-4f * square + 8.3321608736e-3f) * square - 1.6666654611e-1f) * square * r + r;
    const float cosine =
        ((2.443315711809948e-5f * square - 1.388731625493765e-3f) * square + 4.166664568298827e-2f) * square *
            square -
        0.5f * square + 1.0f;
    const bool odd = (quarter & 1U) != 0;
    const float for_cosine = odd ? sine : cosine;
    const float for_sine = odd ? cosine : sine;
    return {((quarter + 1U) & 2U) != 0 ? -for_cosine : for_cosine,
            (quarter & 2U) != 0 ? -for_sine : for_sine};
}

// y[4 i + 2 pair + (0, 1)] for all counters i; random_values::normal_of.
BACKLIGHT_CLONES void normal_loop(const Words& words, float* y) {
    for (size_t pair = 0; pair < 4; pair += 2) {
        float cosine[kCounters];
        float sine[kCounters];
        for (size_t i = 0; i < kCounters; ++i) {
            const float u1 = (static_cast<float>(words[pair][i]) + 0.5f) * 2.3283064365386963e-10f;
            const float angle = 6.283185307179586f * functors::uniform_from_bits(words[pair + 1][i]);
            const float radius = std::sqrt(-2.0f * cpu::vector_log_normal(u1, 0.0f));
            const CosineSine both = cosine_sine(angle);
            cosine[i] = radius * both.cosine;
            sine[i] = radius * both.sine;
        }
        for (size_t i = 0; i < kCounters; ++i) {
            y[4 * i + pair] = cosine[i];
            y[4 * i + pair + 1] = sine[i];
        }
    }
}

BACKLIGHT_CLONES void uniform_loop(const Words& words, float* y) {
    for (size_t i = 0; i < kCounters; ++i) {
        for (size_t k = 0; k < 4; ++k) {
            y[4 * i + k] = functors::uniform_from_bits(words[k][i]);
        }
    }
}

BACKLIGHT_CLONES void bernoulli_loop(const Words& words, double probability, float* y) {
    for (size_t i = 0; i < kCounters; ++i) {
        for (size_t k = 0; k < 4; ++k) {
            y[4 * i + k] =
                static_cast<double>(functors::uniform_from_bits(words[k][i])) < probability ? 1.0f : 0.0f;
        }
    }
}

// make(words, out): the kElements elements that the words of a pass yield.
template <typename Make>
void fill_random(Tensor& y, const RandomKey& key, Make make) {
    const Stream stream = random_values::stream_of(key);
    auto* out = buffer<float>(y);
    cpu::parallel_ranges(y.numel(), cpu::kParallelElements / 8, kElements, [=](int64_t begin, int64_t end) {
        Words words;
        for (int64_t at = begin; at < end; at += kElements) {
            philox_blocks(stream, static_cast<uint32_t>(at / 4), words);
            if (end - at >= kElements) {
                make(words, out + at);
            } else {
                float last[kElements];
                make(words, static_cast<float*>(last));
                std::copy_n(static_cast<const float*>(last), end - at, out + at);
            }
        }
    });
}

}  // namespace

void CpuBackend::random_uniform(Tensor& y, const RandomKey& key) {
    if (y.dtype() != DType::f32) {
        return ReferenceBackend::random_uniform(y, key);
    }
    fill_random(y, key, uniform_loop);
}

void CpuBackend::random_normal(Tensor& y, const RandomKey& key) {
    if (y.dtype() != DType::f32) {
        return ReferenceBackend::random_normal(y, key);
    }
    fill_random(y, key, normal_loop);
}

void CpuBackend::random_bernoulli(Tensor& y, double probability, const RandomKey& key) {
    if (y.dtype() != DType::f32) {
        return ReferenceBackend::random_bernoulli(y, probability, key);
    }
    fill_random(y, key, [=](const Words& words, float* out) { bernoulli_loop(words, probability, out); });
}

}  // namespace backlight
