// Blocks of host memory from the operating system. From 2 MiB on they are mapped at multiples of a huge page,
// which saves most of the page faults and translations of large tensors; smaller ones come from the C
// library.
#pragma once

#include <cstddef>

namespace backlight::host_pages {

/// The size of a huge page, from which on blocks are mapped.
inline constexpr size_t kHugePage = size_t{2} << 20;

/// A 64-byte aligned block, or null when the system has none. `bytes` is a multiple of 64, and of the page
/// size from 2 MiB on.
[[nodiscard]] void* allocate(size_t bytes) noexcept;
/// From 2 MiB on also part of a block, or neighbouring blocks together.
void free(void* data, size_t bytes) noexcept;

/// The memory that this process may use: the machine's, or what its control group grants.
[[nodiscard]] size_t available_bytes();

}  // namespace backlight::host_pages
