#include <functional>
#include <limits>
#include <numbers>

#include "core/passed_bits.h"
#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

template <typename T>
std::vector<double> unary(UnaryOp op, const std::vector<double>& x, double p = 0) {
    const Tensor in = tensor<T>(x, {static_cast<int64_t>(x.size())});
    Tensor y = output<T>(in.shape());
    reference_backend().unary(op, in, p, y);
    return values_of(y);
}

template <typename T>
Tensor binary(BinaryOp op, const Tensor& a, const Tensor& b) {
    Tensor y = output<T>(broadcast_shapes(a.shape(), b.shape(), "test"));
    reference_backend().binary(op, a, b, y);
    return y;
}

}  // namespace

TEST_CASE_TEMPLATE("unary: each function has its textbook values", T, float, double) {
    struct Row {
        UnaryOp op;
        double p;
        std::function<double(double)> expected;
    };
    const auto phi = [](double x) { return 0.5 * (1 + std::erf(x / std::numbers::sqrt2)); };
    const Row rows[] = {
        {UnaryOp::identity, 0, [](double x) { return x; }},
        {UnaryOp::negative, 0, [](double x) { return 0 - x; }},
        {UnaryOp::absolute, 0, [](double x) { return std::fabs(x); }},
        {UnaryOp::sign, 0, [](double x) { return x > 0   ? 1.0
                                                 : x < 0 ? -1.0
                                                         : 0.0; }},
        {UnaryOp::exp, 0, [](double x) { return std::exp(x); }},
        {UnaryOp::square, 0, [](double x) { return std::pow(x, 2); }},
        {UnaryOp::sin, 0, [](double x) { return std::sin(x); }},
        {UnaryOp::cos, 0, [](double x) { return std::cos(x); }},
        {UnaryOp::tanh, 0, [](double x) { return 1 - 2 / (std::exp(2 * x) + 1); }},
        {UnaryOp::sigmoid, 0, [](double x) { return 1 / (1 + std::exp(-x)); }},
        {UnaryOp::erf, 0, [](double x) { return 1 - std::erfc(x); }},
        {UnaryOp::gelu, 0, [&](double x) { return x * phi(x); }},
        {UnaryOp::silu, 0, [](double x) { return x / (1 + std::exp(-x)); }},
        {UnaryOp::relu, 0, [](double x) { return std::max(x, 0.0); }},
        {UnaryOp::relu6, 0, [](double x) { return std::clamp(x, 0.0, 6.0); }},
        {UnaryOp::negative_part, 0, [](double x) { return std::min(x, 0.0); }},
        {UnaryOp::stabilizer_sign, 0, [](double x) { return x >= 0 ? 1.0 : -1.0; }},
        {UnaryOp::is_positive, 0, [](double x) { return x > 0 ? 1.0 : 0.0; }},
        {UnaryOp::is_negative, 0, [](double x) { return x < 0 ? 1.0 : 0.0; }},
        {UnaryOp::is_zero, 0, [](double x) { return x == 0 ? 1.0 : 0.0; }},
        {UnaryOp::is_finite, 0, [](double) { return 1.0; }},
        {UnaryOp::add_scalar, 0.75, [](double x) { return x + 0.75; }},
        {UnaryOp::multiply_scalar, -2, [](double x) { return -2 * x; }},
        {UnaryOp::power_scalar, 3, [](double x) { return x * x * x; }},
        {UnaryOp::leaky_relu, 0.25, [](double x) { return std::max(x, 0.0) + 0.25 * std::min(x, 0.0); }},
        {UnaryOp::elu, 0.5, [](double x) { return x > 0 ? x : 0.5 * (std::exp(x) - 1); }},
        {UnaryOp::softplus, 2, [](double x) { return std::log(1 + std::exp(2 * x)) / 2; }},
        {UnaryOp::stabilize, 0.125, [](double x) { return x + (x >= 0 ? 0.125 : -0.125); }},
        {UnaryOp::stabilize_clip, 1,
         [](double x) { return (x >= 0 ? 1 : -1) * std::max(std::fabs(x), 1.0); }},
        {UnaryOp::clamp_min, 0.25, [](double x) { return std::max(x, 0.25); }},
        {UnaryOp::clamp_max, 0.25, [](double x) { return std::min(x, 0.25); }},
        {UnaryOp::floor, 0, [](double x) { return std::floor(x); }},
    };
    const std::vector<double> x{-3, -1.5, -0.25, 0, 0.25, 0.5, 1, 2.75, 7.5};
    for (const Row& row : rows) {
        const auto y = unary<T>(row.op, x, row.p);
        for (size_t i = 0; i < x.size(); ++i) {
            INFO("op ", static_cast<int>(row.op), " at ", x[i]);
            CHECK(is_close(y[i], row.expected(x[i]), kTolerance<T>));
        }
    }
    check_values(tensor<T>(unary<T>(UnaryOp::log, {1, 4}), {2}), {0, 2 * std::numbers::ln2}, kTolerance<T>);
    CHECK(unary<T>(UnaryOp::sqrt, {0, 2.25}) == std::vector<double>{0, 1.5});
    CHECK(unary<T>(UnaryOp::reciprocal, {-4, 0.5, 0}) == std::vector<double>{-0.25, 2, kInf});
}

