#include "core/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "core/tensor.h"

using namespace backlight;

TEST_CASE("random: a stream gives the bits of the kernels under the same key") {
    const RandomKey key{.seed = 0x123456789abcdef, .purpose = 5, .step = uint64_t{7} << 35, .sample = 9};
    constexpr int64_t kCount = 1001;
    Tensor uniform = Tensor::empty({kCount});
    Tensor normal = Tensor::empty({kCount});
    uniform.backend().random_uniform(uniform, key);
    normal.backend().random_normal(normal, key);
    std::vector<float> values(kCount);
    RandomStream(key).fill_uniform(values);
    CHECK(values == uniform.to_vector<float>());
    RandomStream(key).fill_normal(values);
    const std::vector<float> expected = normal.to_vector<float>();
    for (size_t i = 0; i < values.size(); ++i) {
        REQUIRE(std::abs(values[i] - expected[i]) <=
                1e-5f);  // another backend may round log, sin and cos otherwise
    }
}

TEST_CASE("random: the same key repeats, any other differs") {
    const RandomKey base{.seed = 1, .purpose = 2, .step = 3, .sample = 4};
    const auto draw = [](const RandomKey& key) {
        RandomStream random(key);
        std::vector<uint32_t> words(64);
        std::generate(words.begin(), words.end(), [&] { return random.bits(); });
        return words;
    };
    CHECK(draw(base) == draw(base));
    std::vector<RandomKey> others(4, base);
    others[0].seed = 2;
    others[1].purpose = 3;
    others[2].step = 4;
    others[3].sample = 5;
    const std::vector<uint32_t> mine = draw(base);
    for (const RandomKey& key : others) {
        const std::vector<uint32_t> theirs = draw(key);
        for (size_t i = 0; i < mine.size(); ++i) {
            CHECK(mine[i] != theirs[i]);  // a chance of 64 * 4 / 2^32 to be equal somewhere
        }
    }
}

TEST_CASE("random: a state continues bit for bit, from any position") {
    for (const int skipped : {0, 1, 3, 4, 7, 100}) {
        RandomStream random(RandomKey{.seed = 11});
        for (int i = 0; i < skipped; ++i) {
            (void)random.bits();
        }
        RandomStream continued(random.state());
        CHECK(continued.state().position == static_cast<uint64_t>(skipped));
        for (int i = 0; i < 20; ++i) {
            CHECK(random.normal() == continued.normal());
            CHECK(random.below(1000) == continued.below(1000));
        }
        std::vector<float> a(5), b(5);
        random.fill_normal(a);
        continued.fill_normal(b);
        CHECK(a == b);
    }
}

TEST_CASE("random: normals begin with the next whole block") {
    RandomStream aligned(RandomStream::State{.key = {.seed = 8}, .position = 4});
    std::vector<float> expected(6);
    aligned.fill_normal(expected);
    for (int skipped = 1; skipped <= 4; ++skipped) {
        RandomStream random(RandomKey{.seed = 8});
        for (int i = 0; i < skipped; ++i) {
            (void)random.bits();
        }
        std::vector<float> values(6);
        random.fill_normal(values);
        CHECK(values == expected);
        CHECK(random.state().position == 12);
    }
}

TEST_CASE("random: moments of uniform and normal") {
    RandomStream random(RandomKey{.seed = 3});
    constexpr int kCount = 100'000;
    double sum = 0, square = 0, normal_sum = 0, normal_square = 0, fourth = 0;
    for (int i = 0; i < kCount; ++i) {
        const double u = random.uniform();
        REQUIRE(u >= 0);
        REQUIRE(u < 1);
        sum += u;
        square += u * u;
        const double z = random.normal();
        normal_sum += z;
        normal_square += z * z;
        fourth += z * z * z * z;
    }
    // Bounds of about five standard errors.
    CHECK(std::abs(sum / kCount - 0.5) < 5 * 0.289 / std::sqrt(kCount));
    CHECK(std::abs(square / kCount - 1.0 / 3.0) < 5 * 0.298 / std::sqrt(kCount));
    CHECK(std::abs(normal_sum / kCount) < 5 / std::sqrt(kCount));
    CHECK(std::abs(normal_square / kCount - 1) < 5 * 1.414 / std::sqrt(kCount));
    CHECK(std::abs(fourth / kCount - 3) < 5 * 9.8 / std::sqrt(kCount));
}

TEST_CASE("random: below is uniform and reaches both ends") {
    RandomStream random(RandomKey{.seed = 4});
    std::vector<int> counts(7, 0);
    for (int i = 0; i < 70'000; ++i) {
        const int64_t x = random.below(7);
        REQUIRE(x >= 0);
        REQUIRE(x < 7);
        ++counts[static_cast<size_t>(x)];
    }
    for (const int count : counts) {
        CHECK(std::abs(count - 10'000) < 5 * 93);
    }
    std::set<int64_t> seen;
    for (int i = 0; i < 200; ++i) {
        seen.insert(random.between(-1, 1));
    }
    CHECK(seen == std::set<int64_t>{-1, 0, 1});
    CHECK(random.below(1) == 0);
    // 3/4 of the words would be redrawn here if the range were not used well; a biased multiply would miss
    // the top.
    int64_t largest = 0;
    for (int i = 0; i < 1000; ++i) {
        largest = std::max(largest, random.below(INT64_MAX));
    }
    CHECK(largest > INT64_MAX / 100 * 98);
    CHECK_THROWS_WITH_AS((void)random.below(0), "random: below(n) expects n >= 1, got 0", Error);
}

TEST_CASE("random: permutations and samples") {
    RandomStream random(RandomKey{.seed = 5});
    std::vector<int64_t> order = random.permutation(100);
    CHECK_FALSE(std::is_sorted(order.begin(), order.end()));
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < 100; ++i) {
        CHECK(order[static_cast<size_t>(i)] == i);
    }
    CHECK(random.permutation(0).empty());
    // Each of the six orders of three things appears about equally often.
    std::map<std::vector<int64_t>, int> counts;
    for (int i = 0; i < 6000; ++i) {
        ++counts[random.permutation(3)];
    }
    CHECK(counts.size() == 6);
    for (const auto& [permutation, count] : counts) {
        CHECK(std::abs(count - 1000) < 5 * 29);
    }
    const std::vector<int64_t> some = random.sample(10, 4);
    CHECK(std::set<int64_t>(some.begin(), some.end()).size() == 4);
    CHECK_THROWS_AS((void)random.sample(3, 4), Error);
}

TEST_CASE("random: categorical follows its weights and refuses impossible ones") {
    RandomStream random(RandomKey{.seed = 6});
    const std::vector<double> weights{1, 0, 3};
    std::vector<int> counts(3, 0);
    for (int i = 0; i < 40'000; ++i) {
        ++counts[static_cast<size_t>(random.categorical(weights))];
    }
    CHECK(counts[1] == 0);
    CHECK(std::abs(counts[0] - 10'000) < 5 * 87);
    CHECK_THROWS_AS((void)random.categorical(std::vector<double>{0, 0}), Error);
    CHECK_THROWS_AS((void)random.categorical(std::vector<double>{1, -1}), Error);
}
