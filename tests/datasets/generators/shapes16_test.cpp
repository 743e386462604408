#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "datasets/generators/builder.h"
#include "datasets/generators/stamp.h"
#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

float sum(const std::vector<float>& values) { return std::accumulate(values.begin(), values.end(), 0.0f); }

/// Value of the top left pixel times the number of classes, minus one: what the decoy says.
float decoy_code(const Example& example) { return example.input.to_vector<float>()[0] * 4 - 1; }

}  // namespace

TEST_CASE("builder: figures have the areas that their formulas give") {
    const auto area = [](Figure figure, int64_t size) {
        int count = 0;
        for (int64_t row = 0; row < size; ++row) {
            for (int64_t column = 0; column < size; ++column) {
                count += covers(figure, size, row, column) ? 1 : 0;
            }
        }
        return count;
    };
    CHECK(area(Figure::square, 7) == 49);
    CHECK(area(Figure::plus, 6) == 6 * 2 * 2 - 4);   // arms two wide
    CHECK(area(Figure::plus, 8) == 8 * 4 * 2 - 16);  // arms four wide
    CHECK(area(Figure::triangle, 6) == 21);
    CHECK(area(Figure::hollow, 9) == 81 - 25);
    CHECK(area(Figure::disk, 6) == 32);     // the corners' 3 pixels are off... 36 - 4
    CHECK(area(Figure::diamond, 7) == 25);  // |u| + |v| <= 3
}

TEST_CASE("builder: equal counts and planned labels") {
    CHECK(even_counts(10, 4) == std::vector<int64_t>{3, 3, 2, 2});
    const std::vector<int64_t> labels = planned_labels({2, 0, 3}, RandomStream(uint64_t{1}));
    CHECK(std::count(labels.begin(), labels.end(), 0) == 2);
    CHECK(std::count(labels.begin(), labels.end(), 2) == 3);
    CHECK(labels.size() == 5);
}

TEST_CASE("shapes16: masks cover the figure, which stands out from the background") {
    const auto source = load_data("shapes16(n=400,noise=0,classes=6)");
    for (int64_t i = 0; i < 400; ++i) {
        const Example example = source->train->get(i);
        const std::vector<float> input = example.input.to_vector<float>(),
                                 mask = example.mask.to_vector<float>();
        for (size_t p = 0; p < mask.size(); ++p) {
            for (size_t c = 0; c < 3; ++c) {
                const float value = input[3 * p + c];
                REQUIRE((mask[p] == 1.0f ? value >= 0.4f && value <= 0.95f : value == 0.25f));
            }
        }
        const int64_t size = source->train->column("size")[static_cast<size_t>(i)];
        REQUIRE(size >= 6);
        REQUIRE(size <= 9);
        if (example.label == 0) {
            REQUIRE(sum(mask) == static_cast<float>(size * size));
        }
    }
}

TEST_CASE("shapes16: classes and sizes are about uniform, and a longer set begins with the shorter one") {
    const auto source = load_data("shapes16(n=2000)");
    for (const int64_t count : source->train->class_counts()) {
        CHECK(std::abs(count - 500) < 5 * 19);
    }
    const std::vector<int64_t>& sizes = source->train->column("size");
    for (int64_t size = 6; size <= 9; ++size) {
        CHECK(std::abs(std::count(sizes.begin(), sizes.end(), size) - 500) < 5 * 19);
    }
    const auto shorter = load_data("shapes16(n=50)");
    CHECK(shorter->train->get(49).input.to_vector<float>() ==
          source->train->get(49).input.to_vector<float>());
}

TEST_CASE("shapes16: a decoy of class d is (d + 1) / K in a free corner") {
    const auto source = load_data("shapes16(n=600,n_test=600,decoy=class)");
    const auto agreement = [](const Dataset& set) {
        int agree = 0;
        for (int64_t i = 0; i < set.size(); ++i) {
            const Example example = set.get(i);
            const std::vector<float> input = example.input.to_vector<float>();
            const std::vector<float> mask = example.mask.to_vector<float>(),
                                     decoy = example.decoy_mask.to_vector<float>();
            REQUIRE(sum(decoy) == 9.0f);
            for (size_t p = 0; p < decoy.size(); ++p) {
                REQUIRE(decoy[p] * mask[p] == 0.0f);
                REQUIRE((decoy[p] == 0.0f || input[3 * p + 2] == input[0]));
            }
            REQUIRE(decoy_code(example) == static_cast<float>(set.column("decoy")[static_cast<size_t>(i)]));
            agree += decoy_code(example) == static_cast<float>(example.label) ? 1 : 0;
        }
        return agree;
    };
    CHECK(agreement(*source->train) == 600);
    CHECK(agreement(*source->split("in_distribution")) == 600);
    const int by_chance = agreement(*source->test);
    CHECK(std::abs(by_chance - 150) < 5 * 11);
    CHECK(source->split("shifted") == source->test);
    // The clean split shows the same figures without the block.
    const std::vector<float> with = source->test->get(3).input.to_vector<float>();
    const std::vector<float> without = source->split("clean")->get(3).input.to_vector<float>();
    CHECK(with[0] != without[0]);
    CHECK(std::equal(with.begin() + 3 * 48, with.end(), without.begin() + 3 * 48));
}

