#include "datasets/frame.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/random.h"
#include "datasets/render.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

Image noise(int64_t height, int64_t width, int64_t channels) {
    Image image(height, width, channels);
    RandomStream random(uint64_t{3});
    random.fill_uniform(image.values);
    return image;
}

Image rendered(const Image& image, const Frame& frame) {
    Image out(frame.height(), frame.width(), image.channels);
    render(image, frame, {}, out.values);
    return out;
}

/// Each step rendered by itself.
using Step = std::function<void(Frame&)>;
Image step_by_step(Image image, const std::vector<Step>& steps) {
    for (const Step& step : steps) {
        Frame frame(image.height, image.width);
        step(frame);
        image = rendered(image, frame);
    }
    return image;
}

}  // namespace

TEST_CASE("frame: a chain of steps shows what the steps show one after another") {
    const Step shrink = [](Frame& f) { f.resize(9, 7); };
    const Step grow = [](Frame& f) { f.resize(31, 40); };
    const Step shorter = [](Frame& f) { f.resize_shorter_side(8); };
    const Step middle = [](Frame& f) { f.center_crop(6, 6); };
    const Step corner = [](Frame& f) { f.crop({-2, -3, 8, 9}); };
    const Step flip = [](Frame& f) { f.flip(); };
    const Step window = [](Frame& f) { f.crop({1, 2, 5, 4}); };
    const std::vector<std::vector<Step>> chains{{window, shrink, flip},
                                                {shorter, middle, flip},
                                                {middle, corner, flip, window},
                                                {flip, window, grow, window},
                                                {corner, shrink},
                                                {middle, corner, corner},
                                                {shrink, grow},
                                                {flip, shrink, corner, middle},
                                                {window, corner, grow, flip, corner, shrink},
                                                {grow, corner, flip, corner},
                                                {flip, corner, flip},
                                                {}};
    for (const int64_t channels : {1, 3, 4}) {
        const Image image = noise(17, 13, channels);
        for (size_t i = 0; i < chains.size(); ++i) {
            CAPTURE(i);
            Frame frame(17, 13);
            for (const Step& step : chains[i]) {
                step(frame);
            }
            const Image expected = step_by_step(image, chains[i]), got = rendered(image, frame);
            REQUIRE(got.height == expected.height);
            REQUIRE(got.width == expected.width);
            for (size_t k = 0; k < got.values.size(); ++k) {
                REQUIRE(got.values[k] == doctest::Approx(expected.values[k]).epsilon(1e-5));
            }
        }
    }
}

TEST_CASE("frame: the usual pipelines are one stage that needs its window only") {
    Frame training(400, 600);
    training.crop({100, 200, 150, 120});
    training.resize(224, 224);
    training.flip();
    CHECK(training.stages().size() == 1);
    CHECK(needed(training) == PixelWindow{100, 200, 150, 120});

    Frame evaluation(512, 768);  // 256 x 384, then columns 80 to 304 and rows 16 to 240
    evaluation.resize_shorter_side(256);
    evaluation.center_crop(224, 224);
    CHECK(evaluation.stages().size() == 1);
    CHECK(needed(evaluation) == PixelWindow{31, 159, 450, 450});

    Frame beyond(4, 4);
    beyond.crop({5, 0, 2, 2});
    CHECK(needed(beyond).height == 0);
    CHECK(rendered(Image(4, 4, 1, 1.0f), beyond).values == std::vector<float>(4, 0.0f));
}

TEST_CASE("render: bytes and floats give the same, and only the window is read") {
    const int64_t height = 23, width = 19;
    for (const int channels : {1, 3, 4}) {
        Image image(height, width, channels);
        PixelBlock whole({0, 0, height, width}, channels);
        for (size_t i = 0; i < whole.size(); ++i) {
            whole.pixels[i] = static_cast<uint8_t>(i * 37 + i / 19);
            image.values[i] = static_cast<float>(whole.pixels[i]) / 255.0f;
        }
        Frame frame(height, width);
        frame.crop({4, 5, 13, 11});
        frame.resize(8, 9);
        frame.flip();
        const PixelWindow window = needed(frame);
        PixelBlock part(window, channels);
        for (int64_t row = 0; row < window.height; ++row) {
            std::copy_n(
                &whole.pixels[static_cast<size_t>(((window.top + row) * width + window.left) * channels)],
                window.width * channels, &part.pixels[static_cast<size_t>(row * window.width * channels)]);
        }
        const std::vector<float> mean(1, 0.25f), deviation(static_cast<size_t>(channels), 0.5f);
        std::vector<float> of_whole(static_cast<size_t>(8 * 9 * channels), NAN), of_part = of_whole,
                                                                                 of_floats = of_whole;
        render(whole, frame, {255.0f, mean, deviation}, of_whole);
        render(part, frame, {255.0f, mean, deviation}, of_part);
        render(image, frame, {1.0f, mean, deviation}, of_floats);
        CHECK(of_whole == of_part);
        for (size_t i = 0; i < of_whole.size(); ++i) {
            CHECK(of_whole[i] == doctest::Approx(of_floats[i]).epsilon(1e-5));
        }
    }
    std::vector<float> small(3);
    CHECK(error_of([&] { render(Image(2, 2, 1), Frame(2, 2), {}, small); }) ==
          "render: expected room for (2, 2, 1), got 3 values");
}
