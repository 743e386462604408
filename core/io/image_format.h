// Recognising picture formats and telling whole files from damaged ones. The decoder forgives missing ends:
// it would fill the rest of a half-copied photo with gray, and a data set with such photos would train
// without a word.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace backlight {

enum class ImageFormat : uint8_t { png, jpeg, gif, bmp };

/// From the first bytes. Throws Error when it is none of them; `name` stands in the text.
[[nodiscard]] ImageFormat identify_image(std::span<const uint8_t> bytes, std::string_view name);

/// Walks the file's segments; what lies behind the picture is not looked at. Throws Error when the file ends
/// before its picture does, when a checksum of a PNG is wrong, or when a Huffman table of a JPEG has more
/// codes than the decoder has room for.
void check_image_complete(ImageFormat format, std::span<const uint8_t> bytes, std::string_view name);

}  // namespace backlight