TEST_CASE_TEMPLATE("unary: extreme arguments neither overflow nor lose NaN", T, float, double) {
    CHECK(unary<T>(UnaryOp::sigmoid, {-1e4, 1e4}) == std::vector<double>{0, 1});
    CHECK(unary<T>(UnaryOp::softplus, {-1e4, 1e4}, 1) == std::vector<double>{0, T(1e4)});
    CHECK(unary<T>(UnaryOp::is_finite, {kInf, -kInf, kNan, 1}) == std::vector<double>{0, 0, 0, 1});
    for (const UnaryOp op :
         {UnaryOp::relu, UnaryOp::relu6, UnaryOp::negative_part, UnaryOp::clamp_min, UnaryOp::clamp_max}) {
        CHECK(std::isnan(unary<T>(op, {kNan})[0]));
    }
    CHECK(unary<T>(UnaryOp::exp, {}).empty());
}

TEST_CASE("unary: integers take what stays an integer, and refuse the rest") {
    const Tensor x = Tensor::from<int64_t>({-3, 0, 5}, {3});
    Tensor y = output({3}, DType::i64);
    reference_backend().unary(UnaryOp::multiply_scalar, x, 2, y);
    check_values(y, {-6, 0, 10});
    reference_backend().unary(UnaryOp::clamp_min, x, 1, y);
    check_values(y, {1, 1, 5});
    CHECK(error_text([&] { reference_backend().unary(UnaryOp::exp, x, 0, y); }) ==
          "unary: this function has no kernel for int64; convert to a floating type");
    Tensor bytes = Tensor::ones({3}, DType::u8);
    CHECK(error_text([&] { reference_backend().unary(UnaryOp::negative, bytes, 0, bytes); }) ==
          "unary: no kernel for uint8; float32, float64 and int64 have one");
}

