#include "autograd/recording.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "tests/autograd/leaves.h"
#include "tests/autograd/observed_backend.h"

using namespace backlight;
using namespace backlight::test;

namespace {

/// What a module does around its forward.
template <typename Forward>
Variable layer(const std::string& name, const Variable& x, const Forward& forward) {
    const ScopeName scope(name);
    const std::string path = ScopeName::path();
    const std::string call_name = Recording::current()->begin_call(path);
    const Variable y = forward(x);
    Recording::current()->end_call(call_name, path, x, y);
    return y;
}

}  // namespace

TEST_CASE("recording: ops are named after their scope, kind and number") {
    const Variable x = leaf({1, -2}, {2});
    const Recording recording;
    CHECK(relu(x).node()->name == "relu#0");
    CHECK(relu(x).node()->name == "relu#1");
    CHECK(sin(x).node()->name == "sin#0");
    const ScopeName outer("block");
    const ScopeName inner("3");
    CHECK(relu(x).node()->name == "block.3.relu#0");
    CHECK(positive_part(x).node()->name == "block.3.positive_part#0");
}

TEST_CASE("recording: layers name their output, and count their calls") {
    const Variable x = leaf({1, -2}, {2});
    const Recording recording;
    const auto twice = [](const Variable& v) { return square(sin(v)); };
    const Variable first = layer("act", x, twice);
    const Variable second = layer("act", first, twice);
    const Variable outer =
        layer("block", second, [&](const Variable& v) { return layer("inner", v, twice); });
    CHECK(first.node()->name == "act");
    CHECK(second.node()->name == "act#1");
    CHECK(outer.node()->name == "block.inner");  // a child's output keeps the child's name
    CHECK(recording.layers().names() == std::vector<std::string>{"act", "act#1", "block.inner", "block"});
    CHECK(recording.layers().at("act").node() == first.node());
    CHECK(recording.layers().at("act#1:in").node() == first.node());
    CHECK(recording.layers().at("block").node() == outer.node());
    CHECK(recording.layers().at("act:in").node() == x.node());
    CHECK_THROWS_WITH_AS((void)recording.layers().at("atc"),
                         "unknown layer \"atc\"; did you mean act?; known: act, act#1, block.inner, block",
                         Error);
}

TEST_CASE("recording: a layer that returns its input renames nothing") {
    const Variable x = leaf({1, -2}, {2});
    const Recording recording;
    const Variable y = relu(x);
    const Variable same = layer("identity", y, [](const Variable& v) { return v; });
    CHECK(same.node()->name == "relu#0");
    CHECK(recording.layers().at("identity").node() == y.node());
}

TEST_CASE("recording: every node keeps its inputs and its output") {
    const Variable x = leaf({1, -2}, {2});
    const Variable outside = x + 1.0;
    CHECK(!outside.node()->inputs[0].data().has_data());
    CHECK(!outside.node()->output.has_data());
    CHECK(outside.node()->inputs[0].shape() == Shape{2});
    const Recording recording;
    const Variable inside = x + 1.0;
    CHECK(inside.node()->inputs[0].data().has_data());
    CHECK(inside.node()->output.has_data());
    const NodeView view(inside.node());
    CHECK(view.input(0).data().shares_storage_with(x.data()));
    CHECK(view.output().node() == inside.node());
}

TEST_CASE("recording: nobody keeps what a rectifier made, and each reader gets it again") {
    static ObservedBackend<ReferenceBackend> backend;
    const BackendScope scope(backend);
    constexpr int64_t kCount = 4096;
    constexpr size_t kBytes = kCount * sizeof(double);
    std::vector<double> numbers(kCount), rectified(kCount);
    for (size_t i = 0; i < numbers.size(); ++i) {
        numbers[i] = std::sin(static_cast<double>(i));
        rectified[i] = std::max(std::sin(numbers[i]), 0.0);
    }
    const Variable x = Variable::leaf(Tensor::from(numbers, {kCount}));
    const size_t before = backend.live_bytes();
    const auto live = [&] { return static_cast<double>(backend.live_bytes() - before) / kBytes; };
    const Recording recording;
    Variable y = layer("act", x, [](const Variable& v) { return relu(sin(v)); });
    const Variable z = layer("next", y, [](const Variable& v) { return square(v); });
    y = Variable();
    CHECK(live() < 2.1);  // what sin and square made, and the bits
    CHECK(live() > 2.0);
    CHECK(NodeView(z.node()).input(0).data().to_vector<double>() == rectified);
    CHECK(recording.layers().at("act").data().to_vector<double>() == rectified);
    CHECK(recording.layers().at("next:in").data().to_vector<double>() == rectified);
    CHECK(recording.layers().at("next:in").node() == recording.layers().at("act").node());
    CHECK(live() < 2.1);
    const Variable d = grad(z, Tensor::ones({kCount}, DType::f64), {x}, {.retain_graph = true})[0];
    CHECK(live() < 3.1);  // and d
    CHECK(d.data().to_vector<double>()[1] == doctest::Approx(2 * rectified[1] * std::cos(numbers[1])));
}

TEST_CASE("recording: what was not kept is an Error that says what to do") {
    const Variable x = leaf({1, -2}, {2});
    const Variable y = x + 1.0;
    const NodeView view(y.node());
    CHECK_THROWS_WITH_AS(
        (void)view.input(0),
        "add_scalar: input 0 was not kept by the forward pass; run it inside a Recording to explain it",
        Error);
    CHECK_THROWS_WITH_AS(
        (void)view.output(),
        "add_scalar: its output was not kept by the forward pass; run it inside a Recording to explain it",
        Error);
}

TEST_CASE("recording: the innermost one is current") {
    CHECK(Recording::current() == nullptr);
    const Recording outer;
    CHECK(Recording::current() == &outer);
    {
        const Recording inner;
        CHECK(Recording::current() == &inner);
    }
    CHECK(Recording::current() == &outer);
}

TEST_CASE("recording: values and gradients are those of a plain forward pass") {
    const Variable x = leaf({0.5, -2, 3, 1}, {2, 2});
    const Variable w = leaf({1, 2, 3, 4}, {2, 2});
    const auto run = [&] { return grad(sum(square(relu(linear(x, w)))), {}, {x, w}); };
    const Variables plain = run();
    const Recording recording;
    const Variables recorded = run();
    for (size_t i = 0; i < 2; ++i) {
        CHECK(recorded[i].data().to_vector<double>() == plain[i].data().to_vector<double>());
    }
}
