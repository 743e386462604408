// Wrong use of the ops: what is said, and that the layer is named.
#include <doctest/doctest.h>

#include "autograd/functions.h"
#include "core/error.h"

using namespace backlight;

namespace {

Variable ones(const Shape& shape, DType dtype = DType::f32) { return Tensor::ones(shape, dtype); }
Tensor index(std::initializer_list<int64_t> values) {
    return Tensor::from<int64_t>(values, {static_cast<int64_t>(values.size())});
}

#define CHECK_ERROR(expression, text) CHECK_THROWS_WITH_AS((void)(expression), text, Error)

}  // namespace

TEST_CASE("errors: elementwise") {
    CHECK_ERROR(ones({2, 3}) + ones({2}), "add: shapes (2, 3) and (2,) do not broadcast");
    CHECK_ERROR(ones({2}) * ones({2}, DType::f64), "multiply: expected equal types, got float32 and float64");
    CHECK_ERROR(exp(ones({2}, DType::i64)), "exp: expected a floating type, got int64");
    CHECK_ERROR(ones({2}, DType::i64) + ones({2}, DType::i64), "add: expected a floating type, got int64");
    CHECK_ERROR(clamp(ones({2}), 2, 1), "clamp: expected low <= high, got 2 and 1");
    CHECK_ERROR(where(Tensor::ones({2}), ones({2}), ones({2}, DType::f64)),
                "where: expected equal types, got float32, float32 and float64");
    CHECK_ERROR(where(Tensor::ones({3}), ones({2}), ones({2})),
                "where: shapes (3,) and (2,) do not broadcast");
}

TEST_CASE("errors: the layer is named") {
    const ScopeName outer("features");
    const ScopeName inner("5");
    CHECK_ERROR(ones({2, 3}) + ones({2}), "add: shapes (2, 3) and (2,) do not broadcast [layer features.5]");
}

TEST_CASE("errors: reductions") {
    CHECK_ERROR(sum(ones({2, 3}), {2}), "shape: axis 2 is out of range for (2, 3)");
    CHECK_ERROR(sum(ones({2}, DType::i64)), "sum: expected a floating type, got int64");
    CHECK_ERROR(amax(ones({0, 3}), {0}), "amax: expected at least one element, got (0, 3)");
    CHECK_ERROR(amin(ones({2}, DType::u8)), "amin: expected a floating type, got uint8");
    CHECK_ERROR(broadcast_to(ones({2}), {3}), "broadcast_to: shapes (2,) and (3,) do not broadcast");
    CHECK_ERROR(broadcast_to(ones({2}), {1}), "broadcast_to: (2,) does not stretch to (1,)");
    CHECK_ERROR(argmax(Tensor::ones({2, 0}), 1), "argmax: axis 1 of (2, 0) is empty");
}

TEST_CASE("errors: movement") {
    CHECK_ERROR(reshape(ones({2, 3}), {4, -1}), "reshape: cannot infer -1 for 6 elements of (2, 3)");
    CHECK_ERROR(reshape(ones({2, 3}), {-1, -1}), "reshape: only one extent may be -1");
    CHECK_ERROR(reshape(ones({2, 3}), Shape{4}), "reshape: (2, 3) has 6 elements, (4,) needs 4");
    CHECK_ERROR(flatten(ones({})), "flatten: expected a batch axis, got ()");
    CHECK_ERROR(permute(ones({2, 3}), {0, 0}), "permute: expected each axis of (2, 3) once");
    CHECK_ERROR(transpose(ones({2})), "transpose: expected at least 2 axes, got (2,)");
    CHECK_ERROR(slice(ones({2, 3}), 1, 2, 2), "slice: (2, 2) at (0, 2) does not fit into (2, 3)");
    CHECK_ERROR(slice(ones({2, 3}), 1, -1, 2), "slice: (2, 2) at (0, -1) does not fit into (2, 3)");
    CHECK_ERROR(slice(ones({2, 3}), 1, 0, -2), "slice: (2, -2) at (0, 0) does not fit into (2, 3)");
    CHECK_ERROR(slice(ones({2, 3}), Shape{0}, Shape{1}),
                "slice: expected 2 axes, got start (0,) and extents (1,)");
    CHECK_ERROR(pad(ones({2, 3}), {1, 0}, {2, 3}), "pad: (2, 3) at (1, 0) does not fit into (2, 3)");
    CHECK_ERROR(concat({}, 0), "concat: expected at least one part");
    CHECK_ERROR(concat({ones({2, 3}), ones({2, 2})}, 0), "concat: (2, 2) does not fit (2, 3) along axis 0");
    CHECK_ERROR(gather_rows(ones({3, 2}), index({0, 3})), "gather_rows: index 3 is out of range 0..2");
    CHECK_ERROR(gather_rows(ones({3, 2}), Tensor::ones({2})),
                "gather_rows: expected int64 indices, got float32");
    CHECK_ERROR(scatter_add_rows(ones({2, 2}), index({0, -1}), 4),
                "scatter_add_rows: index -1 is out of range 0..3");
    CHECK_ERROR(scatter_add_rows(ones({3, 2}), index({0, 1}), 4),
                "scatter_add_rows: expected one index a row of (3, 2), got (2,)");
    CHECK_ERROR(gather_last(ones({2, 3}), index({0, 1, 2})),
                "gather_last: expected one index a row of (2, 3), got (3,)");
    CHECK_ERROR(gather_last(ones({2, 2, 3}), index({0, 1, 2, 0})),
                "gather_last: expected one index a row of (2, 2, 3), got (4,)");
    CHECK_ERROR(gather_last(ones({2, 3}), index({0, 3})), "gather_last: index 3 is out of range 0..2");
    CHECK_ERROR(scatter_last(ones({2}), index({0, 1, 1}), 2),
                "scatter_last: expected one index an element of (2,), got (3,)");
    CHECK_ERROR(top_k(Tensor::ones({2, 3}), 4), "top_k: expected 1 <= k <= 3, got 4");
}

