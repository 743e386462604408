// The traversal itself: orders, histories, memory, rules.
#include "autograd/grad.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "tests/autograd/observed_backend.h"

using namespace backlight;
using namespace backlight::test;
using doctest::Approx;

namespace {

Variable scalar(double value) { return Variable::leaf(Tensor::scalar(value, DType::f64)); }

Variable vector(std::initializer_list<double> values) {
    return Variable::leaf(Tensor::from<double>(values, {static_cast<int64_t>(values.size())}));
}

std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }
std::vector<double> values(const Variable& v) { return values(v.data()); }

Variable long_chain(const Variable& x, int length) {
    Variable y = x;
    for (int i = 0; i < length; ++i) {
        y = y + 0.0;
    }
    return y;
}

}  // namespace

// ------------------------------------------------------------------------------------------------- orders

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
    const Variable x = vector({1, 2});
    const std::array outputs{square(x), x * 3.0};
    const std::array<Variable, 2> seeds{Tensor::from<double>({1, 10}, {2}), Tensor::from<double>({100, 1000}, {2})};
    const std::array inputs{x};
    CHECK(values(grad(outputs, seeds, inputs)[0]) == std::vector<double>{2 + 300, 40 + 3000});
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
    CHECK_THROWS_WITH_AS((void)grad(square(x), {}, {x, unused}),
                         "grad: the outputs do not depend on an input of shape (); allow_unused returns an undefined "
                         "gradient for it",
                         Error);
    const Variables d = grad(square(x), {}, {x, unused}, {.allow_unused = true});
    CHECK(d[0].item() == 4);
    CHECK(!d[1].defined());
}

TEST_CASE("grad: an input on which only a constant mask depends gets zeros") {
    const Variable a = vector({1, 2});
    const Variable gate = vector({-1, 1});
    const Variables d = grad(sum(where_positive(a, gate)), {}, {a, gate});
    CHECK(values(d[0]) == std::vector<double>{0, 1});
    CHECK(values(d[1]) == std::vector<double>{0, 0});
}

TEST_CASE("grad: the history of a seed is followed") {
    const Variable x = scalar(3);
    const Variable seed = scalar(2);
    const Variable d = grad(square(x), seed, {x}, {.create_graph = true})[0];  // 2 x seed
    CHECK(grad(d, {}, {seed})[0].item() == 6);
}

TEST_CASE("grad: wrong use") {
    const Variable x = vector({1, 2});
    CHECK_THROWS_WITH_AS((void)grad(square(x), {}, {x}),
                         "grad: an output of shape (2,) needs a seed; only a scalar starts with 1", Error);
    CHECK_THROWS_WITH_AS((void)grad(square(x), Tensor::ones({3}, DType::f64), {x}),
                         "grad: the seed of an output of shape (2,) has shape (3,)", Error);
    CHECK_THROWS_WITH_AS((void)grad(square(x), Tensor::ones({2}), {x}),
                         "grad: the seed of a float64 output has type float32", Error);
    const Variable constant = Tensor::ones({2}, DType::f64);
    CHECK_THROWS_WITH_AS((void)grad(square(constant), {}, {x}),
                         "grad: an output of shape (2,) has no history: nothing that requires a gradient leads to it",
                         Error);
    CHECK_THROWS_WITH_AS((void)grad(sum(x), {}, {constant}), "grad: an input of shape (2,) does not require a gradient",
                         Error);
    const std::array outputs{sum(x), sum(x)};
    const std::array<Variable, 1> seeds{Tensor::ones({}, DType::f64)};
    const std::array inputs{x};
    CHECK_THROWS_WITH_AS((void)grad(outputs, seeds, inputs), "grad: 2 outputs need as many seeds, got 1", Error);
}

// ------------------------------------------------------------------------------------- lifetime of the graph

TEST_CASE("grad: a second traversal needs retain_graph in the first") {
    const Variable x = scalar(3);
    const Variable y = square(x);
    CHECK(grad(y, {}, {x}, {.retain_graph = true})[0].item() == 6);
    CHECK(grad(y, {}, {x}, {.create_graph = true})[0].item() == 6);
    CHECK(grad(y, {}, {x})[0].item() == 6);
    CHECK_THROWS_WITH_AS((void)grad(y, {}, {x}),
                         "grad: the graph was already freed; ask for retain_graph in the first traversal", Error);
}

