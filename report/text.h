// Text on its way into pages and drawings: made valid, escaped, measured.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace backlight::report {

/// Valid UTF-8 without control characters (newline and tab stay); what is not becomes U+FFFD. XML forbids the
/// rest.
[[nodiscard]] std::string clean_text(std::string_view text);

/// clean_text with & < > " ' as entities.
[[nodiscard]] std::string escape_html(std::string_view text);

/// Characters (code points) of valid UTF-8.
[[nodiscard]] int64_t count_characters(std::string_view text);

/// At most `characters` characters; a longer text ends in an ellipsis.
[[nodiscard]] std::string shorten(std::string_view text, int64_t characters);

}  // namespace backlight::report
