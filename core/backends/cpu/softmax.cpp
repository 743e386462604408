// Softmax and its logarithm over rows (formulas: core/backends/reference/normalization.cpp). Several short rows are
// shifted, then all their exponentials are taken together, so that rows of two numbers are vector work too.
#include <cmath>

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
    float greatest = x[0];
    int64_t done = 0;
    if (count >= 2 * kLanes) {
        float lanes[kLanes];
        std::copy_n(x, kLanes, static_cast<float*>(lanes));
        cpu::reduce_columns<cpu::MaximumReduction>(x, count / kLanes, kLanes, kLanes, lanes);
        greatest = *std::max_element(lanes, lanes + kLanes);
        done = count / kLanes * kLanes;
    }
    for (; done < count; ++done) {
        greatest = x[done] > greatest ? x[done] : greatest;
    }
    return greatest;
}

BACKLIGHT_CLONES void subtract_loop(const float* x, float shift, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = x[i] - shift;
    }
}

BACKLIGHT_CLONES void exp_loop(float* y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] = cpu::vector_exp(y[i]);
    }
}

BACKLIGHT_CLONES double sum_loop(const float* x, int64_t count) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; ++i) {
        sum += static_cast<double>(x[i]);
    }
    return sum;
}

BACKLIGHT_CLONES void scale_loop(float* y, float factor, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        y[i] *= factor;
    }
}

BACKLIGHT_CLONES void subtract_double_loop(const float* x, double shift, float* y, int64_t count) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < count; ++i) {
        y[i] = static_cast<float>(static_cast<double>(x[i]) - shift);
    }
}

void softmax_rows(const float* x, int64_t rows, int64_t length, float* y) {
    for (int64_t r = 0; r < rows; ++r) {
        subtract_loop(x + r * length, greatest_of(x + r * length, length), y + r * length, length);
    }
    exp_loop(y, rows * length);
    for (int64_t r = 0; r < rows; ++r) {
        scale_loop(y + r * length, static_cast<float>(1.0 / sum_loop(y + r * length, length)), length);
    }
}

void log_softmax_rows(const float* x, int64_t rows, int64_t length, float* y) {
    for (int64_t r = 0; r < rows; ++r) {
        subtract_loop(x + r * length, greatest_of(x + r * length, length), y + r * length, length);
    }
    exp_loop(y, rows * length);
    for (int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * length;
        const double shift = static_cast<double>(greatest_of(row, length)) + std::log(sum_loop(y + r * length, length));
        subtract_double_loop(row, shift, y + r * length, length);
    }
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
