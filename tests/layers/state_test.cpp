// state_dict in PyTorch's names and layouts, and what loading refuses.
#include "layers/state.h"

#include <limits>

#include "layers/init.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

/// A network with everything that files lay out differently: kernels, a linear layer behind a flatten,
/// buffers.
std::unique_ptr<Sequential> network() {
    auto net = std::make_unique<Sequential>();
    net->add("conv", std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .kernel = {2, 2}}));
    net->add("norm", std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3}));
    net->add("flat", make_flatten());
    net->add("fc",
             std::make_unique<Linear>(Linear::Config{.in = 12, .out = 2, .flattened_image = {2, 2, 3}}));
    initialize(*net, Init::pytorch, 1);
    return net;
}

StateDict copy_of(const StateDict& state) {
    StateDict copy;
    for (const auto& [name, value] : state) {
        copy[name] = value.clone();
    }
    return copy;
}

bool same(const StateDict& a, const StateDict& b) {
    return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const auto& entry) {
               const auto found = b.find(entry.first);
               return found != b.end() && equal(entry.second, found->second);
           });
}

}  // namespace

TEST_CASE("state: names, shapes and types are those of PyTorch's state_dict") {
    const auto net = network();
    const StateDict state = state_dict(*net);
    CHECK(state.size() == 9);
    CHECK(state.at("conv.weight").shape() == Shape{3, 2, 2, 2});  // (O, I, Kh, Kw)
    CHECK(state.at("conv.bias").shape() == Shape{3});
    CHECK(state.at("norm.running_mean").shape() == Shape{3});
    CHECK(state.at("norm.running_var").shape() == Shape{3});
    CHECK(state.at("norm.num_batches_tracked").shape() == Shape{});
    CHECK(state.at("norm.num_batches_tracked").dtype() == DType::i64);
    CHECK(state.at("fc.weight").shape() == Shape{2, 12});
}

TEST_CASE("state: kernels are written with their input channels before their extents") {
    Conv2d conv({.in = 3, .out = 2, .kernel = {2, 1}});
    // in memory (o, a, b, i): 1000 o + 100 a + 10 b + i
    std::vector<double> memory, file;
    for (int o = 0; o < 2; ++o) {
        for (int a = 0; a < 2; ++a) {
            for (int i = 0; i < 3; ++i) {
                memory.push_back(1000 * o + 100 * a + i);
            }
        }
        for (int i = 0; i < 3; ++i) {
            for (int a = 0; a < 2; ++a) {
                file.push_back(1000 * o + 100 * a + i);
            }
        }
    }
    set(conv, "weight", memory);
    check_values(state_dict(conv).at("weight"), {2, 3, 2, 1}, file);

    ConvTranspose2d transposed({.in = 2, .out = 3, .kernel = {2, 1}});
    set(transposed, "weight", memory);
    check_values(state_dict(transposed).at("weight"), {2, 3, 2, 1}, file);  // (I, O, Kh, Kw) there
}

TEST_CASE("state: a linear layer behind a flatten is written in (C, H, W) order, another one as it is") {
    // an image (H=1, W=2, C=3): in memory features (w, c), in files (c, w)
    Linear behind({.in = 6, .out = 1, .flattened_image = {1, 2, 3}});
    set(behind, "weight", {1, 2, 3, 4, 5, 6});
    check_values(state_dict(behind).at("weight"), {1, 6}, {1, 4, 2, 5, 3, 6});
    Linear plain({.in = 6, .out = 1});
    set(plain, "weight", {1, 2, 3, 4, 5, 6});
    check_values(state_dict(plain).at("weight"), {1, 6}, {1, 2, 3, 4, 5, 6});
    // The network computes the same as PyTorch's, whose flatten orders (C, H, W).
    load_state_dict(behind, {{"weight", tensor({1, 0, 0, 0, 0, 0}, {1, 6})}, {"bias", tensor({0}, {1})}},
                    "test");
    const Variable image(tensor({7, 8, 9, 10, 11, 12}, {1, 6}));  // (w, c) flattened: channel 0 is 7, 10
    CHECK(behind(image).item() == 7);
    load_state_dict(behind, {{"weight", tensor({0, 1, 0, 0, 0, 0}, {1, 6})}, {"bias", tensor({0}, {1})}},
                    "test");
    CHECK(behind(image).item() == 10);
}

TEST_CASE("state: saving and loading gives the same bits and the same output") {
    const auto net = network();
    (void)(*net)(Variable(counting({2, 3, 3, 2})));  // moves the running statistics
    const StateDict state = state_dict(*net);
    const auto other = network();
    initialize(*other, Init::he_normal, 2);
    CHECK_FALSE(same(state_dict(*other), state));
    load_state_dict(*other, state, "test");
    CHECK(same(state_dict(*other), state));
    net->eval();
    other->eval();
    const Variable x(counting({1, 3, 3, 2}));
    CHECK(equal((*net)(x).data(), (*other)(x).data()));
}

