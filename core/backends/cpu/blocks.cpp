#include "core/backends/cpu/blocks.h"

#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace backlight::cpu {

#if defined(__SSE2__)
namespace {

// Whole lines of 64 bytes, so that the write-combining buffers never leave half filled.
__attribute__((target("avx512f"))) void stream_lines_512(float* y, const float* x, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) {
        _mm512_stream_ps(y + i, _mm512_loadu_ps(x + i));
    }
}
__attribute__((target("avx"))) void stream_lines_256(float* y, const float* x, int64_t count) {
    for (int64_t i = 0; i < count; i += 8) {
        _mm256_stream_ps(y + i, _mm256_loadu_ps(x + i));
    }
}
void stream_lines_128(float* y, const float* x, int64_t count) {
    for (int64_t i = 0; i < count; i += 4) {
        _mm_stream_ps(y + i, _mm_loadu_ps(x + i));
    }
}

using StreamLines = void (*)(float*, const float*, int64_t);
StreamLines pick_stream_lines() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") != 0 ? stream_lines_512
           : __builtin_cpu_supports("avx") != 0   ? stream_lines_256
                                                  : stream_lines_128;
}

}  // namespace

void stream_block(float* y, const float* x, int64_t count) {
    static const StreamLines stream_lines = pick_stream_lines();
    const int64_t whole = count & ~int64_t{15};
    stream_lines(y, x, whole);
    std::memcpy(y + whole, x + whole, static_cast<size_t>(count - whole) * sizeof(float));
}

void stream_fence() { _mm_sfence(); }
#else
void stream_block(float* y, const float* x, int64_t count) {
    std::memcpy(y, x, static_cast<size_t>(count) * sizeof(float));
}
void stream_fence() {}
#endif

}  // namespace backlight::cpu
