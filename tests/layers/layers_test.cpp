// Each layer's forward against values computed by hand, in f32 and in f64.
#include "layers/layers.h"

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "autograd/op.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

struct Case {
    std::string name;
    std::function<std::unique_ptr<Module>()> make;
    std::vector<std::pair<std::string, std::vector<double>>> parameters;
    Shape input;
    std::vector<double> x;
    Shape output;
    std::vector<double> y;
};

template <typename Layer>
std::function<std::unique_ptr<Module>()> layer(const typename Layer::Config& config) {
    return [config] { return std::make_unique<Layer>(config); };
}

const std::vector<double> kNine = {1, 2, 3, 4, 5, 6, 7, 8, 9};
const std::vector<double> kSigns = {-2, -0.5, 0, 1};

const std::vector<Case>& cases() {
    static const std::vector<Case> all = {
        // A kernel that picks the pixel above and ten times the one to the right: a flipped or transposed one
        // shows.
        {"conv2d places its kernel without flipping it",
         layer<Conv2d>({.in = 1, .out = 1, .attrs = {.padding = {1, 1}}}),
         {{"weight", {0, 1, 0, 0, 0, 10, 0, 0, 0}}, {"bias", {0.5}}},
         {1, 3, 3, 1},
         kNine,
         {1, 3, 3, 1},
         {20.5, 30.5, 0.5, 51.5, 62.5, 3.5, 84.5, 95.5, 6.5}},
        {"conv2d mixes channels, two outputs",
         layer<Conv2d>({.in = 2, .out = 2, .kernel = {1, 1}}),
         {{"weight", {1, 10, -1, 0.5}}, {"bias", {0, 100}}},
         {1, 1, 2, 2},
         {1, 2, 3, 4},
         {1, 1, 2, 2},
         {21, 100, 43, 99}},
        {"conv2d stride",
         layer<Conv2d>({.in = 1, .out = 1, .kernel = {1, 1}, .attrs = {.stride = {2, 2}}, .bias = false}),
         {{"weight", {3}}},
         {1, 3, 3, 1},
         kNine,
         {1, 2, 2, 1},
         {3, 9, 21, 27}},
        {"conv2d dilation",
         layer<Conv2d>({.in = 1, .out = 1, .kernel = {2, 2}, .attrs = {.dilation = {2, 2}}, .bias = false}),
         {{"weight", {1, 10, 100, 1000}}},
         {1, 3, 3, 1},
         kNine,
         {1, 1, 1, 1},
         {1 + 30 + 700 + 9000}},
        {"conv2d groups keep to their channels",
         layer<Conv2d>({.in = 2, .out = 2, .kernel = {1, 1}, .attrs = {.groups = 2}, .bias = false}),
         {{"weight", {2, 3}}},
         {1, 1, 2, 2},
         {1, 2, 3, 4},
         {1, 1, 2, 2},
         {2, 6, 6, 12}},
        {"conv2d padding of one side only",
         layer<Conv2d>(
             {.in = 1, .out = 1, .kernel = {1, 1}, .attrs = {.padding = {1, 0, 0, 0}}, .bias = false}),
         {{"weight", {1}}},
         {1, 1, 2, 1},
         {5, 6},
         {1, 2, 2, 1},
         {0, 0, 5, 6}},
        {"conv2d same padding of an even side: the odd zero comes last",
         layer<Conv2d>({.in = 1,
                        .out = 1,
                        .kernel = {3, 1},
                        .attrs = {.stride = {2, 2}},
                        .bias = false,
                        .padding_mode = PaddingMode::same}),
         {{"weight", {1, 10, 100}}},
         {1, 4, 1, 1},
         {1, 2, 3, 4},
         {1, 2, 1, 1},
         {321, 43}},
        {"conv2d same padding of an odd side: a zero on each end",
         layer<Conv2d>({.in = 1,
                        .out = 1,
                        .kernel = {3, 1},
                        .attrs = {.stride = {2, 1}},
                        .bias = false,
                        .padding_mode = PaddingMode::same}),
         {{"weight", {1, 10, 100}}},
         {1, 5, 1, 1},
         {1, 2, 3, 4, 5},
         {1, 3, 1, 1},
         {210, 432, 54}},
        {"conv2d same padding with dilation keeps the size",
         layer<Conv2d>({.in = 1,
                        .out = 1,
                        .kernel = {1, 2},
                        .attrs = {.dilation = {1, 3}},
                        .bias = false,
                        .padding_mode = PaddingMode::same}),
         {{"weight", {1, 10}}},
         {1, 1, 5, 1},
         {1, 2, 3, 4, 5},
         {1, 1, 5, 1},
         {30, 41, 52, 3, 4}},
        {"conv_transpose2d spreads each pixel over its window",
         layer<ConvTranspose2d>({.in = 1, .out = 1, .kernel = {2, 2}, .attrs = {.stride = {2, 2}}}),
         {{"weight", {1, 10, 100, 1000}}, {"bias", {0.5}}},
         {1, 2, 2, 1},
         {1, 2, 3, 4},
         {1, 4, 4, 1},
         {1.5, 10.5, 2.5, 20.5, 100.5, 1000.5, 200.5, 2000.5, 3.5, 30.5, 4.5, 40.5, 300.5, 3000.5, 400.5,
          4000.5}},
        {"conv_transpose2d output padding adds a row and a column of the bias",
         layer<ConvTranspose2d>(
             {.in = 1, .out = 1, .kernel = {1, 1}, .attrs = {.stride = {2, 2}}, .output_padding = {1, 1}}),
         {{"weight", {2}}, {"bias", {1}}},
         {1, 1, 1, 1},
         {3},
         {1, 2, 2, 1},
         {7, 1, 1, 1}},
        {"linear on rows",
         layer<Linear>({.in = 3, .out = 2}),
         {{"weight", {1, 2, 3, 0, -1, 1}}, {"bias", {0.5, -0.5}}},
         {2, 3},
         {1, 1, 1, 1, 0, 2},
         {2, 2},
         {6.5, -0.5, 7.5, 1.5}},
        {"linear on the last axis of more",
         layer<Linear>({.in = 2, .out = 1, .bias = false}),
         {{"weight", {1, -1}}},
         {1, 2, 2},
         {3, 1, 5, 9},
         {1, 2, 1},
         {2, -4}},
        {"layer_norm",
         layer<LayerNorm>({.features = 2, .eps = 3}),
         {{"weight", {2, 4}}, {"bias", {0, 1}}},
         {2, 2},
         {1, 3, 10, 12},
         {2, 2},
         {-1, 3, -1, 3}},  // mean 2, variance 1, / sqrt(1 + 3)
        {"group_norm keeps to the channels of a group and to its sample",
         layer<GroupNorm>({.groups = 2, .channels = 4, .eps = 3}),
         {{"weight", {2, 4, 2, 2}}, {"bias", {0, 1, 0, 0}}},
         {2, 1, 1, 4},
         {1, 3, 5, 5, 10, 12, 7, 9},
         {2, 1, 1, 4},
         {-1, 3, 0, 0, -1, 3, -1, 1}},  // mean 2, variance 1, / sqrt(1 + 3)
        {"group_norm takes all positions",
         layer<GroupNorm>({.groups = 1, .channels = 1, .eps = 3}),
         {{"weight", {2}}, {"bias", {0}}},
         {1, 2, 2, 1},
         {1, 3, 3, 1},
         {1, 2, 2, 1},
         {-1, 1, 1, -1}},
        {"embedding",
         [] { return std::make_unique<Embedding>(3, 2); },
         {{"weight", {1, 2, 3, 4, 5, 6}}},
         {1, 3},
         {2, 0, 2},
         {1, 3, 2},
         {5, 6, 1, 2, 5, 6}},
        {"relu", [] { return make_relu(); }, {}, {1, 4}, kSigns, {1, 4}, {0, 0, 0, 1}},
        {"relu6", [] { return make_relu6(); }, {}, {1, 4}, {-1, 2, 6, 9}, {1, 4}, {0, 2, 6, 6}},
        {"leaky_relu", [] { return make_leaky_relu(0.2); }, {}, {1, 4}, kSigns, {1, 4}, {-0.4, -0.1, 0, 1}},
        {"elu",
         [] { return make_elu(2); },
         {},
         {1, 4},
         kSigns,
         {1, 4},
         {2 * (std::exp(-2) - 1), 2 * (std::exp(-0.5) - 1), 0, 1}},
        {"gelu is x times the normal distribution",
         [] { return make_gelu(); },
         {},
         {1, 4},
         kSigns,
         {1, 4},
         {-2 * 0.02275013194817921, -0.5 * 0.3085375387259869, 0, 0.8413447460685429}},
        {"silu",
         [] { return make_silu(); },
         {},
         {1, 4},
         kSigns,
         {1, 4},
         {-2 / (1 + std::exp(2)), -0.5 / (1 + std::exp(0.5)), 0, 1 / (1 + std::exp(-1))}},
        {"sigmoid",
         [] { return make_sigmoid(); },
         {},
         {1, 4},
         kSigns,
         {1, 4},
         {1 / (1 + std::exp(2)), 1 / (1 + std::exp(0.5)), 0.5, 1 / (1 + std::exp(-1))}},
        {"tanh",
         [] { return make_tanh(); },
         {},
         {1, 4},
         kSigns,
         {1, 4},
         {std::tanh(-2), std::tanh(-0.5), 0, std::tanh(1)}},
        {"softplus",
         [] { return make_softplus(2); },
         {},
         {1, 4},
         kSigns,
         {1, 4},
         {std::log1p(std::exp(-4)) / 2, std::log1p(std::exp(-1)) / 2, std::log(2) / 2,
          std::log1p(std::exp(2)) / 2}},
        {"max_pool by side", [] { return make_max_pool(2); }, {}, {1, 3, 3, 1}, kNine, {1, 1, 1, 1}, {5}},
        {"max_pool with overlap",
         [] { return make_max_pool({.kernel = {2, 2}, .stride = {1, 1}}); },
         {},
         {1, 3, 3, 1},
         kNine,
         {1, 2, 2, 1},
         {5, 6, 8, 9}},
        {"avg_pool",
         [] { return make_avg_pool({.kernel = {2, 2}, .stride = {1, 1}}); },
         {},
         {1, 3, 3, 1},
         kNine,
         {1, 2, 2, 1},
         {3, 4, 6, 7}},
        {"adaptive_avg_pool with windows that overlap",
         [] { return make_adaptive_avg_pool(2, 1); },
         {},
         {1, 3, 3, 1},
         kNine,
         {1, 2, 1, 1},
         {3.5, 6.5}},  // rows 0-1 and 1-2
        {"global_avg_pool keeps channels apart",
         [] { return make_global_avg_pool(); },
         {},
         {1, 2, 2, 2},
         {1, 10, 2, 20, 3, 30, 6, 60},
         {1, 1, 1, 2},
         {3, 30}},
        {"flatten goes by rows, then columns, then channels",
         [] { return make_flatten(); },
         {},
         {2, 1, 2, 2},
         {1, 2, 3, 4, 5, 6, 7, 8},
         {2, 4},
         {1, 2, 3, 4, 5, 6, 7, 8}},
    };
    return all;
}

}  // namespace

