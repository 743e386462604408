#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;

TEST_CASE("toy_colours: both rules separate the classes without an error") {
    const auto source = load_data("toy_colours");
    for (const auto& set : {source->train, source->test}) {
        for (int64_t i = 0; i < set->size(); ++i) {
            const RawSample sample = set->load(i);
            const auto colour = [&](int64_t row, int64_t column) {
                return std::vector<float>{sample.input.at(row, column, 0), sample.input.at(row, column, 1),
                                          sample.input.at(row, column, 2)};
            };
            const bool corners_equal =
                colour(0, 0) == colour(0, 4) && colour(0, 0) == colour(4, 0) && colour(0, 0) == colour(4, 4);
            const bool top_differs =
                colour(0, 1) != colour(0, 2) && colour(0, 1) != colour(0, 3) && colour(0, 2) != colour(0, 3);
            REQUIRE(corners_equal == (set->label(i) == 0));
            REQUIRE(top_differs == (set->label(i) == 0));
        }
    }
    CHECK(std::abs(source->train->class_counts()[0] - 2000) < 5 * 32);
}

TEST_CASE("toy_colours: four colours, and masks over the three top pixels and the four corners") {
    const auto source = load_data("toy_colours(n=200)");
    std::set<std::vector<float>> colours;
    for (int64_t i = 0; i < 200; ++i) {
        const std::vector<float> values = source->train->get(i).input.to_vector<float>();
        for (size_t p = 0; p < 25; ++p) {
            colours.insert({values[3 * p], values[3 * p + 1], values[3 * p + 2]});
        }
    }
    CHECK(colours == std::set<std::vector<float>>{
                         {1, 0, 0}, {0, 1, 0}, {0, 128.0f / 255.0f, 1}, {128.0f / 255.0f, 0, 1}});
    std::vector<float> top(25, 0.0f), corners(25, 0.0f);
    top[1] = top[2] = top[3] = 1.0f;
    corners[0] = corners[4] = corners[20] = corners[24] = 1.0f;
    CHECK(source->train->get(7).mask.to_vector<float>() == top);
    CHECK(source->train->get(7).decoy_mask.to_vector<float>() == corners);
}
