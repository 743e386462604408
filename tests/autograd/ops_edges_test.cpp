// What ops promise at ties, at kinks, far from zero, and at sizes where loops are easily wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "tests/autograd/leaves.h"

using namespace backlight;
using namespace backlight::test;

namespace {

Values slope(const Variable& y, const Variable& x) {
    return values(grad(y, Tensor::ones(y.shape(), y.dtype()), {x})[0]);
}

}  // namespace

TEST_CASE("kinks: the derivative at zero") {
    const Variable x = leaf({-1, 0, 1});
    CHECK(slope(relu(x), x) == Values{0, 0, 1});
    CHECK(slope(positive_part(x), x) == Values{0, 0, 1});
    CHECK(slope(negative_part(x), x) == Values{1, 0, 0});
    CHECK(slope(abs(x), x) == Values{-1, 0, 1});
    CHECK(slope(leaky_relu(x, 0.25), x) == Values{0.25, 0.25, 1});
    CHECK(slope(stabilize(x, 0.5), x) == Values{1, 1, 1});
    CHECK(values(stabilize(x, 0.5)) == Values{-1.5, 0.5, 1.5});
    CHECK(values(stabilize_clip(x, 0.5)) == Values{-1, 0.5, 1});
    CHECK(slope(stabilize_clip(x, 0.5), x) == Values{1, 0, 1});
    CHECK(slope(stabilize_clip(x, 2.0), x) == Values{0, 0, 0});
}

TEST_CASE("clamp: the derivative is 1 inside, 0 outside and at the bounds") {
    const Variable x = leaf({-3, -1, 0, 2, 3});
    CHECK(values(clamp(x, -1, 2)) == Values{-1, -1, 0, 2, 2});
    CHECK(slope(clamp(x, -1, 2), x) == Values{0, 0, 1, 0, 0});
}

TEST_CASE("maximum and minimum: at ties the gradient goes to b") {
    const Variable a = leaf({1, 2, 3});
    const Variable b = leaf({1, 3, 2});
    CHECK(slope(maximum(a, b), a) == Values{0, 0, 1});
    CHECK(slope(maximum(a, b), b) == Values{1, 1, 0});
    CHECK(slope(minimum(a, b), a) == Values{0, 1, 0});
    CHECK(slope(minimum(a, b), b) == Values{1, 0, 1});
}

TEST_CASE("amax: the gradient is shared evenly by equal maxima of a row") {
    const Variable x = leaf({1, 3, 3, 0, -1, 2}, {2, 3});
    CHECK(slope(amax(x, {1}), x) == Values{0, 0.5, 0.5, 0, 0, 1});
    CHECK(slope(amin(x, {1}), x) == Values{1, 0, 0, 0, 1, 0});
    CHECK(slope(amax(x), x) == Values{0, 0.5, 0.5, 0, 0, 0});
}

TEST_CASE("max_pool2d: the gradient goes to the first of equal maxima") {
    const Variable x = leaf({1, 2, 2, 2}, {1, 2, 2, 1});
    CHECK(slope(max_pool2d(x, {.kernel = {2, 2}, .stride = {2, 2}, .padding = {}}), x) == Values{0, 1, 0, 0});
}

TEST_CASE("max_pool2d: padding never wins") {
    const Variable x = leaf({-1, -2, -3, -4}, {1, 2, 2, 1});
    const Variable y = max_pool2d(x, {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}});
    CHECK(values(y) == Values{-1});
}

TEST_CASE("divide_or_zero: zeros below give zero, and zero derivatives") {
    const Variable a = leaf({1, 0, 3});
    const Variable b = leaf({0, 0, 2});
    CHECK(values(divide_or_zero(a, b)) == Values{0, 0, 1.5});
    CHECK(slope(divide_or_zero(a, b), a) == Values{0, 0, 0.5});
    CHECK(slope(divide_or_zero(a, b), b) == Values{0, 0, -0.75});
}

