#include "report/plot.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <pugixml.hpp>
#include <sstream>

#include "core/error.h"
#include "report/colormap.h"

using namespace backlight;
using namespace backlight::report;

namespace {

pugi::xml_document parsed(const std::string& svg) {
    pugi::xml_document document;
    const pugi::xml_parse_result result = document.load_string(svg.c_str());
    INFO(svg);
    REQUIRE_MESSAGE(static_cast<bool>(result), result.description());
    REQUIRE(std::string(document.child("svg").attribute("xmlns").value()) == "http://www.w3.org/2000/svg");
    return document;
}

struct Dot {
    double x, y;
};

std::vector<Dot> points(const pugi::xml_node& shape) {
    std::istringstream in(shape.attribute("points").value());
    std::vector<Dot> list;
    Dot dot{};
    for (char comma = 0; in >> dot.x >> comma >> dot.y;) {
        list.push_back(dot);
    }
    return list;
}

int64_t count(const pugi::xml_document& document, const char* name) {
    const auto range = document.child("svg").children(name);
    return std::distance(range.begin(), range.end());
}

bool has_text(const pugi::xml_document& document, const std::string& text) {
    for (const auto node : document.child("svg").children("text")) {
        if (node.text().get() == text) {
            return true;
        }
    }
    return false;
}

}  // namespace

TEST_CASE("line_chart: the polyline has the points, spaced as the data and upside up") {
    const auto document = parsed(line_chart({.series = {{.name = "loss", .x = {0, 1, 4}, .y = {4, 2, 0}}}}));
    REQUIRE(count(document, "polyline") == 1);
    const auto line = points(document.child("svg").child("polyline"));
    REQUIRE(line.size() == 3);
    CHECK(line[2].x - line[0].x == doctest::Approx(4 * (line[1].x - line[0].x)).epsilon(1e-3));
    CHECK(line[1].y - line[0].y == doctest::Approx(line[2].y - line[1].y).epsilon(1e-3));
    CHECK(line[0].y < line[2].y);  // SVG counts y downwards: the larger value stands higher
    CHECK(has_text(document, "loss"));
}

TEST_CASE("line_chart: on a logarithmic axis equal ratios are equal steps") {
    const auto document =
        parsed(line_chart({.series = {{.x = {1, 2, 3}, .y = {1, 0.1, 0.01}}}, .log_y = true}));
    const auto line = points(document.child("svg").child("polyline"));
    REQUIRE(line.size() == 3);
    CHECK(line[1].y - line[0].y == doctest::Approx(line[2].y - line[1].y).epsilon(1e-3));
    CHECK(has_text(document, "0.01"));
}

TEST_CASE("line_chart: a value that is not finite leaves a gap") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto document = parsed(line_chart({.series = {{.x = {1, 2, 3, 4, 5}, .y = {1, 2, nan, 4, 5}}}}));
    CHECK(count(document, "polyline") == 2);
    CHECK(std::string(document.child("svg").child("polyline").attribute("points").value()).find("nan") ==
          std::string::npos);
}

TEST_CASE("line_chart: the band is a polygon around the line") {
    const Series series{.x = {0, 1}, .y = {1, 2}, .low = {0.5, 1.5}, .high = {1.5, 2.5}};
    const auto document = parsed(line_chart({.series = {series}}));
    const auto band = points(document.child("svg").child("polygon"));
    const auto line = points(document.child("svg").child("polyline"));
    REQUIRE(band.size() == 4);
    CHECK(band[0].y < line[0].y);
    CHECK(band[3].y > line[0].y);
}

TEST_CASE("line_chart: titles and names are escaped") {
    const std::string svg =
        line_chart({.title = "a < b & \"c\"", .series = {{.name = "<x>", .x = {0}, .y = {0}}}});
    CHECK(has_text(parsed(svg), "a < b & \"c\""));
    CHECK(svg.find("<x>") == std::string::npos);
}

TEST_CASE("line_chart: one point, equal values and constants can be drawn") {
    for (const bool log : {false, true}) {
        parsed(line_chart({.series = {{.x = {3}, .y = {2}}}, .log_x = log, .log_y = log}));
        parsed(line_chart({.series = {{.x = {1, 2}, .y = {1e-9, 1e-9}}}, .log_y = log}));
        parsed(line_chart({.series = {{.x = {1, 2, 3}, .y = {1e300, 1e-300, -1e308}}}, .log_y = log}));
    }
    parsed(line_chart({.series = {{.x = {1, 2}, .y = {0, 0}}}}));
}

TEST_CASE("line_chart: wrong use says what is wrong") {
    CHECK_THROWS_WITH_AS((void)line_chart({.series = {{.name = "a", .x = {1, 2}, .y = {1}}}}),
                         doctest::Contains("series \"a\" has 2 x and 1 y"), Error);
    CHECK_THROWS_WITH_AS((void)line_chart({}), doctest::Contains("nothing to draw"), Error);
}