TEST_CASE("errors: matrix products and linear") {
    CHECK_ERROR(matmul(ones({2, 3}), ones({2, 3})), "matmul: inner extents differ: (2, 3) and (2, 3)");
    CHECK_ERROR(matmul(ones({2, 3}), ones({3, 2}), {.transpose_b = true}),
                "matmul: inner extents differ: (2, 3) and (3, 2) transposed");
    CHECK_ERROR(matmul(ones({2, 2, 3}), ones({3, 3, 2})), "matmul: batches differ: (2, 2, 3) and (3, 3, 2)");
    CHECK_ERROR(matmul(ones({3}), ones({3, 2})),
                "matmul: expected equal ranks of at least 2, got (3,) and (3, 2)");
    CHECK_ERROR(matmul(ones({2, 3}), ones({3, 2}, DType::f64)),
                "matmul: expected equal floating types, got float32 and float64");
    CHECK_ERROR(linear(ones({2, 3}), ones({4, 5})),
                "linear: weight expects 5 features, got x of shape (2, 3)");
    CHECK_ERROR(linear(ones({2, 3}), ones({3})), "linear: expected a weight (O, I), got (3,)");
    CHECK_ERROR(linear(ones({2, 3}), ones({4, 3}), ones({3})),
                "linear: expected a float32 bias of shape (4,), got float32 (3,)");
    CHECK_ERROR(linear(ones({2, 3}), ones({4, 3}, DType::f64)),
                "linear: expected equal floating types, got x float32 and weight float64");
}

TEST_CASE("errors: convolutions") {
    CHECK_ERROR(conv2d(ones({8, 5, 5, 3}), ones({4, 3, 3, 64})),
                "conv2d: weight expects 64 input channels, got x of shape (8, 5, 5, 3)");
    CHECK_ERROR(conv2d(ones({1, 5, 5, 3}), ones({4, 3, 3, 3}), ones({3})),
                "conv2d: expected a float32 bias of shape (4,), got float32 (3,)");
    CHECK_ERROR(conv2d(ones({1, 5, 5, 3}), ones({4, 3, 3, 3}, DType::f64)),
                "conv2d: expected equal floating types, got x float32 and weight float64");
    CHECK_THROWS_WITH_AS((void)conv2d(ones({1, 2, 5, 3}), ones({4, 3, 3, 3})),
                         doctest::Contains("does not fit x of shape (1, 2, 5, 3)"), Error);
    CHECK_THROWS_WITH_AS((void)conv2d(ones({5, 5, 3}), ones({4, 3, 3, 3})),
                         doctest::Contains("got shape (5, 5, 3)"), Error);
    CHECK_THROWS_AS((void)conv2d(ones({1, 5, 5, 4}), ones({3, 3, 3, 2}), {}, {.padding = {}, .groups = 2}),
                    Error);
    CHECK_THROWS_AS((void)conv2d(ones({1, 5, 5, 4}), ones({3, 3, 3, 4}), {}, {.padding = {}, .groups = 0}),
                    Error);
    CHECK_ERROR(conv2d_backward_data(ones({1, 3, 3, 5}), ones({4, 3, 3, 3}), {1, 5, 5, 3}),
                "conv2d_backward_data: expected an input of shape (1, 3, 3, 4), got (1, 3, 3, 5)");
    CHECK_ERROR(conv2d_backward_weights(ones({1, 5, 5, 3}), ones({1, 3, 3, 4}, DType::f64), {4, 3, 3, 3}),
                "conv2d_backward_weights: expected float32 (1, 3, 3, 4), got float64 (1, 3, 3, 4)");
    CHECK_ERROR(conv_transpose2d(ones({1, 3, 3, 5}), ones({4, 3, 3, 3})),
                "conv_transpose2d: expected an input of shape (1, 3, 3, 4), got (1, 3, 3, 5)");
    CHECK_ERROR(conv_transpose2d(ones({1, 3, 3, 4}), ones({4, 3, 3, 3}), {},
                                 {.stride = {2, 2}, .padding = {}}, {2, 0}),
                "conv_transpose2d: expected an output padding smaller than the stride 2 x 2, got 2 x 0");
    CHECK_ERROR(conv_transpose2d(ones({1, 1, 1, 4}), ones({4, 2, 2, 3}), {}, {.padding = {1, 1}}),
                "conv_transpose2d: the output would be empty for x (1, 1, 1, 4) and weight (4, 2, 2, 3)");
    CHECK_ERROR(conv_transpose2d(ones({1, 3, 3, 4}), ones({4, 2, 2, 3}), ones({4})),
                "conv_transpose2d: expected a float32 bias of shape (3,), got float32 (4,)");
}

