// Threads: how the loops of this folder are shared among cores.
#pragma once

#include <algorithm>
#include <cstdint>

#include <omp.h>

#include "core/clones.h"

namespace backlight::cpu {

/// Quotient and remainder of non-negative numbers. 64-bit division takes three times as long as 32-bit
/// division.
struct Division {
    int64_t quotient, remainder;
};
[[nodiscard]] inline Division divide(int64_t a, int64_t b) {
    if (((a | b) >> 32) == 0) {
        const auto small_a = static_cast<uint32_t>(a);
        const auto small_b = static_cast<uint32_t>(b);
        return {small_a / small_b, small_a % small_b};
    }
    return {a / b, a % b};
}

/// Below this many elements of simple work a second thread costs more than it brings: waking one takes
/// microseconds.
inline constexpr int64_t kParallelElements = 1 << 16;

/// While it lives, parallel regions that this thread opens, those of libraries included, have one thread.
class OneThread {
public:
    explicit OneThread(bool wanted) : previous_(wanted ? omp_get_max_threads() : 0) {
        if (wanted) {
            omp_set_num_threads(1);
        }
    }
    ~OneThread() {
        if (previous_ > 0) {
            omp_set_num_threads(previous_);
        }
    }
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;

private:
    int previous_;
};

/// Calls body(begin, end) over 0..count-1, cut into one range per thread at multiples of `align`.
/// Runs in the calling thread when there are fewer than `grain` items for each of two threads.
template <typename Body>
void parallel_ranges(int64_t count, int64_t grain, int64_t align, Body&& body) {
    if (count <= 0) {
        return;
    }
    const int64_t wanted = std::min<int64_t>(omp_get_max_threads(), count / std::max<int64_t>(grain, 1));
    if (wanted < 2 || omp_in_parallel() != 0) {
        body(int64_t{0}, count);
        return;
    }
    const int64_t pieces = (count + align - 1) / align;
#pragma omp parallel num_threads(static_cast <int>(wanted))
    {
        const int64_t threads = omp_get_num_threads();
        const int64_t thread = omp_get_thread_num();
        const int64_t begin = pieces * thread / threads * align;
        const int64_t end = std::min(count, pieces * (thread + 1) / threads * align);
        if (begin < end) {
            body(begin, end);
        }
    }
}

/// The same for `count` independent items of about `elements` elements of work each.
template <typename Body>
void parallel_items(int64_t count, int64_t elements, Body&& body) {
    const int64_t grain = kParallelElements / 2 / std::max<int64_t>(elements, 1) + 1;
    parallel_ranges(count, grain, 1, body);
}

}  // namespace backlight::cpu