TEST_CASE("nice_ticks: round numbers inside the range, exact as decimals") {
    CHECK(nice_ticks(0, 1, 5) == std::vector<double>{0, 0.2, 0.4, 0.6, 0.8, 1.0});
    CHECK(nice_ticks(0.07, 0.33, 3) == std::vector<double>{0.1, 0.2, 0.3});
    CHECK(nice_ticks(-3, 12, 4) == std::vector<double>{0, 5, 10});
    CHECK(nice_ticks(5, 5, 4) == std::vector<double>{5});
    CHECK_THROWS_AS((void)nice_ticks(0, std::numeric_limits<double>::infinity(), 4), Error);
}

TEST_CASE("nice_ticks: about as many as asked, for ranges of every size") {
    for (double size = 1e-8; size < 1e9; size *= 1.7) {
        for (const double low : {0.0, 0.3 * size, -2.2 * size, 40 * size}) {
            const auto ticks = nice_ticks(low, low + size, 5);
            CAPTURE(size);
            CAPTURE(low);
            CHECK(ticks.size() >= 3);
            CHECK(ticks.size() <= 9);
            CHECK(ticks.front() >= low - 1e-6 * size);
            CHECK(ticks.back() <= low + size * (1 + 1e-6));
        }
    }
}

TEST_CASE("log_ticks: powers of ten, with steps between when they are few") {
    CHECK(log_ticks(0.5, 2000) == std::vector<double>{1, 10, 100, 1000});
    CHECK(log_ticks(0.15, 3) == std::vector<double>{0.2, 0.5, 1, 2});
    CHECK(log_ticks(1e-30, 1e30).size() <= 16);
}

TEST_CASE("tick_label: short, and different for different ticks") {
    CHECK(tick_label(0.25, 0.25) == "0.25");
    CHECK(tick_label(1, 0.5) == "1.0");
    CHECK(tick_label(0, 0.5) == "0");
    CHECK(tick_label(-3, 1) == "\u22123");
    CHECK(tick_label(1500, 500) == "1500");
    CHECK(tick_label(20000, 5000) == "20k");
    CHECK(tick_label(1e-5, 1e-5) == "10\u207b\u2075");
    CHECK(tick_label(2e6, 1e6) == "2\u00b710\u2076");
}

TEST_CASE("confusion_matrix: counts, names and recall are there, empty cells have no number") {
    const auto document = parsed(confusion_matrix({.classes = {"cat", "<dog>"}, .counts = {9, 1, 0, 4}}));
    CHECK(has_text(document, "9"));
    CHECK(has_text(document, "<dog>"));
    CHECK(has_text(document, "90.0 %"));
    CHECK(has_text(document, "100.0 %"));
    CHECK_FALSE(has_text(document, "0"));
}

TEST_CASE("confusion_matrix: the strength of a hit is its share of the row") {
    const auto document = parsed(confusion_matrix({.classes = {"a", "b"}, .counts = {5, 5, 0, 8}}));
    std::vector<double> opacities;
    for (const auto node : document.child("svg").children("rect")) {
        if (std::string(node.attribute("class").value()) == "f-c0") {
            opacities.push_back(node.attribute("fill-opacity").as_double(1));
        }
    }
    CHECK(opacities == std::vector<double>{0.5, 1});
}

TEST_CASE("confusion_matrix: a hundred classes fit without numbers; wrong sizes are refused") {
    ConfusionMatrix large;
    large.classes.assign(100, "class");
    large.counts.assign(10000, 1);
    parsed(confusion_matrix(large));
    CHECK_THROWS_WITH_AS((void)confusion_matrix({.classes = {"a", "b"}, .counts = {1}}),
                         doctest::Contains("expected 2 x 2 counts, got 1"), Error);
}

TEST_CASE("bar_chart: bars are as long as their values, negative ones go left") {
    const auto document = parsed(bar_chart({.bars = {{"a", 2}, {"b", 1}, {"c", -1}}}));
    std::vector<pugi::xml_node> bars;
    for (const auto node : document.child("svg").children("rect")) {
        if (node.child("title")) {
            bars.push_back(node);
        }
    }
    REQUIRE(bars.size() == 3);
    const double length = bars[0].attribute("width").as_double();
    CHECK(bars[1].attribute("width").as_double() == doctest::Approx(length / 2).epsilon(1e-3));
    CHECK(bars[2].attribute("width").as_double() == doctest::Approx(length / 2).epsilon(1e-3));
    CHECK(bars[2].attribute("x").as_double() < bars[1].attribute("x").as_double());
}

TEST_CASE("bar_chart: an axis that does not begin at zero shows dots, not bars") {
    const auto document =
        parsed(bar_chart({.bars = {{"a", 0.95}}, .percent = true, .x_min = 0.9, .x_max = 1}));
    CHECK(count(document, "circle") == 1);
    CHECK(has_text(document, "95.0 %"));
}

TEST_CASE("color_bar: begins, passes zero and ends with the colours of the map") {
    const auto document = parsed(color_bar({}));
    std::vector<std::string> colors;
    for (const auto node : document.child("svg").children("rect")) {
        if (!node.attribute("class")) {
            colors.emplace_back(node.attribute("fill").value());
        }
    }
    REQUIRE(colors.size() % 2 == 1);
    CHECK(colors.front() == to_hex(colormap("blue-white-red").of_signed(-1)));
    CHECK(colors[colors.size() / 2] == to_hex(colormap("blue-white-red").of_signed(0)));
    CHECK(colors.back() == to_hex(colormap("blue-white-red").of_signed(1)));
}
