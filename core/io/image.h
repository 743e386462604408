// Pictures: PNG, JPEG, GIF and BMP are read, PNG is written. Pixels are u8 tensors of shape (H, W, C).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace backlight {

/// Reads a picture as u8 (H, W, channels), on the host. The first bytes decide on the format, not the file's
/// name.
///   channels 3: RGB; gray is repeated, alpha is dropped without blending, as Pillow's convert("RGB") does,
///   so that
///               data sets give the pixels that other frameworks train on
///   channels 1: gray, Y = 0.299 R + 0.587 G + 0.114 B rounded; gray pictures keep their values
///   channels 4: RGBA, alpha 255 where the file has none
/// Palettes are expanded, 16-bit samples keep their upper byte, of an animation the first frame is read,
/// orientation tags are not applied. JPEG may be progressive or CMYK; its pixels are Pillow's bit for bit
/// (CMYK: nearly). Throws Error that names the path when the file is missing, of another format, damaged,
/// truncated or larger than 2^27 pixels.
[[nodiscard]] Tensor read_image(const std::filesystem::path& path, int channels = 3);

/// The same from memory; `name` stands in error texts.
[[nodiscard]] Tensor decode_image(std::span<const uint8_t> bytes, std::string_view name, int channels = 3);

/// Writes u8 (H, W, 1|3|4), lossless and atomically. Throws Error on another type or shape, SystemError when
/// writing fails.
void write_png(const std::filesystem::path& path, const Tensor& pixels);

/// The bytes that write_png would write. The same pixels give the same bytes.
[[nodiscard]] std::vector<uint8_t> encode_png(const Tensor& pixels);

/// Base64 with padding (RFC 4648, section 4): what data URLs in HTML take.
[[nodiscard]] std::string base64_encode(std::span<const uint8_t> bytes);

}  // namespace backlight
