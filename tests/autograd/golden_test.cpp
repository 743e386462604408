// Ops against PyTorch: golden_values.h holds what tests/oracle/ops.py computed there from the same formulas.
#include "tests/autograd/golden_values.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "autograd/functions.h"
#include "autograd/grad.h"

using namespace backlight;
using namespace backlight::test;

namespace {

/// Element i of input k.
double ramp(int64_t i, int64_t k) { return static_cast<double>((37 * i + 53 * k) % 101) / 50.5 - 1; }

Tensor coefficients(const Shape& shape) {
    std::vector<double> values(static_cast<size_t>(shape.numel()));
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<double>((29 * i + 7) % 97) / 48.5 - 1;
    }
    return Tensor::from(values, shape);
}

struct GoldenCase {
    const char* name;
    std::vector<Shape> shapes;
    std::function<Variable(const Variables&)> run;
};

Variable conv(const Variables& v, const Conv2dAttrs& attrs) { return conv2d(v[0], v[1], v[2], attrs); }
Variable cross_entropy_of(const Variable& logits, double smoothing, bool weighted) {
    return cross_entropy(logits, Tensor::from<int64_t>({2, 0, 2, 1}, {4}), smoothing,
                         weighted ? Tensor::from<double>({0.5, 2, 1.25}, {3}) : Tensor());
}

