// Which elements a rectifier passed, one bit each: a thirty-second of what keeping its output in float takes.
#pragma once

#include <cstdint>

namespace backlight {

/// The bits are 32-bit words in groups of eight for 256 elements: element 8 k + j of a group is bit k of its
/// word j, so that a vector of eight elements meets its bits without a shuffle.
struct PassedBits {
    static constexpr int64_t kGroup = 256, kWords = 8;
    [[nodiscard]] static constexpr int64_t words(int64_t elements) {
        return (elements + kGroup - 1) / kGroup * kWords;
    }
    [[nodiscard]] static constexpr int64_t bytes(int64_t elements) { return 4 * words(elements); }
    [[nodiscard]] static constexpr int64_t word_of(int64_t element) {
        return element / kGroup * kWords + element % kWords;
    }
    [[nodiscard]] static constexpr uint32_t bit_of(int64_t element) {
        return uint32_t{1} << (element % kGroup / kWords);
    }
};

}  // namespace backlight