TEST_CASE("layers: every forward gives the values computed by hand") {
    for (const Case& c : cases()) {
        for (const DType dtype : {DType::f32, DType::f64}) {
            CAPTURE(c.name);
            CAPTURE(dtype);
            const auto module = c.make();
            module->to(dtype);
            CHECK(module->own_parameters().size() == c.parameters.size());
            for (const auto& [name, values] : c.parameters) {
                set(*module, name, values);
            }
            const Variable y = (*module)(Variable(tensor(c.x, c.input, dtype)));
            CHECK(y.dtype() == dtype);
            check_values(y.data(), c.output, c.y, dtype == DType::f64 ? 1e-14 : 1e-6);
        }
    }
}

TEST_CASE("layers: a layer describes itself by what was configured") {
    CHECK(Conv2d({.in = 3, .out = 16}).describe() == "Conv2d(3, 16, kernel 3x3)");
    CHECK(Conv2d({.in = 4,
                  .out = 8,
                  .kernel = {1, 5},
                  .attrs = {.stride = {2, 1}, .padding = {1, 1}, .dilation = {2, 2}, .groups = 4}})
              .describe() == "Conv2d(4, 8, kernel 1x5, stride 2x1, padding 1, dilation 2x2, groups 4)");
    CHECK(Conv2d({.in = 2, .out = 2, .padding_mode = PaddingMode::same}).describe() ==
          "Conv2d(2, 2, kernel 3x3, padding same)");
    CHECK(Linear({.in = 5, .out = 2}).describe() == "Linear(5, 2)");
    CHECK(GroupNorm({.groups = 2, .channels = 8}).describe() == "GroupNorm(2, 8)");
    CHECK(BatchNorm({.channels = 7}).describe() == "BatchNorm(7)");
    CHECK(make_leaky_relu(0.2)->describe() == "LeakyReLU(0.2)");
    CHECK(make_max_pool(2)->describe() == "MaxPool2d(2x2, stride 2)");
    CHECK(Dropout(0.25).describe() == "Dropout(0.25)");
}

