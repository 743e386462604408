// Differentiable functions of Variables. Each is one op (or a few); shapes broadcast as in numpy where two
// meet. Axes may be negative. All throw Error on shapes or types that do not fit, naming what was expected
// and what came.
#pragma once

#include <array>
#include <initializer_list>
#include <utility>
#include <vector>

#include "autograd/variable.h"
#include "core/backend.h"

namespace backlight {

// Elementwise, two inputs.
[[nodiscard]] Variable operator+(const Variable& a, const Variable& b);
[[nodiscard]] Variable operator-(const Variable& a, const Variable& b);
[[nodiscard]] Variable operator*(const Variable& a, const Variable& b);
[[nodiscard]] Variable operator/(const Variable& a, const Variable& b);
[[nodiscard]] Variable operator+(const Variable& a, double b);
[[nodiscard]] Variable operator-(const Variable& a, double b);
[[nodiscard]] Variable operator*(const Variable& a, double b);
[[nodiscard]] Variable operator/(const Variable& a, double b);
[[nodiscard]] Variable operator+(double a, const Variable& b);
[[nodiscard]] Variable operator-(double a, const Variable& b);
[[nodiscard]] Variable operator*(double a, const Variable& b);
[[nodiscard]] Variable operator/(double a, const Variable& b);
[[nodiscard]] Variable operator-(const Variable& a);
[[nodiscard]] Variable pow(const Variable& a, const Variable& b);      // a > 0
[[nodiscard]] Variable maximum(const Variable& a, const Variable& b);  // at ties the gradient goes to b
[[nodiscard]] Variable minimum(const Variable& a, const Variable& b);
/// a / b, and 0 where b is 0: neither the value nor a derivative becomes infinite there.
[[nodiscard]] Variable divide_or_zero(const Variable& a, const Variable& b);
/// a where gate > 0, else 0; the gate is constant.
[[nodiscard]] Variable where_positive(const Variable& a, const Variable& gate);
/// Whether x != 0 anywhere where not z > 0. Throws Error unless shapes and types are equal.
[[nodiscard]] bool any_where_not_positive(const Tensor& x, const Tensor& z);
/// a where condition != 0, else b; the condition is constant. Shapes broadcast.
[[nodiscard]] Variable where(const Tensor& condition, const Variable& a, const Variable& b);

// Comparisons: tensors of 1 and 0 without history.
[[nodiscard]] Tensor compare(BinaryOp op, const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor mask(UnaryOp op, const Tensor& x);  // is_positive, is_negative, is_zero, is_finite

// Elementwise, one input.
[[nodiscard]] Variable abs(const Variable& x);  // derivative sign(x), 0 at 0
[[nodiscard]] Variable exp(const Variable& x);
[[nodiscard]] Variable log(const Variable& x);
[[nodiscard]] Variable sqrt(const Variable& x);
[[nodiscard]] Variable square(const Variable& x);
[[nodiscard]] Variable reciprocal(const Variable& x);
[[nodiscard]] Variable sin(const Variable& x);
[[nodiscard]] Variable cos(const Variable& x);
[[nodiscard]] Variable pow(const Variable& x, double exponent);
[[nodiscard]] Variable erf(const Variable& x);
[[nodiscard]] Variable relu(const Variable& x);   // derivative 0 at 0
[[nodiscard]] Variable relu6(const Variable& x);  // min(max(x, 0), 6); derivative 0 at 0 and 6
[[nodiscard]] Variable leaky_relu(const Variable& x, double slope = 0.01);
[[nodiscard]] Variable elu(const Variable& x, double alpha = 1.0);
[[nodiscard]] Variable softplus(const Variable& x, double beta = 1.0);
[[nodiscard]] Variable gelu(const Variable& x);
[[nodiscard]] Variable silu(const Variable& x);
[[nodiscard]] Variable sigmoid(const Variable& x);
[[nodiscard]] Variable tanh(const Variable& x);
[[nodiscard]] Variable clamp(const Variable& x, double low, double high);  // derivative 0 at the bounds
[[nodiscard]] Variable positive_part(
    const Variable& x);  // max(x, 0): as relu, but not an activation of the network
[[nodiscard]] Variable negative_part(const Variable& x);  // min(x, 0)
/// x + eps sgn*(x) with sgn*(0) = +1; derivative 1.
[[nodiscard]] Variable stabilize(const Variable& x, double eps);
/// sgn*(x) max(|x|, eps).
[[nodiscard]] Variable stabilize_clip(const Variable& x, double eps);
/// factor a / stabilize(b, eps), with `clip` a / stabilize_clip(b, eps), as one kernel. Equal shapes.
[[nodiscard]] Variable divide_stabilized(const Variable& a, const Variable& b, const StabilizedAttrs& attrs);

// Reductions. Empty `axes`: over all. `keep`: reduced axes stay with extent 1.
[[nodiscard]] Variable sum(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
[[nodiscard]] Variable mean(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
/// Maximum over axes; the gradient goes to the elements equal to it, shared evenly when the axes have
/// several.
[[nodiscard]] Variable amax(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
[[nodiscard]] Variable amin(const Variable& x, const std::vector<int>& axes = {}, bool keep = false);
/// Sums out what broadcasting stretched, down to `shape`.
[[nodiscard]] Variable sum_to(const Variable& x, const Shape& shape);
[[nodiscard]] Variable broadcast_to(const Variable& x, const Shape& shape);
[[nodiscard]] Tensor argmax(const Tensor& x, int axis);  // i64, the first of equals

// Data movement.
[[nodiscard]] Variable reshape(const Variable& x,
                               const std::vector<int64_t>& extents);  // one extent may be -1
[[nodiscard]] Variable reshape(const Variable& x, const Shape& shape);
[[nodiscard]] inline Variable reshape(const Variable& x, std::initializer_list<int64_t> extents) {
    return reshape(x, std::vector<int64_t>(extents));
}
[[nodiscard]] Variable flatten(const Variable& x);  // (N, ...) -> (N, rest)
[[nodiscard]] Variable permute(const Variable& x, const std::vector<int>& axes);
[[nodiscard]] Variable transpose(const Variable& x);  // swaps the last two axes
[[nodiscard]] Variable slice(const Variable& x, int axis, int64_t start, int64_t extent);
[[nodiscard]] Variable slice(const Variable& x, const Shape& start, const Shape& extents);
[[nodiscard]] Variable pad(const Variable& x, const Shape& start, const Shape& extents);  // zeros around
[[nodiscard]] Variable concat(const Variables& parts, int axis);
[[nodiscard]] Variable gather_rows(const Variable& x, const Tensor& index);  // y[i] = x[index[i]]
[[nodiscard]] Variable scatter_add_rows(const Variable& y, const Tensor& index, int64_t rows);
[[nodiscard]] Variable gather_last(const Variable& x, const Tensor& index);  // (.., K) and (..) -> (..)
[[nodiscard]] Variable scatter_last(const Variable& y, const Tensor& index, int64_t extent);

// Linear algebra.
[[nodiscard]] Variable matmul(const Variable& a, const Variable& b, const MatmulAttrs& attrs = {});
/// x (.., I), weight (O, I), bias (O) or undefined -> (.., O).
[[nodiscard]] Variable linear(const Variable& x, const Variable& weight, const Variable& bias = {});
/// x (N,H,W,C), weight (O,Kh,Kw,C/groups), bias (O) or undefined -> (N,Ho,Wo,O).
[[nodiscard]] Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias = {},
                              const Conv2dAttrs& attrs = {});
/// The adjoint of conv2d in x: (N,Ho,Wo,O) -> `x_shape`.
[[nodiscard]] Variable conv2d_backward_data(const Variable& d_y, const Variable& weight, const Shape& x_shape,
                                            const Conv2dAttrs& attrs = {});
/// The adjoint of conv2d in the weight -> `weight_shape`.
[[nodiscard]] Variable conv2d_backward_weights(const Variable& x, const Variable& d_y,
                                               const Shape& weight_shape, const Conv2dAttrs& attrs = {});
/// x (N,H,W,I), weight (I,Kh,Kw,O/groups): the layout of the convolution whose adjoint it is. Output size as
/// PyTorch: (H-1) stride - padding + dilation (K-1) + output_padding + 1, output_padding < stride.
[[nodiscard]] Variable conv_transpose2d(const Variable& x, const Variable& weight, const Variable& bias = {},
                                        const Conv2dAttrs& attrs = {},
                                        std::array<int64_t, 2> output_padding = {0, 0});

// Pooling and resizing, (N,H,W,C).
[[nodiscard]] Variable max_pool2d(const Variable& x, const PoolAttrs& attrs);
[[nodiscard]] Variable avg_pool2d(const Variable& x, const PoolAttrs& attrs);
[[nodiscard]] Variable adaptive_avg_pool2d(const Variable& x, int64_t height, int64_t width);
[[nodiscard]] Variable resize(const Variable& x, int64_t height, int64_t width,
                              ResizeMode mode = ResizeMode::bilinear);

// Rows.
[[nodiscard]] Variable softmax(const Variable& x);                          // over the last axis
[[nodiscard]] Variable log_softmax(const Variable& x);                      // never log(softmax)
[[nodiscard]] std::pair<Tensor, Tensor> top_k(const Tensor& x, int64_t k);  // values, index (i64), descending

// Normalisation over all axes but the last (channels).
struct BatchStatistics {
    Tensor mean, variance;  // (C), biased variance
};
/// With the batch's own statistics, which `statistics` receives: y = (x - mean) / sqrt(variance + eps) scale
/// + shift.
[[nodiscard]] Variable batch_norm(const Variable& x, const Variable& scale, const Variable& shift, double eps,
                                  BatchStatistics& statistics);
/// relu(batch_norm(x) + residual) in one kernel; `residual` (of x's shape) may be undefined. Rules do not see
/// the batch norm within: record networks with the two functions apart.
[[nodiscard]] Variable batch_norm_relu(const Variable& x, const Variable& scale, const Variable& shift,
                                       double eps, BatchStatistics& statistics,
                                       const Variable& residual = {});
/// With given statistics, constants: affine in x.
[[nodiscard]] Variable batch_norm_affine(const Variable& x, const Variable& scale, const Variable& shift,
                                         const Tensor& mean, const Tensor& variance, double eps);
/// Over the last axis: (x - mean) / sqrt(variance + eps) scale + shift.
[[nodiscard]] Variable layer_norm(const Variable& x, const Variable& scale, const Variable& shift,
                                  double eps);
/// Over the positions and C / groups neighbouring channels of each sample (N,..,C) (Wu and He, "Group
/// normalization", 2018).
[[nodiscard]] Variable group_norm(const Variable& x, int64_t groups, const Variable& scale,
                                  const Variable& shift, double eps);

// Losses: means over the batch.
/// logits (N,K), labels (N) i64. `label_smoothing` spreads that share evenly over all classes. `class_weight`
/// (K) or undefined: PyTorch's weighted mean.
[[nodiscard]] Variable cross_entropy(const Variable& logits, const Tensor& labels, double label_smoothing = 0,
                                     const Tensor& class_weight = {});
/// The numerator of that mean, whose denominator is N, or the sum of the samples' class weights: for a mean
/// over several batches.
[[nodiscard]] Variable cross_entropy_sum(const Variable& logits, const Tensor& labels,
                                         double label_smoothing = 0, const Tensor& class_weight = {});
/// targets of the logits' shape in [0, 1]; mean over all elements. `weight` of that shape or undefined: Σ w l
/// / Σ w, so that elements of weight 0 do not count (and 0 where none does); PyTorch divides by their number.
[[nodiscard]] Variable binary_cross_entropy_with_logits(const Variable& logits, const Variable& targets,
                                                        const Tensor& weight = {});
[[nodiscard]] Variable mse_loss(const Variable& prediction, const Variable& target);

/// x * mask / (1 - p) with a mask drawn from `key`.
[[nodiscard]] Variable dropout(const Variable& x, double p, const RandomKey& key);

}  // namespace backlight