TEST_CASE("grad: 100,000 ops overflow no stack, neither backwards nor in destruction") {
    const Variable x = scalar(1);
    CHECK(grad(long_chain(x, 100'000), {}, {x})[0].item() == 1);
    { const Variable dropped = long_chain(x, 100'000); }
    {
        const Variable y = long_chain(x, 100'000);
        const Variable d = grad(y, {}, {x}, {.create_graph = true})[0];
        CHECK(d.item() == 1);
    }
    CHECK(grad(long_chain(x, 10), {}, {x})[0].item() == 1);
}

TEST_CASE("grad: a static variable may outlive its thread's other data") {
    static const Variable kept = long_chain(scalar(1), 3);  // destroyed after main
    CHECK(kept.requires_grad());
}

TEST_CASE("grad: the graph is freed while it is consumed, unless retained") {
    static ObservedBackend<ReferenceBackend> backend;
    const BackendScope scope(backend);
    constexpr size_t kBytes = 1000 * sizeof(double);
    const size_t before = backend.live_bytes();
    const auto live = [&] { return (backend.live_bytes() - before) / kBytes; };
    const Variable x = Variable::leaf(Tensor::full({1000}, 0.1, DType::f64));
    const Tensor ones = Tensor::ones({1000}, DType::f64);
    const auto chain = [&] {
        Variable y = x;
        for (int i = 0; i < 20; ++i) {
            y = sin(y);  // keeps its input
        }
        return y;
    };
    CHECK(live() == 2);
    {
        const Variable y = chain();
        CHECK(live() == 2 + 20);
        backend.restart_peak();
        const Variable d = grad(y, ones, {x})[0];
        CHECK((backend.peak_bytes() - before) / kBytes <= 2 + 20 + 3);  // cotangent in, cos, cotangent out
        CHECK(live() == 2 + 2);                                         // y and d
    }
    CHECK(live() == 2);
    {
        const Variable y = chain();
        const Variable d = grad(y, ones, {x}, {.retain_graph = true})[0];
        CHECK(live() == 2 + 20 + 1);
        const Variable again = grad(y, ones, {x})[0];
        CHECK(values(again) == values(d));
        CHECK(live() == 2 + 1 + 2);
    }
    CHECK(live() == 2);
    {
        const Variable y = chain();
        const Variable d = grad(y, ones, {x}, {.create_graph = true})[0];
        CHECK(live() > 2 + 20 + 20);
    }
    CHECK(live() == 2);  // a gradient with a history makes no cycle
    {
        Variable y = x;
        for (int i = 0; i < 20; ++i) {
            y = y + 1.0;  // keeps nothing
        }
        CHECK(live() == 2 + 1);
    }
}

TEST_CASE("grad: data that was overwritten since the forward pass is an Error") {
    const Variable x = vector({1, 2});
    const Variable w = vector({3, 4});
    const Variable y = x * w;
    Tensor overwritten = w.data();
    overwritten.fill(0);
    CHECK_THROWS_WITH_AS((void)grad(sum(y), {}, {x}),
                         "multiply: input 1 of shape (2,) was changed in place after the forward pass that used it", Error);
    const Variable e = exp(x);
    Tensor output = e.data();
    output.fill(0);
    CHECK_THROWS_WITH_AS((void)grad(sum(e), {}, {x}),
                         "exp: its output of shape (2,) was changed in place after the forward pass", Error);
    const Variable s = sin(x);
    Tensor unread = s.data();
    unread.fill(0);  // the derivative of sin reads its input only
    CHECK(values(grad(sum(s), {}, {x})[0]) == std::vector<double>{std::cos(1.0), std::cos(2.0)});
    BatchStatistics statistics;
    const Variable image = Variable::leaf(Tensor::from<double>({1, 2, 3}, {3, 1}));
    const Variable normalized = batch_norm(image, vector({1}), vector({0}), 1e-5, statistics);
    statistics.variance.fill(1);
    CHECK_THROWS_WITH_AS((void)grad(normalized, Tensor::ones({3, 1}, DType::f64), {image}),
                         "batch_norm: what it kept was changed in place after the forward pass", Error);
}

TEST_CASE("NoGrad records no history, EnableGrad inside it does") {
    const Variable x = scalar(2);
    const NoGrad off;
    CHECK(!grad_enabled());
    CHECK(!square(x).requires_grad());
    {
        const EnableGrad on;
        CHECK(square(x).requires_grad());
    }
    CHECK(!square(x).requires_grad());
}

TEST_CASE("detach and constants cut the history") {
    const Variable x = scalar(2);
    CHECK(grad(x * square(x).detach(), {}, {x})[0].item() == 4);
    CHECK(!square(Variable(Tensor::scalar(2))).requires_grad());
    CHECK_THROWS_WITH_AS((void)Variable::leaf(Tensor::zeros({2}, DType::i64)),
                         "leaf: gradients need a floating type, got int64", Error);
}

// ---------------------------------------------------------------------------------------------- backward

TEST_CASE("backward: accumulates into leaves, twice") {
    const Variable x = vector({1, 2});
    const Variable w = vector({3, 4});
    CHECK(!x.grad().defined());
    const Variable loss = sum(x * w);
    backward(loss, true);
    CHECK(values(x.grad()) == std::vector<double>{3, 4});
    const Tensor first = x.grad();
    backward(loss);
    CHECK(values(x.grad()) == std::vector<double>{6, 8});
    CHECK(values(w.grad()) == std::vector<double>{2, 4});
    CHECK(values(first) == std::vector<double>{3, 4});  // what was handed out does not change
    x.set_grad({});
    CHECK(!x.grad().defined());
    CHECK_THROWS_WITH_AS((void)loss.grad(), "grad: only leaves accumulate gradients; use grad(...) for others", Error);
    CHECK_THROWS_WITH_AS(backward(x * w), "grad: an output of shape (2,) needs a seed; only a scalar starts with 1", Error);
}

TEST_CASE("backward: gradients of different leaves share no memory") {
    const Variable a = vector({1, 2});
    const Variable b = vector({3, 4});
    const Variable c = vector({5, 6});
    backward(sum(a + (b + c + a)));  // one tensor of ones arrives at each
    CHECK(values(a.grad()) == std::vector<double>{2, 2});
    CHECK(values(b.grad()) == std::vector<double>{1, 1});
    CHECK(values(c.grad()) == std::vector<double>{1, 1});
    CHECK(!a.grad().shares_storage_with(b.grad()));
    CHECK(!b.grad().shares_storage_with(c.grad()));
    Tensor scaled = b.grad();  // as a clipping step would
    scaled.fill(7);
    CHECK(values(a.grad()) == std::vector<double>{2, 2});
    CHECK(values(c.grad()) == std::vector<double>{1, 1});
    backward(sum(a + reshape(b, Shape{2})));
    CHECK(values(a.grad()) == std::vector<double>{3, 3});
    CHECK(values(b.grad()) == std::vector<double>{8, 8});
}

TEST_CASE("grad: sums of three and more parts are added in place without touching what was handed on") {
    const Variable x = vector({1, 2});
    const Variable y = x + 0.0;
    const Variable a = y + 0.0;  // the cotangent of a, b, c is one tensor
    const Variable b = y + 0.0;
    const Variable c = y + 0.0;
    const Variables d = grad(sum(a + b + c), {}, {x, a, b, c, y});
    CHECK(values(d[0]) == std::vector<double>{3, 3});
    for (size_t i = 1; i < 4; ++i) {
        CHECK(values(d[i]) == std::vector<double>{1, 1});
    }
    CHECK(values(d[4]) == std::vector<double>{3, 3});
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

// ------------------------------------------------------------------------------------------------- rules

namespace {

/// Sends 2 R through relu, the vjp elsewhere.
class DoubleAtRelu final : public BackwardRules {
public:
    void prepare(const Traversal& traversal) override {
        for (const auto& entry : traversal.entries()) {
            kinds += entry.node->is_leaf() ? "leaf " : std::string(entry.node->op->kind()) + " ";
            consumers.push_back(entry.consumers);
        }
    }
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y, InputMask mask) override {
        CHECK(wants(mask, 0));
        if (node.kind() != "relu") {
            return std::nullopt;
        }
        return Variables{r_y * 2.0};
    }
    std::string kinds;
    std::vector<int> consumers;
};

/// Sets to zero what arrives at products.
class CutAtProducts final : public BackwardRules {
public:
    [[nodiscard]] std::optional<Variables> backward(const NodeView&, const Variable&, InputMask) override {
        return std::nullopt;
    }
    [[nodiscard]] Variable arrived(const NodeView& node, const Variable& r_y) override {
        return node.kind() == "multiply" ? r_y * 0.0 : r_y;
    }
};

/// Sends something of a wrong shape.
class WrongShape final : public BackwardRules {
public:
    [[nodiscard]] std::optional<Variables> backward(const NodeView&, const Variable& r_y, InputMask) override {
        return Variables{reshape(r_y, Shape{1, r_y.numel()})};
    }
};

}  // namespace

TEST_CASE("grad: rules replace the vjp where they answer, and see the traversal before") {
    const Variable x = vector({-1, 2});
    const Variable y = relu(x);
    const Variable z = y * y;
    DoubleAtRelu rules;
    const Tensor seed = Tensor::ones({2}, DType::f64);
    CHECK(values(grad(z, seed, {x}, {.rules = &rules})[0]) == std::vector<double>{0, 8});
    CHECK(rules.kinds == "multiply relu leaf ");
    CHECK(rules.consumers == std::vector<int>{0, 2, 1});
    CHECK(values(grad(z, seed, {x})[0]) == std::vector<double>{0, 4});  // the graph was retained, and is plain again
}

TEST_CASE("grad: an answer of rules has a history under create_graph") {
    const Variable x = scalar(3);
    DoubleAtRelu rules;
    const Variable r = grad(pow(relu(x), 3.0), {}, {x}, {.create_graph = true, .rules = &rules})[0];  // 6 x^2
    CHECK(r.item() == Approx(54));
    CHECK(grad(r, {}, {x})[0].item() == Approx(36));
}

TEST_CASE("grad: arrived may replace what is passed on, and what is returned") {
    const Variable x = scalar(3);
    const Variable y = square(x);
    const Variable z = y * x;
    CutAtProducts rules;
    const Variables d = grad(z + y, {}, {x, z, y}, {.rules = &rules});
    CHECK(d[0].item() == 6);  // through y only
    CHECK(d[1].item() == 0);
    CHECK(d[2].item() == 1);
}

TEST_CASE("grad: an answer of the wrong shape is an Error") {
    const Variable x = vector({1, 2});
    WrongShape rules;
    CHECK_THROWS_WITH_AS((void)grad(sin(x), Tensor::ones({2}, DType::f64), {x}, {.rules = &rules}),
                         "sin: input 0 of shape (2,) was sent a gradient of shape (1, 2)", Error);
}
