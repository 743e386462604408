#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

template <typename T>
Tensor matmul(const MatmulAttrs& attrs, const Tensor& a, const Tensor& b, const Shape& shape,
              const Tensor& bias = {}) {
    Tensor y = output<T>(shape);
    reference_backend().matmul(attrs, a, b, bias, y);
    return y;
}

template <typename T>
Tensor swap_last(const Tensor& x) {
    Shape shape = x.shape().with(-1, x.dim(-2)).with(-2, x.dim(-1));
    Tensor y = output<T>(shape);
    const std::vector<int> axes = x.rank() == 2 ? std::vector<int>{1, 0} : std::vector<int>{0, 2, 1};
    reference_backend().permute(x, axes, y);
    return y;
}

}  // namespace

TEST_CASE_TEMPLATE("matmul: a product by hand, with and without a bias", T, float, double) {
    const Tensor a = tensor<T>({1, 2, 3, 4, 5, 6}, {2, 3});
    const Tensor b = tensor<T>({1, 0, 0, 1, 2, -1}, {3, 2});
    check_values(matmul<T>({}, a, b, {2, 2}), {7, -1, 16, -1});
    check_values(matmul<T>({}, a, b, {2, 2}, tensor<T>({100, 200}, {2})), {107, 199, 116, 199});
}

TEST_CASE_TEMPLATE("matmul: transposes read the same product", T, float, double) {
    BACKLIGHT_CAPTURE_SEED();
    for (const bool batched : {false, true}) {
        const auto shape = [&](int64_t rows, int64_t columns) {
            return batched ? Shape{3, rows, columns} : Shape{rows, columns};
        };
        const Tensor a = random_tensor<T>(shape(4, 5), 1);
        const Tensor b = random_tensor<T>(shape(5, 2), 2);
        const auto expected = values_of(matmul<T>({}, a, b, shape(4, 2)));
        check_values(matmul<T>({.transpose_a = true}, swap_last<T>(a), b, shape(4, 2)), expected);
        check_values(matmul<T>({.transpose_b = true}, a, swap_last<T>(b), shape(4, 2)), expected);
        check_values(matmul<T>({.transpose_a = true, .transpose_b = true}, swap_last<T>(a), swap_last<T>(b),
                               shape(4, 2)),
                     expected);
    }
}

TEST_CASE_TEMPLATE("matmul: each batch is its own product, an operand without batches serves all", T, float,
                   double) {
    const Tensor a = tensor<T>({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2});
    const Tensor b = tensor<T>({1, 0, 0, 1, 0, 1, 1, 0}, {2, 2, 2});
    check_values(matmul<T>({}, a, b, {2, 2, 2}), {1, 2, 3, 4, 6, 5, 8, 7});
    const Tensor shared = tensor<T>({0, 1, 1, 0}, {2, 2});
    check_values(matmul<T>({}, a, shared, {2, 2, 2}), {2, 1, 4, 3, 6, 5, 8, 7});
    check_values(matmul<T>({}, shared, a, {2, 2, 2}), {3, 4, 1, 2, 7, 8, 5, 6});
    check_values(matmul<T>({.transpose_b = true}, shared, a, {2, 2, 2}), {2, 4, 1, 3, 6, 8, 5, 7});
    check_values(matmul<T>({}, a.reshape({1, 2, 2, 2}), b.reshape({1, 2, 2, 2}), {1, 2, 2, 2}),
                 {1, 2, 3, 4, 6, 5, 8, 7});
}

TEST_CASE_TEMPLATE("matmul: empty extents give empty or zero results", T, float, double) {
    CHECK(matmul<T>({}, tensor<T>({}, {0, 3}), tensor<T>({1, 2, 3}, {3, 1}), {0, 1}).numel() == 0);
    check_values(matmul<T>({}, tensor<T>({}, {2, 0}), tensor<T>({}, {0, 2}), {2, 2}), {0, 0, 0, 0});
    check_values(matmul<T>({}, tensor<T>({}, {1, 0}), tensor<T>({}, {0, 2}), {1, 2}, tensor<T>({3, 4}, {2})),
                 {3, 4});
}

TEST_CASE("matmul: float products are summed in double") {
    std::vector<double> ones(10001, 1.0);
    std::vector<double> values = ones;
    values[0] = 16777216.0;
    check_values(
        matmul<float>({}, tensor<float>(values, {1, 10001}), tensor<float>(ones, {10001, 1}), {1, 1}),
        {16787216.0});
}
