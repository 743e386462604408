// Compiles every functor of core/backends/functors.h as device code, f32 and f64. Nothing here runs: a
// function that a GPU cannot have is an error of nvcc. functors_list.h names the functors; configure reads
// them from the header.
#include "core/backends/functors.h"
#include "functors_list.h"

namespace {

using backlight::functors::PhiloxBlock;

__device__ int64_t thread_index() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

}  // namespace

template <typename F, typename T>
__global__ void unary_kernel(const T* x, T parameter, T* y, int64_t n) {
    const int64_t i = thread_index();
    if (i < n) y[i] = F{}(x[i], parameter);
}

template <typename F, typename T>
__global__ void binary_kernel(const T* a, const T* b, T* y, int64_t n) {
    const int64_t i = thread_index();
    if (i < n) y[i] = F{}(a[i], b[i]);
}

#define BACKLIGHT_COMPILE_UNARY(Name)                                                                       \
    template __global__ void unary_kernel<backlight::functors::Name>(const float*, float, float*, int64_t); \
    template __global__ void unary_kernel<backlight::functors::Name>(const double*, double, double*, int64_t);
#define BACKLIGHT_COMPILE_BINARY(Name)                                                                       \
    template __global__ void binary_kernel<backlight::functors::Name>(const float*, const float*, float*,    \
                                                                      int64_t);                              \
    template __global__ void binary_kernel<backlight::functors::Name>(const double*, const double*, double*, \
                                                                      int64_t);

BACKLIGHT_UNARY_FUNCTORS(BACKLIGHT_COMPILE_UNARY)
BACKLIGHT_COMPILE_UNARY(Sigmoid)  // has a body of its own, and so is not in the list
BACKLIGHT_BINARY_FUNCTORS(BACKLIGHT_COMPILE_BINARY)

__global__ void uniform_kernel(uint32_t key0, uint32_t key1, float* single, double* wide, int64_t n) {
    const int64_t i = thread_index();
    if (i >= n) return;
    const PhiloxBlock counter{{static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), 0, 0}};
    const PhiloxBlock bits = backlight::functors::philox(counter, key0, key1);
    single[i] = backlight::functors::uniform_from_bits(bits.word[0]);
    wide[i] = backlight::functors::uniform_from_bits(bits.word[1], bits.word[2]);
}
