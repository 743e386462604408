// Elementwise output in blocks. A large output is computed block by block in the first-level cache and written past the
// caches: a plain store of a line that is not cached reads it from memory first, which costs a third of the bandwidth.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/backends/cpu/parallel.h"

namespace backlight::cpu {

/// Elements of one block: two operands and the result fit the first-level cache.
inline constexpr int64_t kBlock = 2048;
/// Outputs from this many elements on do not fit the caches together with what they are computed from.
inline constexpr int64_t kStreamElements = int64_t{4} << 20;

/// y = x past the caches; y at a multiple of 64 bytes. Visible to other threads after stream_fence().
void stream_block(float* y, const float* x, int64_t count);
void stream_fence();

/// y[begin..end) = what compute(out, at, count) writes to out[0..count) for the elements from `at` on. Blocks begin at
/// begin + multiples of `block` (at most kBlock). compute may read y[at..at+count), so in-place use is fine.
template <typename Compute>
void write_blocks(float* y, int64_t begin, int64_t end, int64_t block, bool stream, Compute&& compute) {
    if (!stream || block % 16 != 0 || begin % 16 != 0) {
        for (int64_t at = begin; at < end; at += block) {
            compute(y + at, at, std::min(block, end - at));
        }
        return;
    }
    alignas(64) float out[kBlock];
    for (int64_t at = begin; at < end; at += block) {
        const int64_t count = std::min(block, end - at);
        compute(static_cast<float*>(out), at, count);
        stream_block(y + at, out, count);
    }
    stream_fence();
}

/// The same over 0..count-1 and all threads; compute as made by make_compute() in each thread.
template <typename MakeCompute>
void write_elements(float* y, int64_t count, int64_t block, MakeCompute&& make_compute) {
    const bool stream = count >= kStreamElements;
    parallel_ranges(count, kParallelElements / 2, block, [&](int64_t begin, int64_t end) {
        write_blocks(y, begin, end, block, stream, make_compute());
    });
}

}  // namespace backlight::cpu
