// Names, modes, hooks and types of modules.
#include "layers/module.h"

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "autograd/recording.h"
#include "layers/init.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

/// features.0 convolution, features.1 norm, features.2 ReLU, pool, head.
std::unique_ptr<Sequential> network() {
    auto features = std::make_unique<Sequential>();
    features->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .attrs = {.padding = {1, 1}}}));
    features->add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3})).add(make_relu());
    auto net = std::make_unique<Sequential>();
    net->add("features", std::move(features));
    net->add("pool", make_global_avg_pool());
    net->add("flat", make_flatten());
    net->add("head", std::make_unique<Linear>(Linear::Config{.in = 3, .out = 2}));
    return net;
}

template <typename Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
    std::vector<std::string> names;
    for (const auto& entry : all) {
        names.push_back(entry.name);
    }
    return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("module: parameters and buffers carry their path, in order of registration") {
    const auto net = network();
    CHECK(names_of(net->parameters()) == Names{"features.0.weight", "features.0.bias", "features.1.weight",
                                               "features.1.bias", "head.weight", "head.bias"});
    CHECK(names_of(net->buffers()) ==
          Names{"features.1.running_mean", "features.1.running_var", "features.1.num_batches_tracked"});
    CHECK(net->parameter_count() == 3 * 3 * 3 * 2 + 3 + 3 + 3 + 2 * 3 + 2);
    CHECK(net->own_parameters().empty());
    CHECK(names_of(net->at("head").parameters()) == Names{"weight", "bias"});
}

TEST_CASE("module: all modules by path, parents before children") {
    const auto net = network();
    Names paths;
    for (const auto& [path, module] : net->modules()) {
        paths.push_back(path);
    }
    CHECK(paths == Names{"", "features", "features.0", "features.1", "features.2", "pool", "flat", "head"});
    CHECK(net->at("features.1").describe() == "BatchNorm(3)");
    CHECK(&net->at("") == net.get());
}

TEST_CASE("module: an unknown path names the near one and lists those that exist") {
    const auto net = network();
    const std::string text = error_of([&] { (void)net->at("features.7"); });
    CHECK(contains(text, "unknown layer \"features.7\""));
    CHECK(contains(text, "did you mean features.0?"));
    CHECK(contains(text, "head"));
}

TEST_CASE("module: parameters are handles, so an optimiser's copy and the module's are one") {
    const auto net = network();
    const auto parameters = net->parameters();
    Tensor value = parameters[0].value.data();
    value.fill(2.0);
    CHECK(values_of(parameter(*net, "features.0.weight").data())[0] == 2.0);
    backward(sum(square((*net)(Variable(counting({2, 2, 2, 2}))))));
    CHECK(parameters[0].value.grad().defined());
    net->zero_grad();
    for (const Parameter& p : net->parameters()) {
        CHECK_FALSE(p.value.grad().defined());
    }
}

TEST_CASE("module: train and eval reach every module below") {
    const auto net = network();
    for (const auto& [path, module] : net->modules()) {
        CHECK(module->is_training());
    }
    net->eval();
    for (const auto& [path, module] : net->modules()) {
        CHECK_FALSE(module->is_training());
    }
    net->at("features").train();
    CHECK(net->at("features.1").is_training());
    CHECK_FALSE(net->is_training());
    CHECK_FALSE(net->at("head").is_training());
}

TEST_CASE("evaluation mode: every module gets its own mode back, also after an exception") {
    const auto net = network();
    net->at("features").eval();     // frozen part of a net that trains
    net->at("features.0").train();  // with one layer that does not
    net->at("head").eval();
    std::vector<bool> before;
    for (const auto& [path, module] : net->modules()) {
        before.push_back(module->is_training());
    }
    const auto modes = [&] {
        std::vector<bool> now;
        for (const auto& [path, module] : net->modules()) {
            now.push_back(module->is_training());
        }
        return now;
    };
    {
        const EvaluationMode mode(*net);
        CHECK(modes() == std::vector<bool>(before.size(), false));
    }
    CHECK(modes() == before);
    CHECK_THROWS_AS(
        [&] {
            const EvaluationMode mode(*net);
            throw Error("inside");
        }(),
        Error);
    CHECK(modes() == before);
}

