// For every method that a loss may contain: the gradient of ½‖R‖² with respect to the weights against central
// differences along random directions, f64.
#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

/// conv BN ReLU pool, residual block, global average, linear: what all methods can explain, CAM too.
std::unique_ptr<Sequential> network(uint64_t seed) {
    auto net = std::make_unique<Sequential>();
    const auto conv = [](int64_t in, int64_t out) {
        return std::make_unique<Conv2d>(Conv2d::Config{.in = in, .out = out, .attrs = {.padding = {1, 1}}});
    };
    net->add(conv(2, 3)).add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3})).add(make_relu());
    net->add(make_max_pool(2));
    auto body = std::make_unique<Sequential>();
    body->add(conv(3, 3)).add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3}));
    net->add(std::make_unique<Residual>(std::move(body), nullptr));
    net->add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 3}));
    randomize(*net, seed);
    return net;
}

double loss_of(Module& net, Explainer& explainer, const Tensor& x) {
    const ExplainedForward forward(net, x);
    const Explanation found = explainer.explain(forward, {.targets = {0, 1}}, false);
    const NoGrad off;
    return 0.5 * sum(square(found.maps[0].detach())).item();
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("second order: every differentiable method's gradient with respect to the weights") {
        const ExplainContext context{
            .cam_layer = "5", .low = {-1}, .high = {1}, .background = random_tensor({2, 6, 6, 2}, 3)};
        std::vector<std::string> methods = {
            "smoothgrad(n=2)",
            "smoothgrad_sq(n=2, method=epsilon_plus)",
            "vargrad(n=3)",
            "integrated_gradients(n=4)",
            "expected_gradients(k=3)",
            "contextual_decomposition(window=3)",
            "preset_b_flat_until(k=1)",
            "composite(parts=(first:zbox(low=-1,high=1); conv:gamma; linear:epsilon(0.1)))",
            "composite(parts=(conv:alpha_beta(alpha=2,bias=distribute); any:epsilon; max_pool:norm))",
            "epsilon(norm_scale=true, epsilon=0.1)",
            "epsilon(form=clip, epsilon=0.1)",
            "gradient(paths=exclude_shortcuts)",
            "epsilon_plus(paths=exclude_shortcuts)",
            "epsilon_plus(start=contrastive)",
            "crp(layer=2, channels=0:1)"};
        for (const std::string& name : method_names()) {
            const bool has_variant = name == "composite" || name == "preset_b_flat_until" ||
                                     name == "smoothgrad" || name == "smoothgrad_sq" || name == "vargrad" ||
                                     name == "integrated_gradients" || name == "expected_gradients" ||
                                     name == "contextual_decomposition" || name == "lrp";
            if (!has_variant) {
                methods.push_back(name);
            }
        }
        size_t checked = 0;
        for (const std::string& method : methods) {
            CAPTURE(method);
            std::unique_ptr<Explainer> explainer;
            try {
                explainer = build_method(method, context);
            } catch (const Error&) {
                continue;  // needs an option of its own: a layer, masks
            }
            if (!explainer->differentiable()) {
                continue;
            }
            const auto net = network(11);
            const Tensor x = random_tensor({2, 6, 6, 2}, 12);
            const ExplainedForward forward(*net, x);
            const Variable r = explainer->explain(forward, {.targets = {0, 1}}, true).maps[0];
            REQUIRE(r.requires_grad());
            const Variable loss = sum(square(r)) * 0.5;
            Variables parameters;
            for (const Parameter& p : net->parameters()) {
                parameters.push_back(p.value);
            }
            const Variables g = grad(std::span(&loss, 1), {}, parameters, {.allow_unused = true});
            for (uint64_t direction = 0; direction < 3; ++direction) {
                const NoGrad off;
                double slope = 0;
                std::vector<Tensor> steps;
                for (size_t i = 0; i < parameters.size(); ++i) {
                    steps.push_back(random_tensor(parameters[i].shape(), 100 * direction + i));
                    if (g[i].defined()) {
                        slope += sum(g[i] * Variable(steps[i])).item();
                    }
                }
                constexpr double kStep = 1e-6;
                const auto moved = [&](double by) {
                    for (size_t i = 0; i < parameters.size(); ++i) {
                        Tensor value = parameters[i].data();
                        value.copy_from((Variable(value) + Variable(steps[i]) * by).data());
                    }
                };
                moved(kStep);
                const double above = loss_of(*net, *explainer, x);
                moved(-2 * kStep);
                const double below = loss_of(*net, *explainer, x);
                moved(kStep);
                const double difference = (above - below) / (2 * kStep);
                CHECK(difference == doctest::Approx(slope).epsilon(
                                        1e-5 * (1 + std::abs(loss.item()) / (std::abs(slope) + 1e-12))));
            }
            ++checked;
        }
        CHECK(checked > 35);
    }
}
