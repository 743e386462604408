#include "core/io/image.h"

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/picture.h"

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

}  // namespace

// The encoder's functions stay in this file: a program that links Backlight may hold its own copy.
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_ZLIB_COMPRESS compress_for_png
#include <stb/stb_image_write.h>

namespace backlight {
namespace {

struct FreePixels {
    void operator()(unsigned char* pixels) const { std::free(pixels); }
};
using Pixels = std::unique_ptr<unsigned char, FreePixels>;

Tensor to_tensor(const PixelBlock& block) {
    return Tensor::from(std::span<const uint8_t>(block.pixels.get(), block.size()),
                        {block.window.height, block.window.width, block.channels});
}

}  // namespace

Tensor decode_image(std::span<const uint8_t> bytes, std::string_view name, int channels) {
    return to_tensor(PictureFile({bytes.begin(), bytes.end()}, std::string(name), channels).decode());
}

Tensor read_image(const std::filesystem::path& path, int channels) {
    return to_tensor(PictureFile::open(path, channels).decode());
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
