#include "core/backends/random_values.h"

#include <algorithm>
#include <vector>

#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

template <typename T>
std::vector<T> uniform(int64_t count, const RandomKey& key) {
    Tensor y = output<T>({count});
    reference_backend().random_uniform(y, key);
    return y.to_vector<T>();
}
template <typename T>
std::vector<T> normal(int64_t count, const RandomKey& key) {
    Tensor y = output<T>({count});
    reference_backend().random_normal(y, key);
    return y.to_vector<T>();
}

struct Moments {
    double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};
template <typename T>
Moments moments_of(const std::vector<T>& values) {
    const auto count = static_cast<double>(values.size());
    Moments m;
    for (const T value : values) {
        m.mean += static_cast<double>(value) / count;
    }
    for (const T value : values) {
        const double d = static_cast<double>(value) - m.mean;
        m.variance += d * d / count;
        m.skewness += d * d * d / count;
        m.kurtosis += d * d * d * d / count;
    }
    return m;
}

}  // namespace

TEST_CASE("philox: the known answers of the authors' library") {
    const auto check = [](functors::PhiloxBlock counter, uint32_t key0, uint32_t key1,
                          std::vector<uint32_t> expected) {
        const functors::PhiloxBlock block = functors::philox(counter, key0, key1);
        CHECK(std::vector<uint32_t>(block.word, block.word + 4) == expected);
    };
    check({{0, 0, 0, 0}}, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    const uint32_t ones = 0xffffffff;
    check({{ones, ones, ones, ones}}, ones, ones, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    // Digits of pi.
    check({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
          {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: bits become uniform numbers below one") {
    CHECK(functors::uniform_from_bits(uint32_t{0}) == 0.0f);
    CHECK(functors::uniform_from_bits(0xffffffffU) == 1.0f - 0x1p-24f);
    CHECK(functors::uniform_from_bits(0x80000000U) == 0.5f);
    CHECK(functors::uniform_from_bits(0, 0) == 0.0);
    CHECK(functors::uniform_from_bits(0xffffffffU, 0xffffffffU) == 1.0 - 0x1p-53);
    CHECK(functors::uniform_from_bits(0x80000000U, 0) == 0.5);
}

TEST_CASE("random: element i is the documented word of the documented block") {
    const RandomKey key{.seed = 42, .purpose = 3, .step = (uint64_t{5} << 32) | 7, .sample = 11};
    const auto stream = random_values::stream_of(key);
    const auto block = functors::philox({{1, 11, 7, 5}}, stream.key[0], stream.key[1]);
    CHECK(uniform<float>(8, key)[6] == functors::uniform_from_bits(block.word[2]));
    CHECK(uniform<double>(8, key)[3] == functors::uniform_from_bits(block.word[2], block.word[3]));
}

TEST_CASE_TEMPLATE("random: an element depends on the key and its position, not on the length", T, float,
                   double) {
    const RandomKey key{.seed = 9, .purpose = 1, .step = 2, .sample = 3};
    for (const auto& draw : {uniform<T>, normal<T>}) {
        const auto longer = draw(1003, key);
        const auto shorter = draw(17, key);
        CHECK(std::vector<T>(longer.begin(), longer.begin() + 17) == shorter);
        CHECK(draw(1003, key) == longer);
    }
    CHECK(uniform<T>(0, key).empty());
}

TEST_CASE_TEMPLATE("random: every part of the key changes the numbers", T, float, double) {
    const RandomKey key{.seed = 9, .purpose = 1, .step = 2, .sample = 3};
    const auto base = uniform<T>(16, key);
    std::vector<RandomKey> others(6, key);
    others[0].seed = 10;
    others[1].seed = key.seed | uint64_t{1} << 40;
    others[2].purpose = 2;
    others[3].step = 3;
    others[4].step = key.step | uint64_t{1} << 40;
    others[5].sample = 4;
    for (const RandomKey& other : others) {
        const auto values = uniform<T>(16, other);
        for (size_t i = 0; i < values.size(); ++i) {
            CHECK(values[i] != base[i]);  // equal by chance with probability 2^-24 each; the key is fixed
        }
    }
}

TEST_CASE_TEMPLATE("random: uniform numbers have the moments of the uniform distribution", T, float, double) {
    constexpr int64_t kCount = 200000;
    const auto values = uniform<T>(kCount, {.seed = seed()});
    BACKLIGHT_CAPTURE_SEED();
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    CHECK(*low >= T{0});
    CHECK(*high < T{1});
    const Moments m = moments_of(values);
    // Five standard errors: deviation of the mean sqrt(1/12 / n), of the variance sqrt(1/180 / n).
    CHECK(std::abs(m.mean - 0.5) < 5 * std::sqrt(1.0 / 12 / kCount));
    CHECK(std::abs(m.variance - 1.0 / 12) < 5 * std::sqrt(1.0 / 180 / kCount));
}

TEST_CASE_TEMPLATE("random: normal numbers have the moments of N(0, 1), and neighbours are not correlated", T,
                   float, double) {
    constexpr int64_t kCount = 200000;
    const auto values = normal<T>(kCount, {.seed = seed(), .purpose = 1});
    BACKLIGHT_CAPTURE_SEED();
    const Moments m = moments_of(values);
    // Five standard errors: of the k-th moment sqrt((E z^2k - (E z^k)^2) / n).
    CHECK(std::abs(m.mean) < 5 * std::sqrt(1.0 / kCount));
    CHECK(std::abs(m.variance - 1) < 5 * std::sqrt(2.0 / kCount));
    CHECK(std::abs(m.skewness) < 5 * std::sqrt(15.0 / kCount));
    CHECK(std::abs(m.kurtosis - 3) < 5 * std::sqrt(96.0 / kCount));
    for (const size_t distance : {1, 2, 3}) {
        double product = 0;
        for (size_t i = distance; i < values.size(); ++i) {
            product += static_cast<double>(values[i] * values[i - distance]) / kCount;
        }
        CHECK(std::abs(product) < 5 * std::sqrt(1.0 / kCount));
    }
}

TEST_CASE_TEMPLATE("random: bernoulli is one exactly where the uniform number lies below p", T, float,
                   double) {
    const RandomKey key{.seed = 4, .purpose = 8};
    const auto numbers = uniform<T>(1000, key);
    for (const double p : {0.0, 0.25, 0.9, 1.0}) {
        Tensor y = output<T>({1000});
        reference_backend().random_bernoulli(y, p, key);
        const auto values = y.to_vector<T>();
        for (size_t i = 0; i < values.size(); ++i) {
            CHECK(values[i] == T(static_cast<double>(numbers[i]) < p));
        }
    }
}

TEST_CASE("random: integers are refused with the types that have a kernel") {
    Tensor y = Tensor::empty({2}, DType::i64);
    CHECK(error_text([&] { reference_backend().random_uniform(y, {}); }) ==
          "random_uniform: no kernel for int64; float32 and float64 have one");
}
