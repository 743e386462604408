// Softmax and its logarithm over rows (formulas: core/backends/reference/normalization.cpp). Several short
// rows are shifted, then all their exponentials are taken together, so that rows of two numbers are vector
// work too.
#include <algorithm>

#include "core/backends/buffer.h"
#include "core/backends/cpu/column_sums.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/vector_math.h"
#include "core/backends/reference/walk.h"

namespace backlight {
namespace {

constexpr int64_t kBlock = 2048;

float greatest_of(const float* x, int64_t count) {
    constexpr int64_t kLanes = 64;
    float lanes[kLanes];
    std::copy_n(x, kLanes, static_cast<float*>(lanes));
    cpu::reduce_columns<cpu::MaximumReduction>(x, count / kLanes, kLanes, kLanes, lanes);
    float greatest = *std::max_element(lanes, lanes + kLanes);
    for (int64_t i = count / kLanes * kLanes; i < count; ++i) {
        greatest = x[i] > greatest ? x[i] : greatest;
    }
    return greatest;
}

// y = x - greatest of the row
BACKLIGHT_CLONES void shift_rows(const float* x, int64_t rows, int64_t length, float* y) {
    constexpr int64_t kShort = 128;
    for (int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * length;
        float greatest = row[0];
        if (length < kShort) {
            for (int64_t i = 1; i < length; ++i) {
                greatest = row[i] > greatest ? row[i] : greatest;
            }
        } else {
            greatest = greatest_of(row, length);
        }
        BACKLIGHT_INDEPENDENT
        for (int64_t i = 0; i < length; ++i) {
            y[r * length + i] = row[i] - greatest;
        }
    }
}

BACKLIGHT_CLONES void exp_loop(const float* x, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = cpu::vector_exp(x[i]);
    }
}

// sums[r] = sum of row r
BACKLIGHT_CLONES void sum_rows(const float* x, int64_t rows, int64_t length, float* sums) {
    for (int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * length;
        double sum = 0;
        if (length < 16) {
            for (int64_t i = 0; i < length; ++i) {
                sum += static_cast<double>(row[i]);
            }
        } else {
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < length; ++i) {
                sum += static_cast<double>(row[i]);
            }
        }
        sums[r] = static_cast<float>(sum);
    }
}

// y = y / sum of the row
BACKLIGHT_CLONES void divide_rows(const float* sums, int64_t rows, int64_t length, float* y) {
    for (int64_t r = 0; r < rows; ++r) {
        const float factor = 1.0f / sums[r];
        for (int64_t i = 0; i < length; ++i) {
            y[r * length + i] *= factor;
        }
    }
}

// y = y - log sum e, e the exponentials of y; both terms are at most 0, so nothing cancels.
BACKLIGHT_CLONES void subtract_logs(float* sums, int64_t rows, int64_t length, float* y) {
    for (int64_t r = 0; r < rows; ++r) {
        sums[r] = cpu::vector_log(sums[r]);
    }
    for (int64_t r = 0; r < rows; ++r) {
        const float shift = sums[r];
        for (int64_t i = 0; i < length; ++i) {
            y[r * length + i] -= shift;
        }
    }
}

// At most kBlock rows.
void softmax_rows(const float* x, int64_t rows, int64_t length, float* y) {
    float sums[kBlock];
    shift_rows(x, rows, length, y);
    exp_loop(y, y, rows * length);
    sum_rows(y, rows, length, sums);
    divide_rows(sums, rows, length, y);
}

void log_softmax_rows(const float* x, int64_t rows, int64_t length, float* y) {
    float sums[kBlock];
    float exps[kBlock];
    shift_rows(x, rows, length, y);
    if (length <= kBlock) {
        exp_loop(y, exps, rows * length);
        sum_rows(exps, rows, length, sums);
    } else {  // one row, piece by piece
        double sum = 0;
        for (int64_t i = 0; i < length; i += kBlock) {
            const int64_t count = std::min(kBlock, length - i);
            exp_loop(y + i, exps, count);
            sum_rows(exps, 1, count, sums);
            sum += static_cast<double>(sums[0]);
        }
        sums[0] = static_cast<float>(sum);
    }
    subtract_logs(sums, rows, length, y);
}

// Blocks of whole rows that stay in the first-level cache.
template <typename Rowwise>
void for_row_blocks(const Tensor& x, Tensor& y, Rowwise rowwise) {
    const Rows rows = rows_of(x.shape());
    if (rows.count == 0) {
        return;
    }
    const int64_t together = std::max<int64_t>(1, kBlock / rows.length);
    const auto* in = buffer<float>(x);
    auto* out = buffer<float>(y);
    cpu::parallel_items(rows.count, rows.length * 8, [=](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r += together) {
            rowwise(in + r * rows.length, std::min(together, end - r), rows.length, out + r * rows.length);
        }
    });
}

}  // namespace

void CpuBackend::softmax(const Tensor& x, Tensor& y) {
    if (x.dtype() != DType::f32) {
        return ReferenceBackend::softmax(x, y);
    }
    for_row_blocks(x, y, softmax_rows);
}

void CpuBackend::log_softmax(const Tensor& x, Tensor& y) {
    if (x.dtype() != DType::f32) {
        return ReferenceBackend::log_softmax(x, y);
    }
    for_row_blocks(x, y, log_softmax_rows);
}

}  // namespace backlight
