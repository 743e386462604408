#include "core/io/picture.h"

#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/image_format.h"
#include "core/io/jpeg.h"

namespace {

[[noreturn]] void fail_decoder_assertion() { throw backlight::Error("picture decoder: inconsistent data"); }

}  // namespace

// The decoder's functions stay in this file: a program that links Backlight may hold its own copy.
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG  // CMYK
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_ASSERT(condition) ((condition) ? void() : fail_decoder_assertion())
// GCC 12, inlining all of it, believes that a reader of memory may call the functions of a reader of streams.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <stb/stb_image.h>

namespace backlight {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 27;

struct FreePixels {
    void operator()(unsigned char* pixels) const { std::free(pixels); }
};

/// The weights of ITU-R BT.601 in 16 bits, rounded: Pillow's convert("L").
uint8_t luma(const uint8_t* rgb) {
    return static_cast<uint8_t>((rgb[0] * 19595U + rgb[1] * 38470U + rgb[2] * 7471U + 0x8000U) >> 16);
}

/// Gray, gray and alpha, RGB or RGBA -> gray, RGB or RGBA.
void to_channels(const uint8_t* stored, int from, PixelBlock& block) {
    const int to = block.channels;
    if (from == to) {
        std::memcpy(block.pixels.get(), stored, block.size());
        return;
    }
    const bool is_gray = from <= 2;
    const bool has_alpha = from == 2 || from == 4;
    for (size_t i = 0; i < block.size() / static_cast<size_t>(to); ++i) {
        const uint8_t* source = stored + i * static_cast<size_t>(from);
        uint8_t* target = block.pixels.get() + i * static_cast<size_t>(to);
        if (to == 1) {
            target[0] = is_gray ? source[0] : luma(source);
            continue;
        }
        for (int c = 0; c < 3; ++c) {
            target[c] = source[is_gray ? 0 : c];
        }
        if (to == 4) {
            target[3] = has_alpha ? source[from - 1] : uint8_t{255};
        }
    }
}

}  // namespace

PictureFile::PictureFile(std::vector<uint8_t> bytes, std::string name, int channels)
    : bytes_(std::move(bytes)), name_(std::move(name)), channels_(channels) {
    BACKLIGHT_CHECK(channels == 1 || channels == 3 || channels == 4,
                    "read_image: expected 1, 3 or 4 channels, got ", channels);
    const ImageFormat format = identify_image(bytes_, name_);
    check_image_complete(format, bytes_, name_);
    BACKLIGHT_CHECK(bytes_.size() <= INT_MAX, name_, ": a picture file of more than 2 GiB");
    if (format == ImageFormat::jpeg) {
        if (const auto header = read_jpeg_header(bytes_, name_)) {
            is_plain_jpeg_ = true;
            height_ = header->height;
            width_ = header->width;
            stored_channels_ = header->channels;
        }
    }
    if (!is_plain_jpeg_) {
        int height = 0, width = 0;
        const bool readable = stbi_info_from_memory(bytes_.data(), static_cast<int>(bytes_.size()), &width,
                                                    &height, &stored_channels_) != 0;
        BACKLIGHT_CHECK(readable, name_, ": cannot decode the picture: ", stbi_failure_reason());
        height_ = height;
        width_ = width;
    }
    // A small file may claim a picture that fills the memory.
    BACKLIGHT_CHECK(height_ > 0 && width_ > 0 && height_ * width_ <= kMostPixels, name_, ": picture of ",
                    width_, " x ", height_, " pixels, expected at most ", kMostPixels);
}

PictureFile PictureFile::open(const std::filesystem::path& path, int channels) {
    return {read_file_bytes(path), path.string(), channels};
}

PixelBlock PictureFile::decode(const PixelWindow& window) const {
    if (is_plain_jpeg_) {
        PixelBlock stored =
            decode_jpeg(bytes_, name_, stored_channels_ == 1 && channels_ == 1 ? 1 : 3, window);
        if (stored.channels == channels_) {
            return stored;
        }
        PixelBlock block(stored.window, channels_);
        to_channels(stored.pixels.get(), stored.channels, block);
        return block;
    }
    int height = 0, width = 0, stored = 0;
    const std::unique_ptr<unsigned char, FreePixels> pixels(
        stbi_load_from_memory(bytes_.data(), static_cast<int>(bytes_.size()), &width, &height, &stored, 0));
    BACKLIGHT_CHECK(pixels != nullptr && height == height_ && width == width_, name_,
                    ": cannot decode the picture: ", stbi_failure_reason());
    PixelBlock block({0, 0, height_, width_}, channels_);
    to_channels(pixels.get(), stored, block);
    return block;
}

}  // namespace backlight
