#include <algorithm>
#include <limits>
#include <numeric>

#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor reduce(ReduceOp op, const Tensor& x, AxisMask axes, const Shape& shape) {
    Tensor y = output(shape, x.dtype());
    reference_backend().reduce(op, x, axes, y);
    return y;
}

Tensor arg_reduce(ArgReduceOp op, const Tensor& x, int axis, const Shape& shape) {
    Tensor y = output(shape, DType::i64);
    reference_backend().arg_reduce(op, x, axis, y);
    return y;
}

}  // namespace

TEST_CASE_TEMPLATE("reduce: sum over every set of axes of a (2, 2, 3) tensor", T, float, double, int64_t) {
    const Tensor x = tensor<T>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {2, 2, 3});
    check_values(reduce(ReduceOp::sum, x, 0b000, {2, 2, 3}), values_of(x));
    check_values(reduce(ReduceOp::sum, x, 0b001, {1, 2, 3}), {8, 10, 12, 14, 16, 18});
    check_values(reduce(ReduceOp::sum, x, 0b010, {2, 1, 3}), {5, 7, 9, 17, 19, 21});
    check_values(reduce(ReduceOp::sum, x, 0b100, {2, 2, 1}), {6, 15, 24, 33});
    check_values(reduce(ReduceOp::sum, x, 0b011, {1, 1, 3}), {22, 26, 30});
    check_values(reduce(ReduceOp::sum, x, 0b101, {1, 2, 1}), {30, 48});
    check_values(reduce(ReduceOp::sum, x, 0b110, {2, 1, 1}), {21, 57});
    check_values(reduce(ReduceOp::sum, x, 0b111, {1, 1, 1}), {78});
    check_values(reduce(ReduceOp::sum, x, 0b010, {2, 3}), {5, 7, 9, 17, 19, 21});  // the axis may be gone
}

TEST_CASE_TEMPLATE("reduce: maximum and minimum", T, float, double, int64_t) {
    const Tensor x = tensor<T>({3, -1, 4, -1, 5, -9}, {2, 3});
    check_values(reduce(ReduceOp::maximum, x, 0b01, {1, 3}), {3, 5, 4});
    check_values(reduce(ReduceOp::maximum, x, 0b10, {2, 1}), {4, 5});
    check_values(reduce(ReduceOp::minimum, x, 0b01, {1, 3}), {-1, -1, -9});
    check_values(reduce(ReduceOp::minimum, x, 0b11, {}), {-9});
}

TEST_CASE_TEMPLATE("reduce: NaN and infinity are results", T, float, double) {
    const Tensor x = tensor<T>({1, kNan, 2, kInf, -kInf, 0}, {2, 3});
    check_values(reduce(ReduceOp::maximum, x, 0b10, {2, 1}), {kNan, kInf});
    check_values(reduce(ReduceOp::minimum, x, 0b10, {2, 1}), {kNan, -kInf});
    check_values(reduce(ReduceOp::sum, x, 0b10, {2, 1}), {kNan, kNan});
}

TEST_CASE_TEMPLATE("reduce: nothing sums to zero, and its extremes are infinite", T, float, double) {
    const Tensor x = tensor<T>({}, {0, 2});
    check_values(reduce(ReduceOp::sum, x, 0b01, {1, 2}), {0, 0});
    check_values(reduce(ReduceOp::maximum, x, 0b01, {1, 2}), {-kInf, -kInf});
    check_values(reduce(ReduceOp::minimum, x, 0b01, {1, 2}), {kInf, kInf});
    CHECK(reduce(ReduceOp::sum, x, 0b10, {0, 1}).numel() == 0);
}

TEST_CASE("reduce: float sums are carried in double") {
    // In float, 2^24 + 1 = 2^24: ten thousand ones would be lost.
    std::vector<double> values(10001, 1.0);
    values[0] = 16777216.0;
    check_values(reduce(ReduceOp::sum, tensor<float>(values, {10001}), 0b1, {}), {16787216.0});
}

TEST_CASE("reduce: int64 sums are exact") {
    const Tensor x = Tensor::from<int64_t>({(int64_t{1} << 62) + 1, -(int64_t{1} << 62), 5}, {3});
    CHECK(reduce(ReduceOp::sum, x, 0b1, {}).to_vector<int64_t>()[0] == 6);
}

TEST_CASE_TEMPLATE("arg_reduce: the first of equals along each axis", T, float, double, int64_t) {
    const Tensor x = tensor<T>({3, 7, 7, 7, 1, 1}, {2, 3});
    check_values(arg_reduce(ArgReduceOp::argmax, x, 1, {2, 1}), {1, 0});
    check_values(arg_reduce(ArgReduceOp::argmin, x, 1, {2}), {0, 1});
    check_values(arg_reduce(ArgReduceOp::argmax, x, 0, {1, 3}), {1, 0, 0});
    check_values(arg_reduce(ArgReduceOp::argmin, x, 0, {3}), {0, 1, 1});
    // A middle axis: (2, 3, 1) with inner extent 1 and (1, 3, 2) with inner extent 2.
    check_values(arg_reduce(ArgReduceOp::argmax, x.reshape({1, 3, 2}), 1, {1, 2}), {1, 0});
}

TEST_CASE_TEMPLATE("arg_reduce: the first NaN is the extreme", T, float, double) {
    const Tensor x = tensor<T>({5, kNan, 9, kNan}, {1, 4});
    check_values(arg_reduce(ArgReduceOp::argmax, x, 1, {1}), {1});
    check_values(arg_reduce(ArgReduceOp::argmin, x, 1, {1}), {1});
}

TEST_CASE_TEMPLATE("top_k: descending, first of equals, NaN before all", T, float, double) {
    const Tensor x = tensor<T>({1, 5, 3, 5, 2, 0, kNan, -1, kInf, -kInf}, {2, 5});
    Tensor values = output<T>({2, 3});
    Tensor index = output({2, 3}, DType::i64);
    reference_backend().top_k(x, 3, values, index);
    check_values(values, {5, 5, 3, kNan, kInf, 0});
    check_values(index, {1, 3, 2, 1, 3, 0});
}

TEST_CASE("top_k: agrees with a stable sort of random rows, for every k") {
    BACKLIGHT_CAPTURE_SEED();
    Tensor x = output<double>({4, 9});
    reference_backend().unary(UnaryOp::multiply_scalar, random_tensor<double>({4, 9}, 1), 4, x);
    reference_backend().unary(UnaryOp::floor, x, 0, x);  // few different values, hence many ties
    const auto in = values_of(x);
    for (int64_t k = 0; k <= 9; ++k) {
        Tensor values = output<double>({4, k});
        Tensor index = output({4, k}, DType::i64);
        reference_backend().top_k(x, k, values, index);
        std::vector<double> expected_index;
        for (size_t r = 0; r < 4; ++r) {
            std::vector<size_t> order(9);
            std::iota(order.begin(), order.end(), size_t{0});
            std::stable_sort(order.begin(), order.end(),
                             [&](size_t a, size_t b) { return in[r * 9 + a] > in[r * 9 + b]; });
            expected_index.insert(expected_index.end(), order.begin(), order.begin() + k);
        }
        check_values(index, expected_index);
    }
}