TEST_CASE("layers: wrong shapes name the layer, what was expected and what came") {
    Sequential net;
    auto features = std::make_unique<Sequential>();
    features->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 3, .out = 4}));
    net.add("features", std::move(features));
    const std::string text = error_of([&] { (void)net(Variable(Tensor::zeros({1, 5, 5, 2}))); });
    CHECK(contains(text, "(1, 5, 5, 2)"));
    CHECK(contains(text, "3"));
    CHECK(contains(text, "[layer features.0]"));

    CHECK(contains(error_of([] {
                       (void)Linear({.in = 3, .out = 2})(Variable(Tensor::zeros({1, 4})));
                   }),
                   "(1, 4)"));
    CHECK(contains(error_of([] { (void)Conv2d({.in = 3, .out = 4, .attrs = {.groups = 2}}); }), "2 groups"));
    CHECK(contains(
        error_of([] {
            (void)Conv2d(
                {.in = 1, .out = 1, .attrs = {.padding = {1, 1}}, .padding_mode = PaddingMode::same});
        }),
        "either given or same"));
    CHECK(contains(error_of([] {
                       (void)Linear({.in = 7, .out = 2, .flattened_image = {2, 2, 2}});
                   }),
                   "(2, 2, 2)"));
    CHECK(contains(error_of([] { (void)Dropout(1.0); }), "0 <= p < 1"));
    CHECK(contains(error_of([] { (void)Dropout(-0.1); }), "0 <= p < 1"));
    CHECK(contains(error_of([] { (void)Embedding(3, 2)(Variable(tensor({3}, {1, 1}))); }), "3"));
    CHECK(contains(error_of([] { (void)Embedding(3, 2)(Variable(tensor({-1}, {1, 1}))); }), "-1"));
    // A batch of one row has no variance.
    CHECK(contains(error_of([] {
                       (void)BatchNorm({.channels = 2})(Variable(Tensor::zeros({1, 2})));
                   }),
                   "more than one"));
}

