// ReLU6 is a rectifier to every rule, and networks of depthwise convolutions, SAME padding and ReLU6 explain
// like those of ReLU.
#include <doctest/doctest.h>

#include "explain/backprop.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

/// conv, then an inverted bottleneck with a shortcut, then a linear layer; ReLU or ReLU6 behind the norms.
std::unique_ptr<Sequential> bottleneck_network(std::unique_ptr<Module> (*rectifier)(), uint64_t seed) {
    const auto conv = [](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups) {
        return std::make_unique<Conv2d>(
            Conv2d::Config{.in = in,
                           .out = out,
                           .kernel = {kernel, kernel},
                           .attrs = {.stride = {stride, stride}, .groups = groups},
                           .bias = false,
                           .padding_mode = PaddingMode::same});
    };
    const auto norm = [](int64_t channels) {
        return std::make_unique<BatchNorm>(BatchNorm::Config{.channels = channels, .eps = 1e-3});
    };
    auto net = std::make_unique<Sequential>();
    net->add(conv(2, 4, 3, 2, 1)).add(norm(4)).add(rectifier());
    auto body = std::make_unique<Sequential>();
    body->add(conv(4, 8, 1, 1, 1)).add(norm(8)).add(rectifier());
    body->add(conv(8, 8, 3, 1, 8)).add(norm(8)).add(rectifier());
    body->add(conv(8, 4, 1, 1, 1)).add(norm(4));
    net->add(std::make_unique<Residual>(std::move(body))).add(make_global_avg_pool()).add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 4, .out = 3}));
    randomize(*net, seed);
    return net;
}

Tensor explain(const ExplainedForward& forward, const std::string& method) {
    return forward.explain(*build_method(method), {.targets = {0, 2}});
}

std::vector<double> through_relu6(RectifierRules::Kind kind) {
    const Variable x = Variable::leaf(Tensor::from<double>({-1, 1, 3, 7, 8}, {1, 5}));
    const Tensor arrives = Tensor::from<double>({1, -1, 2, 3, -4}, {1, 5});
    RectifierRules rules(kind);
    return grad(relu6(x), arrives, {x}, {.rules = &rules})[0].data().to_vector<double>();
}

}  // namespace

TEST_CASE("relu6: guided backprop passes the positive part where the slope is one, deconvnet everywhere") {
    CHECK(through_relu6(RectifierRules::Kind::guided) == std::vector<double>{0, 0, 2, 0, 0});
    CHECK(through_relu6(RectifierRules::Kind::deconvnet) == std::vector<double>{1, 0, 2, 3, 0});
}

TEST_CASE("relu6: below six every method explains as it does with relu") {
    const Tensor x =
        random_tensor({2, 6, 7, 2}, 3);  // stride 2 on an even and an odd side: both SAME paddings
    const auto relus = bottleneck_network(make_relu, 40);
    const auto relu6s = bottleneck_network(make_relu6, 40);
    const ExplainedForward expected(*relus, x);
    const ExplainedForward forward(*relu6s, x);
    REQUIRE(difference(forward.logits().data(), expected.logits().data()) < 1e-14);
    for (const char* method :
         {"gradient", "guided_backprop", "deconvnet", "epsilon", "epsilon_plus", "z_plus", "gamma",
          "epsilon_alpha2_beta1", "epsilon_gamma_box(low=-1, high=1)", "w2_first"}) {
        CAPTURE(method);
        CHECK(difference(explain(forward, method), explain(expected, method)) < 1e-12);
    }
}

TEST_CASE("relu6: relevance is conserved through saturated units") {
    const auto net = bottleneck_network(make_relu6, 50);
    {
        const NoGrad off;
        for (const Parameter& parameter : net->parameters()) {  // no output without a positive contribution
            Tensor value = parameter.value.data();
            value.copy_from((abs(Variable(value)) + 0.1).data());
        }
    }
    const Tensor x = random_tensor({2, 6, 7, 2}, 4, 5, 40);
    const ExplainedForward forward(*net, x);
    const Tensor inside = forward.layers().at("2").data();
    REQUIRE(amax(Variable(inside)).item() == 6.0);
    const auto logits = forward.logits().data().to_vector<double>();
    for (const char* method :
         {"epsilon(epsilon=1e-9, zero_bias=true)", "epsilon_plus(epsilon=1e-9, zero_bias=true)",
          "z_plus(epsilon=1e-9, zero_bias=true)", "gamma(epsilon=1e-9, zero_bias=true)"}) {
        CAPTURE(method);
        CHECK(total(explain(forward, method)) == doctest::Approx(logits[0] + logits[5]).epsilon(1e-6));
    }
}
