// Size classes of memory blocks: multiples of 64 bytes, eight classes to a doubling, so that a block is at
// most an eighth larger than what was asked for. From 2 MiB on the allocator cuts mapped memory instead.
//   With u + 1 units of 64 bytes: u < 16 is its own class. Otherwise u = m 2^k + rest with m in 8..15 is in
//   class 8k + m, whose blocks have (m + 1) 2^k units.
#pragma once

#include <bit>
#include <cstddef>

namespace backlight::size_classes {

inline constexpr size_t kUnit = 64;
inline constexpr size_t kLargest = size_t{1} << 46;
inline constexpr size_t kCount = 304;

[[nodiscard]] constexpr size_t class_of(size_t bytes) {
    const size_t u = bytes == 0 ? 0 : (bytes - 1) / kUnit;
    if (u < 16) {
        return u;
    }
    const auto k = static_cast<size_t>(std::bit_width(u)) - 4;
    return 8 * k + (u >> k);
}

[[nodiscard]] constexpr size_t block_bytes(size_t size_class) {
    if (size_class < 16) {
        return (size_class + 1) * kUnit;
    }
    return ((size_class % 8 + 9) << (size_class / 8 - 1)) * kUnit;
}

static_assert(class_of(kLargest) == kCount - 1 && block_bytes(kCount - 1) == kLargest);

}  // namespace backlight::size_classes
