// Methods beyond the plain rules: golden numbers, and the identities that each of them must satisfy.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/gradcheck.h"
#include "core/error.h"
#include "explain/cam.h"
#include "explain/contextual.h"
#include "explain/replay.h"
#include "report/reduce.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

namespace {

/// conv ReLU conv ReLU, global average, linear: every method's favourite.
std::unique_ptr<Sequential> cam_network(uint64_t seed) {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 4, .attrs = {.padding = {1, 1}}}));
    net->add(make_relu());
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 4, .out = 5, .attrs = {.padding = {1, 1}}}));
    net->add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 5, .out = 3}));
    randomize(*net, seed);
    return net;
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("integrated gradients, DeepLIFT and excitation backprop reproduce the golden numbers") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        struct Row {
            std::string method;
            std::vector<double> expected;  // sum, sum of |.|, at [0,0,0], [2,3,1], [5,5,0]
        };
        for (const Row& row : std::vector<Row>{
                 {"integrated_gradients(rule=midpoint, n=64)",
                  {0.925453563, 2.746271151, -0.018432920, 0.136888177, 0.001415006}},
                 {"deep_lift", {0.926090940, 2.735991036, -0.018415653, 0.135930071, 0.006288293}},
                 {"excitation_backprop", {1.0, 1.0, 0.004734664, 0.050456789, 0.005519436}}}) {
            CAPTURE(row.method);
            const auto r = map_of(forward, row.method, {0}).to_vector<double>();
            const double sum = std::accumulate(r.begin(), r.end(), 0.0);
            const double sum_abs =
                std::accumulate(r.begin(), r.end(), 0.0, [](double s, double v) { return s + std::abs(v); });
            check_near({sum, sum_abs, r[0], r[(2 * 6 + 3) * 2 + 1], r[(5 * 6 + 5) * 2]}, row.expected, 1e-8);
        }
        // What the sum should be: f(x) - f(0).
        CHECK(found(forward, "deep_lift", {.targets = {0}}).expected[0] ==
              doctest::Approx(0.926090940).epsilon(1e-8));
    }

    TEST_CASE("quadratures: weights sum to 1, Gauss-Legendre is exact for polynomial networks") {
        Sequential net;  // x -> (W x)^2 -> linear: its gradient is linear along the way
        net.add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 2}));
        randomize(net, 5);
        const ExplainedForward linear(net, random_tensor({2, 3}, 6));
        for (const char* rule : {"gauss-legendre", "midpoint", "right", "left", "trapezoid"}) {
            CAPTURE(rule);
            const std::string method = std::string("integrated_gradients(n=7, rule=") + rule + ")";
            const Explanation e = found(linear, method, {.targets = {0, 1}});
            check_near(sums(e.maps[0].data()), e.expected, 1e-12);
        }
        const auto net2 = golden::network();
        const ExplainedForward forward(*net2, golden::image());
        const Explanation fine = found(forward, "integrated_gradients(n=200)", {.targets = {0}});
        CHECK(std::abs(sums(fine.maps[0].data())[0] - fine.expected[0]) < 0.01 * std::abs(fine.expected[0]));
    }

    TEST_CASE(
        "integrated gradients: points run in one batch or in several, for every baseline, and at a layer") {
        const auto net = random_network(31);
        const ExplainedForward forward(*net, random_images(32));
        const ExplainContext range{.low = {-1}, .high = {1}};
        for (const char* baseline : {"zero", "mean", "black"}) {
            CAPTURE(baseline);
            const std::string method = std::string("integrated_gradients(n=300, baseline=") + baseline + ")";
            const Explanation e = found(forward, method, {.targets = {0, 2}}, range);
            const auto total = sums(e.maps[0].data());
            for (size_t n = 0; n < 2; ++n) {
                CHECK(std::abs(total[n] - e.expected[n]) < 0.02 * std::max(0.1, std::abs(e.expected[n])));
            }
        }
        const Explanation at_layer =
            found(forward, "integrated_gradients(n=300)", {.targets = {0, 2}, .layers = {"3"}});
        const auto total = sums(at_layer.maps[0].data());
        for (size_t n = 0; n < 2; ++n) {
            CHECK(std::abs(total[n] - at_layer.expected[n]) <
                  0.02 * std::max(0.1, std::abs(at_layer.expected[n])));
        }
    }

    TEST_CASE(
        "SmoothGrad: without noise it is the method itself, of a linear network always; the seed decides") {
        const auto net = random_network(41);
        const ExplainedForward forward(*net, random_images(42));
        CHECK(difference(map_of(forward, "smoothgrad(noise_level=0, n=3)", {0, 1}),
                         map_of(forward, "gradient", {0, 1})) < 1e-12);
        CHECK(difference(map_of(forward, "smoothgrad(noise_level=0, n=3, method=epsilon_plus(epsilon=0.01))",
                                {0, 1}),
                         map_of(forward, "epsilon_plus(epsilon=0.01)", {0, 1})) < 1e-12);
        CHECK(max_abs(map_of(forward, "vargrad(noise_level=0, n=3)", {0, 1})) < 1e-12);
        const Tensor once = map_of(forward, "smoothgrad(n=5)", {0, 1}, {.seed = 1});
        CHECK(difference(map_of(forward, "smoothgrad(n=5)", {0, 1}, {.seed = 1}), once) == 0);
        CHECK(difference(map_of(forward, "smoothgrad(n=5)", {0, 1}, {.seed = 2}), once) > 1e-3);
        const ExplainedForward alone(*net, slice(Variable(random_images(42)), 0, 0, 1).data());
        CHECK(difference(map_of(alone, "smoothgrad(n=5)", {0}, {.seed = 1}),
                         slice(Variable(once), 0, 0, 1).data()) < 1e-12);
        // mean of squares = variance + squared mean
        const NoGrad off;
        const Variable mean = map_of(forward, "smoothgrad(n=6)", {0, 1});
        const Variable squares = map_of(forward, "smoothgrad_sq(n=6)", {0, 1});
        const Variable variance = map_of(forward, "vargrad(n=6)", {0, 1});
        CHECK(difference(squares.data(), (variance + square(mean)).data()) < 1e-12);
    }

    TEST_CASE(
        "expected gradients: with one background sample it is integrated gradients; its mean is complete") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const Tensor one = random_tensor({1, 6, 6, 2}, 51);
        const Tensor eg =
            map_of(forward, "expected_gradients(k=400, stratified=true)", {0}, {.background = always(one)});
        const ExplainedForward from(*net, one);
        const double gap = logits_at(forward, {0})[0] - logits_at(from, {0})[0];
        CHECK(sums(eg)[0] == doctest::Approx(gap).epsilon(0.01));
        const Tensor many = random_tensor({4, 6, 6, 2}, 52);
        const ExplainedForward backgrounds(*net, many);
        const auto there = logits_at(backgrounds, {0, 0, 0, 0});
        const double mean_gap =
            logits_at(forward, {0})[0] - std::accumulate(there.begin(), there.end(), 0.0) / 4;
        const Tensor drawn = map_of(forward, "expected_gradients(k=2000)", {0}, {.background = always(many)});
        CHECK(sums(drawn)[0] == doctest::Approx(mean_gap).epsilon(0.1));
        const Explanation few =
            found(forward, "expected_gradients(k=2)", {.targets = {0}}, {.background = always(many)});
        REQUIRE(few.expected.size() == 1);
        CHECK(few.expected[0] == doctest::Approx(mean_gap).epsilon(1e-9));
        CHECK_THROWS_WITH_AS((void)build_method("expected_gradients"), doctest::Contains("--background"),
                             Error);
    }

    TEST_CASE("DeepLIFT and DeepSHAP are complete to rounding, also where max pooling and products are") {
        const auto net = random_network(61);
        const ExplainedForward forward(*net, random_images(62));
        const Tensor backgrounds = random_images(63, 3);
        for (const char* method : {"deep_lift", "deep_lift(baseline=mean)", "deep_shap"}) {
            CAPTURE(method);
            for (const char* layer : {"", "3", "0"}) {
                CAPTURE(layer);
                const Explanation e = found(forward, method, {.targets = {1, 2}, .layers = {layer}},
                                            {.background = always(backgrounds)});
                check_near(sums(e.maps[0].data()), e.expected, 1e-12);
            }
        }
        const ExplainedForward there(*net, backgrounds);
        const auto at = logits_at(forward, {1, 2});
        const Explanation shap =
            found(forward, "deep_shap", {.targets = {1, 2}}, {.background = always(backgrounds)});
        for (size_t n = 0; n < 2; ++n) {
            const auto target = static_cast<int64_t>(n + 1);
            const auto of = logits_at(there, {target, target, target});
            CHECK(shap.expected[n] == doctest::Approx(at[n] - (of[0] + of[1] + of[2]) / 3).epsilon(1e-10));
        }
        // The same input as reference: no difference, no relevance.
        const auto plain = golden::network();
        const ExplainedForward zero(*plain, Tensor::zeros({1, 6, 6, 2}, DType::f64));
        CHECK(max_abs(map_of(zero, "deep_lift", {0})) == 0);
    }

    TEST_CASE("without biases DeepLIFT against zero is input times gradient, and LRP-0 too") {
        const auto net = cam_network(71);
        for (const Parameter& p : net->parameters()) {
            if (p.name.ends_with("bias")) {
                Tensor value = p.value.data();
                value.copy_from(Tensor::zeros(value.shape(), DType::f64));
            }
        }
        const ExplainedForward forward(*net, random_tensor({2, 6, 6, 2}, 72));
        const Tensor product = map_of(forward, "input_x_gradient", {0, 1});
        CHECK(difference(map_of(forward, "deep_lift", {0, 1}), product) < 1e-10);
        CHECK(difference(map_of(forward, "epsilon(epsilon=1e-12)", {0, 1}), product) < 1e-8);
        check_near(sums(product), logits_at(forward, {0, 1}), 1e-12);
    }

    TEST_CASE("the CAM family: identities, golden weights of Grad-CAM++, and refusals") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        {
            // Σ_k w_k A_k with the golden weights, positive everywhere: the ReLU changes nothing.
            const NoGrad off;
            const Variable weights = Tensor::from({0.176238860, 0.247014384, 0.161801314, 0.0}, {4});
            const auto expected =
                sum(forward.layers().at("6").detach() * weights, {3}).data().to_vector<double>();
            for (const char* method :
                 {"grad_cam_pp(relu=false, upsample=false)", "grad_cam_pp(upsample=false)"}) {
                CAPTURE(method);
                check_near(map_of(forward, method, {0}, {.cam_layer = "6"}).to_vector<double>(), expected,
                           1e-8);
            }
        }
        const auto small = cam_network(81);
        const ExplainedForward cams(*small, random_tensor({2, 6, 6, 2}, 82));
        const ExplainContext at_relu{.cam_layer = "3"};
        const auto plain = [&](const std::string& name) {
            return map_of(cams, name + "(relu=false, upsample=false)", {0, 2}, at_relu);
        };
        const NoGrad off;
        const Variable cam = plain("cam");
        CHECK(difference(plain("grad_cam"), (cam / 36.0).data()) < 1e-12);
        CHECK(difference(plain("hires_cam"), (cam / 36.0).data()) <
              1e-12);  // the gradient is the same everywhere
        auto expected = logits_at(cams, {0, 2});
        const auto bias = golden::parameter(*small, "6.bias").data().to_vector<double>();
        expected[0] -= bias[0];
        expected[1] -= bias[2];
        check_near(sums((cam / 36.0).data()), expected, 1e-12);
        // Grad-CAM times guided backprop.
        const Variable guided = map_of(cams, "guided_backprop", {0, 2});
        const Variable heat = map_of(cams, "grad_cam", {0, 2}, at_relu);
        CHECK(difference(map_of(cams, "guided_grad_cam", {0, 2}, at_relu), (heat * guided).data()) < 1e-14);
        CHECK_THROWS_WITH_AS(
            (void)map_of(ExplainedForward(*random_network(1), random_images(1)), "cam", {0, 0}),
            doctest::Contains("global average pool"), Error);
        CHECK_THROWS_WITH_AS((void)map_of(cams, "grad_cam", {0, 0}), doctest::Contains("states no layer"),
                             Error);
    }

    TEST_CASE("the CAM family: zeros, and no NaN, where every channel speaks against the class") {
        const auto net = cam_network(83);
        {
            const NoGrad off;
            Tensor head = golden::parameter(*net, "6.weight").data();
            head.copy_from((-abs(Variable(head))).data());
        }
        const ExplainedForward forward(*net, random_tensor({2, 6, 6, 2}, 84));
        const ExplainContext at_relu{.cam_layer = "3"};
        const Variable below = map_of(forward, "grad_cam(relu=false)", {0, 2}, at_relu);
        CHECK(amax(below).item() <= 0);
        CHECK(amin(below).item() < -1e-3);
        for (const char* method :
             {"grad_cam", "grad_cam_pp", "hires_cam", "cam(relu=true)", "guided_grad_cam"}) {
            CAPTURE(method);
            const Tensor map = map_of(forward, method, {0, 2}, at_relu);
            // Scaled by its largest value it stays zero.
            for (const report::Normalize scale :
                 {report::Normalize::none, report::Normalize::max_abs, report::Normalize::minmax}) {
                const auto values = values_of(report::normalize(map, scale));
                CHECK(std::all_of(values.begin(), values.end(), [](double v) { return v == 0; }));
            }
        }
    }

    TEST_CASE("contextual decomposition: golden numbers; the parts sum to the logits; all or nothing") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const Tensor left =
            golden::fill({1, 6, 6, 1}, [](const golden::Index& i) { return i[2] < 3 ? 1.0 : 0.0; });
        const Decomposition parts = contextual_decomposition(forward, left);
        check_near(parts.relevant.data().to_vector<double>(), {0.868172442, -0.399974539, -0.493123678},
                   1e-8);
        check_near(parts.rest.data().to_vector<double>(), {0.148314386, -0.578705973, 0.464802938}, 1e-8);
        for (const uint64_t seed : {91, 92}) {
            const auto deep = random_network(seed);
            const ExplainedForward other(*deep, random_images(seed));
            const Tensor some =
                golden::fill({1, 8, 8, 1}, [](const golden::Index& i) { return i[1] > 2 ? 1.0 : 0.0; });
            const Decomposition split = contextual_decomposition(other, some);
            CHECK(difference((split.relevant + split.rest).data(), other.logits().data()) < 1e-12);
            const Decomposition all = contextual_decomposition(other, Tensor::ones({1, 1, 1, 1}, DType::f64));
            CHECK(max_abs(all.rest.data()) < 1e-12);
            const Decomposition none =
                contextual_decomposition(other, Tensor::zeros({1, 1, 1, 1}, DType::f64));
            CHECK(max_abs(none.relevant.data()) == 0);
        }
        // As a method: each region's share stands on its pixels.
        const auto map = map_of(forward, "contextual_decomposition(window=6)", {0}).to_vector<double>();
        check_near(map, std::vector<double>(36, 1.0164868279), 1e-8);
    }

    TEST_CASE("contrastive excitation backprop sums to 0 at every layer, excitation backprop to 1") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        for (const char* layer : {"", "3", "6", "1"}) {
            CAPTURE(layer);
            const Tensor eb =
                found(forward, "excitation_backprop", {.targets = {0}, .layers = {layer}}).maps[0].data();
            CHECK(sums(eb)[0] == doctest::Approx(1).epsilon(1e-12));
            CHECK(amin(Variable(eb)).item() >= 0);
            const Tensor difference_map =
                found(forward, "contrastive_eb", {.targets = {0}, .layers = {layer}}).maps[0].data();
            CHECK(std::abs(sums(difference_map)[0]) < 1e-12);
            CHECK(max_abs(difference_map) > 1e-3);
        }
    }

    TEST_CASE(
        "deep Taylor decomposition: positive, sums to the rectified logit where every output has a part") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const double logit = logits_at(forward, {0})[0];
        for (const char* method :
             {"deep_taylor(stabilizer=1e-12)", "deep_taylor_bounded(low=-1, high=1, stabilizer=1e-12)"}) {
            CAPTURE(method);
            const Tensor r = map_of(forward, method, {0});
            CHECK(amin(Variable(r)).item() >= 0);
            CHECK(sums(r)[0] == doctest::Approx(logit).epsilon(1e-9));
            CHECK(max_abs(map_of(forward, method, {1})) == 0);  // a negative logit has nothing to explain
        }
        const Tensor variant = map_of(forward, "deep_taylor(variant=innvestigate)", {0});
        CHECK(amin(Variable(variant)).item() >= 0);
        CHECK(difference(variant, map_of(forward, "deep_taylor", {0})) > 1e-3);
    }

    TEST_CASE("a start of the user, a neuron of a layer, several layers in one traversal") {
        const auto net = random_network(121);
        const ExplainedForward forward(*net, random_images(122));
        const Tensor start = Tensor::from({1.0, 0.0, 0.0, 0.0, 0.0, 2.0}, {2, 3});
        const NoGrad off;
        const Tensor with_start = found(forward, "gradient", {.start = start}).maps[0].data();
        const Variable separate = map_of(forward, "gradient", {0, 2});
        const Variable factors = Tensor::from({1.0, 2.0}, {2, 1, 1, 1});
        CHECK(difference(with_start, (separate * factors).data()) < 1e-12);
        CHECK_THROWS_WITH_AS((void)found(forward, "gradient", {.start = Tensor::ones({2, 2}, DType::f64)}),
                             doctest::Contains("expected (2, 3)"), Error);
        // One position of a channel, and the whole channel as the sum of its positions.
        const auto layer = forward.layers().at("3").shape();
        Variable by_position;
        for (int64_t h = 0; h < layer[1]; ++h) {
            for (int64_t w = 0; w < layer[2]; ++w) {
                const std::string neuron = "3:" + std::to_string(h) + ":" + std::to_string(w) + ":1";
                const Variable part = found(forward, "gradient", {.neuron = neuron}).maps[0];
                by_position = by_position.defined() ? by_position + part : part;
            }
        }
        CHECK(difference(by_position.data(), found(forward, "gradient", {.neuron = "3:1"}).maps[0].data()) <
              1e-12);
        const Explanation lift = found(forward, "deep_lift", {.neuron = "3:1"});
        check_near(sums(lift.maps[0].data()), lift.expected, 1e-12);
        for (const auto& [bad, message] :
             std::vector<std::pair<std::string, std::string>>{{"3", "expected LAYER:channel"},
                                                              {"3:9", "out of range"},
                                                              {"3:1:1", "give its channel"},
                                                              {"x:1", "layer"}}) {
            CAPTURE(bad);
            CHECK_THROWS_WITH_AS((void)found(forward, "gradient", {.neuron = bad}),
                                 doctest::Contains(message.c_str()), Error);
        }
        const Explanation all = found(forward, "epsilon_plus", {.targets = {0, 1}, .layers = {"", "0", "3"}});
        REQUIRE(all.maps.size() == 3);
        CHECK(
            difference(all.maps[2].data(),
                       found(forward, "epsilon_plus", {.targets = {0, 1}, .layers = {"3"}}).maps[0].data()) <
            1e-12);
        // Who asks for a convolution's result in front of a merged batch norm changes nothing below.
        CHECK(difference(all.maps[0].data(), map_of(forward, "epsilon_plus", {0, 1})) == 0);
        CHECK(difference(
                  all.maps[1].data(),
                  found(forward, "epsilon_plus", {.targets = {0, 1}, .layers = {"1"}}).maps[0].data()) == 0);
    }

    TEST_CASE("relevance of parameters comes with the explanation, of LRP methods only") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const Explanation e = found(forward, "epsilon_plus", {.targets = {0}, .parameters = true});
        REQUIRE(e.parameters.contains("4"));
        CHECK(total(e.parameters.at("4").weight.data()) == doctest::Approx(1.084084788).epsilon(1e-8));
        CHECK(e.expected[0] == doctest::Approx(1.0164868279).epsilon(1e-9));
        CHECK_THROWS_WITH_AS((void)found(forward, "gradient", {.targets = {0}, .parameters = true}),
                             doctest::Contains("LRP methods"), Error);
    }

    TEST_CASE("a replay with the recorded values is the recorded output; changed values move it") {
        const auto net = random_network(131);
        const ExplainedForward forward(*net, random_images(132));
        const Variable layer = forward.layers().at("3");
        CHECK(difference(replay(forward.logits(), {{layer, layer.detach()}}).data(),
                         forward.logits().data()) == 0);
        const Variable none = layer.detach() * 0.0;
        CHECK(difference(replay(forward.logits(), {{layer, none}}).data(), forward.logits().data()) > 1e-3);
        CHECK_THROWS_WITH_AS((void)replay(layer, {{forward.logits(), forward.logits()}}),
                             doctest::Contains("does not depend"), Error);
    }

    TEST_CASE("scores: logits and probabilities of changed copies, in any number of batches") {
        const auto net = random_network(141);
        const Tensor x = random_images(142, 3);
        const ExplainedForward forward(*net, x);
        const ExplainRequest request{.targets = {2, 0, 1}};
        const auto scores = forward.scores(
            gather_rows(Variable(x), Tensor::from(std::vector<int64_t>{2, 0}, {2})).data(), {2, 0}, request);
        const auto logits = forward.logits().data().to_vector<double>();
        CHECK(scores[0] == doctest::Approx(logits[2 * 3 + 1]).epsilon(1e-12));
        CHECK(scores[1] == doctest::Approx(logits[0 * 3 + 2]).epsilon(1e-12));
        const auto p = forward.scores(x, {0, 1, 2}, request, Score::probability);
        CHECK(p[0] == doctest::Approx(std::exp(logits[2]) /
                                      (std::exp(logits[0]) + std::exp(logits[1]) + std::exp(logits[2]))));
        const auto neuron = forward.scores(x, {0, 1, 2}, {.neuron = "0:1"});
        const NoGrad off;
        CHECK(neuron[1] ==
              doctest::Approx(sum(slice(slice(forward.layers().at("0"), 3, 1, 1), 0, 1, 1)).item()));
    }

    TEST_CASE(
        "weights that are kept between explanations follow every change of a parameter or a statistic") {
        const auto net = random_network(151);
        const Tensor x = random_images(152);
        for (const char* method : {"epsilon_plus", "gamma", "epsilon_alpha2_beta1", "epsilon"}) {
            CAPTURE(method);
            const auto kept = build_method(method);
            const auto now = [&](Explainer& explainer) {
                return ExplainedForward(*net, x).explain(explainer, {.targets = {0, 1}});
            };
            const auto check_fresh = [&] { CHECK(difference(now(*kept), now(*build_method(method))) == 0); };
            check_fresh();
            check_fresh();
            for (const char* name : {"0.weight", "0.bias", "1.weight", "1.bias"}) {
                CAPTURE(name);
                const Tensor before = now(*kept);
                Tensor value = golden::parameter(*net, name).data();
                const NoGrad off;
                value.copy_from((Variable(value) * 1.5 + 0.01).data());
                check_fresh();
                CHECK(difference(now(*kept), before) > 1e-6);
            }
            for (const Buffer& buffer : net->buffers()) {
                if (buffer.name == "1.running_var") {
                    const NoGrad off;
                    buffer.value->copy_from((Variable(*buffer.value) * 1.3).data());
                }
            }
            check_fresh();
            // A history asks for the parameters themselves.
            const Variable r = kept->explain(ExplainedForward(*net, x), {.targets = {0, 1}}, true).maps[0];
            CHECK(max_abs(grad(sum(square(r)), {}, {golden::parameter(*net, "0.weight")})[0].data()) > 0);
        }
    }

    TEST_CASE("f32 with its shortcuts agrees with f64") {
        for (const uint64_t seed : {161, 162}) {
            const auto net = random_network(seed);
            const Tensor x = random_images(seed);
            const std::vector<std::string> methods = {
                "epsilon_plus",
                "z_plus",
                "epsilon_alpha2_beta1",
                "epsilon_plus_flat",
                "gamma",
                "epsilon_gamma_box(low=-1,high=1)",
                "composite(parts=(any:alpha_beta(alpha=2,zero_bias=true)))",
                "composite(parts=(any:gamma(gamma=0.5,zero_bias=true)))"};
            std::vector<Tensor> exact;
            for (const std::string& method : methods) {
                exact.push_back(map_of(ExplainedForward(*net, x), method, {0, 1}));
            }
            net->to(DType::f32);
            for (size_t i = 0; i < methods.size(); ++i) {
                CAPTURE(methods[i]);
                // alpha_beta takes z⁻ = z - z⁺, which has fewer digits where z⁺ is most of z.
                const double bound = methods[i].find("alpha") == std::string::npos ? 1e-5 : 1e-4;
                CHECK(difference(
                          map_of(ExplainedForward(*net, x.to(DType::f32)), methods[i], {0, 1}).to(DType::f64),
                          exact[i]) < bound);
            }
        }
    }

    TEST_CASE("a relevance that overflows is an error that names the op it comes from") {
        Sequential net;
        for (int layer = 0; layer < 3; ++layer) {
            net.add(std::make_unique<Linear>(Linear::Config{.in = 2, .out = 2, .bias = false}));
            Tensor weight = net.parameters().back().value.data();
            weight.copy_from(Tensor::from({layer == 1 ? 1e3f : 1.0f, 0.0f, 0.0f, 1.0f}, {2, 2}));
        }
        const ExplainedForward forward(net, Tensor::from({1.0f, 1.0f}, {1, 2}));
        CHECK_THROWS_WITH_AS((void)found(forward, "gradient", {.start = Tensor::from({1e37f, 0.0f}, {1, 2})}),
                             doctest::Contains("not finite from linear 1"), Error);
    }

    TEST_CASE("networks that compute the same have the same gradients, path integrals and DeepLIFT") {
        const auto one = cam_network(171);
        const auto two = cam_network(171);
        for (const char* name : {"0.weight", "0.bias"}) {  // twice as much, and half of it behind the ReLU
            Tensor value = golden::parameter(*two, name).data();
            const NoGrad off;
            value.copy_from((Variable(value) * 2.0).data());
        }
        {
            Tensor value = golden::parameter(*two, "2.weight").data();
            const NoGrad off;
            value.copy_from((Variable(value) * 0.5).data());
        }
        const Tensor x = random_tensor({2, 6, 6, 2}, 172);
        const ExplainedForward a(*one, x);
        const ExplainedForward b(*two, x);
        for (const char* method : {"gradient", "input_x_gradient", "integrated_gradients(n=8)", "deep_lift",
                                   "epsilon(epsilon=1e-12)"}) {
            CAPTURE(method);
            CHECK(difference(map_of(a, method, {0, 1}), map_of(b, method, {0, 1})) < 1e-8);
        }
    }

    TEST_CASE("guided backprop and deconvnet of a network without rectifiers are the gradient") {
        Sequential net;
        net.add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .attrs = {.padding = {1, 1}}}));
        net.add(make_global_avg_pool()).add(make_flatten());
        net.add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 3}));
        randomize(net, 181);
        const ExplainedForward forward(net, random_tensor({2, 5, 5, 2}, 182));
        const Tensor gradient = map_of(forward, "gradient", {0, 1});
        CHECK(difference(map_of(forward, "guided_backprop", {0, 1}), gradient) == 0);
        CHECK(difference(map_of(forward, "deconvnet", {0, 1}), gradient) == 0);
    }

    TEST_CASE("a forward pass that keeps names alone serves gradients, also of layers, and refuses rules") {
        const auto net = random_network(191);
        const Tensor x = random_images(192);
        const ExplainedForward whole(*net, x);
        const ExplainedForward lean(*net, x, Recording::Keeps::names);
        for (const char* method :
             {"gradient", "saliency", "guided_backprop", "deconvnet", "gradient(paths=exclude_shortcuts)"}) {
            CAPTURE(method);
            CHECK_FALSE(build_method(method)->reads_values());
            for (const char* layer : {"", "3"}) {
                const ExplainRequest request{.targets = {0, 1}, .layers = {layer}};
                CHECK(difference(found(lean, method, request).maps[0].data(),
                                 found(whole, method, request).maps[0].data()) == 0);
            }
        }
        CHECK_THROWS_WITH_AS((void)map_of(lean, "epsilon_plus", {0, 1}), doctest::Contains("has not kept"),
                             Error);
    }
}