TEST_CASE("errors: pooling and resizing") {
    CHECK_ERROR(max_pool2d(ones({5, 5, 3}), {}), "max_pool2d: expected (N,H,W,C), got (5, 5, 3)");
    CHECK_ERROR(max_pool2d(ones({1, 5, 5, 3}, DType::i64), {}),
                "max_pool2d: expected a floating type, got int64");
    CHECK_ERROR(max_pool2d(ones({1, 20, 20, 1}), {.kernel = {17, 16}, .padding = {}}),
                "max_pool2d: windows have at most 256 elements, got 17 x 16; use amax for larger ones");
    CHECK_THROWS_WITH_AS((void)avg_pool2d(ones({1, 2, 2, 1}), {.kernel = {3, 3}, .padding = {}}),
                         doctest::Contains("does not fit x of shape (1, 2, 2, 1)"), Error);
    CHECK_ERROR(avg_pool2d(ones({1, 2, 2, 1}, DType::u8), {}),
                "avg_pool2d: expected a floating type, got uint8");
    CHECK_ERROR(adaptive_avg_pool2d(ones({1, 2, 2, 1}), 0, 1),
                "adaptive_avg_pool2d: expected sizes > 0, got (1, 2, 2, 1) to 0 x 1");
    CHECK_ERROR(resize(ones({2, 2, 1}), 2, 2), "resize: expected (N,H,W,C), got (2, 2, 1)");
}

TEST_CASE("errors: softmax, normalisation, losses, dropout") {
    CHECK_ERROR(softmax(ones({})),
                "softmax: expected a floating tensor with at least one axis, got float32 ()");
    CHECK_ERROR(log_softmax(ones({2}, DType::i64)),
                "log_softmax: expected a floating tensor with at least one axis, got int64 (2,)");
    BatchStatistics statistics;
    CHECK_ERROR(batch_norm(ones({2, 3}), ones({2}), ones({3}), 1e-5, statistics),
                "batch_norm: x of shape (2, 3) needs scale and shift of shape (3,), got (2,) and (3,)");
    CHECK_ERROR(batch_norm(ones({1, 3}), ones({3}), ones({3}), 1e-5, statistics),
                "batch_norm: expected more than one value a channel in training, got (1, 3)");
    CHECK_ERROR(
        batch_norm_affine(ones({2, 3}), ones({3}), ones({3}), Tensor::ones({2}), Tensor::ones({3}), 1e-5),
        "batch_norm: expected statistics of shape (3,), got (2,) and (3,)");
    CHECK_ERROR(group_norm(ones({2, 3, 4}), 3, ones({4}), ones({4}), 1e-5),
                "group_norm: 4 channels are not divisible into 3 groups");
    CHECK_ERROR(layer_norm(ones({2, 3}), ones({3}, DType::f64), ones({3}), 1e-5),
                "layer_norm: expected equal floating types, got x float32, scale float64, shift float32");
    CHECK_ERROR(cross_entropy(ones({2, 3}), index({0, 1, 2})),
                "cross_entropy: expected logits (N,K) and labels (N), got (2, 3) and (3,)");
    CHECK_ERROR(cross_entropy(ones({2, 3}), index({0, 3})),
                "cross_entropy: label 3 of sample 1 is out of range 0..2");
    CHECK_ERROR(cross_entropy(ones({2, 3}), index({-1, 0})),
                "cross_entropy: label -1 of sample 0 is out of range 0..2");
    CHECK_ERROR(cross_entropy(ones({2, 3}), Tensor::ones({2})),
                "cross_entropy: expected int64 labels, got float32");
    CHECK_ERROR(cross_entropy(ones({2, 3}), index({0, 1}), 1.5),
                "cross_entropy: expected 0 <= label_smoothing < 1, got 1.5");
    CHECK_ERROR(cross_entropy(ones({2, 3}), index({0, 1}), 0, Tensor::ones({2})),
                "cross_entropy: expected 3 class weights, got (2,)");
    CHECK_ERROR(binary_cross_entropy_with_logits(ones({2, 3}), ones({2})),
                "binary_cross_entropy_with_logits: expected targets of shape (2, 3), got (2,)");
    CHECK_ERROR(binary_cross_entropy_with_logits(ones({2, 3}), ones({2, 3}), Tensor::ones({3})),
                "binary_cross_entropy_with_logits: expected a weight of shape (2, 3), got (3,)");
    CHECK_ERROR(mse_loss(ones({2, 3}), ones({3})), "mse_loss: expected a target of shape (2, 3), got (3,)");
    CHECK_ERROR(dropout(ones({2}), 1.0, {}), "dropout: expected 0 <= p < 1, got 1");
}
