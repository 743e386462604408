#include "report/heatmap.h"

#include <doctest/doctest.h>

#include <limits>

#include "core/error.h"
#include "report/colormap.h"

using namespace backlight;
using namespace backlight::report;

namespace {

Color pixel(const Tensor& picture, int64_t y, int64_t x) {
    const std::vector<uint8_t> bytes = picture.to_vector<uint8_t>();
    const auto at = static_cast<size_t>((y * picture.dim(1) + x) * 3);
    return {bytes[at], bytes[at + 1], bytes[at + 2]};
}

const Colormap& diverging() { return colormap("blue-white-red"); }

}  // namespace

TEST_CASE("heatmap_image: zero is neutral whatever the other values are") {
    for (const float other : {-3.0F, 1e-20F, 1e20F}) {
        const Tensor picture = heatmap_image(Tensor::from<float>({0, other}, {1, 2}));
        CHECK(pixel(picture, 0, 0) == diverging().of_signed(0));
        CHECK_FALSE(pixel(picture, 0, 1) == diverging().of_signed(0));
    }
}

TEST_CASE("heatmap_image: the scale is symmetric, so half the largest absolute value is half the colour") {
    const Tensor picture = heatmap_image(Tensor::from<float>({-4, 2, -2}, {1, 3}));
    CHECK(pixel(picture, 0, 0) == diverging().of_signed(-1));
    CHECK(pixel(picture, 0, 1) == diverging().of_signed(0.5));
    CHECK(pixel(picture, 0, 2) == diverging().of_signed(-0.5));
}

TEST_CASE("heatmap_image: a map of zeros is neutral everywhere") {
    const Tensor picture = heatmap_image(Tensor::from<float>({0, 0}, {1, 2, 1}));
    CHECK(pixel(picture, 0, 0) == diverging().of_signed(0));
    CHECK(pixel(picture, 0, 1) == diverging().of_signed(0));
}

TEST_CASE("heatmap_image: the percentile clips what lies above it") {
    const Tensor map = Tensor::from<float>({1, 1, 1, 100}, {2, 2});
    const Tensor picture = heatmap_image(map, {.percentile = 50});
    CHECK(pixel(picture, 0, 0) == diverging().of_signed(1));
    CHECK(pixel(picture, 1, 1) == diverging().of_signed(1));
    CHECK(pixel(heatmap_image(map), 0, 0) == diverging().of_signed(0.01));
}

TEST_CASE("heatmap_image: a percentile of zero falls back to the largest absolute value") {
    const Tensor picture = heatmap_image(Tensor::from<float>({0, 0, 0, -2}, {2, 2}), {.percentile = 50});
    CHECK(pixel(picture, 1, 1) == diverging().of_signed(-1));
    CHECK(pixel(picture, 0, 0) == diverging().of_signed(0));
}

TEST_CASE("heatmap_image: a given scale makes maps comparable") {
    const Tensor picture = heatmap_image(Tensor::from<float>({1}, {1, 1}), {.scale = 4});
    CHECK(pixel(picture, 0, 0) == diverging().of_signed(0.25));
}

TEST_CASE("heatmap_image: a sequential colormap refuses negative values") {
    const HeatmapOptions options{.colormap = "viridis"};
    CHECK(pixel(heatmap_image(Tensor::from<float>({0, 2}, {1, 2}), options), 0, 0) ==
          colormap("viridis").at(0));
    CHECK_THROWS_WITH_AS((void)heatmap_image(Tensor::from<float>({-1, 2}, {1, 2}), options),
                         doctest::Contains("starts at zero"), Error);
}

TEST_CASE("heatmap_image: what is not finite is an error, never a picture") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH_AS((void)heatmap_image(Tensor::from<float>({0, nan}, {1, 2})),
                         doctest::Contains("not a finite number"), Error);
}

TEST_CASE("heatmap_image: several channels are refused with the remedy") {
    CHECK_THROWS_WITH_AS((void)heatmap_image(Tensor::from<float>({1, 2, 3}, {1, 1, 3})),
                         doctest::Contains("reduce_channels"), Error);
}

