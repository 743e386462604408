#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "datasets/generators/builder.h"
#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;

namespace {

int64_t telling(const Dataset& set) {
    int64_t agree = 0;
    for (int64_t i = 0; i < set.size(); ++i) {
        agree += set.column("context")[static_cast<size_t>(i)] == set.label(i) ? 1 : 0;
    }
    return agree;
}

}  // namespace

TEST_CASE("context16: the colour tells the class as often as rho says, and by chance in the shifted split") {
    const auto source = load_data("context16");
    // rho + (1 - rho) / 4
    CHECK(std::abs(static_cast<double>(telling(*source->train)) / 2000 - 0.9775) < 5 * 0.0034);
    CHECK(std::abs(static_cast<double>(telling(*source->test)) / 800 - 0.9775) < 5 * 0.0053);
    CHECK(std::abs(static_cast<double>(telling(*source->split("shifted"))) / 800 - 0.25) < 5 * 0.0153);
    CHECK(source->split("in_distribution") == source->test);
    CHECK(source->split("shifted")->labels() == source->test->labels());
}

TEST_CASE("context16: figure and block lie at opposite borders and do not touch") {
    const auto source = load_data("context16(n=300,noise=0)");
    for (int64_t i = 0; i < 300; ++i) {
        const Example example = source->train->get(i);
        const std::vector<float> input = example.input.to_vector<float>();
        const std::vector<float> mask = example.mask.to_vector<float>(),
                                 decoy = example.decoy_mask.to_vector<float>();
        REQUIRE(std::accumulate(decoy.begin(), decoy.end(), 0.0f) == 16.0f);
        const auto context = static_cast<size_t>(source->train->column("context")[static_cast<size_t>(i)]);
        float left_mask = 0, left_decoy = 0;
        for (size_t p = 0; p < 256; ++p) {
            REQUIRE(mask[p] * decoy[p] == 0.0f);
            left_mask += p % 16 < 4 ? mask[p] : 0;
            left_decoy += p % 16 < 4 ? decoy[p] : 0;
            for (size_t c = 0; c < 3; ++c) {
                const float value = input[3 * p + c];
                if (decoy[p] != 0) {
                    REQUIRE(value == kColours[context][c]);
                } else if (mask[p] != 0) {
                    REQUIRE((value >= 0.45f && value <= 0.9f && value == input[3 * p]));
                } else {
                    REQUIRE(value == 0.25f);
                }
            }
        }
        REQUIRE((left_decoy == 0 || left_decoy == 16));
        REQUIRE((left_mask == 0) == (left_decoy == 16));
    }
}
