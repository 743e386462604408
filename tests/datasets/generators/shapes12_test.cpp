#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

/// The four 2x2 corners' first pixels, in the order of corner numbers.
std::vector<float> corners(const Dataset& set, int64_t i) {
    const RawSample sample = set.load(i);
    return {sample.input.at(0, 0), sample.input.at(0, 11), sample.input.at(11, 0), sample.input.at(11, 11)};
}

}  // namespace

TEST_CASE("shapes12: the mask is the glyph of the class") {
    const auto source = load_data("shapes12(n=400,sigma=0)");
    const std::vector<float> areas{9, 9, 16, 9};
    for (int64_t i = 0; i < 400; ++i) {
        const RawSample sample = source->train->load(i);
        const auto label = static_cast<size_t>(source->train->label(i));
        float amplitude = 0, area = 0;
        for (size_t p = 0; p < 144; ++p) {
            area += sample.mask.values[p];
            amplitude = std::max(amplitude, sample.input.values[p]);
        }
        REQUIRE(area == areas[label]);
        REQUIRE(amplitude >= 0.6f);
        REQUIRE(amplitude <= 1.0f);
        for (size_t p = 0; p < 144; ++p) {
            REQUIRE(sample.input.values[p] == amplitude * sample.mask.values[p]);
            const bool outside = p / 12 < 2 || p / 12 > 9 || p % 12 < 2 || p % 12 > 9;
            REQUIRE((!outside || sample.mask.values[p] == 0));
        }
    }
}

TEST_CASE("shapes12: noise has the given deviation and no clipping unless asked") {
    const auto source = load_data("shapes12(n=200,sigma=0.3)");
    double sum = 0, square = 0, count = 0;
    for (int64_t i = 0; i < 200; ++i) {
        const RawSample sample = source->train->load(i);
        for (size_t p = 0; p < 144; ++p) {
            if (sample.mask.values[p] == 0) {
                sum += sample.input.values[p];
                square += sample.input.values[p] * sample.input.values[p];
                ++count;
            }
        }
    }
    CHECK(std::abs(sum / count) < 5 * 0.3 / std::sqrt(count));
    CHECK(std::abs(std::sqrt(square / count) - 0.3) < 5 * 0.3 / std::sqrt(2 * count));
    CHECK(source->train->input_range().low[0] < -0.8f);
    const auto clipped = load_data("shapes12(n=50,clip=true,symmetric=true)");
    CHECK(clipped->train->input_range().low[0] == -1.0f);
    CHECK(clipped->train->input_range().high[0] == 1.0f);
    const std::vector<float> values = clipped->train->all().input.to_vector<float>();
    CHECK(*std::min_element(values.begin(), values.end()) == -1.0f);
}

TEST_CASE("corner_decoy: the bright corner is the class in training and uniform in the test set") {
    const auto source = load_data("corner_decoy(sigma=0)");
    const auto agreement = [](const Dataset& set) {
        int64_t agree = 0;
        for (int64_t i = 0; i < set.size(); ++i) {
            const std::vector<float> values = corners(set, i);
            REQUIRE(std::accumulate(values.begin(), values.end(), 0.0f) == 1.0f);
            agree += values[static_cast<size_t>(set.label(i))] == 1.0f ? 1 : 0;
        }
        return agree;
    };
    CHECK(agreement(*source->train) == 600);
    CHECK(agreement(*source->split("in_distribution")) == 2000);
    CHECK(std::abs(agreement(*source->test) - 500) < 5 * 20);
    CHECK(source->test == source->split("shifted"));
    CHECK(corners(*source->split("clean"), 0) == std::vector<float>{0, 0, 0, 0});
    const std::vector<float> annotation = source->train->get(0).decoy_mask.to_vector<float>();
    CHECK(std::accumulate(annotation.begin(), annotation.end(), 0.0f) == 16.0f);
    for (const size_t p : {0, 1, 12, 13, 10, 11, 22, 23, 120, 121, 132, 133, 130, 131, 142, 143}) {
        CHECK(annotation[p] == 1.0f);
    }
    CHECK(source->train->has_masks());
}

TEST_CASE("grey_decoy: the grey codes the class, reversed in the test set") {
    const auto source = load_data("grey_decoy(sigma=0)");
    const auto check = [](const Dataset& set, auto code) {
        std::vector<int64_t> used(4, 0);
        for (int64_t i = 0; i < set.size(); ++i) {
            const std::vector<float> values = corners(set, i);
            const float wanted = code(static_cast<float>(set.label(i)));
            REQUIRE(std::accumulate(values.begin(), values.end(), 0.0f) == wanted);
            for (size_t k = 0; k < 4; ++k) {
                used[k] += values[k] != 0 ? 1 : 0;
            }
        }
        for (const int64_t count : used) {
            CHECK(std::abs(static_cast<double>(count) - static_cast<double>(set.size()) / 4) <
                  5 * std::sqrt(static_cast<double>(set.size()) * 3 / 16));
        }
    };
    check(*source->train, [](float y) { return 1 - 0.25f * y; });
    check(*source->test, [](float y) { return 0.25f + 0.25f * y; });
    check(*source->split("in_distribution"), [](float y) { return 1 - 0.25f * y; });
}

TEST_CASE(
    "shapes_imbalanced: classes have their probabilities in training and equal counts in the test set") {
    const auto source = load_data("shapes_imbalanced");
    const std::vector<int64_t> counts = source->train->class_counts();
    const std::vector<double> weights{0.64, 0.22, 0.10, 0.04};
    for (size_t c = 0; c < 4; ++c) {
        CHECK(std::abs(static_cast<double>(counts[c]) - 1000 * weights[c]) <
              5 * std::sqrt(1000 * weights[c] * (1 - weights[c])));
    }
    CHECK(source->test->class_counts() == std::vector<int64_t>(4, 400));
}