TEST_CASE("hooks: see the module, its input and its output, in the order in which they were added") {
    const auto net = network();
    net->eval();
    std::vector<std::string> seen;
    Module& head = net->at("head");
    const int first = head.add_hook([&](Module& module, const Variable& input, const Variable& output) {
        CHECK(&module == &head);
        CHECK(input.shape() == Shape{2, 3});
        CHECK(output.shape() == Shape{2, 2});
        seen.emplace_back("first");
        return Variable();
    });
    head.add_hook([&](Module&, const Variable&, const Variable&) {
        seen.emplace_back("second");
        return Variable();
    });
    const Variable x(counting({2, 2, 2, 2}));
    (void)(*net)(x);
    CHECK(seen == Names{"first", "second"});
    head.remove_hook(first);
    (void)(*net)(x);
    CHECK(seen == Names{"first", "second", "second"});
    head.remove_hook(first);  // once more does nothing
    (void)(*net)(x);
    CHECK(seen.size() == 4);
}

TEST_CASE(
    "hooks: a returned Variable replaces the output for later hooks and layers, gradients flow through it") {
    Sequential net;
    net.add(std::make_unique<Linear>(Linear::Config{.in = 1, .out = 1, .bias = false}));
    net.add(std::make_unique<Linear>(Linear::Config{.in = 1, .out = 1, .bias = false}));
    set(net, "0.weight", {2});
    set(net, "1.weight", {5});
    const int twice =
        net.at("0").add_hook([](Module&, const Variable&, const Variable& output) { return output * 10.0; });
    double seen = 0;
    net.at("0").add_hook([&](Module&, const Variable&, const Variable& output) {
        seen = output.item();
        return Variable();
    });
    const Variable x = Variable::leaf(tensor({3}, {1, 1}));
    const Variable y = net(x);
    CHECK(y.item() == 300);
    CHECK(seen == 60);
    CHECK(grad(y, {}, {x})[0].item() == 100);
    net.at("0").remove_hook(twice);
    CHECK(net(x).item() == 30);
}

TEST_CASE("hooks: a recording gives out the replaced output under the layer's name") {
    Sequential net;
    net.add(make_relu());
    net.at("0").add_hook([](Module&, const Variable&, const Variable& output) { return output + 1.0; });
    const Variable x = Variable::leaf(tensor({-3, 3}, {1, 2}));
    Recording recording;
    const Variable y = net(x);
    check_values(recording.layers().at("0").data(), {1, 2}, {1, 4});
    check_values(recording.layers().at("0:in").data(), {1, 2}, {-3, 3});
    check_values(grad(y, Variable(Tensor::ones({1, 2})), {recording.layers().at("0")})[0].data(), {1, 2},
                 {1, 1});
}

TEST_CASE("module: another type converts parameters and buffers, counts stay whole numbers") {
    const auto net = network();
    set(*net, "head.bias", {0.1, 0.2});
    backward(sum(square((*net)(Variable(counting({2, 2, 2, 2}))))));
    net->to(DType::f64);
    for (const Parameter& p : net->parameters()) {
        CHECK(p.value.dtype() == DType::f64);
        CHECK(p.value.requires_grad());
        CHECK_FALSE(p.value.grad().defined());
    }
    CHECK(buffer(*net, "features.1.running_var").dtype() == DType::f64);
    CHECK(buffer(*net, "features.1.num_batches_tracked").dtype() == DType::i64);
    CHECK(buffer(*net, "features.1.num_batches_tracked").item() == 1);
    CHECK(values_of(parameter(*net, "head.bias").data())[0] == static_cast<double>(0.1f));
    CHECK((*net)(Variable(counting({2, 2, 2, 2}, DType::f64))).dtype() == DType::f64);
}

TEST_CASE("module: frozen parameters get no gradient; a frozen batch norm goes on measuring") {
    Sequential net;
    net.add(std::make_unique<Linear>(Linear::Config{.in = 2, .out = 3}))
        .add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3}));
    initialize(net, Init::pytorch, 1);
    CHECK(net.freeze("none.*") == 0);
    CHECK(net.freeze("1.*") == 2);
    const Tensor before = buffer(net, "1.running_mean").clone();
    backward(sum(square(net(Variable(tensor({1, 2, 3, 4, 5, 7}, {3, 2}))))));
    CHECK(parameter(net, "0.weight").grad().defined());
    CHECK_FALSE(parameter(net, "1.weight").requires_grad());
    CHECK_FALSE(equal(buffer(net, "1.running_mean"), before));
    net.zero_grad();
    CHECK_FALSE(parameter(net, "0.weight").grad().defined());
    net.to(DType::f64);
    CHECK(parameter(net, "0.weight").requires_grad());
    CHECK_FALSE(parameter(net, "1.bias").requires_grad());
}