TEST_CASE("batch norm: evaluation uses the running statistics and leaves them alone") {
    BatchNorm norm({.channels = 2, .eps = 1});
    set(norm, "weight", {2, 1});
    set(norm, "bias", {0, 10});
    set(buffer(norm, "running_mean"), {1, -1});
    set(buffer(norm, "running_var"), {3, 0});
    norm.eval();
    // (x - 1) / sqrt(3 + 1) 2, (x + 1) / sqrt(0 + 1) + 10
    check_values(norm(Variable(tensor({1, -1, 5, 0}, {2, 2}))).data(), {2, 2}, {0, 10, 4, 11});
    check_values(norm(Variable(tensor({1, -1, 5, 0}, {1, 1, 2, 2}))).data(), {1, 1, 2, 2}, {0, 10, 4, 11});
    check_values(buffer(norm, "running_mean"), {2}, {1, -1});
    check_values(buffer(norm, "running_var"), {2}, {3, 0});
    CHECK(buffer(norm, "num_batches_tracked").item() == 0);
}

TEST_CASE("batch norm: training uses the batch and moves the running statistics, the variance unbiased") {
    for (const DType dtype : {DType::f32, DType::f64}) {
        CAPTURE(dtype);
        const double tolerance = dtype == DType::f64 ? 1e-14 : 1e-6;
        BatchNorm norm({.channels = 1, .eps = 0.5, .momentum = 0.1});
        norm.to(dtype);
        set(norm, "weight", {2});
        set(norm, "bias", {1});
        // mean 3, biased variance 14/4, unbiased 14/3
        const Variable x(tensor({1, 2, 3, 6}, {4, 1}, dtype));
        check_values(norm(x).data(), {4, 1}, {-1, 0, 1, 4}, tolerance);  // (x - 3) / sqrt(3.5 + 0.5) 2 + 1
        check_values(buffer(norm, "running_mean"), {1}, {0.3}, tolerance);
        check_values(buffer(norm, "running_var"), {1}, {0.9 + 0.1 * 14.0 / 3.0}, tolerance);
        CHECK(buffer(norm, "num_batches_tracked").item() == 1);
        CHECK(buffer(norm, "num_batches_tracked").dtype() == DType::i64);
        CHECK(buffer(norm, "running_mean").dtype() == dtype);
        (void)norm(x);
        check_values(buffer(norm, "running_mean"), {1}, {0.9 * 0.3 + 0.1 * 3}, tolerance);
        check_values(buffer(norm, "running_var"), {1}, {0.9 * (0.9 + 0.1 * 14.0 / 3.0) + 0.1 * 14.0 / 3.0},
                     tolerance);
        CHECK(buffer(norm, "num_batches_tracked").item() == 2);
    }
}

