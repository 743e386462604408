#include "core/io/image.h"

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/image_format.h"

namespace {

/// zlib packs pictures smaller and faster than the encoder's own code. The result is freed by the encoder.
unsigned char* compress_for_png(unsigned char* data, int length, int* packed_length, int /*quality*/) {
    constexpr int kLevel = 6;
    uLongf capacity = compressBound(static_cast<uLong>(length));
    auto* packed = static_cast<unsigned char*>(std::malloc(capacity));
    if (packed == nullptr || capacity > INT_MAX ||
        compress2(packed, &capacity, data, static_cast<uLong>(length), kLevel) != Z_OK) {
        std::free(packed);
        return nullptr;
    }
    *packed_length = static_cast<int>(capacity);
    return packed;
}

[[noreturn]] void fail_decoder_assertion() { throw backlight::Error("picture decoder: inconsistent data"); }

}  // namespace

// The decoder's functions stay in this file: a program that links Backlight may hold its own copy.
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_ASSERT(condition) ((condition) ? void() : fail_decoder_assertion())
#include <stb/stb_image.h>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS compress_for_png
#include <stb/stb_image_write.h>

namespace backlight {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 27;

struct FreePixels {
    void operator()(unsigned char* pixels) const { std::free(pixels); }
};
using Pixels = std::unique_ptr<unsigned char, FreePixels>;

/// The weights of ITU-R BT.601 in 16 bits, rounded: Pillow's convert("L").
uint8_t luma(const uint8_t* rgb) {
    return static_cast<uint8_t>((rgb[0] * 19595U + rgb[1] * 38470U + rgb[2] * 7471U + 0x8000U) >> 16);
}

/// Gray, gray and alpha, RGB or RGBA -> gray, RGB or RGBA.
std::vector<uint8_t> to_channels(std::span<const uint8_t> stored, int from, int to) {
    const size_t count = stored.size() / static_cast<size_t>(from);
    std::vector<uint8_t> pixels(count * static_cast<size_t>(to));
    const bool is_gray = from <= 2;
    const bool has_alpha = from == 2 || from == 4;
    for (size_t i = 0; i < count; ++i) {
        const uint8_t* source = stored.data() + i * static_cast<size_t>(from);
        uint8_t* target = pixels.data() + i * static_cast<size_t>(to);
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
    return pixels;
}

}  // namespace

Tensor decode_image(std::span<const uint8_t> bytes, std::string_view name, int channels) {
    BACKLIGHT_CHECK(channels == 1 || channels == 3 || channels == 4,
                    "read_image: expected 1, 3 or 4 channels, got ", channels);
    const ImageFormat format = identify_image(bytes, name);
    check_image_complete(format, bytes, name);
    BACKLIGHT_CHECK(bytes.size() <= INT_MAX, name, ": a picture file of more than 2 GiB");
    const auto length = static_cast<int>(bytes.size());
    int width = 0, height = 0, stored = 0;
    // The header alone first: a small file may claim a picture that fills the memory.
    const bool readable = stbi_info_from_memory(bytes.data(), length, &width, &height, &stored) != 0;
    BACKLIGHT_CHECK(!readable || int64_t{width} * height <= kMostPixels, name, ": picture of ", width, " x ",
                    height, " pixels, expected at most ", kMostPixels);
    const Pixels pixels(readable ? stbi_load_from_memory(bytes.data(), length, &width, &height, &stored, 0)
                                 : nullptr);
    BACKLIGHT_CHECK(pixels != nullptr, name, ": cannot decode the picture: ", stbi_failure_reason());
    const size_t size =
        static_cast<size_t>(width) * static_cast<size_t>(height) * static_cast<size_t>(stored);
    return Tensor::from(to_channels({pixels.get(), size}, stored, channels), {height, width, channels});
}

Tensor read_image(const std::filesystem::path& path, int channels) {
    return decode_image(read_file_bytes(path), path.string(), channels);
}

std::vector<uint8_t> encode_png(const Tensor& pixels) {
    const bool is_picture = pixels.defined() && pixels.dtype() == DType::u8 && pixels.rank() == 3 &&
                            pixels.numel() > 0 &&
                            (pixels.dim(2) == 1 || pixels.dim(2) == 3 || pixels.dim(2) == 4);
    BACKLIGHT_CHECK(is_picture, "encode_png: expected uint8 of shape (H, W, 1|3|4), not empty, got ",
                    pixels.dtype(), " ", pixels.shape());
    constexpr int64_t kMostEncodedBytes = INT_MAX / 2;  // the encoder counts with int
    BACKLIGHT_CHECK(pixels.numel() <= kMostEncodedBytes && pixels.dim(0) <= kMostEncodedBytes / 2,
                    "encode_png: a picture of shape ", pixels.shape(), " is too large");
    const std::vector<uint8_t> values = pixels.to_vector<uint8_t>();
    const auto height = static_cast<int>(pixels.dim(0)), width = static_cast<int>(pixels.dim(1));
    int length = 0;
    const Pixels png(
        stbi_write_png_to_mem(values.data(), 0, width, height, static_cast<int>(pixels.dim(2)), &length));
    if (png == nullptr) {
        throw SystemError(concat_text("encode_png: no memory for a picture of shape ", pixels.shape()));
    }
    return {png.get(), png.get() + length};
}

void write_png(const std::filesystem::path& path, const Tensor& pixels) {
    write_file_atomically(path, encode_png(pixels));
}

std::string base64_encode(std::span<const uint8_t> bytes) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.size(); i += 3) {  // 3 bytes -> 4 digits of 6 bits
        const size_t count = std::min<size_t>(3, bytes.size() - i);
        uint32_t group = 0;
        for (size_t k = 0; k < 3; ++k) {
            group = group << 8 | (k < count ? bytes[i + k] : 0U);
        }
        for (size_t k = 0; k < 4; ++k) {
            text += k <= count ? kDigits[group >> (18 - 6 * k) & 0x3FU] : '=';
        }
    }
    return text;
}

}  // namespace backlight
