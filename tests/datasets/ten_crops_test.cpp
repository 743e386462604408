#include <doctest/doctest.h>

#include "datasets/in_memory.h"
#include "datasets/loader.h"
#include "datasets/transforms.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

/// Pictures (3, 4, 1) of the values 0, 1, 2, ... by 255 in rows, each also its own mask.
std::shared_ptr<InMemoryDataset> pictures(int64_t n) {
    std::vector<uint8_t> values;
    std::vector<float> masks;
    for (int64_t i = 0; i < 12 * n; ++i) {
        values.push_back(static_cast<uint8_t>(i));
    }
    auto set = std::make_shared<InMemoryDataset>(
        Shape{3, 4, 1}, values, std::vector<int64_t>(static_cast<size_t>(n)), numbered_classes(1));
    for (const uint8_t value : values) {
        masks.push_back(static_cast<float>(value));
    }
    set->set_masks(masks);
    set->set_transforms({center_crop_to(2, 2)}, {2, 2, 1});
    return set;
}

}  // namespace

TEST_CASE("ten crops: corners, centre, and the same of the mirrored picture, as torchvision orders them") {
    const auto ten = ten_crops(pictures(2));
    CHECK(ten->views() == 10);
    CHECK(ten->sample_shape() == Shape{20, 2, 1});
    CHECK(ten->size() == 2);
    const Example example = ten->get(0);
    //  0 1 2 3     3 2 1 0
    //  4 5 6 7     7 6 5 4
    //  8 9 10 11   11 10 9 8      the centre begins at row round(0.5) = 0, column 1
    const std::vector<float> expected = {0, 1, 4, 5, 2, 3, 6, 7, 4, 5, 8,  9,  6, 7, 10, 11, 1, 2, 5, 6,
                                         3, 2, 7, 6, 1, 0, 5, 4, 7, 6, 11, 10, 5, 4, 9,  8,  2, 1, 6, 5};
    CHECK(example.mask.to_vector<float>() == expected);
    auto input = example.input.to_vector<float>();
    for (float& value : input) {
        value *= 255.0f;
    }
    for (size_t i = 0; i < expected.size(); ++i) {
        CHECK(input[i] == doctest::Approx(expected[i]));
    }
    Loader loader(ten, {.batch_size = 2, .shuffle = false, .augment = false, .workers = 2});
    CHECK(loader.next()->input.shape() == Shape{2, 20, 2, 1});
    CHECK(subset(ten, {1})->views() == 10);
}

TEST_CASE("ten crops: pictures that are not cut, or too small, are refused") {
    const auto set = pictures(1);
    set->set_transforms({}, {3, 4, 1});
    CHECK(contains(error_of([&] { (void)ten_crops(set); }), "not cut out of larger ones"));
    set->set_transforms({center_crop_to(2, 2)}, {2, 2, 1});
    CHECK(contains(error_of([&] { (void)ten_crops(ten_crops(set)); }), "not cut out of larger ones"));
    set->set_transforms({center_crop_to(5, 2)}, {5, 2, 1});
    CHECK(contains(error_of([&] { (void)ten_crops(set)->get(0); }), "has no window of (5, 2)"));
}