TEST_CASE("batch norm: an image's positions count like samples, momentum 1 keeps the last batch") {
    BatchNorm norm({.channels = 2, .momentum = 1});
    set(norm, "weight", {1, 1});
    (void)norm(Variable(tensor({1, 10, 3, 30}, {1, 1, 2, 2})));
    check_values(buffer(norm, "running_mean"), {2}, {2, 20});
    check_values(buffer(norm, "running_var"), {2}, {2, 200});  // biased 1 and 100, over 2 - 1
}

TEST_CASE("batch norm: the running statistics carry no history and no gradient") {
    BatchNorm norm({.channels = 1});
    set(norm, "weight", {1});
    const Variable x = Variable::leaf(tensor({1, 2, 4}, {3, 1}));
    backward(sum(norm(x) * Variable(tensor({1, 2, 3}, {3, 1}))));
    CHECK(norm.parameters().size() == 2);
    CHECK(norm.buffers().size() == 3);
    CHECK(parameter(norm, "weight").grad().defined());
    // Second pass: the graph of the first is not reached through the buffers.
    CHECK_NOTHROW(backward(sum(norm(x))));
}

TEST_CASE("dropout: the same context gives the same mask, another seed, step or draw another one") {
    Dropout dropout(0.5);
    const Variable x(Tensor::ones({20, 50}));
    RandomContext& context = RandomContext::current();
    const auto draw = [&](uint64_t seed, uint64_t step) {
        context.begin_step(seed, step);
        return dropout(x).data();
    };
    const Tensor first = draw(1, 7);
    CHECK(equal(draw(1, 7), first));
    CHECK_FALSE(equal(draw(2, 7), first));
    CHECK_FALSE(equal(draw(1, 8), first));
    context.begin_step(1, 7);
    CHECK(equal(dropout(x).data(), first));
    CHECK_FALSE(equal(dropout(x).data(), first));  // the second draw of the step
    context.begin_step(1, 7);
    CHECK(equal(dropout(x).data(), first));
}

