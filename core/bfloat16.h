// bfloat16: the upper half of a float. Eight bits of precision and the float's range; arithmetic is done in
// float, results are rounded to nearest, halves to even (as the processors' own instructions do).
#pragma once

#include <bit>
#include <cstdint>

namespace backlight {

struct BFloat16 {
    uint16_t bits = 0;

    BFloat16() = default;
    explicit BFloat16(float value) : bits(rounded(value)) {}
    operator float() const {  // NOLINT(google-explicit-constructor): exact
        return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }

private:
    // Adding half a unit of the last kept place, less one where that place is even, carries exactly when
    // the number is to be rounded up. A NaN keeps its sign and becomes quiet.
    static uint16_t rounded(float value) {
        const auto whole = std::bit_cast<uint32_t>(value);
        const uint32_t nearest = (whole + 0x7FFFU + (whole >> 16 & 1U)) >> 16;
        const uint32_t quiet = whole >> 16 | 0x40U;
        return static_cast<uint16_t>((whole & 0x7FFFFFFFU) > 0x7F800000U ? quiet : nearest);
    }
};

}  // namespace backlight