TEST_CASE_TEMPLATE("binary: each function has its textbook values", T, float, double) {
    const Tensor a = tensor<T>({-2, 0, 1.5, 3, 3}, {5});
    const Tensor b = tensor<T>({2, 0, 3, 3, -1}, {5});
    check_values(binary<T>(BinaryOp::add, a, b), {0, 0, 4.5, 6, 2});
    check_values(binary<T>(BinaryOp::subtract, a, b), {-4, 0, -1.5, 0, 4});
    check_values(binary<T>(BinaryOp::multiply, a, b), {-4, 0, 4.5, 9, -3});
    check_values(binary<T>(BinaryOp::divide, a, b), {-1, kNan, 0.5, 1, -3});
    check_values(binary<T>(BinaryOp::power, a, b), {4, 1, 3.375, 27, 1.0 / 3}, kTolerance<T>);
    check_values(binary<T>(BinaryOp::maximum, a, b), {2, 0, 3, 3, 3});
    check_values(binary<T>(BinaryOp::minimum, a, b), {-2, 0, 1.5, 3, -1});
    check_values(binary<T>(BinaryOp::greater, a, b), {0, 0, 0, 0, 1});
    check_values(binary<T>(BinaryOp::greater_equal, a, b), {0, 1, 0, 1, 1});
    check_values(binary<T>(BinaryOp::less, a, b), {1, 0, 1, 0, 0});
    check_values(binary<T>(BinaryOp::less_equal, a, b), {1, 1, 1, 1, 0});
    check_values(binary<T>(BinaryOp::equal, a, b), {0, 1, 0, 1, 0});
    check_values(binary<T>(BinaryOp::divide_or_zero, a, b), {-1, 0, 0.5, 1, -3});
    check_values(binary<T>(BinaryOp::where_positive, a, b), {-2, 0, 1.5, 3, 0});
}

TEST_CASE_TEMPLATE("divide_stabilized: both forms, a factor, zero counts as positive", T, float, double) {
    const Tensor a = tensor<T>({-2, 1, 3, 3}, {4});
    const Tensor b = tensor<T>({2, 0, -0.25, 3}, {4});
    Tensor y = output({4}, a.dtype());
    reference_backend().divide_stabilized({.eps = 0.5, .factor = 2}, a, b, y);
    check_values(y, {-1.6, 4, -8, 12.0 / 7}, kTolerance<T>);
    reference_backend().divide_stabilized({.eps = 0.5, .factor = 2, .clip = true}, a, b, y);
    check_values(y, {-2, 4, -12, 2}, kTolerance<T>);
}

TEST_CASE_TEMPLATE("binary: a NaN on either side is the maximum and the minimum", T, float, double) {
    const Tensor a = tensor<T>({kNan, 1}, {2});
    const Tensor b = tensor<T>({1, kNan}, {2});
    check_values(binary<T>(BinaryOp::maximum, a, b), {kNan, kNan});
    check_values(binary<T>(BinaryOp::minimum, a, b), {kNan, kNan});
}

TEST_CASE_TEMPLATE("binary: operands broadcast as in numpy", T, float, double) {
    const Tensor matrix = tensor<T>({1, 2, 3, 4, 5, 6}, {2, 3});
    check_values(binary<T>(BinaryOp::subtract, matrix, tensor<T>({10, 20, 30}, {3})),
                 {-9, -18, -27, -6, -15, -24});
    check_values(binary<T>(BinaryOp::subtract, tensor<T>({10, 20}, {2, 1}), matrix), {9, 8, 7, 16, 15, 14});
    check_values(binary<T>(BinaryOp::multiply, matrix, tensor<T>({2}, {})), {2, 4, 6, 8, 10, 12});
    // (2, 1) and (1, 3) stretch each other.
    const Tensor outer =
        binary<T>(BinaryOp::multiply, tensor<T>({2, 3}, {2, 1}), tensor<T>({1, 10, 100}, {1, 3}));
    CHECK(outer.shape() == Shape{2, 3});
    check_values(outer, {2, 20, 200, 3, 30, 300});
    // An inner axis: (2, 1, 2) over (3, 1).
    check_values(
        binary<T>(BinaryOp::add, tensor<T>({1, 2, 3, 4}, {2, 1, 2}), tensor<T>({10, 20, 30}, {3, 1})),
        {11, 12, 21, 22, 31, 32, 13, 14, 23, 24, 33, 34});
    CHECK(binary<T>(BinaryOp::add, tensor<T>({}, {0, 3}), tensor<T>({1, 2, 3}, {3})).numel() == 0);
}