TEST_CASE(
    "dropout: zeroes about the share p, scales the rest by 1/(1-p), and gradients through the same mask") {
    Dropout dropout(0.25);
    RandomContext::current().begin_step(3, 0);
    const Variable x = Variable::leaf(Tensor::full({100, 100}, 3.0));
    const Variable y = dropout(x);
    int64_t zeros = 0;
    for (const double v : values_of(y.data())) {
        CHECK((v == 0 || std::abs(v - 4) < 1e-6));
        zeros += v == 0 ? 1 : 0;
    }
    CHECK(zeros > 2500 - 5 * 43);  // five standard deviations of the binomial: sqrt(10000 / 4 * 3 / 4) = 43
    CHECK(zeros < 2500 + 5 * 43);
    const Variable d_x = grad(sum(y), {}, {x})[0];
    CHECK(equal((d_x * 3.0).data(), y.data()));
}

TEST_CASE("dropout: evaluation passes its input on and draws nothing") {
    Dropout dropout(0.9);
    dropout.eval();
    RandomContext& context = RandomContext::current();
    context.begin_step(5, 5);
    const Variable x(counting({3, 4}));
    CHECK(equal(dropout(x).data(), x.data()));
    CHECK(context.draws == 0);
    Dropout nothing(0.0);
    CHECK(equal(nothing(x).data(), x.data()));
}

TEST_CASE("embedding: a row that is picked twice gathers both gradients") {
    Embedding embedding(3, 2);
    set(embedding, "weight", {1, 2, 3, 4, 5, 6});
    const Variable y = embedding(Variable(tensor({2, 0, 2}, {1, 3})));
    backward(sum(y * Variable(tensor({1, 1, 10, 10, 100, 100}, {1, 3, 2}))));
    check_values(parameter(embedding, "weight").grad(), {3, 2}, {10, 10, 0, 0, 101, 101});
}

TEST_CASE("sequential: children run in order under their numbers or the names given") {
    Sequential net;
    net.add(std::make_unique<Linear>(Linear::Config{.in = 1, .out = 1}));
    net.add(make_relu()).add("last", std::make_unique<Linear>(Linear::Config{.in = 1, .out = 1}));
    set(net, "0.weight", {-2});
    set(net, "0.bias", {1});
    set(net, "last.weight", {3});
    set(net, "last.bias", {0.5});
    check_values(net(Variable(tensor({-1, 2}, {2, 1}))).data(), {2, 1}, {9.5, 0.5});  // relu(1 - 2x) 3 + 0.5
    CHECK(net.modules()[1].first == "0");
    CHECK(net.modules()[3].first == "last");
}

TEST_CASE("residual: the body's output is added to the input, or to the shortcut's output") {
    const auto line = [](double slope) {
        auto linear = std::make_unique<Linear>(Linear::Config{.in = 1, .out = 1, .bias = false});
        set(*linear, "weight", {slope});
        return linear;
    };
    Residual identity(line(2));
    check_values(identity(Variable(tensor({5}, {1, 1}))).data(), {1, 1}, {15});
    Residual projected(line(2), line(-1));
    check_values(projected(Variable(tensor({5}, {1, 1}))).data(), {1, 1}, {5});
    CHECK(projected.modules()[1].first == "body");
    CHECK(projected.modules()[2].first == "shortcut");
}
