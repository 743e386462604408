#include <doctest/doctest.h>

#include "datasets/image.h"
#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;

TEST_CASE("zoom32: stripes tell the pair apart at full resolution and vanish at half of it") {
    const auto source = load_data("zoom32(n=200,noise=0)");
    for (int64_t i = 0; i < 200; ++i) {
        const RawSample sample = source->train->load(i);
        const int64_t label = source->train->label(i);
        const int64_t top = source->train->column("row")[static_cast<size_t>(i)] + 3;
        const int64_t left = source->train->column("column")[static_cast<size_t>(i)] + 3;
        for (int64_t a = 0; a < 4; ++a) {
            for (int64_t b = 0; b < 4; ++b) {
                const int64_t stripe = label % 2 == 0 ? b : a;
                REQUIRE(sample.input.at(top + a, left + b, 1) == (stripe % 2 == 0 ? 0.1f : 0.9f));
            }
        }
        for (int64_t a = 0; a < 4; a += 2) {
            for (int64_t b = 0; b < 4; b += 2) {
                const float mean =
                    (sample.input.at(top + a, left + b, 0) + sample.input.at(top + a, left + b + 1, 0) +
                     sample.input.at(top + a + 1, left + b, 0) +
                     sample.input.at(top + a + 1, left + b + 1, 0)) /
                    4;
                REQUIRE(mean == doctest::Approx(0.5));
            }
        }
        // The block's colour names the pair: its channel is the only one at 0.8.
        for (int64_t c = 0; c < 3; ++c) {
            REQUIRE(sample.input.at(top - 3, left - 3, c) == doctest::Approx(c == label / 2 ? 0.8 : 0.44));
        }
        float area = 0;
        for (const float value : sample.mask.values) {
            area += value;
        }
        REQUIRE(area == 100.0f);
    }
    CHECK(source->test->size() == 600);
}