// The rows of tests/oracle/ops.py.
const std::vector<GoldenCase>& golden_cases() {
    static const PoolAttrs overlap{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
    static const PoolAttrs overlap_inside{
        .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .count_padding = false};
    static const PoolAttrs two_ceil{.kernel = {2, 2}, .stride = {2, 2}, .padding = {}, .ceil_mode = true};
    static const PoolAttrs two_ceil_padded{
        .kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true};
    static const PoolAttrs ceil{.kernel = {3, 3}, .stride = {2, 2}, .padding = {}, .ceil_mode = true};
    static const PoolAttrs ceil_padded{
        .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true};
    static const PoolAttrs ceil_inside{
        .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .count_padding = false, .ceil_mode = true};
    static const std::vector<GoldenCase> cases = {
        {"conv2d plain", {{2, 5, 4, 3}, {4, 3, 2, 3}, {4}}, [](const Variables& v) { return conv(v, {}); }},
        {"conv2d stride padding",
         {{1, 6, 7, 2}, {3, 3, 3, 2}, {3}},
         [](const Variables& v) {
             return conv(v, {.stride = {2, 2}, .padding = {1, 1}});
         }},
        {"conv2d four sides",
         {{1, 4, 5, 2}, {2, 3, 3, 2}, {2}},
         [](const Variables& v) {
             return conv(v, {.stride = {2, 1}, .padding = {0, 2, 1, 0}});
         }},
        {"conv2d dilation groups",
         {{1, 7, 6, 4}, {6, 3, 2, 2}, {6}},
         [](const Variables& v) {
             return conv(v, {.padding = {2, 1}, .dilation = {2, 3}, .groups = 2});
         }},
        {"conv2d depthwise",
         {{2, 4, 4, 3}, {6, 3, 3, 1}, {6}},
         [](const Variables& v) {
             return conv(v, {.padding = {1, 1}, .groups = 3});
         }},
        {"conv_transpose2d plain",
         {{1, 3, 3, 2}, {2, 3, 3, 3}, {3}},
         [](const Variables& v) { return conv_transpose2d(v[0], v[1], v[2]); }},
        {"conv_transpose2d output padding",
         {{1, 3, 4, 2}, {2, 3, 3, 2}, {2}},
         [](const Variables& v) {
             return conv_transpose2d(v[0], v[1], v[2], {.stride = {2, 2}, .padding = {1, 1}}, {1, 1});
         }},
        {"conv_transpose2d unequal",
         {{1, 2, 3, 2}, {2, 3, 2, 1}, {1}},
         [](const Variables& v) {
             return conv_transpose2d(v[0], v[1], v[2], {.stride = {3, 2}, .padding = {1, 0}}, {2, 1});
         }},
        {"conv_transpose2d groups dilation",
         {{1, 3, 3, 4}, {4, 2, 2, 3}, {6}},
         [](const Variables& v) {
             return conv_transpose2d(v[0], v[1], v[2],
                                     {.stride = {2, 2}, .padding = {}, .dilation = {2, 2}, .groups = 2},
                                     {1, 0});
         }},
        {"linear", {{3, 5}, {4, 5}, {4}}, [](const Variables& v) { return linear(v[0], v[1], v[2]); }},
        {"matmul batch", {{2, 3, 4}, {2, 4, 2}}, [](const Variables& v) { return matmul(v[0], v[1]); }},
        {"max_pool2d overlap", {{1, 5, 5, 2}}, [](const Variables& v) { return max_pool2d(v[0], overlap); }},
        {"max_pool2d ceil", {{1, 6, 5, 2}}, [](const Variables& v) { return max_pool2d(v[0], two_ceil); }},
        {"max_pool2d ceil padding",
         {{1, 3, 6, 2}},
         [](const Variables& v) { return max_pool2d(v[0], two_ceil_padded); }},
        {"avg_pool2d overlap", {{1, 5, 5, 2}}, [](const Variables& v) { return avg_pool2d(v[0], overlap); }},
        {"avg_pool2d overlap inside",
         {{1, 5, 5, 2}},
         [](const Variables& v) { return avg_pool2d(v[0], overlap_inside); }},
        {"avg_pool2d ceil", {{1, 6, 5, 2}}, [](const Variables& v) { return avg_pool2d(v[0], ceil); }},
        {"avg_pool2d ceil padding",
         {{1, 6, 6, 1}},
         [](const Variables& v) { return avg_pool2d(v[0], ceil_padded); }},
        {"avg_pool2d ceil padding inside",
         {{1, 6, 6, 1}},
         [](const Variables& v) { return avg_pool2d(v[0], ceil_inside); }},
        {"adaptive_avg_pool2d not divisible",
         {{1, 5, 7, 2}},
         [](const Variables& v) { return adaptive_avg_pool2d(v[0], 3, 2); }},
        {"adaptive_avg_pool2d larger",
         {{1, 2, 3, 2}},
         [](const Variables& v) { return adaptive_avg_pool2d(v[0], 5, 4); }},
        {"resize bilinear up", {{1, 3, 2, 2}}, [](const Variables& v) { return resize(v[0], 7, 4); }},
        {"resize bilinear down", {{1, 7, 5, 2}}, [](const Variables& v) { return resize(v[0], 3, 2); }},
        {"resize nearest up",
         {{1, 3, 2, 2}},
         [](const Variables& v) { return resize(v[0], 7, 4, ResizeMode::nearest); }},
        {"resize nearest down",
         {{1, 7, 5, 2}},
         [](const Variables& v) { return resize(v[0], 3, 2, ResizeMode::nearest); }},
        {"softmax", {{3, 4}}, [](const Variables& v) { return softmax(v[0]); }},
        {"log_softmax", {{3, 4}}, [](const Variables& v) { return log_softmax(v[0]); }},
        {"batch_norm train",
         {{2, 3, 2, 3}, {3}, {3}},
         [](const Variables& v) {
             BatchStatistics statistics;
             return batch_norm(v[0], v[1], v[2], 1e-3, statistics);
         }},
        {"batch_norm affine",
         {{2, 3, 2, 3}, {3}, {3}},
         [](const Variables& v) {
             return batch_norm_affine(v[0], v[1], v[2], Tensor::from<double>({0.1, -0.2, 0.3}, {3}),
                                      Tensor::from<double>({0.5, 1.5, 0.25}, {3}), 1e-3);
         }},
        {"layer_norm",
         {{2, 3, 4}, {4}, {4}},
         [](const Variables& v) { return layer_norm(v[0], v[1], v[2], 1e-3); }},
        {"group_norm",
         {{2, 3, 2, 6}, {6}, {6}},
         [](const Variables& v) { return group_norm(v[0], 3, v[1], v[2], 1e-5); }},
        {"cross_entropy", {{4, 3}}, [](const Variables& v) { return cross_entropy_of(v[0], 0, false); }},
        {"cross_entropy smoothing",
         {{4, 3}},
         [](const Variables& v) { return cross_entropy_of(v[0], 0.1, false); }},
        {"cross_entropy weights",
         {{4, 3}},
         [](const Variables& v) { return cross_entropy_of(v[0], 0, true); }},
        {"cross_entropy smoothing weights",
         {{4, 3}},
         [](const Variables& v) { return cross_entropy_of(v[0], 0.2, true); }},
        {"binary_cross_entropy_with_logits",
         {{3, 4}, {3, 4}},
         [](const Variables& v) { return binary_cross_entropy_with_logits(3.0 * v[0], square(v[1])); }},
        {"mse_loss", {{3, 4}, {3, 4}}, [](const Variables& v) { return mse_loss(v[0], v[1]); }},
        {"gelu", {{11}}, [](const Variables& v) { return gelu(3.0 * v[0]); }},
        {"silu", {{11}}, [](const Variables& v) { return silu(3.0 * v[0]); }},
        {"elu", {{11}}, [](const Variables& v) { return elu(3.0 * v[0], 0.7); }},
        {"softplus", {{11}}, [](const Variables& v) { return softplus(3.0 * v[0], 2.0); }},
        {"leaky_relu", {{11}}, [](const Variables& v) { return leaky_relu(v[0], 0.2); }},
        {"relu6", {{101}}, [](const Variables& v) { return relu6(9.0 * v[0]); }},
        {"erf", {{11}}, [](const Variables& v) { return erf(2.0 * v[0]); }},
        {"clamp", {{101}}, [](const Variables& v) { return clamp(v[0], 10 / 50.5 - 1, 80 / 50.5 - 1); }},
        {"amax ties",
         {{3, 101}},
         [](const Variables& v) {
             const Tensor large = mask(UnaryOp::is_positive, (v[0] - 0.6).data());
             return amax(where(large, 1.0 + (v[0] - v[0].detach()), v[0]), {1});
         }},
    };
    return cases;
}

}  // namespace

