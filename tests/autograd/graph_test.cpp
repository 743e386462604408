// The graph: how long it lives, what it keeps, what accumulates in its leaves.
#include <doctest/doctest.h>
#include <pthread.h>

#include <cmath>
#include <functional>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "autograd/recording.h"
#include "core/error.h"
#include "tests/autograd/leaves.h"
#include "tests/autograd/observed_backend.h"

using namespace backlight;
using namespace backlight::test;

namespace {

Variable long_chain(const Variable& x, int length) {
    Variable y = x;
    for (int i = 0; i < length; ++i) {
        y = y + 0.0;
    }
    return y;
}

/// A recursion along a long chain needs more than these 512 KiB.
void on_small_stack(std::function<void()> body) {
    const auto run = [](void* function) -> void* {
        (*static_cast<std::function<void()>*>(function))();
        return nullptr;
    };
    pthread_attr_t attributes;
    pthread_t thread;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, size_t{512} << 10) == 0);
    REQUIRE(pthread_create(&thread, &attributes, run, &body) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
    REQUIRE(pthread_attr_destroy(&attributes) == 0);
}

}  // namespace

TEST_CASE("grad: a second traversal needs retain_graph in the first") {
    const Variable x = scalar(3);
    const Variable y = square(x);
    CHECK(grad(y, {}, {x}, {.retain_graph = true})[0].item() == 6);
    CHECK(grad(y, {}, {x}, {.create_graph = true})[0].item() == 6);
    CHECK(grad(y, {}, {x})[0].item() == 6);
    CHECK_THROWS_WITH_AS((void)grad(y, {}, {x}),
                         "grad: the graph was already freed; ask for retain_graph in the first traversal",
                         Error);
}

