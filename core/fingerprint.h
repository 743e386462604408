// FNV-1a: tells contents apart that nobody forged.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace backlight {

[[nodiscard]] uint64_t fingerprint(std::span<const uint8_t> bytes);
[[nodiscard]] uint64_t fingerprint(std::string_view text);
/// For readers: in hexadecimal digits.
[[nodiscard]] std::string checksum(std::span<const uint8_t> bytes);

}  // namespace backlight
