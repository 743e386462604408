#include "core/backends/cpu/blocks.h"

#include <cstddef>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace backlight::cpu {

#if defined(__SSE2__)
namespace {

// Whole lines of 64 bytes, so that the write-combining buffers never leave half filled.
__attribute__((target("avx512f"))) void stream_lines_512(std::byte* y, const std::byte* x, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64) {
        _mm512_stream_si512(reinterpret_cast<__m512i*>(y + i), _mm512_loadu_si512(x + i));
    }
}
__attribute__((target("avx"))) void stream_lines_256(std::byte* y, const std::byte* x, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 32) {
        _mm256_stream_si256(reinterpret_cast<__m256i*>(y + i),
                            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i)));
    }
}
void stream_lines_128(std::byte* y, const std::byte* x, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 16) {
        _mm_stream_si128(reinterpret_cast<__m128i*>(y + i),
                         _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i)));
    }
}

using StreamLines = void (*)(std::byte*, const std::byte*, int64_t);
StreamLines pick_stream_lines() {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") != 0 ? stream_lines_512
           : __builtin_cpu_supports("avx") != 0   ? stream_lines_256
                                                  : stream_lines_128;
}

}  // namespace

void stream_block(void* y, const void* x, int64_t bytes) {
    static const StreamLines stream_lines = pick_stream_lines();
    auto* to = static_cast<std::byte*>(y);
    const auto* from = static_cast<const std::byte*>(x);
    const int64_t whole = bytes & ~int64_t{63};
    stream_lines(to, from, whole);
    std::memcpy(to + whole, from + whole, static_cast<size_t>(bytes - whole));
}

void stream_fence() { _mm_sfence(); }
#else
void stream_block(void* y, const void* x, int64_t bytes) { std::memcpy(y, x, static_cast<size_t>(bytes)); }
void stream_fence() {}
#endif

}  // namespace backlight::cpu
