#include "report/colormap.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "core/error.h"

using namespace backlight;
using namespace backlight::report;

namespace {

/// OKLab's lightness of an sRGB colour, 0 to 1 (Ottosson, 2020).
double lightness(Color color) {
    const auto linear = [](uint8_t byte) {
        const double c = byte / 255.0;
        return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
    };
    const double r = linear(color.red), g = linear(color.green), b = linear(color.blue);
    return 0.2104542553 * std::cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) +
           0.7936177850 * std::cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) -
           0.0040720468 * std::cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
}

}  // namespace

TEST_CASE("colormap: the middle of the diverging map is a neutral near-white") {
    const Color zero = colormap("blue-white-red").of_signed(0);
    CHECK(zero.red == zero.green);
    CHECK(zero.green == zero.blue);
    CHECK(zero.red >= 245);
}

TEST_CASE("colormap: r and -r are equally light, and lighter than anything farther from zero") {
    const Colormap& map = colormap("blue-white-red");
    double previous = 2;
    for (int i = 0; i <= 128; ++i) {
        const double positive = lightness(map.of_signed(i / 128.0)),
                     negative = lightness(map.of_signed(-i / 128.0));
        CAPTURE(i);
        CHECK(std::abs(positive - negative) < 0.012);  // clipping to sRGB and rounding to bytes
        CHECK(positive < previous);
        previous = positive;
    }
}

TEST_CASE("colormap: positive is red and negative is blue") {
    const Color positive = colormap("blue-white-red").of_signed(0.7),
                negative = colormap("blue-white-red").of_signed(-0.7);
    CHECK(positive.red > positive.blue + 50);
    CHECK(negative.blue > negative.red + 50);
}

TEST_CASE("colormap: the sequential maps grow lighter from zero to one") {
    for (const std::string name : {"grey", "viridis"}) {
        const Colormap& map = colormap(name);
        CHECK_FALSE(map.diverging());
        for (int i = 1; i <= 64; ++i) {
            CAPTURE(name);
            CAPTURE(i);
            CHECK(lightness(map.at(i / 64.0)) > lightness(map.at((i - 1) / 64.0)));
        }
    }
    CHECK(to_hex(colormap("viridis").at(0)) == "#440154");
    CHECK(to_hex(colormap("viridis").at(1)) == "#fde725");
}

TEST_CASE("colormap: positions beyond the ends take the end colours") {
    const Colormap& map = colormap("blue-white-red");
    CHECK(map.of_signed(7) == map.of_signed(1));
    CHECK(map.of_signed(-7) == map.of_signed(-1));
}

TEST_CASE("colormap: an unknown name is an error that names the near one") {
    CHECK_THROWS_WITH_AS((void)colormap("virdis"), doctest::Contains("did you mean viridis?"), Error);
}
