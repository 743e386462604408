#include <functional>
#include <limits>

#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

template <typename T>
Tensor softmax(const Tensor& x) {
    Tensor y = output<T>(x.shape());
    reference_backend().softmax(x, y);
    return y;
}
template <typename T>
Tensor log_softmax(const Tensor& x) {
    Tensor y = output<T>(x.shape());
    reference_backend().log_softmax(x, y);
    return y;
}

struct Statistics {
    Tensor mean, variance;
};
template <typename T>
Statistics statistics(const Tensor& x) {
    Statistics result{output<T>({x.dim(-1)}), output<T>({x.dim(-1)})};
    reference_backend().channel_statistics(x, result.mean, result.variance);
    return result;
}

constexpr double kEps = 1e-5;

Tensor inverse_deviation(const Tensor& variance) {
    std::vector<double> values = values_of(variance);
    for (double& value : values) {
        value = 1 / std::sqrt(value + kEps);
    }
    return Tensor::from(values, variance.shape()).to(variance.dtype());
}

// sum of s * batch_norm(x), for the finite differences below.
double loss(const std::vector<double>& x, const std::vector<double>& s, size_t channels,
            const std::vector<double>& scale, const std::vector<double>& shift) {
    const size_t rows = x.size() / channels;
    const auto count = static_cast<double>(rows);
    double sum = 0;
    for (size_t c = 0; c < channels; ++c) {
        double mean = 0;
        double square = 0;
        for (size_t r = 0; r < rows; ++r) {
            mean += x[r * channels + c] / count;
            square += x[r * channels + c] * x[r * channels + c] / count;
        }
        for (size_t r = 0; r < rows; ++r) {
            const double normalized = (x[r * channels + c] - mean) / std::sqrt(square - mean * mean + kEps);
            sum += s[r * channels + c] * (scale[c] * normalized + shift[c]);
        }
    }
    return sum;
}

std::vector<double> finite_differences(std::vector<double> at,
                                       const std::function<double(const std::vector<double>&)>& f) {
    constexpr double kStep = 1e-5;
    std::vector<double> result;
    for (double& value : at) {
        const double kept = value;
        value = kept + kStep;
        const double above = f(at);
        value = kept - kStep;
        result.push_back((above - f(at)) / (2 * kStep));
        value = kept;
    }
    return result;
}

}  // namespace

TEST_CASE_TEMPLATE("softmax: rows of known probabilities", T, float, double) {
    const double log2 = std::log(2.0);
    const Tensor x = tensor<T>({0, 0, log2, log2, 3 * log2, log2}, {2, 3});
    check_values(softmax<T>(x), {0.25, 0.25, 0.5, 1.0 / 6, 4.0 / 6, 1.0 / 6}, kTolerance<T>);
    check_values(log_softmax<T>(x),
                 {-2 * log2, -2 * log2, -log2, -std::log(6.0), std::log(2.0 / 3), -std::log(6.0)},
                 kTolerance<T>);
    check_values(softmax<T>(tensor<T>({3}, {})), {1});
}

TEST_CASE_TEMPLATE("softmax: large numbers do not overflow, minus infinity has probability zero", T, float,
                   double) {
    const Tensor x = tensor<T>({1e4, 1e4, -kInf, -1e4, -1e4, -2e4}, {2, 3});
    check_values(softmax<T>(x), {0.5, 0.5, 0, 0.5, 0.5, 0}, kTolerance<T>);
    check_values(
        log_softmax<T>(x),
        {-std::log(2.0), -std::log(2.0), -kInf, -std::log(2.0), -std::log(2.0), -1e4 - std::log(2.0)},
        kTolerance<T>);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const auto& row : {std::vector<double>{nan, 1, 2}, std::vector<double>{1, nan, 2}}) {
        check_values(softmax<T>(tensor<T>(row, {1, 3})), {nan, nan, nan});
        check_values(log_softmax<T>(tensor<T>(row, {1, 3})), {nan, nan, nan});
    }
    CHECK(softmax<T>(tensor<T>({}, {0, 3})).numel() == 0);
    CHECK(softmax<T>(tensor<T>({}, {3, 0})).numel() == 0);
}

TEST_CASE_TEMPLATE("channel_statistics: mean and biased variance over all axes but the last", T, float,
                   double) {
    const Tensor x = tensor<T>({1, 10, 2, 10, 3, 40, 6, 20}, {2, 2, 1, 2});
    const auto [mean, variance] = statistics<T>(x);
    check_values(mean, {3, 20});
    check_values(variance, {3.5, 150});
    const auto single = statistics<T>(tensor<T>({4, 5}, {1, 2}));
    check_values(single.mean, {4, 5});
    check_values(single.variance, {0, 0});
}

TEST_CASE("channel_statistics: a small variance around a large mean survives in float") {
    check_values(statistics<float>(tensor<float>({9999, 10000, 10001}, {3, 1})).variance, {2.0 / 3}, 1e-6);
}