TEST_CASE("activations: values, first and second derivatives stay finite far from zero") {
    using Function = Variable (*)(const Variable&);
    const std::pair<const char*, Function> functions[] = {
        {"elu", [](const Variable& x) { return elu(x); }},
        {"softplus", [](const Variable& x) { return softplus(x, 2.0); }},
        {"gelu", gelu},
        {"silu", silu},
        {"sigmoid", sigmoid},
        {"tanh", tanh},
        {"erf", erf},
        {"softmax", softmax},
        {"log_softmax", log_softmax},
    };
    for (const DType dtype : {DType::f32, DType::f64}) {
        for (const auto& [name, f] : functions) {
            const Variable x =
                Variable::leaf(Tensor::from<double>({-1e4, -800, -100, 100, 800, 1e4}, {6}).to(dtype));
            const Variable y = f(x);
            const Variable first = grad(y, Tensor::ones({6}, dtype), {x}, {.create_graph = true})[0];
            const Variable second = grad(first, Tensor::ones({6}, dtype), {x})[0];
            for (const Variable& v : {y, first, second}) {
                for (const double value : v.data().to(DType::f64).to_vector<double>()) {
                    CHECK_MESSAGE(std::isfinite(value), name, " in ", std::string(name_of(dtype)));
                }
            }
        }
    }
}

TEST_CASE("losses: large logits cost what they should") {
    const Variable logits = leaf({1000, 0, -1000}, {1, 3});
    CHECK(cross_entropy(logits, Tensor::from<int64_t>({0}, {1})).item() == 0);
    CHECK(cross_entropy(logits, Tensor::from<int64_t>({2}, {1})).item() == 2000);
    const Variable target = Tensor::from<double>({0, 1}, {2});
    CHECK(binary_cross_entropy_with_logits(leaf({1000, -1000}), target).item() == 1000);
    CHECK(binary_cross_entropy_with_logits(leaf({-1000, 1000}), target).item() == 0);
    const auto weighted = [&](std::vector<double> weight) {
        return binary_cross_entropy_with_logits(leaf({1000, -1000}), target, Tensor::from(weight, {2}));
    };
    CHECK(weighted({3, 1}).item() == 1000);  // a weighted mean
    CHECK(
        binary_cross_entropy_with_logits(leaf({4, 1000}), target, Tensor::from<double>({1, 0}, {2})).item() ==
        doctest::Approx(4 + std::log1p(std::exp(-4))));  // what has no weight does not count
    CHECK(weighted({0, 0}).item() == 0);
}

TEST_CASE("dropout: what is kept is scaled, the gradient has the same mask, the key decides") {
    const Variable x = Variable::leaf(Tensor::ones({1000}, DType::f64));
    const RandomKey key{.seed = 1, .purpose = 5, .step = 7};
    const Variable y = dropout(x, 0.75, key);
    const Values kept = values(y);
    const auto count = std::count(kept.begin(), kept.end(), 4.0);
    CHECK(count + std::count(kept.begin(), kept.end(), 0.0) == 1000);
    CHECK(count > 250 - 5 * 14);  // five standard deviations of a binomial
    CHECK(count < 250 + 5 * 14);
    CHECK(slope(y, x) == kept);
    CHECK(values(dropout(x, 0.75, key)) == kept);
    CHECK(values(dropout(x, 0.75, {.seed = 1, .purpose = 5, .step = 8})) != kept);
    CHECK(dropout(x, 0.0, key).node() == x.node());
}

TEST_CASE("batch_norm: hands out the statistics of the batch, with biased variance") {
    const Variable x = leaf({1, 10, 3, 10, 5, 40}, {3, 2});
    BatchStatistics statistics;
    const Variable y = batch_norm(x, leaf({1, 2}), leaf({0, 1}), 0.0, statistics);
    CHECK(values(statistics.mean) == Values{3, 20});
    CHECK(values(statistics.variance)[0] == doctest::Approx(8.0 / 3));
    CHECK(values(statistics.variance)[1] == doctest::Approx(200.0));
    CHECK(values(y)[0] == doctest::Approx(-2 / std::sqrt(8.0 / 3)));
    CHECK(values(y)[5] == doctest::Approx(2 * 20 / std::sqrt(200.0) + 1));
    CHECK(!statistics.mean.shares_storage_with(x.data()));
}