TEST_CASE("binary: integers add and compare, and do not divide") {
    const Tensor a = Tensor::from<int64_t>({5, (int64_t{1} << 60) + 1}, {2});
    const Tensor b = Tensor::from<int64_t>({7, 1}, {2});
    const Tensor sum = binary<int64_t>(BinaryOp::add, a, b);
    CHECK(sum.to_vector<int64_t>() == std::vector<int64_t>{12, (int64_t{1} << 60) + 2});
    check_values(binary<int64_t>(BinaryOp::less, a, b), {1, 0});
    CHECK(error_text([&] { (void)binary<int64_t>(BinaryOp::divide, a, b); }) ==
          "binary: this function has no kernel for int64; convert to a floating type");
}

TEST_CASE_TEMPLATE("select and accumulate: element by element", T, float, double, int64_t) {
    const Tensor a = tensor<T>({1, 2, 3, 4}, {2, 2});
    const Tensor b = tensor<T>({-1, -2, -3, -4}, {2, 2});
    Tensor y = output<T>({2, 2});
    reference_backend().select(tensor<T>({0, 1, -2, 0}, {2, 2}), a, b, y);
    check_values(y, {-1, 2, 3, -4});
    reference_backend().select(tensor<uint8_t>({1, 0, 0, 7}, {2, 2}), a, b, y);
    check_values(y, {1, -2, -3, 4});
    reference_backend().accumulate(y, a);
    check_values(y, {2, 0, 0, 8});
}

TEST_CASE_TEMPLATE("rectify and gate: a bit for each element that passes", T, float, double) {
    // One element a bit, in three groups of 256: word j of a group has elements j, 8 + j, 16 + j, ...
    std::vector<double> numbers(600, -1);
    numbers[0] = 3;
    numbers[1] = 0;
    numbers[2] = kNan;
    numbers[3] = kInf;
    numbers[8] = 6;
    numbers[9] = 7;
    numbers[300] = 1e-30;
    const Tensor x = tensor<T>(numbers, {600});
    Tensor y = output<T>({600}), through = output<T>({600});
    Tensor passed = Tensor::full({PassedBits::bytes(600)}, 255, DType::u8);
    CHECK(passed.numel() == 3 * 32);
    reference_backend().rectify(UnaryOp::relu, x, y, passed);
    check_values(y, unary<T>(UnaryOp::relu, numbers));
    std::vector<uint8_t> bytes(96,
                               0);  // little-endian words: bits 0 and 1 of the first group's words 0, 1, 3
    bytes[0] = 3;
    bytes[4] = 2;
    bytes[12] = 1;
    bytes[32 + 16] = 1 << 5;  // 300 = 256 + 8 * 5 + 4
    CHECK(passed.to_vector<uint8_t>() == bytes);
    const Tensor ones = Tensor::ones({600}, x.dtype());
    const auto open = [&] {
        reference_backend().gate(ones, passed, through);
        const std::vector<double> values = values_of(through);
        std::vector<size_t> at;
        for (size_t i = 0; i < values.size(); ++i) {
            if (values[i] != 0) {
                at.push_back(i);
            }
        }
        return at;
    };
    CHECK(open() == std::vector<size_t>{0, 3, 8, 9, 300});
    reference_backend().rectify(UnaryOp::relu6, x, y, passed);
    check_values(y, unary<T>(UnaryOp::relu6, numbers));
    CHECK(open() == std::vector<size_t>{0, 300});  // 6 is where the slope ends
}

TEST_CASE_TEMPLATE("any_where_not_positive: something where z is 0, below it, or no number", T, float,
                   double) {
    const auto any = [](const std::vector<double>& x, const std::vector<double>& z) {
        const auto n = static_cast<int64_t>(x.size());
        return reference_backend().any_where_not_positive(tensor<T>(x, {n}), tensor<T>(z, {n}));
    };
    CHECK_FALSE(any({}, {}));
    CHECK_FALSE(any({1, 0, 0, 0}, {1, 0, -1, kNan}));
    CHECK(any({0, 1}, {1, 0}));
    CHECK(any({0, -1}, {1, -2}));
    CHECK(any({kNan, 0}, {-1, 1}));
    CHECK(any({1, 0}, {kNan, 1}));
}
