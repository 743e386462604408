#include "core/random.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "core/backends/functors.h"
#include "core/backends/random_values.h"
#include "core/error.h"

namespace backlight {

RandomStream::RandomStream(const RandomKey& key) : key_(key) {
    const random_values::Stream stream = random_values::stream_of(key);
    generator_key_ = {stream.key[0], stream.key[1]};
}

uint32_t RandomStream::bits() {
    const uint64_t index = position_ / 4;
    if (index != block_index_) {
        const random_values::Stream stream{
            {generator_key_[0], generator_key_[1]},
            key_.sample,
            {static_cast<uint32_t>(key_.step), static_cast<uint32_t>(key_.step >> 32)}};
        const functors::PhiloxBlock block = random_values::block_at(stream, index);
        block_ = {block.word[0], block.word[1], block.word[2], block.word[3]};
        block_index_ = index;
    }
    return block_[position_++ % 4];
}

double RandomStream::uniform() {
    const uint32_t high = bits();
    return functors::uniform_from_bits(high, bits());
}

double RandomStream::normal() {
    const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));  // 1 - u is in (0, 1]
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

// x -> floor(x n / 2^64) takes each value for floor(2^64 / n) or one more of the x; the 2^64 mod n products
// with the smallest fractions are the surplus and are drawn again (Lemire, "Fast random integer generation in
// an interval", 2019).
int64_t RandomStream::below(int64_t n) {
    BACKLIGHT_CHECK(n >= 1, "random: below(n) expects n >= 1, got ", n);
    __extension__ typedef unsigned __int128
        Wide;  // NOLINT(modernize-use-using): only this form is marked as an extension
    const auto range = static_cast<uint64_t>(n);
    const uint64_t surplus = (0 - range) % range;
    for (;;) {
        const uint64_t high = bits();
        const Wide product = Wide{(high << 32) | bits()} * range;
        if (static_cast<uint64_t>(product) >= surplus) {
            return static_cast<int64_t>(product >> 64);
        }
    }
}

int64_t RandomStream::categorical(std::span<const double> weights) {
    double total = 0;
    for (const double weight : weights) {
        BACKLIGHT_CHECK(weight >= 0, "random: categorical expects weights >= 0, got ", weight);
        total += weight;
    }
    BACKLIGHT_CHECK(total > 0 && std::isfinite(total),
                    "random: categorical expects a positive finite sum, got ", total);
    double rest = uniform() * total;
    int64_t last = 0;  // rounding may leave a rest behind the last positive weight
    for (size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] > 0) {
            last = static_cast<int64_t>(i);
            if (rest < weights[i]) {
                break;
            }
            rest -= weights[i];
        }
    }
    return last;
}

void RandomStream::fill_uniform(std::span<float> values, float low, float high) {
    for (float& value : values) {
        value = low + (high - low) * functors::uniform_from_bits(bits());
    }
}

void RandomStream::fill_normal(std::span<float> values, float mean, float deviation) {
    position_ = (position_ + 3) / 4 * 4;
    for (size_t i = 0; i < values.size(); i += 4) {
        functors::PhiloxBlock block{};
        for (uint32_t& word : block.word) {
            word = bits();
        }
        for (size_t lane = 0; lane < 4 && i + lane < values.size(); ++lane) {
            values[i + lane] =
                mean + deviation * random_values::normal_of(block, static_cast<int>(lane), 0.0f);
        }
    }
}

std::vector<int64_t> RandomStream::permutation(int64_t n) {
    BACKLIGHT_CHECK(n >= 0, "random: permutation(n) expects n >= 0, got ", n);
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    shuffle(order);
    return order;
}

std::vector<int64_t> RandomStream::sample(int64_t n, int64_t k) {
    BACKLIGHT_CHECK(k >= 0 && k <= n, "random: sample expects 0 <= k <= n, got k=", k, " n=", n);
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t{0});
    for (int64_t i = 0; i < k; ++i) {
        std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i + below(n - i))]);
    }
    order.resize(static_cast<size_t>(k));
    return order;
}

}  // namespace backlight
