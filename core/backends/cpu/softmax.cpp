// Softmax and its logarithm over rows (formulas: core/backends/reference/normalization.cpp). Several short rows are
// shifted, then all their exponentials are taken together, so that rows of two numbers are vector work too.
#include <vector>

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

inline double sum_of(const float* x, int64_t count) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; ++i) {
        sum += static_cast<double>(x[i]);
    }
    return sum;
}

BACKLIGHT_CLONES void divide_rows(float* y, int64_t rows, int64_t length) {
    for (int64_t r = 0; r < rows; ++r) {
        float* row = y + r * length;
        const auto factor = static_cast<float>(1.0 / sum_of(row, length));
        for (int64_t i = 0; i < length; ++i) {
            row[i] *= factor;
        }
    }
}

// y = y - log sum e, e the exponentials of y; both terms are at most 0, so nothing cancels.
BACKLIGHT_CLONES void subtract_log_rows(const float* e, int64_t rows, int64_t length, float* y) {
    for (int64_t r = 0; r < rows; ++r) {
        const float shift = cpu::vector_log(static_cast<float>(sum_of(e + r * length, length)));
        for (int64_t i = 0; i < length; ++i) {
            y[r * length + i] -= shift;
        }
    }
}

void softmax_rows(const float* x, int64_t rows, int64_t length, float* y) {
    shift_rows(x, rows, length, y);
    exp_loop(y, y, rows * length);
    divide_rows(y, rows, length);
}

void log_softmax_rows(const float* x, int64_t rows, int64_t length, float* y) {
    shift_rows(x, rows, length, y);
    if (length <= kBlock) {
        float exps[kBlock];
        exp_loop(y, exps, rows * length);
        return subtract_log_rows(exps, rows, length, y);
    }
    std::vector<float> exps(static_cast<size_t>(rows * length));
    exp_loop(y, exps.data(), rows * length);
    subtract_log_rows(exps.data(), rows, length, y);
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
