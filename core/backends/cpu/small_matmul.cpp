// GCC 12 takes the deliberately undefined lanes of its own AVX-512 intrinsics for a mistake (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "core/backends/cpu/small_matmul.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <immintrin.h>

namespace backlight::cpu {

#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,fma")
namespace avx512 {
using Vector = __m512;
constexpr int kLanes = 16, kTileRows = 8, kTileColumns = 3;
inline __mmask16 first(int64_t n) { return static_cast<__mmask16>((1U << n) - 1U); }
inline Vector zero() { return _mm512_setzero_ps(); }
inline Vector load(const float* p) { return _mm512_loadu_ps(p); }
inline Vector load_first(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
inline void store_first(float* p, Vector v, int64_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
inline Vector broadcast(const float* p) { return _mm512_set1_ps(*p); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
inline Vector load_squares(const float* p, int64_t step) {
    __m512 v = _mm512_castps128_ps512(_mm_loadu_ps(p));
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + step), 1);
    v = _mm512_insertf32x4(v, _mm_loadu_ps(p + 2 * step), 2);
    return _mm512_insertf32x4(v, _mm_loadu_ps(p + 3 * step), 3);
}
inline Vector unpack_low(Vector a, Vector b) { return _mm512_maskz_unpacklo_ps(0xFFFF, a, b); }
inline Vector unpack_high(Vector a, Vector b) { return _mm512_maskz_unpackhi_ps(0xFFFF, a, b); }
inline Vector low_halves(Vector a, Vector b) { return _mm512_shuffle_ps(a, b, 0x44); }
inline Vector high_halves(Vector a, Vector b) { return _mm512_shuffle_ps(a, b, 0xEE); }
#include "core/backends/cpu/small_matmul_kernel.h"
}  // namespace avx512
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
using Vector = __m256;
constexpr int kLanes = 8, kTileRows = 4, kTileColumns = 3;
inline __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vector zero() { return _mm256_setzero_ps(); }
inline Vector load(const float* p) { return _mm256_loadu_ps(p); }
inline Vector load_first(const float* p, int64_t n) { return _mm256_maskload_ps(p, first(n)); }
inline void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
inline void store_first(float* p, Vector v, int64_t n) { _mm256_maskstore_ps(p, first(n), v); }
inline Vector broadcast(const float* p) { return _mm256_broadcast_ss(p); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector load_squares(const float* p, int64_t step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
}
inline Vector unpack_low(Vector a, Vector b) { return _mm256_unpacklo_ps(a, b); }
inline Vector unpack_high(Vector a, Vector b) { return _mm256_unpackhi_ps(a, b); }
inline Vector low_halves(Vector a, Vector b) { return _mm256_shuffle_ps(a, b, 0x44); }
inline Vector high_halves(Vector a, Vector b) { return _mm256_shuffle_ps(a, b, 0xEE); }
#include "core/backends/cpu/small_matmul_kernel.h"
}  // namespace avx2
#pragma GCC pop_options

namespace sse2 {
using Vector = __m128;
constexpr int kLanes = 4, kTileRows = 4, kTileColumns = 2;
inline Vector zero() { return _mm_setzero_ps(); }
inline Vector load(const float* p) { return _mm_loadu_ps(p); }
inline Vector load_first(const float* p, int64_t n) {
    return n == 4 ? load(p) : _mm_setr_ps(p[0], n > 1 ? p[1] : 0.0f, n > 2 ? p[2] : 0.0f, 0.0f);
}
inline void store(float* p, Vector v) { _mm_storeu_ps(p, v); }
inline void store_first(float* p, Vector v, int64_t n) {
    alignas(16) float lanes[4];
    _mm_store_ps(static_cast<float*>(lanes), v);
    std::copy_n(static_cast<const float*>(lanes), n, p);
}
inline Vector broadcast(const float* p) { return _mm_set1_ps(*p); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
inline Vector load_squares(const float* p, int64_t /*step*/) { return _mm_loadu_ps(p); }
inline Vector unpack_low(Vector a, Vector b) { return _mm_unpacklo_ps(a, b); }
inline Vector unpack_high(Vector a, Vector b) { return _mm_unpackhi_ps(a, b); }
inline Vector low_halves(Vector a, Vector b) { return _mm_shuffle_ps(a, b, 0x44); }
inline Vector high_halves(Vector a, Vector b) { return _mm_shuffle_ps(a, b, 0xEE); }
#include "core/backends/cpu/small_matmul_kernel.h"
}  // namespace sse2

void small_matmul(const SmallMatmul& m) {
    using Multiply = void (*)(const SmallMatmul&);
    static const Multiply multiply = [] {
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
            __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0) {
            return Multiply{avx512::multiply};
        }
        const bool has_avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
        return has_avx2 ? Multiply{avx2::multiply} : Multiply{sse2::multiply};
    }();
    multiply(m);
}

}  // namespace backlight::cpu
