// Elementwise output in blocks. A large output is computed block by block in the first-level cache and
// written past the caches: a plain store of a line that is not cached reads it from memory first, which costs
// a third of the bandwidth.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "core/backends/cpu/parallel.h"

namespace backlight::cpu {

/// The longest block: two operands and the result fit the first-level cache.
inline constexpr int64_t kBlock = 2048;
/// Blocks that are written past the caches are short, so that a core computes one while it writes the last.
inline constexpr int64_t kStreamBlock = 128;
/// Outputs of this size on do not fit the caches together with what they are computed from.
inline constexpr int64_t kStreamBytes = int64_t{16} << 20;

/// y = x past the caches; y at a multiple of 64 bytes. Visible to other threads after stream_fence().
void stream_block(void* y, const void* x, int64_t bytes);
void stream_fence();

/// Length of blocks at whose beginning a row of `period` elements (0: none) begins again, if such a length is
/// short. Multiples of `line`, the elements of a cache line, so that blocks begin with one.
[[nodiscard]] inline int64_t block_length(int64_t period, bool stream, int64_t line) {
    const int64_t wanted = stream ? kStreamBlock : kBlock;
    const int64_t together = period == 0 ? line : std::lcm(period, line);
    return together > (stream ? 4 * kStreamBlock : kBlock)
               ? wanted
               : together * std::max<int64_t>(1, wanted / together);
}

/// y[begin..end) = what compute(out, at, count) writes to out[0..count) for the elements from `at` on, at
/// most `block` at a time. compute may read y[at..at+count), so in-place use is fine.
template <typename T, typename Compute>
void write_blocks(T* y, int64_t begin, int64_t end, int64_t block, bool stream, Compute&& compute) {
    if (!stream) {
        for (int64_t at = begin; at < end; at += block) {
            compute(y + at, at, std::min(block, end - at));
        }
        return;
    }
    alignas(64) T out[4 * kStreamBlock];
    for (int64_t at = begin; at < end; at += block) {
        const int64_t count = std::min(block, end - at);
        compute(static_cast<T*>(out), at, count);
        stream_block(y + at, out, count * static_cast<int64_t>(sizeof(T)));
    }
    stream_fence();
}

/// The same over 0..count-1 and all threads; each thread computes with its own make_compute().
template <typename T, typename MakeCompute>
void write_elements(T* y, int64_t count, int64_t period, MakeCompute&& make_compute) {
    constexpr auto kSize = static_cast<int64_t>(sizeof(T));
    const bool stream = count * kSize >= kStreamBytes;
    const int64_t block = block_length(period, stream, 64 / kSize);
    parallel_ranges(count, kParallelElements / 2, block, [&](int64_t begin, int64_t end) {
        write_blocks(y, begin, end, block, stream, make_compute());
    });
}

}  // namespace backlight::cpu
