// The allocator of host tensors: blocks aligned to 64 bytes, kept for reuse when they are freed.
//   < 1.9 MiB        size classes, multiples of 64 bytes, eight to a doubling: at most an eighth of a block
//   is
//                  unused; up to 64 KiB a free list of each thread, which trades batches with the shared one
//   above           whole pages, cut from memory that was mapped for huge pages; what is freed joins its
//                  neighbours (free_ranges.h)
// With BACKLIGHT_POISON=1 in the environment every block comes filled with NaN (bytes 0xFF): what reads
// before it writes is found. Under AddressSanitizer nothing is cached, so that overruns and late reads are
// found.
#pragma once

#include <cstddef>

namespace backlight {

/// At least `bytes` uninitialised bytes, 64-byte aligned; never null, also for 0 bytes. Frees the cache and
/// tries again before it throws SystemError. Thread-safe, as all functions here are.
[[nodiscard]] void* host_allocate(size_t bytes);
/// Takes back what host_allocate(bytes) gave.
void host_deallocate(void* data, size_t bytes) noexcept;

/// In bytes of whole blocks.
struct HostMemoryStatistics {
    size_t in_use = 0;  // held by callers
    size_t cached = 0;  // freed by callers, kept for reuse
    size_t peak = 0;    // the most that was in use since the start or reset_host_memory_peak(), to within
                        // 256 KiB a thread
};
[[nodiscard]] HostMemoryStatistics host_memory_statistics();
void reset_host_memory_peak();

/// Returns the shared cache, and the calling thread's, to the system.
void trim_host_memory() noexcept;
/// The most that the shared cache may hold; by default half of the memory that this process may use. A block
/// that does not fit any more empties the cache first. The lists of the threads come on top: at most 32 MiB
/// each.
void set_host_memory_cache_limit(size_t bytes);
/// Switches the filling of fresh blocks with NaN on or off, for tests.
void set_host_memory_poison(bool on);

}  // namespace backlight