TEST_CASE("shapes16: prescribed counts are met, and then the test set has equal classes") {
    const auto source = load_data("shapes16(counts=90:30:8:3,n_test=120)");
    CHECK(source->train->class_counts() == std::vector<int64_t>{90, 30, 8, 3});
    CHECK(source->test->class_counts() == std::vector<int64_t>{30, 30, 30, 30});
    CHECK(contains(error_of([] { (void)load_data("shapes16(counts=1:2)"); }),
                   "option counts expects 4 numbers, got 2"));
    CHECK(contains(error_of([] { (void)load_data("shapes16(counts=1:2:3:-4)"); }), "numbers >= 0"));
    CHECK(contains(error_of([] { (void)load_data("shapes16(counts=1:2:3:4,n=10)"); }), "either n or counts"));
}

TEST_CASE("shapes16: a stamp marks the asked share of one class, and every image of the stamped split") {
    const auto source = load_data("shapes16(n=800,n_test=100,stamp=0.5,stamp_class=2)");
    const auto plain = load_data("shapes16(n=800,n_test=100)");
    const std::vector<int64_t>& stamped = source->train->column("stamped");
    int64_t count = 0;
    for (int64_t i = 0; i < 800; ++i) {
        std::vector<float> expected = plain->train->get(i).input.to_vector<float>();
        if (stamped[static_cast<size_t>(i)] != 0) {
            REQUIRE(source->train->label(i) == 2);
            ++count;
            for (size_t p = 0; p < 9; ++p) {
                const size_t pixel = 3 * (16 * (p / 3) + p % 3);
                expected[pixel] = expected[pixel + 1] = 1.0f;
                expected[pixel + 2] = 0.0f;
            }
        }
        REQUIRE(source->train->get(i).input.to_vector<float>() == expected);
    }
    const int64_t members = source->train->class_counts()[2];
    CHECK(count == (members + 1) / 2);
    CHECK(source->test->all().input.to_vector<float>() == plain->test->all().input.to_vector<float>());
    CHECK(source->split("stamped")->column("stamped") == std::vector<int64_t>(100, 1));
    CHECK(source->split("stamped")->get(0).input.to_vector<float>()[1] == 1.0f);
    CHECK(source->split("stamped")->get(0).mask.to_vector<float>() ==
          plain->test->get(0).mask.to_vector<float>());
    CHECK(contains(error_of([] { (void)load_data("shapes16(stamp=0.5,decoy=class)"); }),
                   "either decoy or stamp"));
    CHECK_THROWS_AS((void)stamp_all(*load_data("moons")->train), Error);
}

TEST_CASE("shapes16: standardised by the training set, in every split") {
    const auto source = load_data("shapes16(n=300, n_test=50, decoy=class, standardize=true)");
    const auto plain = load_data("shapes16(n=300, n_test=50, decoy=class)");
    const auto values = source->train->all().input.to_vector<float>();
    for (size_t c = 0; c < 3; ++c) {
        double mean = 0, square = 0;
        for (size_t i = c; i < values.size(); i += 3) {
            mean += static_cast<double>(values[i]) * 3 / static_cast<double>(values.size());
            square += static_cast<double>(values[i] * values[i]) * 3 / static_cast<double>(values.size());
        }
        CHECK(std::abs(mean) < 1e-5);
        CHECK(square == doctest::Approx(1).epsilon(1e-5));
    }
    const Normalization& scale = source->train->normalization();
    for (const std::string& name : source->split_names()) {
        const float before = plain->split(name)->get(7).input.to_vector<float>()[400];
        CHECK(source->split(name)->get(7).input.to_vector<float>()[400] ==
              doctest::Approx((before - scale.mean[1]) / scale.std[1]));
    }
}
