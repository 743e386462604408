#include "datasets/transforms.h"

#include <doctest/doctest.h>

#include <set>

#include "datasets/in_memory.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

RawSample sample_of(int64_t height, int64_t width) {
    RawSample sample{.input = Image(height, width, 1), .mask = Image(height, width, 1), .decoy = {}};
    for (size_t i = 0; i < sample.input.values.size(); ++i) {
        sample.input.values[i] = sample.mask.values[i] = static_cast<float>(i + 1);
    }
    return sample;
}

}  // namespace

TEST_CASE("transforms: input and mask move together") {
    const std::vector<TransformPtr> all{resize_to(5, 5),      resize_shorter_to(5), center_crop_to(3, 4),
                                        random_crop(6, 6, 2), random_flip(0.5),     random_resized_crop(4)};
    for (const TransformPtr& transform : all) {
        for (uint64_t seed = 0; seed < 8; ++seed) {
            RawSample sample = sample_of(6, 6);
            RandomStream random(seed);
            transform->apply(sample, &random);
            CHECK(sample.input.values == sample.mask.values);
            CHECK(sample.input.height == sample.mask.height);
            CHECK(sample.decoy.empty());
        }
    }
}

TEST_CASE("transforms: the fixed forms") {
    RawSample sample = sample_of(4, 4);
    random_flip(1.0)->apply(sample, nullptr);
    CHECK(sample.input.at(0, 0) == 1.0f);
    random_crop(2, 2, 1)->apply(sample, nullptr);
    CHECK(sample.input.values == std::vector<float>{6, 7, 10, 11});

    RawSample wide = sample_of(4, 8);
    random_resized_crop(4)->apply(wide, nullptr);
    CHECK(wide.input.height == 4);
    CHECK(wide.input.width == 4);
    CHECK(wide.input.at(0, 0) == 3.0f);
}

TEST_CASE("transforms: a random crop reaches every place, padding included") {
    std::set<std::vector<float>> windows;
    for (uint64_t seed = 0; seed < 300; ++seed) {
        RawSample sample = sample_of(3, 3);
        RandomStream random(seed);
        random_crop(3, 3, 1)->apply(sample, &random);
        windows.insert(sample.input.values);
    }
    CHECK(windows.size() == 9);
    RawSample small = sample_of(3, 3);
    CHECK(
        contains(error_of([&] { random_crop(6, 6, 1)->apply(small, nullptr); }), "has no window of (6, 6)"));
}

TEST_CASE("transforms: a flip comes about as often as asked") {
    int flips = 0;
    for (uint64_t seed = 0; seed < 1000; ++seed) {
        RawSample sample = sample_of(1, 2);
        RandomStream random(seed);
        random_flip(0.3)->apply(sample, &random);
        flips += sample.input.at(0, 0) == 2.0f ? 1 : 0;
    }
    CHECK(std::abs(flips - 300) < 5 * 15);
}

TEST_CASE("transforms: in a data set they follow seed, epoch, sample and repeat, and nothing else") {
    std::vector<uint8_t> values(20 * 8 * 8);
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<uint8_t>(i * 7);
    }
    InMemoryDataset set({8, 8, 1}, std::move(values), std::vector<int64_t>(20, 0), {"only"});
    CHECK(set.is_quick());
    set.set_transforms({random_crop(8, 8, 4), random_flip()}, {8, 8, 1});
    CHECK_FALSE(set.is_quick());
    const auto draw = [&](int64_t index, uint64_t seed, uint64_t epoch, uint32_t repeat = 0) {
        return set.get(index, RandomDraw{seed, epoch, repeat}).input.to_vector<float>();
    };
    int same_seed = 0, same_epoch = 0, same_repeat = 0;
    for (int64_t i = 0; i < 20; ++i) {
        CHECK(draw(i, 1, 2) == draw(i, 1, 2));
        same_seed += draw(i, 1, 2) == draw(i, 2, 2) ? 1 : 0;
        same_epoch += draw(i, 1, 2) == draw(i, 1, 3) ? 1 : 0;
        same_repeat += draw(i, 1, 2) == draw(i, 1, 2, 1) ? 1 : 0;
        CHECK(set.get(i).input.to_vector<float>() == set.get(i).input.to_vector<float>());
    }
    CHECK(same_seed < 5);  // 162 windows and mirrors: a chance meeting is rare
    CHECK(same_epoch < 5);
    CHECK(same_repeat < 5);
}

TEST_CASE("transforms: impossible arguments are refused") {
    CHECK_THROWS_AS((void)resize_to(0, 3), Error);
    CHECK_THROWS_AS((void)random_crop(3, 3, -1), Error);
    CHECK_THROWS_AS((void)random_flip(1.5), Error);
    CHECK_THROWS_AS((void)random_resized_crop(8, 0.0), Error);
}