TEST_CASE("heatmap_image: upscaling repeats or interpolates, and keeps the zero") {
    const Tensor map = Tensor::from<float>({-1, 1}, {1, 2});
    const Tensor nearest = heatmap_image(map, {.upscale = 2});
    CHECK(nearest.shape() == Shape{2, 4, 3});
    CHECK(pixel(nearest, 1, 1) == diverging().of_signed(-1));
    const Tensor smooth = heatmap_image(map, {.upscale = 3, .interpolation = Interpolation::bilinear});
    // Centres of six pixels over two: -1, -1, -2/3, 2/3, ... by half-pixel centres: (5/2)/3 - 1/2 = 1/3 of
    // the way.
    CHECK(pixel(smooth, 0, 0) == diverging().of_signed(-1));
    CHECK(pixel(smooth, 0, 2) == diverging().of_signed(-1 + 2.0 / 3));
}

TEST_CASE("resize_map: a constant stays constant and the corners stay the corners") {
    const Tensor map = Tensor::from<float>({1, 2, 3, 4}, {2, 2});
    const Tensor large = resize_map(map, 6, 8, Interpolation::bilinear);
    const std::vector<float> values = large.to_vector<float>();
    CHECK(large.shape() == Shape{6, 8});
    CHECK(values.front() == 1);
    CHECK(values.back() == 4);
    const std::vector<float> same =
        resize_map(Tensor::from<float>({7, 7}, {2, 1, 1}), 5, 5, Interpolation::bilinear).to_vector<float>();
    CHECK(same == std::vector<float>(25, 7));
}

TEST_CASE("picture: floating images map their range to bytes, alpha lies over white") {
    CHECK(pixel(picture(Tensor::from<float>({-1}, {1, 1, 1})), 0, 0) == Color{0, 0, 0});
    CHECK(pixel(picture(Tensor::from<float>({0}, {1, 1}), -1, 1), 0, 0) == Color{128, 128, 128});
    CHECK(pixel(picture(Tensor::from<uint8_t>({0, 0, 0, 0}, {1, 1, 4})), 0, 0) == Color{255, 255, 255});
    CHECK(picture(Tensor::from<uint8_t>({9, 9}, {1, 2, 1, 1})).shape() == Shape{2, 1, 3});
}

TEST_CASE("overlay: the image is untouched where the map is zero") {
    const Tensor image = Tensor::from<uint8_t>({10, 20, 30, 200, 100, 50}, {1, 2, 3});
    const Tensor over = overlay(image, Tensor::from<float>({0, -3}, {1, 2}), {.alpha = 1});
    CHECK(pixel(over, 0, 0) == Color{10, 20, 30});
    CHECK(pixel(over, 0, 1) == diverging().of_signed(-1));
}

TEST_CASE("overlay: opacity is alpha times |r|") {
    const Tensor image = Tensor::from<uint8_t>({0, 0, 0, 0, 0, 0}, {1, 2, 3});
    const Tensor over = overlay(image, Tensor::from<float>({1, 2}, {1, 2}), {.alpha = 0.5});
    const Color half = diverging().of_signed(0.5);
    CHECK(std::abs(pixel(over, 0, 0).red - 0.25 * half.red) <= 0.5);
    CHECK(std::abs(pixel(over, 0, 0).green - 0.25 * half.green) <= 0.5);
}

TEST_CASE("overlay: a coarse map is stretched over the image") {
    const Tensor image = Tensor::from<float>(std::vector<float>(8 * 8, 0.5F), {8, 8, 1});
    const Tensor over = overlay(image, Tensor::from<float>({0, 0, 0, 1}, {2, 2, 1}));
    CHECK(over.shape() == Shape{8, 8, 3});
    CHECK(pixel(over, 0, 0) == Color{128, 128, 128});
    CHECK(pixel(over, 7, 7).red > pixel(over, 7, 7).blue);
}
