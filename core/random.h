// RandomStream: random numbers for code on the host, one after another from the counter-based generator.
// A stream is a key and a position: the same key gives the same numbers, under one seed streams of different
// keys never meet, and a position can be saved and restored. The numbers are those of the kernels: under the
// same key, a new stream's fill_uniform and fill_normal give the bits of Backend::random_uniform and
// random_normal into an f32 tensor. A stream has 2^34 words.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/backend.h"

namespace backlight {

/// Values for RandomKey::purpose: what the numbers are for. Different purposes share nothing.
namespace purpose {
inline constexpr uint32_t kGeneral = 0, kDataset = 1, kOrder = 2, kTransform = 3, kWeights = 4, kDropout = 5,
                          kAugmentation = 6, kExplainer = 7, kExperiment = 8, kMetric = 9;
}  // namespace purpose

class RandomStream {
public:
    /// Where a stream stands; enough to continue it bit for bit.
    struct State {
        RandomKey key;
        uint64_t position = 0;  // 32-bit words drawn so far
    };

    explicit RandomStream(uint64_t seed) : RandomStream(RandomKey{.seed = seed}) {}
    explicit RandomStream(const RandomKey& key);
    explicit RandomStream(const State& state) : RandomStream(state.key) { position_ = state.position; }

    [[nodiscard]] State state() const { return {key_, position_}; }

    /// 32 random bits: word `position` of the stream.
    uint32_t bits();
    /// In [0, 1), a multiple of 2^-53.
    double uniform();
    /// In [low, high).
    double uniform(double low, double high) { return low + (high - low) * uniform(); }
    /// N(0, 1) by Box and Muller.
    double normal();
    double normal(double mean, double deviation) { return mean + deviation * normal(); }
    /// Uniform over 0..n-1, without bias. Throws Error unless n >= 1.
    int64_t below(int64_t n);
    /// Uniform over low..high, both included.
    int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
    bool bernoulli(double probability) { return uniform() < probability; }
    /// +1 or -1.
    int sign() { return (bits() & 1U) != 0 ? 1 : -1; }
    /// Index i with probability weights[i] / sum. Throws Error when a weight is negative or none is positive.
    int64_t categorical(std::span<const double> weights);

    /// Uniform with 24 bits, one word each.
    void fill_uniform(std::span<float> values, float low = 0.0f, float high = 1.0f);
    /// Four values from each block of four words, beginning with the next whole block.
    void fill_normal(std::span<float> values, float mean = 0.0f, float deviation = 1.0f);

    /// Fisher and Yates.
    template <typename T>
    void shuffle(std::span<T> values) {
        for (size_t i = values.size(); i > 1; --i) {
            std::swap(values[i - 1], values[static_cast<size_t>(below(static_cast<int64_t>(i)))]);
        }
    }
    template <typename T>
    void shuffle(std::vector<T>& values) {
        shuffle(std::span<T>(values));
    }
    /// 0..n-1 in random order.
    [[nodiscard]] std::vector<int64_t> permutation(int64_t n);
    /// k different numbers of 0..n-1 in random order. Throws Error when k > n.
    [[nodiscard]] std::vector<int64_t> sample(int64_t n, int64_t k);

private:
    RandomKey key_;
    std::array<uint32_t, 2> generator_key_;
    std::array<uint32_t, 4> block_{};
    uint64_t block_index_ = ~uint64_t{0};  // which block `block_` holds
    uint64_t position_ = 0;
};

}  // namespace backlight