// 1e-11 of max(1, |value|): sums of up to 160 terms in another order.
TEST_CASE("ops agree with PyTorch: values and gradients") {
    std::set<std::string> seen;
    for (const GoldenCase& golden : golden_cases()) {
        seen.insert(golden.name);
        Variables inputs;
        for (const Shape& shape : golden.shapes) {
            std::vector<double> elements(static_cast<size_t>(shape.numel()));
            for (size_t i = 0; i < elements.size(); ++i) {
                elements[i] = ramp(static_cast<int64_t>(i), static_cast<int64_t>(inputs.size()));
            }
            inputs.push_back(Variable::leaf(Tensor::from(elements, shape)));
        }
        const Variable y = golden.run(inputs);
        const Tensor c = coefficients(y.shape());
        std::vector<double> numbers{sum(y * Variable(c)).item()};
        for (const Variable& d : grad(y, c, inputs)) {
            numbers.push_back(sum(d * Variable(coefficients(d.shape()))).item());
        }
        const std::vector<double>& expected = golden_values.at(golden.name);
        REQUIRE(expected.size() == numbers.size());
        for (size_t i = 0; i < numbers.size(); ++i) {
            CHECK_MESSAGE(std::abs(numbers[i] - expected[i]) <= 1e-11 * std::max(1.0, std::abs(expected[i])),
                          std::string(golden.name), ", number ", i, ": ", numbers[i], ", PyTorch ",
                          expected[i]);
        }
    }
    CHECK(seen.size() == golden_values.size());
}
