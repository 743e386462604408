// Blocks of host memory from the operating system. Large ones are mapped at multiples of a huge page, which
// saves most of the page faults and translations of large tensors; smaller ones come from the C library.
#pragma once

#include <cstddef>

namespace backlight::host_pages {

inline constexpr size_t kHugePage = size_t{2} << 20;

/// A 64-byte aligned block of less than 2 MiB from the C library, or null when there is none. `bytes` is a
/// multiple of 64.
[[nodiscard]] void* allocate(size_t bytes) noexcept;
void free(void* data) noexcept;

/// Mapped memory at a multiple of 2 MiB, or null when the system has none. `bytes` is a multiple of 2 MiB.
[[nodiscard]] void* map(size_t bytes) noexcept;
/// Any whole pages of what was mapped, also of several mappings that are neighbours. False: the system cannot
/// (a process has so many mappings at most), they are still there.
[[nodiscard]] bool unmap(void* data, size_t bytes) noexcept;
[[nodiscard]] size_t page_bytes();

/// The memory that this process may use: the machine's, or what its control group grants.
[[nodiscard]] size_t available_bytes();

}  // namespace backlight::host_pages
