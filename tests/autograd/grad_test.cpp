// The traversal: orders, seeds, inputs, what is computed and what is not.
#include "autograd/grad.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "tests/autograd/leaves.h"
#include "tests/autograd/observed_backend.h"

using namespace backlight;
using namespace backlight::test;
using doctest::Approx;

TEST_CASE("grad: derivatives of x^4 up to the fourth") {
    const Variable x = scalar(1.5);
    const GradOptions history{.create_graph = true};
    const Variable first = grad(pow(x, 4.0), {}, {x}, history)[0];
    const Variable second = grad(first, {}, {x}, history)[0];
    const Variable third = grad(second, {}, {x}, history)[0];
    const Variable fourth = grad(third, {}, {x})[0];
    CHECK(first.item() == Approx(4 * 1.5 * 1.5 * 1.5));
    CHECK(second.item() == Approx(12 * 1.5 * 1.5));
    CHECK(third.item() == Approx(24 * 1.5));
    CHECK(fourth.item() == Approx(24));
    CHECK(third.requires_grad());
    CHECK(!fourth.requires_grad());
}

TEST_CASE("grad: a variable used twice receives both parts") {
    const Variable x = scalar(3);
    CHECK(grad(x * x + x, {}, {x})[0].item() == 7);
    const Variable y = x * x;
    CHECK(grad(y * y * y, {}, {x})[0].item() == Approx(6 * 243));  // x^6
}

TEST_CASE("grad: with respect to intermediate variables") {
    const Variable x = scalar(2);
    const Variable y = x * x;
    const Variable z = sin(y) * x;
    const Variables d = grad(z, {}, {y, x, z});
    CHECK(d[0].item() == Approx(std::cos(4.0) * 2));
    CHECK(d[1].item() == Approx(std::cos(4.0) * 2 * 4 + std::sin(4.0)));
    CHECK(d[2].item() == 1);
}

TEST_CASE("grad: an intermediate variable alone, older nodes untouched") {
    const Variable x = scalar(2);
    const Variable y = x * x;
    const Variable z = y * 3.0;
    CHECK(grad(z, {}, {y})[0].item() == 3);
    CHECK(grad(y, {}, {x})[0].item() == 4);  // z's graph was freed, y's was not
}

TEST_CASE("grad: several outputs with seeds add up") {
    const Variable x = leaf({1, 2});
    const std::array outputs{square(x), x * 3.0};
    const std::array<Variable, 2> seeds{Tensor::from<double>({1, 10}, {2}),
                                        Tensor::from<double>({100, 1000}, {2})};
    const std::array inputs{x};
    CHECK(values(grad(outputs, seeds, inputs)[0]) == Values{2 + 300, 40 + 3000});
}

TEST_CASE("grad: an output may be older than every input") {
    const Variable x = scalar(2);
    const Variable old = x * x;
    const Variable late = scalar(5);
    const std::array outputs{old, late * 4.0};
    const std::array inputs{late};
    CHECK(grad(outputs, {}, inputs)[0].item() == 4);
    CHECK(!grad(old, {}, {late}, {.allow_unused = true})[0].defined());
}

TEST_CASE("grad: no inputs, no results") { CHECK(grad(square(scalar(2)), {}, Variables{}).empty()); }

TEST_CASE("grad: unused inputs") {
    const Variable x = scalar(2);
    const Variable unused = scalar(1);
    CHECK_THROWS_WITH_AS(
        (void)grad(square(x), {}, {x, unused}),
        "grad: the outputs do not depend on an input of shape (); allow_unused returns an undefined "
        "gradient for it",
        Error);
    const Variables d = grad(square(x), {}, {x, unused}, {.allow_unused = true});
    CHECK(d[0].item() == 4);
    CHECK(!d[1].defined());
}

TEST_CASE("grad: an input on which only a constant mask depends gets zeros") {
    const Variable a = leaf({1, 2});
    const Variable gate = leaf({-1, 1});
    const Variables d = grad(sum(where_positive(a, gate)), {}, {a, gate});
    CHECK(values(d[0]) == Values{0, 1});
    CHECK(values(d[1]) == Values{0, 0});
}

TEST_CASE("grad: the history of a seed is followed") {
    const Variable x = scalar(3);
    const Variable seed = scalar(2);
    const Variable d = grad(square(x), seed, {x}, {.create_graph = true})[0];  // 2 x seed
    CHECK(grad(d, {}, {seed})[0].item() == 6);
}

TEST_CASE("grad: wrong use") {
    const Variable x = leaf({1, 2});
    CHECK_THROWS_WITH_AS((void)grad(square(x), {}, {x}),
                         "grad: an output of shape (2,) needs a seed; only a scalar starts with 1", Error);
    CHECK_THROWS_WITH_AS((void)grad(square(x), Tensor::ones({3}, DType::f64), {x}),
                         "grad: the seed of an output of shape (2,) has shape (3,)", Error);
    CHECK_THROWS_WITH_AS((void)grad(square(x), Tensor::ones({2}), {x}),
                         "grad: the seed of a float64 output has type float32", Error);
    const Variable constant = Tensor::ones({2}, DType::f64);
    CHECK_THROWS_WITH_AS(
        (void)grad(square(constant), {}, {x}),
        "grad: an output of shape (2,) has no history: nothing that requires a gradient leads to it", Error);
    CHECK_THROWS_WITH_AS((void)grad(sum(x), {}, {constant}),
                         "grad: an input of shape (2,) does not require a gradient", Error);
    const std::array outputs{sum(x), sum(x)};
    const std::array<Variable, 1> seeds{Tensor::ones({}, DType::f64)};
    const std::array inputs{x};
    CHECK_THROWS_WITH_AS((void)grad(outputs, seeds, inputs), "grad: 2 outputs need as many seeds, got 1",
                         Error);
}

TEST_CASE("grad: sums of three and more parts are added in place without touching what was handed on") {
    const Variable x = leaf({1, 2});
    const Variable y = x + 0.0;
    const Variable a = y + 0.0;  // the cotangent of a, b, c is one tensor
    const Variable b = y + 0.0;
    const Variable c = y + 0.0;
    const Variables d = grad(sum(a + b + c), {}, {x, a, b, c, y});
    CHECK(values(d[0]) == Values{3, 3});
    for (size_t i = 1; i < 4; ++i) {
        CHECK(values(d[i]) == Values{1, 1});
    }
    CHECK(values(d[4]) == Values{3, 3});
}

TEST_CASE("grad: nothing is computed for inputs that need no gradient") {
    static ObservedBackend<ReferenceBackend> backend;
    const BackendScope scope(backend);
    const Variable image = Tensor::ones({1, 4, 4, 1}, DType::f64);
    const Variable first = Variable::leaf(Tensor::ones({2, 3, 3, 1}, DType::f64));
    const Variable second = Variable::leaf(Tensor::ones({1, 2, 2, 2}, DType::f64));
    const Variable loss = sum(conv2d(conv2d(image, first), second));
    backward(loss, true);
    CHECK(backend.calls("conv2d_backward_data") == 1);  // through the second convolution only
    CHECK(backend.calls("conv2d_backward_weights") == 2);
    (void)grad(loss, {}, {second});
    CHECK(backend.calls("conv2d_backward_data") == 1);
    CHECK(backend.calls("conv2d_backward_weights") == 3);
}