TEST_CASE_TEMPLATE("channel_affine: scale and shift by channel, with a ReLU if asked", T, float, double) {
    const Tensor x = tensor<T>({1, 1, -2, 3}, {2, 2});
    const Tensor scale = tensor<T>({2, -1}, {2});
    const Tensor shift = tensor<T>({0.5, 1}, {2});
    Tensor y = output<T>({2, 2});
    reference_backend().channel_affine(x, scale, shift, {}, false, y);
    check_values(y, {2.5, 0, -3.5, -2});
    reference_backend().channel_affine(x, scale, shift, {}, true, y);
    check_values(y, {2.5, 0, 0, 0});
    reference_backend().channel_affine(x, scale, shift, tensor<T>({-3, 1, 4, 1}, {2, 2}), true, y);
    check_values(y, {0, 1, 0.5, 0});
    const double nan = std::numeric_limits<double>::quiet_NaN();
    Tensor poisoned = output<T>({1, 2});
    reference_backend().channel_affine(tensor<T>({nan, 1}, {1, 2}), scale, shift, {}, true, poisoned);
    check_values(poisoned, {nan, 0});
}

TEST_CASE("batch_norm_backward: the gradients of x, scale and shift are those of finite differences") {
    BACKLIGHT_CAPTURE_SEED();
    const Tensor x = random_tensor<double>({3, 2, 2, 2}, 1);
    const Tensor d_y = random_tensor<double>({3, 2, 2, 2}, 2);
    const Tensor scale = random_tensor<double>({2}, 3);
    const auto [mean, variance] = statistics<double>(x);
    Tensor d_x = output<double>(x.shape());
    Tensor d_scale = output<double>({2});
    Tensor d_shift = output<double>({2});
    Tensor d_residual;
    reference_backend().batch_norm_backward(x, d_y, mean, inverse_deviation(variance), scale, {}, d_x,
                                            d_scale, d_shift, d_residual);
    const auto in = values_of(x);
    const auto s = values_of(d_y);
    const auto gamma = values_of(scale);
    const std::vector<double> beta{0.25, -0.5};
    // Central differences with a step of 1e-5 are right to about 1e-9 here.
    check_values(d_x, finite_differences(in, [&](const auto& v) { return loss(v, s, 2, gamma, beta); }),
                 1e-7);
    check_values(d_scale, finite_differences(gamma, [&](const auto& v) { return loss(in, s, 2, v, beta); }),
                 1e-7);
    check_values(d_shift, finite_differences(beta, [&](const auto& v) { return loss(in, s, 2, gamma, v); }),
                 1e-7);
}

TEST_CASE_TEMPLATE("batch_norm_backward: a fused ReLU passes d_y where its output is positive", T, float,
                   double) {
    BACKLIGHT_CAPTURE_SEED();
    const Shape shape{4, 3};
    const Tensor x = random_tensor<T>(shape, 1);
    const Tensor d_y = random_tensor<T>(shape, 2);
    const Tensor scale = random_tensor<T>({3}, 3);
    const Tensor relu_output = tensor<T>({1, 0, 2, 0, 0, 3, 4, 5, 0, 1, 0, 0}, shape);
    Tensor masked = output<T>(shape);
    reference_backend().binary(BinaryOp::where_positive, d_y, relu_output, masked);
    const auto [mean, variance] = statistics<T>(x);
    const Tensor inv_std = inverse_deviation(variance);
    std::vector<std::vector<double>> results;
    for (const bool fused : {true, false}) {
        Tensor d_x = output<T>(shape);
        Tensor d_scale = output<T>({3});
        Tensor d_shift = output<T>({3});
        Tensor d_residual = output<T>(shape);
        reference_backend().batch_norm_backward(x, fused ? d_y : masked, mean, inv_std, scale,
                                                fused ? ReluMask{relu_output, {}} : ReluMask{}, d_x, d_scale,
                                                d_shift, d_residual);
        check_values(d_residual, values_of(masked));
        for (const Tensor& t : {d_x, d_scale, d_shift}) {
            results.push_back(values_of(t));
        }
        if (fused) {
            check_values(d_shift,
                         {dot(masked, tensor<T>({1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0}, shape)),
                          dot(masked, tensor<T>({0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0}, shape)),
                          dot(masked, tensor<T>({0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1}, shape))},
                         kTolerance<T>);
        }
    }
    CHECK(results[0] == results[3]);
    CHECK(results[1] == results[4]);
    CHECK(results[2] == results[5]);
}

TEST_CASE_TEMPLATE(
    "batch_norm_backward: a ReLU whose output nobody kept passes where the affine map is positive", T, float,
    double) {
    BACKLIGHT_CAPTURE_SEED();
    const Shape shape{40, 3};
    const Tensor x = random_tensor<T>(shape, 1);
    const Tensor d_y = random_tensor<T>(shape, 2);
    const Tensor scale = random_tensor<T>({3}, 3);
    const Tensor shift = random_tensor<T>({3}, 4);
    const auto [mean, variance] = statistics<T>(x);
    const Tensor inv_std = inverse_deviation(variance);
    Tensor factor = output<T>({3});
    reference_backend().binary(BinaryOp::multiply, scale, inv_std, factor);
    Tensor relu_output = output<T>(shape);
    reference_backend().channel_affine(x, factor, shift, {}, true, relu_output);
    std::vector<std::vector<double>> results;
    for (const ReluMask& mask : {ReluMask{relu_output, {}}, ReluMask{{}, shift}}) {
        Tensor d_x = output<T>(shape);
        Tensor d_scale = output<T>({3});
        Tensor d_shift = output<T>({3});
        Tensor none;
        reference_backend().batch_norm_backward(x, d_y, mean, inv_std, scale, mask, d_x, d_scale, d_shift,
                                                none);
        for (const Tensor& t : {d_x, d_scale, d_shift}) {
            results.push_back(values_of(t));
        }
    }
    CHECK(results[0] == results[3]);
    CHECK(results[1] == results[4]);
    CHECK(results[2] == results[5]);
}
