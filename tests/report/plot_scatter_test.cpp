#include <doctest/doctest.h>

#include <cmath>
#include <pugixml.hpp>

#include "core/error.h"
#include "report/plot.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::report;
using testing::contains;
using testing::error_of;

TEST_CASE("scatter_plot: points keep their distances, pictures lie where their points are") {
    const Tensor picture = Tensor::full({4, 8, 3}, 200, DType::u8);
    const std::string svg = scatter_plot({.title = "t",
                                          .groups = {"one", "two"},
                                          .x = {0, 1, 0, 3},
                                          .y = {0, 0, 1, 0},
                                          .group = {0, 1, -1, 1},
                                          .thumbnails = {Tensor(), Tensor(), Tensor(), picture},
                                          .tooltips = {"a", "b", "c", "d"}});
    pugi::xml_document document;
    REQUIRE(static_cast<bool>(document.load_string(svg.c_str())));
    const auto root = document.child("svg");
    std::vector<std::pair<double, double>> dots;
    for (const auto circle : root.children("circle")) {
        dots.emplace_back(circle.attribute("cx").as_double(), circle.attribute("cy").as_double());
    }
    REQUIRE(dots.size() == 3);
    CHECK(dots[1].first - dots[0].first == doctest::Approx(dots[0].second - dots[2].second).epsilon(1e-3));
    CHECK(dots[2].second < dots[0].second);  // larger y is higher
    const auto image = root.child("image");
    const double width = image.attribute("width").as_double(), height = image.attribute("height").as_double();
    CHECK(width == doctest::Approx(2 * height));
    CHECK(image.attribute("x").as_double() + width / 2 - dots[0].first ==
          doctest::Approx(3 * (dots[1].first - dots[0].first)).epsilon(1e-3));
    CHECK(std::string(image.attribute("href").value()).starts_with("data:image/png;base64,"));
    CHECK(std::string(image.child("title").text().get()) == "d");
    CHECK(contains(svg, ">one<"));
    CHECK(contains(svg, ">none<"));
}

TEST_CASE("scatter_plot: one point, and points on top of each other, are drawn in the middle") {
    const std::string svg =
        scatter_plot({.x = {5, 5}, .y = {1, 1}, .group = {-1, -1}, .width = 400, .height = 300});
    pugi::xml_document document;
    REQUIRE(static_cast<bool>(document.load_string(svg.c_str())));
    CHECK(document.child("svg").child("circle").attribute("cx").as_double() == doctest::Approx(200));
}

TEST_CASE("scatter_plot: what does not fit is refused") {
    const auto refused = [](const ScatterPlot& plot) { return error_of([&] { (void)scatter_plot(plot); }); };
    CHECK(contains(refused({}), "nothing to draw"));
    CHECK(contains(refused({.x = {1}, .y = {1, 2}, .group = {-1}}), "1 x need as many y"));
    CHECK(contains(refused({.x = {NAN}, .y = {1}, .group = {-1}}), "point 0 is not finite"));
    CHECK(contains(refused({.x = {1}, .y = {1}, .group = {0}}), "group 0"));
    CHECK(contains(refused({.x = {1}, .y = {1}, .group = {-1}, .tooltips = {"a", "b"}}), "2 tooltips"));
}
