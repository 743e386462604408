#include "core/fingerprint.h"

#include <sstream>

namespace backlight {

uint64_t fingerprint(std::span<const uint8_t> bytes) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const uint8_t byte : bytes) {
        hash = (hash ^ byte) * 0x100000001b3;
    }
    return hash;
}

uint64_t fingerprint(std::string_view text) {
    return fingerprint(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

std::string checksum(std::span<const uint8_t> bytes) {
    std::ostringstream text;
    text << std::hex << fingerprint(bytes);
    return text.str();
}

}  // namespace backlight
