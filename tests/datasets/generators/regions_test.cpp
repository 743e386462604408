#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;

TEST_CASE("regions: target and context lie in two cells, attention peaks on the target") {
    const auto source = load_data("regions(n=300,sigma=0)");
    for (int64_t i = 0; i < 300; ++i) {
        const RawSample sample = source->train->load(i);
        const auto at = static_cast<size_t>(i);
        const int64_t target = source->train->column("target_cell")[at];
        const int64_t context = source->train->column("context_cell")[at];
        REQUIRE(target != context);
        float low = 0, high = 0;
        for (int64_t p = 0; p < 256; ++p) {
            const float value = sample.input.at(p / 16, p % 16);
            const int64_t cell = p / 16 / 4 * 4 + p % 16 / 4;
            REQUIRE((value == 0 || (value == 1.0f && cell == target) || (value == 1.5f && cell == context)));
            low += value == 1.0f ? 1 : 0;
            high += value == 1.5f ? 1 : 0;
            REQUIRE((value != 1.5f || sample.decoy.at(p / 16, p % 16) == 1.0f));
        }
        REQUIRE(low == (std::vector<float>{5, 5, 8, 5})[static_cast<size_t>(source->train->label(i))]);
        REQUIRE(high ==
                (std::vector<float>{5, 3, 5, 6})[static_cast<size_t>(source->train->column("context")[at])]);
        const auto peak = std::max_element(sample.mask.values.begin(), sample.mask.values.end());
        REQUIRE(*peak == 1.0f);
        const auto place = peak - sample.mask.values.begin();
        REQUIRE(place / 16 / 4 * 4 + place % 16 / 4 == target);
    }
}

TEST_CASE("regions: the attention falls as a Gaussian of deviation 1.5") {
    const auto source = load_data("regions(n=1)");
    const RawSample sample = source->train->load(0);
    const auto peak =
        std::max_element(sample.mask.values.begin(), sample.mask.values.end()) - sample.mask.values.begin();
    const int64_t row = peak / 16, column = peak % 16;
    const int64_t other = column >= 2 ? column - 2 : column + 2;
    CHECK(sample.mask.at(row, other) == doctest::Approx(std::exp(-4.0 / 4.5)));
}

TEST_CASE("regions: the context agrees with the class as often as rho says") {
    const auto source = load_data("regions");
    const auto share = [](const Dataset& set) {
        double agree = 0;
        for (int64_t i = 0; i < set.size(); ++i) {
            agree += set.column("context")[static_cast<size_t>(i)] == set.label(i) ? 1 : 0;
        }
        return agree / static_cast<double>(set.size());
    };
    CHECK(std::abs(share(*source->train) - 0.925) < 5 * 0.0068);
    CHECK(std::abs(share(*source->test) - 0.25) < 5 * 0.0137);
    CHECK(std::abs(share(*source->split("in_distribution")) - 0.925) < 5 * 0.0083);
}
