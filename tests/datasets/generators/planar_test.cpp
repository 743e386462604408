#include <doctest/doctest.h>

#include <cmath>

#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;

TEST_CASE("planar: equal classes and the asked sizes") {
    CHECK(load_data("moons")->train->class_counts() == std::vector<int64_t>{500, 500});
    CHECK(load_data("circles(n=7)")->train->class_counts() == std::vector<int64_t>{4, 3});
    CHECK(load_data("spirals")->train->class_counts() == std::vector<int64_t>(4, 500));
    CHECK(load_data("spirals")->train->sample_shape() == Shape{2});
}

TEST_CASE("planar: without noise every point lies on its curve") {
    const auto each = [](const std::string& spec, auto check) {
        const auto source = load_data(spec);
        for (int64_t i = 0; i < source->train->size(); ++i) {
            const std::vector<float> p = source->train->get(i).input.to_vector<float>();
            REQUIRE(check(source->train->label(i), static_cast<double>(p[0]), static_cast<double>(p[1])));
        }
    };
    each("moons(noise=0)", [](int64_t y, double a, double b) {
        const double u = y == 0 ? a : 1 - a, v = y == 0 ? b : 0.5 - b;
        return std::abs(u * u + v * v - 1) < 1e-5 && v > -1e-6;
    });
    each("circles(noise=0)", [](int64_t y, double a, double b) {
        return std::abs(std::hypot(a, b) - (y == 0 ? 1.0 : 0.3)) < 1e-5;
    });
    each("spirals(noise=0)", [](int64_t y, double a, double b) {
        const double r = std::hypot(a, b), angle = 4.0 * static_cast<double>(y) + 4 * r;
        return std::abs(a - r * std::sin(angle)) < 1e-5 && std::abs(b - r * std::cos(angle)) < 1e-5 &&
               r <= 1.0001;
    });
}

TEST_CASE("planar: the noise has its deviation") {
    const auto source = load_data("circles(n=4000)");
    double square = 0;
    for (int64_t i = 0; i < 4000; ++i) {
        const std::vector<float> p = source->train->get(i).input.to_vector<float>();
        const double away = std::hypot(p[0], p[1]) - (source->train->label(i) == 0 ? 1.0 : 0.3);
        square += source->train->label(i) == 0 ? away * away
                                               : 0;  // the small circle's curvature adds to the radius
    }
    CHECK(std::sqrt(square / 2000) == doctest::Approx(0.1).epsilon(0.1));
}
