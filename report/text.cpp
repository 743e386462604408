// UTF-8 by its definition (RFC 3629): no overlong forms, no surrogates, nothing beyond U+10FFFF.
#include "report/text.h"

namespace backlight::report {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// Bytes of the character that starts at `text`, 0 where there is no valid one.
size_t character_length(std::string_view text) {
    const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0}; };
    const uint8_t lead = byte(0);
    if (lead < 0x80) {
        return 1;
    }
    const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) {
            return 0;
        }
    }
    const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
    const bool surrogate = lead == 0xed && byte(1) >= 0xa0;
    const bool beyond = lead == 0xf4 && byte(1) >= 0x90;
    const bool noncharacter =
        lead == 0xef && byte(1) == 0xbf && byte(2) >= 0xbe;  // U+FFFE, U+FFFF: not in XML
    return overlong || surrogate || beyond || noncharacter ? 0 : length;
}

}  // namespace

std::string clean_text(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    while (!text.empty()) {
        const size_t length = character_length(text);
        const auto lead = static_cast<uint8_t>(text[0]);
        const bool control = (lead < 32 && lead != '\n' && lead != '\t') || lead == 127;
        clean += length == 0 || control ? kReplacement : text.substr(0, length);
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return clean;
}

std::string escape_html(std::string_view text) {
    std::string escaped;
    for (const char character : clean_text(text)) {
        switch (character) {
            case '&':
                escaped += "&amp;";
                break;
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            case '\'':
                escaped += "&#39;";
                break;
            default:
                escaped += character;
        }
    }
    return escaped;
}

int64_t count_characters(std::string_view text) {
    int64_t count = 0;
    for (const char c : text) {
        count += (static_cast<uint8_t>(c) & 0xc0) != 0x80 ? 1 : 0;
    }
    return count;
}

std::string shorten(std::string_view text, int64_t characters) {
    if (count_characters(text) <= characters) {
        return std::string(text);
    }
    size_t end = 0;
    for (int64_t kept = 0; end < text.size(); ++end) {
        if ((static_cast<uint8_t>(text[end]) & 0xc0) != 0x80 && kept++ == characters - 1) {
            break;
        }
    }
    return std::string(text.substr(0, end)) + "\u2026";
}

}  // namespace backlight::report
