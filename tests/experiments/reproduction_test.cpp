// What an experiment finds where arms stopped on the way.
#include "experiments/reproduction.h"

#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"

using namespace backlight;

TEST_SUITE("experiments/reproduction") {
    TEST_CASE("an arm that stopped at some seeds is compared on the others, at all seeds on none") {
        Reproduction result;
        for (int64_t seed = 0; seed < 5; ++seed) {
            result.measured.add("a", "accuracy", seed, 0.5 + 0.01 * static_cast<double>(seed));
            if (seed > 2) {
                result.measured.add("b", "accuracy", seed, 0.25);
            }
        }
        result.find_above("a", "b", "accuracy", "a above b");
        result.find_below("a", "b", "accuracy", "a below b");
        result.find_above("a", "stopped", "accuracy", "a above what stopped");
        REQUIRE(result.findings.size() == 3);
        CHECK(result.findings[0].held);
        CHECK(result.findings[0].numbers == "accuracy: a 0.520, b 0.250; higher in 2 of 2 seeds");
        CHECK_FALSE(result.findings[1].held);
        CHECK_FALSE(result.findings[2].held);
        CHECK(result.findings[2].numbers == "accuracy: a and stopped have no seed in common that ended");
        CHECK(std::isnan(result.measured.mean("stopped", "accuracy")));
        CHECK_THROWS_WITH_AS((void)result.measured.mean("a", "acuracy"),
                             "reproduce: acuracy was not measured", Error);
        CHECK_FALSE(result.held());
    }
}
