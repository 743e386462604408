// Statistics of fresh weights, and that a seed decides on every bit of them.
#include "layers/init.h"

#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

std::unique_ptr<Sequential> network(Init scheme, uint64_t seed, DType dtype = DType::f32) {
    auto net = std::make_unique<Sequential>();
    net->add("conv",
             std::make_unique<Conv2d>(Conv2d::Config{.in = 16, .out = 64}));  // fan_in 144, fan_out 576
    net->add("norm", std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 64}));
    net->add("fc",
             std::make_unique<Linear>(Linear::Config{.in = 100, .out = 400}));  // fan_in 100, fan_out 400
    net->add("scale", std::make_unique<LayerNorm>(LayerNorm::Config{.features = 400}));
    net->add("words", std::make_unique<Embedding>(100, 50));
    net->add("twin", std::make_unique<Linear>(Linear::Config{.in = 100, .out = 400}));
    net->to(dtype);
    initialize(*net, scheme, seed);
    return net;
}

struct Statistics {
    double mean = 0, deviation = 0, low = INFINITY, high = -INFINITY;
    size_t count = 0;
};

Statistics statistics_of(const Module& net, const std::string& name) {
    const std::vector<double> values = values_of(parameter(net, name).data());
    Statistics s;
    s.count = values.size();
    for (const double v : values) {
        s.mean += v / static_cast<double>(values.size());
        s.low = std::min(s.low, v);
        s.high = std::max(s.high, v);
    }
    for (const double v : values) {
        s.deviation += (v - s.mean) * (v - s.mean) / static_cast<double>(values.size());
    }
    s.deviation = std::sqrt(s.deviation);
    return s;
}

/// U(-bound, bound): deviation bound/sqrt(3); mean and deviation within five of their own deviations.
void check_uniform(const Module& net, const std::string& name, double bound) {
    CAPTURE(name);
    const Statistics s = statistics_of(net, name);
    const double n = static_cast<double>(s.count);
    const double sigma = bound / std::sqrt(3.0);
    CHECK(s.low >= -bound);
    CHECK(s.high <= bound);
    CHECK(s.high > bound * (1 - 20 / n));  // the largest of n reaches 1 - 2/n on average
    CHECK(std::abs(s.mean) < 5 * sigma / std::sqrt(n));
    CHECK(std::abs(s.deviation - sigma) < 5 * sigma * std::sqrt(0.2 / n));  // kurtosis 1.8
}

void check_normal(const Module& net, const std::string& name, double sigma) {
    CAPTURE(name);
    const Statistics s = statistics_of(net, name);
    const double n = static_cast<double>(s.count);
    CHECK(std::abs(s.mean) < 5 * sigma / std::sqrt(n));
    CHECK(std::abs(s.deviation - sigma) < 5 * sigma / std::sqrt(2 * n));
    CHECK(s.high > 3 * sigma);
}

void check_constant(const Module& net, const std::string& name, double value) {
    CAPTURE(name);
    const Statistics s = statistics_of(net, name);
    CHECK(s.low == value);
    CHECK(s.high == value);
}

}  // namespace

TEST_CASE("init: pytorch draws weights and biases from U(-1/sqrt(fan_in), 1/sqrt(fan_in))") {
    const auto net = network(Init::pytorch, 1);
    check_uniform(*net, "conv.weight", 1.0 / 12.0);
    check_uniform(*net, "fc.weight", 0.1);
    check_uniform(*net, "fc.bias", 0.1);
    const Statistics bias = statistics_of(*net, "conv.bias");
    CHECK(bias.high <= 1.0 / 12.0);
    CHECK(bias.deviation > 0.5 / 12.0 / std::sqrt(3.0));
}

TEST_CASE("init: he_normal has variance 2/fan_in and no bias") {
    const auto net = network(Init::he_normal, 1);
    check_normal(*net, "conv.weight", std::sqrt(2.0 / 144.0));
    check_normal(*net, "fc.weight", std::sqrt(2.0 / 100.0));
    check_constant(*net, "conv.bias", 0);
    check_constant(*net, "fc.bias", 0);
}

TEST_CASE("init: xavier_uniform is bounded by sqrt(6/(fan_in + fan_out)) and has no bias") {
    const auto net = network(Init::xavier_uniform, 1);
    check_uniform(*net, "conv.weight", std::sqrt(6.0 / (144.0 + 576.0)));
    check_uniform(*net, "fc.weight", std::sqrt(6.0 / 500.0));
    check_constant(*net, "fc.bias", 0);
}

TEST_CASE(
    "init: a transposed convolution counts its fan as PyTorch does, by the second axis of its file layout") {
    Sequential net;
    net.add(
        std::make_unique<ConvTranspose2d>(ConvTranspose2d::Config{.in = 32, .out = 64, .kernel = {2, 2}}));
    initialize(net, Init::pytorch, 1);
    check_uniform(net, "0.weight", 1.0 / 16.0);  // 64 * 2 * 2
}

TEST_CASE("init: norms start as the identity, embeddings as N(0, 1), buffers are reset") {
    for (const Init scheme : {Init::pytorch, Init::he_normal, Init::xavier_uniform}) {
        auto net = network(scheme, 3);
        check_constant(*net, "norm.weight", 1);
        check_constant(*net, "norm.bias", 0);
        check_constant(*net, "scale.weight", 1);
        check_constant(*net, "scale.bias", 0);
        check_normal(*net, "words.weight", 1);
        buffer(*net, "norm.running_mean").fill(3);
        buffer(*net, "norm.running_var").fill(3);
        buffer(*net, "norm.num_batches_tracked").fill(3);
        initialize(*net, scheme, 3);
        CHECK(values_of(buffer(*net, "norm.running_mean")) == std::vector<double>(64, 0.0));
        CHECK(values_of(buffer(*net, "norm.running_var")) == std::vector<double>(64, 1.0));
        CHECK(buffer(*net, "norm.num_batches_tracked").item() == 0);
    }
}

TEST_CASE("init: the same seed gives the same bits, another seed and another place others") {
    const auto one = network(Init::pytorch, 5);
    const auto same = network(Init::pytorch, 5);
    const auto other = network(Init::pytorch, 6);
    for (const std::string name : {"conv.weight", "conv.bias", "fc.weight", "words.weight"}) {
        CAPTURE(name);
        CHECK(equal(parameter(*one, name).data(), parameter(*same, name).data()));
        CHECK_FALSE(equal(parameter(*one, name).data(), parameter(*other, name).data()));
    }
    CHECK_FALSE(equal(parameter(*one, "fc.weight").data(), parameter(*one, "twin.weight").data()));
}

TEST_CASE("init: f64 starts from the values of f32, so that precisions can be compared") {
    const auto single = network(Init::he_normal, 5);
    const auto twice = network(Init::he_normal, 5, DType::f64);
    CHECK(parameter(*twice, "conv.weight").dtype() == DType::f64);
    CHECK(values_of(parameter(*single, "conv.weight").data()) ==
          values_of(parameter(*twice, "conv.weight").data()));
}
