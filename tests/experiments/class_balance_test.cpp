// Balance over classes: by hand.
#include "experiments/class_balance.h"

#include <doctest/doctest.h>

#include <cmath>

#include "datasets/in_memory.h"
#include "layers/layers.h"

using namespace backlight;

TEST_CASE("class balance: the mean probability of the true class, class by class") {
    Linear layer({.in = 1, .out = 2});
    Tensor weight = layer.parameters()[0].value.data(), bias = layer.parameters()[1].value.data();
    weight.copy_from(Tensor::from(std::vector<float>{1, 0}, {2, 1}));
    bias.copy_from(Tensor::zeros({2}, DType::f32));
    // softmax of (x, 0): the logistic function of x for class 0
    const InMemoryDataset data(Shape{1}, std::vector<float>{0, std::log(3.0f), std::log(3.0f)}, {0, 0, 1},
                               numbered_classes(2));
    const TrueClassProbability p = true_class_probability(layer, data);
    CHECK(p.maximum == doctest::Approx((0.5 + 0.75) / 2));
    CHECK(p.minimum == doctest::Approx(0.25));
    CHECK(p.mean == doctest::Approx((0.625 + 0.25) / 2));
    CHECK(p.difference == doctest::Approx(0.375));
}

TEST_CASE(
    "class balance: a curve is smoothed by what came before; the score of an arm is that of the means") {
    CHECK(smoothed({1, 3, 5, 7}, 2) == std::vector<double>{1, 2, 4, 6});
    CHECK(smoothed({1, 3, 5, 7}, 10) == std::vector<double>{1, 2, 3, 4});
    Measurements measured;
    add_balance(measured, "arm", 0, {{0.5, 0.5, 0}, {0.6, 0.2, 0.4}, {0.8, 0.1, 0.7}}, 1, {});
    add_balance(measured, "arm", 1, {{0.5, 0.5, 0}, {0.4, 0.2, 0.2}, {0.6, 0.3, 0.1}}, 1, {});
    CHECK(measured.values("arm", "balance over epochs")[0] == doctest::Approx((3.0 + 8.0) / 2));
    CHECK(measured.mean("arm", "class minimum") == doctest::Approx(0.4));
    CHECK(balance_table(measured).rows[0] == std::vector<std::string>{"arm", "0.700", "0.200", "3.50"});
}
