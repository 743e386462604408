// Matrix products too small for a library call: one thread, vector registers, no allocation.
#pragma once

#include <cstdint>

namespace backlight::cpu {

/// y (rows, columns) = op(a) (rows, inner) op(b) (inner, columns) + bias. Row-major; an operand that is
/// transposed lies as (inner, rows) or (columns, inner).
struct SmallMatmul {
    const float* a = nullptr;
    const float* b = nullptr;
    const float* bias = nullptr;  // (columns) or null
    float* y = nullptr;
    int64_t rows = 0, columns = 0, inner = 0;
    bool transpose_a = false, transpose_b = false;
};

/// The longest inner extent that the kernel takes.
inline constexpr int64_t kSmallInner = 512;

void small_matmul(const SmallMatmul& m);

}  // namespace backlight::cpu