TEST_CASE("state: a state is a copy that later training does not change") {
    const auto net = network();
    const StateDict state = state_dict(*net);
    const StateDict before = copy_of(state);
    for (const Parameter& p : net->parameters()) {
        Tensor value = p.value.data();
        value.fill(9);
    }
    (void)(*net)(Variable(counting({2, 3, 3, 2})));
    CHECK(same(state, before));
    load_state_dict(*net, state, "test");
    set(*net, "conv.bias", {8, 8, 8});
    CHECK(same(state, before));
}

TEST_CASE("state: loading converts between f32 and f64") {
    const auto net = network();
    StateDict state = state_dict(*net);
    for (auto& [name, value] : state) {
        value = is_floating(value.dtype()) ? value.to(DType::f64) : value;
    }
    const auto other = network();
    load_state_dict(*other, state, "test");
    CHECK(parameter(*other, "conv.weight").dtype() == DType::f32);
    CHECK(same(state_dict(*other), state_dict(*net)));
    other->to(DType::f64);
    CHECK(state_dict(*other).at("conv.weight").dtype() == DType::f64);
    load_state_dict(*other, state_dict(*net), "test");
    CHECK(values_of(parameter(*other, "fc.weight").data()) == values_of(parameter(*net, "fc.weight").data()));
}

TEST_CASE("state: finite weights load, also where their sum is not finite") {
    Linear layer({.in = 2, .out = 1});
    const StateDict state{{"weight", tensor({3e38, 3e38}, {1, 2})}, {"bias", tensor({0}, {1})}};
    load_state_dict(layer, state, "test");
    check_values(parameter(layer, "weight").data(), {1, 2}, {3e38, 3e38});
}

TEST_CASE(
    "state: one message names everything that is missing, unexpected, misshapen or not finite; nothing "
    "changes") {
    const auto net = network();
    StateDict state = state_dict(*net);
    for (auto& [name, value] : state) {  // what would be loaded differs from what is there
        if (is_floating(value.dtype())) {
            value.fill(0.25);
        }
    }
    state.erase("conv.bias");
    state.erase("norm.running_var");
    state["head.weight"] = Tensor::zeros({2});
    state["fc.weight"] = Tensor::zeros({2, 11});
    state["norm.running_mean"] = Tensor::zeros({3}, DType::i64);
    state["fc.bias"] = tensor({0, std::numeric_limits<double>::quiet_NaN()}, {2});
    state["norm.weight"] = tensor({1, std::numeric_limits<double>::infinity(), 1}, {3});
    const StateDict before = state_dict(*net);
    const std::string text = error_of([&] { load_state_dict(*net, state, "weights.safetensors"); });
    CHECK(contains(text, "weights.safetensors: "));
    CHECK(contains(text, "missing: conv.bias, norm.running_var"));
    CHECK(contains(text, "unexpected: head.weight"));
    CHECK(contains(text, "fc.weight (expected float32 (2, 12), got float32 (2, 11))"));
    CHECK(contains(text, "norm.running_mean (expected float32 (3,), got int64 (3,))"));
    CHECK(contains(text, "not finite: fc.bias, norm.weight"));
    CHECK_FALSE(contains(text, "\n"));
    CHECK_FALSE(contains(text, "conv.weight"));
    CHECK(same(state_dict(*net), before));
}

TEST_CASE("state: a kernel of the right size in another layout is misshapen, not reinterpreted") {
    Conv2d conv({.in = 2, .out = 3});
    const std::string text = error_of([&] {
        load_state_dict(conv, {{"weight", Tensor::zeros({3, 3, 3, 2})}, {"bias", Tensor::zeros({3})}}, "w");
    });
    CHECK(contains(text, "weight (expected float32 (3, 2, 3, 3), got float32 (3, 3, 3, 2))"));
}

TEST_CASE("state: a long list of names is cut, with the number of the rest") {
    Sequential net;
    for (int i = 0; i < 10; ++i) {
        net.add(std::make_unique<Linear>(Linear::Config{.in = 1, .out = 1}));
    }
    const std::string text = error_of([&] { load_state_dict(net, {}, "w"); });
    CHECK(contains(text, "0.bias"));
    CHECK(contains(text, "and 8 more"));
}

TEST_CASE("state: files of old PyTorch versions lack num_batches_tracked and load") {
    const auto net = network();
    StateDict state = state_dict(*net);
    state.erase("norm.num_batches_tracked");
    state["conv.bias"] = tensor({1, 2, 3}, {3});
    load_state_dict(*net, state, "test");
    check_values(parameter(*net, "conv.bias").data(), {3}, {1, 2, 3});
}
