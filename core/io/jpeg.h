// JPEG by libjpeg-turbo with the settings of Pillow: accurate inverse transform, interpolated colour.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/io/picture.h"

namespace backlight {

struct JpegHeader {
    int64_t height = 0, width = 0;
    int channels = 0;  // 1: gray, 3: colour
};

/// Nothing when the colours are of a kind that the library does not turn into RGB (CMYK). Throws Error that
/// begins with `name` when the header is damaged.
[[nodiscard]] std::optional<JpegHeader> read_jpeg_header(std::span<const uint8_t> bytes,
                                                         std::string_view name);

/// At least the window, which lies inside the picture: bit for bit what decoding everything gives there.
/// `channels` is 1 for gray pictures, else 3. Throws Error that begins with `name` when what had to be read
/// is damaged.
[[nodiscard]] PixelBlock decode_jpeg(std::span<const uint8_t> bytes, std::string_view name, int channels,
                                     const PixelWindow& window);

}  // namespace backlight
