#include "core/io/picture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/core/io/support.h"

using namespace backlight;
using namespace backlight::io_testing;

namespace {

/// The block holds the window, and its pixels are those of the whole picture.
bool shows(const PixelBlock& block, const PixelWindow& window, const PixelBlock& whole) {
    const PixelWindow& has = block.window;
    if (has.top > window.top || has.left > window.left || has.top + has.height < window.top + window.height ||
        has.left + has.width < window.left + window.width) {
        return false;
    }
    const auto size = static_cast<size_t>(block.channels);
    for (int64_t row = window.top; row < window.top + window.height; ++row) {
        const auto first = static_cast<size_t>((row - has.top) * has.width + window.left - has.left);
        const auto there = static_cast<size_t>(row * whole.window.width + window.left);
        const uint8_t* pixels = block.pixels.get() + first * size;
        if (!std::equal(pixels, pixels + static_cast<size_t>(window.width) * size,
                        whole.pixels.get() + there * size)) {
            return false;
        }
    }
    return true;
}

void check_windows(const std::filesystem::path& path, int channels) {
    CAPTURE(path.string());
    const PictureFile picture = PictureFile::open(path, channels);
    const PixelBlock whole = picture.decode();
    std::mt19937 random(1);
    const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
    for (int i = 0; i < 60; ++i) {
        const int64_t height = 1 + below(picture.height()), width = 1 + below(picture.width());
        const PixelWindow window{below(picture.height() - height + 1), below(picture.width() - width + 1),
                                 height, width};
        CAPTURE(window.top);
        CAPTURE(window.left);
        CAPTURE(height);
        CAPTURE(width);
        REQUIRE(shows(picture.decode(window), window, whole));
    }
}

}  // namespace

TEST_CASE("picture: a decoded window has the pixels of the whole picture, in every format") {
    for (const char* name : {"baseline.jpg", "progressive.jpg", "gray.jpg", "cmyk.jpg", "rgb.png", "rgba.png",
                             "palette.gif", "rgb.bmp"}) {
        for (const int channels : {1, 3, 4}) {
            check_windows(fixture(name), channels);
        }
    }
}

TEST_CASE("picture: windows of photos, with every kind of colour sampling that they have") {
    const char* root = std::getenv("BACKLIGHT_SHARED");
    if (root == nullptr) {
        MESSAGE("skipped: BACKLIGHT_SHARED is not set");
        return;
    }
    int checked = 0;
    for (const char* pack : {"imagenet-samples", "demo-photos-cc0"}) {
        for (const auto& entry :
             std::filesystem::recursive_directory_iterator(std::filesystem::path(root) / "data" / pack)) {
            const std::string extension = entry.path().extension().string();
            if ((extension == ".jpg" || extension == ".JPEG") && checked++ % 4 == 0) {
                check_windows(entry.path(), 3);
            }
        }
    }
    CHECK(checked > 90);
}

TEST_CASE("picture: damage is an error where it is read") {
    Bytes bytes = slurp(fixture("baseline.jpg"));
    std::fill(bytes.end() - 40, bytes.end() - 2,
              uint8_t{0xEE});  // the last coded rows: no such codes, or too few
    const PictureFile damaged(bytes, "x.jpg", 3);
    CHECK(contains(error_of([&] { (void)damaged.decode(); }), "x.jpg: damaged JPEG picture: "));
    CHECK_NOTHROW((void)damaged.decode({0, 0, 1, 1}));
}
