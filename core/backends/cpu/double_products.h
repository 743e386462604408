// Matrix products and convolutions in f64: what gradient checks, comparisons with other frameworks and
// --precision f64 run on. Sums go in the order of the reference kernels, a bias comes last.
#pragma once

#include "core/backend.h"
#include "core/tensor.h"

namespace backlight::cpu {

/// As Backend::matmul of one batch: y (rows, columns) = op(a) op(b) + bias, each operand with the steps of a
/// row and a column; bias may be null.
struct DoubleMatrix {
    const double* data;
    int64_t row, column;
};
void multiply(int64_t rows, int64_t columns, int64_t inner, const DoubleMatrix& a, const DoubleMatrix& b,
              const double* bias, double* y);

/// Whether the three below take this convolution: f64, one group, enough work.
[[nodiscard]] bool takes_double_convolution(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight,
                                            const Tensor& y);
void double_convolution(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Tensor& y);
void double_convolution_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight, Tensor& d_x);
void double_convolution_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                Tensor& d_weight);

}  // namespace backlight::cpu