TEST_CASE("grad: 100,000 ops overflow no stack, neither backwards nor in destruction") {
    double plain = 0;
    double with_history = 0;
    on_small_stack([&] {
        const Variable x = scalar(1);
        plain = grad(long_chain(x, 100'000), {}, {x})[0].item();
        { const Variable dropped = long_chain(x, 100'000); }
        const Variable y = long_chain(x, 100'000);
        with_history = grad(y, {}, {x}, {.create_graph = true})[0].item();
    });
    CHECK(plain == 1);
    CHECK(with_history == 1);
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

TEST_CASE(
    "grad: an output that is cheap to make again is kept by nobody, and its readers get the same bits") {
    static ObservedBackend<ReferenceBackend> backend;
    const BackendScope scope(backend);
    constexpr int64_t kRows = 1000;
    constexpr size_t kBytes = kRows * sizeof(double);
    const size_t before = backend.live_bytes();
    const auto live = [&] { return (backend.live_bytes() - before) / kBytes; };
    std::vector<double> numbers(kRows);
    for (size_t i = 0; i < numbers.size(); ++i) {
        numbers[i] = std::sin(static_cast<double>(i));
    }
    const Variable x = Variable::leaf(Tensor::from(numbers, {kRows, 1}));
    const Variable scale = leaf({1.5});
    const Variable shift = leaf({-0.25});
    const auto chain = [&] {  // x, the norms' inputs and the sines' inputs are read by a vjp
        Variable y = x;
        for (int i = 0; i < 10; ++i) {
            BatchStatistics statistics;
            y = sin(batch_norm_relu(y, scale, shift, 1e-5, statistics));
        }
        return y;
    };
    const Tensor ones = Tensor::ones({kRows, 1}, DType::f64);
    std::vector<Values> found[3];
    {
        const Variable y = chain();
        CHECK(live() == 2 + 10);  // x, ones, and the sines' outputs
        const auto d = grad(y, ones, {x, scale, shift}, {.retain_graph = true});
        const auto again = grad(y, ones, {x, scale, shift});
        for (size_t i = 0; i < 3; ++i) {
            found[0].push_back(values(d[i]));
            found[1].push_back(values(again[i]));
        }
    }
    {
        const Recording everything;
        const Variable y = chain();
        CHECK(live() == 2 + 10);  // as without: what the norms made is made again
        for (const Variable& d : grad(y, ones, {x, scale, shift})) {
            found[2].push_back(values(d));
        }
    }
    CHECK(found[0] == found[1]);
    CHECK(found[0] == found[2]);
    CHECK(live() == 2);
}

TEST_CASE("grad: an output that would be made again, but was changed in place, is kept as it was read") {
    BatchStatistics statistics;
    const Variable x = leaf({1, 2, 4}, {3, 1});
    const Variable y = batch_norm_relu(x, leaf({1}), leaf({0}), 1e-5, statistics);
    Tensor changed = y.data();
    changed.fill(7);
    const Variable w = leaf({1, 1, 1}, {3, 1});
    const Variable z = y * w;
    CHECK(values(grad(sum(z), {}, {w})[0]) == Values{7, 7, 7});
    const Variable later = y * w;
    changed.fill(8);
    CHECK_THROWS_WITH_AS(
        (void)grad(sum(later), {}, {w}),
        "multiply: input 0 of shape (3, 1) was changed in place after the forward pass that used it", Error);
}

TEST_CASE("grad: data that was overwritten since the forward pass is an Error") {
    const Variable x = leaf({1, 2});
    const Variable w = leaf({3, 4});
    const Variable y = x * w;
    Tensor overwritten = w.data();
    overwritten.fill(0);
    CHECK_THROWS_WITH_AS(
        (void)grad(sum(y), {}, {x}),
        "multiply: input 1 of shape (2,) was changed in place after the forward pass that used it", Error);
    const Variable e = exp(x);
    Tensor output = e.data();
    output.fill(0);
    CHECK_THROWS_WITH_AS((void)grad(sum(e), {}, {x}),
                         "exp: its output of shape (2,) was changed in place after the forward pass", Error);
    const Variable s = sin(x);
    Tensor unread = s.data();
    unread.fill(0);  // the derivative of sin reads its input only
    CHECK(values(grad(sum(s), {}, {x})[0]) == Values{std::cos(1.0), std::cos(2.0)});
    BatchStatistics statistics;
    const Variable image = Variable::leaf(Tensor::from<double>({1, 2, 3}, {3, 1}));
    const Variable normalized = batch_norm(image, leaf({1}), leaf({0}), 1e-5, statistics);
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

TEST_CASE("backward: accumulates into leaves, twice") {
    const Variable x = leaf({1, 2});
    const Variable w = leaf({3, 4});
    CHECK(!x.grad().defined());
    const Variable loss = sum(x * w);
    backward(loss, true);
    CHECK(values(x.grad()) == Values{3, 4});
    const Tensor first = x.grad();
    backward(loss);
    CHECK(values(x.grad()) == Values{6, 8});
    CHECK(values(w.grad()) == Values{2, 4});
    CHECK(values(first) == Values{3, 4});  // what was handed out does not change
    x.set_grad({});
    CHECK(!x.grad().defined());
    CHECK_THROWS_WITH_AS((void)loss.grad(),
                         "grad: only leaves accumulate gradients; use grad(...) for others", Error);
    CHECK_THROWS_WITH_AS(backward(x * w),
                         "grad: an output of shape (2,) needs a seed; only a scalar starts with 1", Error);
}

TEST_CASE("backward: gradients of different leaves share no memory") {
    const Variable a = leaf({1, 2});
    const Variable b = leaf({3, 4});
    const Variable c = leaf({5, 6});
    backward(sum(a + (b + c + a)));  // one tensor of ones arrives at each
    CHECK(values(a.grad()) == Values{2, 2});
    CHECK(values(b.grad()) == Values{1, 1});
    CHECK(values(c.grad()) == Values{1, 1});
    CHECK(!a.grad().shares_storage_with(b.grad()));
    CHECK(!b.grad().shares_storage_with(c.grad()));
    Tensor scaled = b.grad();  // as a clipping step would
    scaled.fill(7);
    CHECK(values(a.grad()) == Values{2, 2});
    CHECK(values(c.grad()) == Values{1, 1});
    backward(sum(a + reshape(b, Shape{2})));
    CHECK(values(a.grad()) == Values{3, 3});
    CHECK(values(b.grad()) == Values{8, 8});
}
