#include "datasets/image.h"

#include <doctest/doctest.h>

#include "core/random.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

Image ramp(int64_t height, int64_t width) {
    Image image(height, width, 1);
    for (int64_t row = 0; row < height; ++row) {
        for (int64_t column = 0; column < width; ++column) {
            image.at(row, column) = static_cast<float>(10 * row + column);
        }
    }
    return image;
}

}  // namespace

TEST_CASE("image: shrinking by two averages with the widened triangle") {
    // Output 0 has its centre at 1 and half-width 2: pixels 0, 1, 2 weigh 3/4, 3/4, 1/4; (0 + 3/4 + 2/4) /
    // (7/4) = 5/7.
    Image row(1, 8, 1);
    for (int64_t i = 0; i < 8; ++i) {
        row.at(0, i) = static_cast<float>(i);
    }
    const Image small = resize(row, 1, 4);
    CHECK(small.at(0, 0) == doctest::Approx(5.0 / 7.0));
    CHECK(small.at(0, 1) == doctest::Approx(2.5));
    CHECK(small.at(0, 2) == doctest::Approx(4.5));
    CHECK(small.at(0, 3) == doctest::Approx(7.0 - 5.0 / 7.0));
}

TEST_CASE("image: growing is bilinear with half-pixel centres and clamped edges") {
    Image row(1, 2, 1);
    row.at(0, 1) = 1.0f;
    const Image large = resize(row, 1, 4);
    CHECK(large.at(0, 0) == doctest::Approx(0.0));
    CHECK(large.at(0, 1) == doctest::Approx(0.25));
    CHECK(large.at(0, 2) == doctest::Approx(0.75));
    CHECK(large.at(0, 3) == doctest::Approx(1.0));
}

TEST_CASE("image: resizing keeps constants, is linear and treats channels alike") {
    RandomStream random(uint64_t{1});
    Image a(11, 7, 3), b(11, 7, 3), sum(11, 7, 3);
    random.fill_uniform(a.values);
    random.fill_uniform(b.values);
    for (size_t i = 0; i < sum.values.size(); ++i) {
        sum.values[i] = 2 * a.values[i] - b.values[i];
    }
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{5, 13}, {4, 3}, {23, 7}}) {
        const Image ra = resize(a, height, width), rb = resize(b, height, width),
                    rs = resize(sum, height, width);
        const Image constant = resize(Image(11, 7, 3, 0.3f), height, width);
        for (size_t i = 0; i < rs.values.size(); ++i) {
            CHECK(rs.values[i] == doctest::Approx(2 * ra.values[i] - rb.values[i]).epsilon(1e-5));
            CHECK(constant.values[i] == doctest::Approx(0.3));
        }
    }
    CHECK(resize(a, 11, 7).values == a.values);
    CHECK_THROWS_AS((void)resize(a, 0, 3), Error);
}

TEST_CASE("image: the shorter side sets the scale") {
    const Image tall = resize_shorter_side(Image(500, 375, 3), 224);
    CHECK(tall.height == 298);  // 224 * 500 / 375 = 298.67, rounded down
    CHECK(tall.width == 224);
    const Image wide = resize_shorter_side(Image(375, 500, 3), 224);
    CHECK(wide.height == 224);
    CHECK(wide.width == 298);
}

TEST_CASE("image: crops move and fill") {
    const Image image = ramp(4, 5);
    const Image inside = crop(image, 1, 2, 2, 3);
    CHECK(inside.values == std::vector<float>{12, 13, 14, 22, 23, 24});
    const Image corner = crop(image, -1, -2, 2, 3, -7.0f);
    CHECK(corner.values == std::vector<float>{-7, -7, -7, -7, -7, 0});
    const Image beyond = crop(image, 3, 4, 2, 2);
    CHECK(beyond.values == std::vector<float>{34, 0, 0, 0});
    CHECK(crop(image, 10, 10, 2, 2, 1.0f).values == std::vector<float>{1, 1, 1, 1});
    CHECK_THROWS_AS((void)crop(image, 0, 0, 0, 2), Error);
}

TEST_CASE("image: the central window rounds halves to even, as Python does") {
    CHECK(center_crop(ramp(5, 5), 2, 2).at(0, 0) == 22.0f);  // margin 3: 1.5 -> 2
    CHECK(center_crop(ramp(3, 3), 2, 2).at(0, 0) == 0.0f);   // margin 1: 0.5 -> 0
    CHECK(center_crop(ramp(6, 6), 2, 2).at(0, 0) == 22.0f);
}

TEST_CASE("image: mirroring twice is nothing") {
    const Image image = ramp(3, 4);
    CHECK(flip_horizontal(image).at(1, 0) == 13.0f);
    CHECK(flip_horizontal(flip_horizontal(image)).values == image.values);
}

TEST_CASE("image: bytes become fractions") {
    const Image image = to_image(Tensor::from<uint8_t>({0, 51, 255, 102}, {2, 2, 1}));
    CHECK(image.values == std::vector<float>{0.0f, 0.2f, 1.0f, 0.4f});
    CHECK_THROWS_AS((void)to_image(Tensor::zeros({2, 2, 1})), Error);
}