TEST_CASE("batch_norm: with the batch's statistics as constants it is batch_norm_affine") {
    const Variable x = leaf({1, 10, 3, 10, 5, 40}, {3, 2});
    const Variable scale = leaf({1, 2});
    const Variable shift = leaf({0, 1});
    BatchStatistics statistics;
    const Variable train = batch_norm(x, scale, shift, 1e-3, statistics);
    const Variable affine = batch_norm_affine(x, scale, shift, statistics.mean, statistics.variance, 1e-3);
    CHECK(values(train) == values(affine));
}

TEST_CASE("sum of 2^20 ones is exact in f32") {
    const Variable x = Variable::leaf(Tensor::ones({1024, 1024}));
    CHECK(sum(x).item() == 1048576);
    CHECK(mean(x).item() == 1);
}

TEST_CASE("operators: a number on either side") {
    const Variable x = leaf({2, -4});
    CHECK(values(1.0 - x) == Values{-1, 5});
    CHECK(values(1.0 / x) == Values{0.5, -0.25});
    CHECK(values(x - 1.0) == Values{1, -5});
    CHECK(values(x / 2.0) == Values{1, -2});
    CHECK(slope(1.0 - x, x) == Values{-1, -1});
    CHECK(slope(1.0 / x, x) == Values{-0.25, -0.0625});
}

TEST_CASE("movement: reshape shares memory, everything else copies") {
    const Variable x = leaf({1, 2, 3, 4, 5, 6}, {2, 3});
    CHECK(reshape(x, {3, -1}).shape() == Shape{3, 2});
    CHECK(reshape(x, {3, -1}).data().shares_storage_with(x.data()));
    CHECK(values(transpose(x)) == Values{1, 4, 2, 5, 3, 6});
    CHECK(values(slice(x, 1, 1, 2)) == Values{2, 3, 5, 6});
    CHECK(values(pad(x, {0, 1}, {2, 4})) == Values{0, 1, 2, 3, 0, 4, 5, 6});
    CHECK(values(concat({x, x}, 1)) == Values{1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6});
    CHECK(values(gather_rows(x, Tensor::from<int64_t>({1, 1, 0}, {3}))) == Values{4, 5, 6, 4, 5, 6, 1, 2, 3});
    CHECK(values(scatter_add_rows(x, Tensor::from<int64_t>({2, 2}, {2}), 3)) ==
          Values{0, 0, 0, 0, 0, 0, 5, 7, 9});
    CHECK(values(gather_last(x, Tensor::from<int64_t>({2, 0}, {2}))) == Values{3, 4});
    CHECK(values(scatter_last(leaf({7, 8}), Tensor::from<int64_t>({2, 0}, {2}), 3)) ==
          Values{0, 0, 7, 8, 0, 0});
    CHECK(values(broadcast_to(leaf({1, 2}, {2, 1}), {2, 2})) == Values{1, 1, 2, 2});
    CHECK(values(sum_to(x, {1, 3})) == Values{5, 7, 9});
}

TEST_CASE("convolutions: each of the three is the adjoint of the others") {
    // <F(x;W), s> = <x, B(s;W)> = <W, G(x,s)>, with integers: exact
    const Conv2dAttrs attrs{.stride = {2, 1}, .padding = {1, 0, 0, 2}, .dilation = {1, 2}, .groups = 2};
    const auto ramp = [](const Shape& shape, int64_t step) {
        std::vector<double> numbers(static_cast<size_t>(shape.numel()));
        for (size_t i = 0; i < numbers.size(); ++i) {
            numbers[i] = static_cast<double>((static_cast<int64_t>(i) * step + 3) % 11 - 5);
        }
        return Variable(Tensor::from(numbers, shape));
    };
    const Variable x = ramp({2, 5, 6, 4}, 7);
    const Variable weight = ramp({6, 3, 2, 2}, 5);
    const Variable y = conv2d(x, weight, {}, attrs);
    const Variable s = ramp(y.shape(), 3);
    const double product = sum(y * s).item();
    CHECK(product != 0);
    CHECK(sum(x * conv2d_backward_data(s, weight, x.shape(), attrs)).item() == product);
    CHECK(sum(weight * conv2d_backward_weights(x, s, weight.shape(), attrs)).item() == product);
}
