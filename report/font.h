// Text in pictures: letters of 5x8 dots (the eighth row is for descenders), proportional, ASCII. Pages and
// plots use real text; this is for contact sheets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "report/colormap.h"

namespace backlight::report {

inline constexpr int64_t kGlyphHeight = 8;

/// Width in dots of one line of text, without the space behind the last letter.
[[nodiscard]] int64_t text_width(std::string_view text);
/// The text, cut so that with ".." it fits into `dots`; empty when not even that does.
[[nodiscard]] std::string fit_text(std::string_view text, int64_t dots);

/// Draws text into u8 pixels (height, width, 3); (left, top) is the first letter's corner, a dot is scale x
/// scale pixels, what falls outside is dropped. A character that is not printable ASCII is drawn as '?'.
void draw_text(std::vector<uint8_t>& pixels, int64_t height, int64_t width, int64_t left, int64_t top,
               std::string_view text, int64_t scale, Color ink);

}  // namespace backlight::report
