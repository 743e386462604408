#include "report/contact_sheet.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/error.h"
#include "report/font.h"

using namespace backlight;
using namespace backlight::report;

namespace {

Tensor plain(int64_t height, int64_t width, uint8_t value) {
    return Tensor::from(std::vector<uint8_t>(static_cast<size_t>(height * width * 3), value),
                        {height, width, 3});
}

int64_t count(const Tensor& picture, uint8_t value) {
    const std::vector<uint8_t> bytes = picture.to_vector<uint8_t>();
    return std::count(bytes.begin(), bytes.end(), value) / 3;
}

}  // namespace

TEST_CASE("enlarge: each pixel becomes a square") {
    const Tensor large = enlarge(Tensor::from<uint8_t>({1, 2}, {1, 2, 1}), 2);
    CHECK(large.shape() == Shape{2, 4, 3});
    CHECK(large.to_vector<uint8_t>() ==
          std::vector<uint8_t>{1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2});
}

TEST_CASE("side_by_side: widths and gaps add up, no pixel is lost") {
    const Tensor row = side_by_side({plain(2, 3, 7), plain(4, 1, 9)}, 5);
    CHECK(row.shape() == Shape{4, 9, 3});
    CHECK(count(row, 7) == 6);
    CHECK(count(row, 9) == 4);
}

TEST_CASE("grid: small pictures grow by a whole factor to the cell, missing ones stay white") {
    const Tensor sheet = grid({{plain(8, 8, 7), plain(20, 20, 9)}, {plain(8, 8, 11)}}, {.gap = 2});
    CHECK(count(sheet, 7) == 16 * 16);
    CHECK(count(sheet, 9) == 20 * 20);
    CHECK(count(sheet, 11) == 16 * 16);
    CHECK(sheet.shape() == Shape{2 * 22 + 2, 2 * 22 + 2, 3});
}

TEST_CASE("grid: captions make room for themselves and are drawn") {
    const std::vector<std::vector<Tensor>> pictures{{plain(40, 40, 200), Tensor()}};
    const Tensor bare = grid(pictures),
                 captioned = grid(pictures, {.columns = {"input", "LRP"}, .rows = {"digit 3"}});
    CHECK(captioned.dim(0) > bare.dim(0));
    CHECK(captioned.dim(1) > bare.dim(1));
    CHECK(count(captioned, 31) > 0);  // 31 is the red of the ink
    CHECK_THROWS_WITH_AS((void)grid(pictures, {.columns = {"input"}}),
                         doctest::Contains("captions for 2 columns"), Error);
    CHECK_THROWS_WITH_AS((void)grid({{Tensor()}}), doctest::Contains("there are no pictures"), Error);
}

TEST_CASE("font: every printable character but the blank has dots, and no two look alike") {
    std::vector<std::vector<uint8_t>> seen;
    for (char character = '!'; character <= '~'; ++character) {
        std::vector<uint8_t> pixels(8 * 8 * 3, 255);
        draw_text(pixels, 8, 8, 0, 0, std::string(1, character), 1, {0, 0, 0});
        CAPTURE(character);
        CHECK(std::count(pixels.begin(), pixels.end(), 0) > 0);
        CHECK(std::find(seen.begin(), seen.end(), pixels) == seen.end());
        seen.push_back(pixels);
    }
}

TEST_CASE("font: text outside the picture is dropped, not written beyond it") {
    std::vector<uint8_t> pixels(4 * 4 * 3, 255);
    draw_text(pixels, 4, 4, -3, -2, "WWWW", 3, {0, 0, 0});
    draw_text(pixels, 4, 4, 100, 100, "W", 1, {0, 0, 0});
    CHECK(pixels.size() == 48);
}

TEST_CASE("fit_text: a caption that is too wide is cut, a fitting one stays") {
    CHECK(fit_text("LRP", 100) == "LRP");
    const std::string cut = fit_text("integrated gradients", 40);
    CHECK(cut.ends_with(".."));
    CHECK(text_width(cut) <= 40);
    CHECK(fit_text("W", 1).empty());
}
