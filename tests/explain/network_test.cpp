// Properties of explanations of whole networks.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <map>

#include "autograd/gradcheck.h"
#include "core/error.h"
#include "core/glob.h"
#include "layers/state.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

Tensor explain(const ExplainedForward& forward, const std::string& method,
               const std::vector<int64_t>& targets, const std::string& layer = "") {
    return forward.explain(*build_method(method), {.targets = targets, .layers = {layer}});
}

/// Three samples through the golden network as in a training step.
struct TrainingPass {
    std::unique_ptr<Sequential> net = golden::network();
    Variable input = Variable::leaf(random_tensor({3, 6, 6, 2}, 17));
    Variable logits;
    Recording::Layers layers;
    TrainingPass() {
        net->train();
        const Recording recording;
        logits = (*net)(input);
        layers = recording.layers();
    }
    [[nodiscard]] ExplainedForward forward() const { return {*net, layers, input, logits}; }
};

constexpr std::array kOfStep = {"gradient",
                                "guided_backprop",
                                "input_x_gradient",
                                "smooth_relu",
                                "epsilon(epsilon=0.1)",
                                "epsilon_plus",
                                "epsilon_alpha2_beta1",
                                "gamma"};

/// Σ R² of the first sample.
Variable of_first(const Variable& r) { return sum(square(slice(r, 0, 0, 1))); }

/// random_network with every rectifier open and weights of both signs at every output: no output lacks a
/// positive or a negative part, and no relevance waits where nothing is.
std::unique_ptr<Sequential> open_network(uint64_t seed, const Tensor& x) {
    auto net = random_network(seed);
    const NoGrad off;
    for (const Parameter& parameter : net->parameters()) {
        Tensor value = parameter.value.data();
        if (value.rank() > 1) {  // (O,...,I): signs alternate over the inputs
            std::vector<double> signs;
            for (int64_t i = 0; i < value.dim(-1); ++i) {
                signs.push_back(i % 2 == 0 ? 1 : -1);
            }
            value.copy_from((abs(Variable(value)) * Variable(Tensor::from(signs, {value.dim(-1)}))).data());
        }
    }
    for (const auto& [name, module] : net->modules()) {  // in front of a rectifier; earlier ones come first
        if (name == "8" || dynamic_cast<BatchNorm*>(module) != nullptr) {
            const double least = amin(ExplainedForward(*net, x).layers().at(name).detach()).item();
            Tensor bias = golden::parameter(*net, name + ".bias").data();
            bias.copy_from((Variable(bias) + (1.0 - least)).data());
        }
    }
    return net;
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("LRP-0 equals input times gradient, with biases, merged batch norm, residual sums and pools") {
        for (uint64_t seed : {1, 2, 3}) {
            CAPTURE(seed);
            const auto net = random_network(100 * seed);
            const ExplainedForward forward(*net, random_images(seed));
            const Tensor lrp = explain(forward, "epsilon(epsilon=1e-12)", {0, 2});
            const Tensor product = explain(forward, "input_x_gradient", {0, 2});
            // start=logit against start=one: the gradient's map is already in units of the logit.
            CHECK(difference(lrp, product) < 1e-9);
        }
    }

    TEST_CASE("relevance is conserved end to end without biases in the denominators") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const double logit = forward.logits().data().to_vector<double>()[0];
        for (const char* method :
             {"epsilon(epsilon=1e-9, zero_bias=true)", "z_plus(epsilon=1e-9, zero_bias=true)",
              "epsilon_plus(epsilon=1e-9, zero_bias=true)", "gamma(epsilon=1e-9, zero_bias=true)",
              "epsilon_alpha2_beta1(epsilon=1e-9, zero_bias=true)",
              "epsilon_gamma_box(epsilon=1e-9, zero_bias=true, low=-1, high=1)"}) {
            CAPTURE(method);
            CHECK(total(explain(forward, method, {0})) == doctest::Approx(logit).epsilon(2e-6));
        }
    }

    TEST_CASE("relevance is conserved at every layer of a network with branches") {
        for (const uint64_t seed : {201, 202, 203, 206}) {
            const Tensor x = random_tensor({2, 8, 8, 2}, seed + 50, 0.1, 1);
            const auto net = open_network(seed, x);
            const ExplainedForward forward(*net, x);
            std::vector<std::string> layers{""};
            for (const std::string& name : forward.layers().names()) {
                layers.push_back(name);
            }
            for (const std::string method :
                 {"epsilon(epsilon=1e-20, zero_bias=true)", "z_plus(epsilon=1e-20, zero_bias=true)",
                  "epsilon_plus(epsilon=1e-20, zero_bias=true)", "gamma(epsilon=1e-20, zero_bias=true)",
                  "epsilon_alpha2_beta1(epsilon=1e-20, zero_bias=true)",
                  "epsilon_gamma_box(epsilon=1e-20, zero_bias=true, low=0, high=1)",
                  "composite(parts=(any:alpha_beta(alpha=2, zero_bias=true, stabilizer=1e-20)), "
                  "stabilizer=1e-20)",
                  "excitation_backprop"}) {
                const Explanation found =
                    forward.explain_all(*build_method(method), {.targets = {0, 2}, .layers = layers});
                double largest = 0;
                std::map<std::string, double> sums;  // of the first sample and of the second
                for (size_t i = 0; i < layers.size(); ++i) {
                    const Tensor& map = found.maps[i].data();
                    largest = std::max(largest, max_abs(map));
                    for (int64_t n = 0; n < 2; ++n) {
                        sums[layers[i] + "/" + std::to_string(n)] =
                            total(slice(Variable(map), 0, n, 1).data());
                    }
                }
                for (const std::string& layer : layers) {
                    for (size_t n = 0; n < 2; ++n) {
                        CAPTURE(seed);
                        CAPTURE(method);
                        CAPTURE(layer);
                        CAPTURE(n);
                        const auto at = [&](const std::string& name) {
                            return sums.at(name + "/" + std::to_string(n));
                        };
                        // What one branch has not, the other has.
                        const double sum = layer.starts_with("4.body")       ? at(layer) + at("4.shortcut")
                                           : layer.starts_with("4.shortcut") ? at(layer) + at("4.body")
                                                                             : at(layer);
                        CHECK(std::abs(sum - found.expected[n]) <= 1e-12 * largest);
                    }
                }
            }
        }
    }

    TEST_CASE("relevance is additive in the start") {
        const auto net = random_network(5);
        const ExplainedForward forward(*net, random_images(6));
        const NoGrad off;
        LrpRules rules(composites::epsilon_plus());
        const auto from = [&](const Tensor& start) {
            return grad(forward.logits(), Variable(start), {forward.input()}, {.rules = &rules})[0];
        };
        const Tensor a = random_tensor({2, 3}, 7);
        const Tensor b = random_tensor({2, 3}, 8);
        const Variable separate = from(a) + from(b);
        CHECK(difference(from((Variable(a) + Variable(b)).data()).data(), separate.data()) < 1e-12);
    }

    TEST_CASE("merged batch norm explains like a hand-folded convolution, and parameters stay bit for bit") {
        Sequential net;
        net.add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .attrs = {.padding = {1, 1}}}));
        net.add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3, .eps = 1e-3}));
        net.add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
        randomize(net, 9);
        const StateDict before = state_dict(net);
        const Tensor x = random_tensor({2, 5, 5, 2}, 10);

        Sequential folded;
        folded.add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .attrs = {.padding = {1, 1}}}));
        folded.add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
        folded.to(DType::f64);
        {
            const NoGrad off;
            const auto p = net.parameters();
            const auto buffers = net.buffers();
            const Variable k = p[2].value / sqrt(Variable(*buffers[1].value) + 1e-3);
            Tensor weight = folded.parameters()[0].value.data();
            Tensor bias = folded.parameters()[1].value.data();
            weight.copy_from((p[0].value * reshape(k, Shape{3, 1, 1, 1})).data());
            bias.copy_from(((p[1].value - Variable(*buffers[0].value)) * k + p[3].value).data());
            folded.eval();
        }
        const ExplainedForward one(net, x);
        const ExplainedForward two(folded, x);
        CHECK(difference(one.logits().data(), two.logits().data()) < 1e-12);
        for (const char* method : {"epsilon", "epsilon_plus", "gamma", "epsilon_alpha2_beta1", "w2_first"}) {
            CAPTURE(method);
            CHECK(difference(explain(one, method, {0, 1}), explain(two, method, {0, 1})) < 1e-10);
        }
        for (const auto& [name, value] : state_dict(net)) {
            CAPTURE(name);
            if (is_floating(value.dtype())) {
                CHECK(value.to_vector<double>() == before.at(name).to_vector<double>());
            }
        }
    }

    TEST_CASE("batch norm in front of a padded convolution is merged too") {
        Sequential net;
        net.add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 2}));
        net.add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .attrs = {.padding = {1, 1}}}));
        net.add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
        randomize(net, 12);
        const ExplainedForward forward(net, random_tensor({1, 4, 4, 2}, 13));
        CHECK(difference(explain(forward, "epsilon(epsilon=1e-13)", {1}),
                         explain(forward, "input_x_gradient", {1})) < 1e-9);
    }

    TEST_CASE("batch norm is merged group by group into grouped convolutions, in front and behind") {
        Sequential net;
        net.add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 4}));
        net.add(std::make_unique<Conv2d>(
            Conv2d::Config{.in = 4, .out = 6, .attrs = {.padding = {1, 1}, .groups = 2}}));
        net.add(make_relu());
        net.add(std::make_unique<ConvTranspose2d>(ConvTranspose2d::Config{
            .in = 6, .out = 4, .attrs = {.stride = {2, 2}, .padding = {1, 1}, .groups = 2}}));
        net.add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 4}));
        net.add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
        randomize(net, 112);
        const ExplainedForward forward(net, random_tensor({2, 4, 4, 4}, 113));
        CHECK(difference(explain(forward, "epsilon(epsilon=1e-13)", {1, 3}),
                         explain(forward, "input_x_gradient", {1, 3})) < 1e-9);
    }

    TEST_CASE("batch norm whose input is read twice is not merged; who asks for that value changes nothing") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto rule_at = [](const LrpRules& rules, const std::string& layer) {
            for (const auto& [name, rule] : rules.matched()) {
                if (name == layer) {
                    return rule;
                }
            }
            return std::string("nothing");
        };
        const Variable start = start_values(Start::logit, forward.logits().detach(), {0});
        LrpRules rules(composites::epsilon_plus());
        (void)grad(forward.logits(), start, {forward.input()}, {.rules = &rules});
        CHECK(rule_at(rules, "1") == "merged");
        (void)grad(forward.logits(), start, {forward.layers().at("0"), forward.input()}, {.rules = &rules});
        CHECK(rule_at(rules, "1") == "merged");

        const Variable x = Variable::leaf(random_tensor({1, 3, 3, 2}, 114));
        const Variable weight = random_tensor({2, 1, 1, 2}, 115);
        const Tensor ones = Tensor::ones({2}, DType::f64);
        Variable y;
        {
            const Recording recording;
            const Variable z = conv2d(x, weight);
            y = z + batch_norm_affine(z, Variable(ones), Variable(ones), ones, ones, 1e-5);
        }
        (void)grad(y, Variable(random_tensor(y.shape(), 116)), {x}, {.rules = &rules});
        CHECK(std::none_of(rules.matched().begin(), rules.matched().end(),
                           [](const auto& entry) { return entry.second == "merged"; }));
    }

    TEST_CASE(
        "functional ops conserve relevance: a mean is an average pool, differences share, gates get "
        "nothing") {
        const Variable x = Variable::leaf(random_tensor({2, 4, 4, 3}, 117, 0.1, 1.0));
        const auto sum_of = [&](const std::function<Variable(const Variable&)>& f) {
            Variable y;
            {
                const Recording recording;
                y = f(x);
            }
            const Tensor r_y = random_tensor(y.shape(), 118, 0.5, 1.0);
            return total(relevance(y, r_y, x, everywhere(rules::epsilon(), {.eps = 1e-14})).data()) /
                   total(r_y);
        };
        CHECK(sum_of([](const Variable& h) { return mean(h, {1, 2}); }) == doctest::Approx(1).epsilon(1e-9));
        CHECK(sum_of([](const Variable& h) { return h * 2.0; }) == doctest::Approx(1).epsilon(1e-9));
        CHECK(sum_of([](const Variable& h) { return square(h) * 0.0 + h - h * 0.25; }) ==
              doctest::Approx(1).epsilon(1e-9));
        CHECK(sum_of([](const Variable& h) { return h * sigmoid(h); }) == doctest::Approx(1).epsilon(1e-9));
        CHECK(sum_of([](const Variable& h) { return h * h; }) == doctest::Approx(1).epsilon(1e-9));
    }

    TEST_CASE(
        "layer norm is the epsilon rule of its diagonal map, and gamma takes a box for its first layer") {
        const Variable x = Variable::leaf(random_tensor({2, 5}, 119));
        const Variable scale = random_tensor({5}, 120, 0.5, 1.5);
        const Variable shift = random_tensor({5}, 121);
        Variable y;
        {
            const Recording recording;
            y = layer_norm(x, scale, shift, 1e-5);
        }
        const Tensor r_y = random_tensor({2, 5}, 122);
        const NoGrad off;
        const Variable xd = x.detach();
        const Variable centred = xd - mean(xd, {1}, true);
        const Variable k = scale / sqrt(mean(square(centred), {1}, true) + 1e-5);
        const Variable expected = xd * k * (Variable(r_y) / stabilize(y.detach(), 1e-6));
        CHECK(difference(relevance(y, r_y, x, everywhere(rules::zplus())).data(), expected.data()) < 1e-9);

        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        CHECK(difference(explain(forward, "gamma(low=-1, high=1)", {0}), explain(forward, "gamma", {0})) >
              1e-3);
    }

    TEST_CASE("group norm is the epsilon rule of its diagonal map too") {
        const Variable x = Variable::leaf(random_tensor({2, 3, 2, 4}, 123));
        const Variable scale = random_tensor({4}, 124, 0.5, 1.5);
        const Variable shift = random_tensor({4}, 125);
        Variable y;
        {
            const Recording recording;
            y = group_norm(x, 2, scale, shift, 1e-5);
        }
        const Tensor r_y = random_tensor({2, 3, 2, 4}, 126);
        const NoGrad off;
        const Variable grouped = reshape(x.detach(), {2, 6, 2, 2});
        const Variable centred = grouped - mean(grouped, {1, 3}, true);
        const Variable k = reshape(scale, {1, 1, 2, 2}) / sqrt(mean(square(centred), {1, 3}, true) + 1e-5);
        const Variable expected =
            reshape(grouped * k, {2, 3, 2, 4}) * (Variable(r_y) / stabilize(y.detach(), 1e-6));
        CHECK(difference(relevance(y, r_y, x, everywhere(rules::zplus())).data(), expected.data()) < 1e-9);
    }

    TEST_CASE("explaining a batch is explaining each sample") {
        const auto net = random_network(15);
        const Tensor images = random_images(16, 3);
        const ExplainedForward batch(*net, images);
        for (const char* method :
             {"gradient", "guided_backprop", "epsilon_plus", "epsilon_gamma_box(low=-1, high=1)"}) {
            const Tensor all = explain(batch, method, {0, 1, 2});
            for (int64_t n = 0; n < 3; ++n) {
                CAPTURE(method);
                CAPTURE(n);
                const Tensor alone = slice(Variable(images), 0, n, 1).data();
                const ExplainedForward one(*net, alone);
                CHECK(difference(explain(one, method, {n}), slice(Variable(all), 0, n, 1).data()) < 1e-12);
            }
        }
    }

    TEST_CASE("in training mode with the batch's statistics as constants samples do not mix") {
        // R_n depends on x_m only through the statistics, which carry no derivative.
        auto net = golden::network();
        net->train();
        const Variable x = Variable::leaf(random_tensor({3, 6, 6, 2}, 17));
        Variable logits;
        {
            const Recording recording;
            logits = (*net)(x);
        }
        LrpRules rules(composites::epsilon_plus());
        const Tensor start = Tensor::from({1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0}, {3, 3});
        const auto r = grad(logits, Variable(start), {x}, {.rules = &rules})[0].data().to_vector<double>();
        const size_t per_sample = r.size() / 3;
        double own = 0;
        double others = 0;
        for (size_t i = 0; i < r.size(); ++i) {
            (i < per_sample ? own : others) += std::abs(r[i]);
        }
        CHECK(own > 0);
        CHECK(others == 0);
    }

    TEST_CASE("with constant statistics no sample moves another's relevance in training mode") {
        // dR_n / dx_m = 0 for n != m: the network is then the one of evaluation mode whose running statistics
        // are those of this batch.
        const TrainingPass step;
        const auto fixed = golden::network();
        for (const Buffer& buffer : fixed->buffers()) {
            const NoGrad off;
            const bool variance = buffer.name.ends_with("running_var");
            if (variance || buffer.name.ends_with("running_mean")) {
                const std::string norm = buffer.name.substr(0, buffer.name.find('.'));
                const Variable z = step.layers.at(norm + ":in").detach();
                const Variable mu = mean(z, {0, 1, 2});
                buffer.value->copy_from((variance ? mean(square(z - mu), {0, 1, 2}) : mu).data());
            }
        }
        const ExplainedForward constant(*fixed, step.input.data());
        size_t moved = 0;
        for (const char* method : kOfStep) {
            CAPTURE(method);
            const auto explainer = build_method(method);
            const Variable r = explainer->explain(step.forward(), {.targets = {0, 1, 2}}, true).maps[0];
            const Variable expected = explainer->explain(constant, {.targets = {0, 1, 2}}, true).maps[0];
            CHECK(difference(r.data(), expected.data()) < 1e-10);
            const GradOptions options{.retain_graph = true, .by_sample = true, .allow_unused = true};
            const Variable moves = grad(of_first(r), {}, {step.input}, options)[0];
            const Variable as = grad(of_first(expected), {}, {constant.input()}, options)[0];
            REQUIRE(moves.defined() == as.defined());
            if (moves.defined()) {
                moved += max_abs(slice(moves, 0, 0, 1).data()) > 0 ? 1 : 0;
                CHECK(max_abs(slice(moves, 0, 1, 2).data()) == 0);
                CHECK(difference(moves.data(), as.data()) < 1e-9);
            }
        }
        CHECK(moved == kOfStep.size() - 2);  // the first two are constant between the kinks of rectifiers
    }

    TEST_CASE("a tensor, a convolution and a rectifier used twice: relevances add, nothing is doubled") {
        const Variable x = Variable::leaf(random_tensor({1, 4, 4, 2}, 18));
        const Variable weight = random_tensor({2, 3, 3, 2}, 19);
        const auto run = [&](const std::function<Variable()>& f) {
            const Recording recording;
            return f();
        };
        const Variable doubled = run([&] { return x + x; });
        const Tensor r_y = random_tensor({1, 4, 4, 2}, 20);
        CHECK(difference(relevance(doubled, r_y, x, everywhere(rules::epsilon(1e-12), {.eps = 1e-14})).data(),
                         r_y) < 1e-9);
        const Variable twice = run([&] {
            return conv2d(relu(conv2d(x, weight, {}, {.padding = {1, 1}})), weight, {}, {.padding = {1, 1}});
        });
        const Tensor r = random_tensor(twice.shape(), 21, 0.1, 1);
        const Variable product =
            x * grad(twice, Variable((Variable(r) / twice.detach()).data()), {x}, {.retain_graph = true})[0];
        CHECK(difference(relevance(twice, r, x, everywhere(rules::epsilon(1e-13))).data(), product.data()) <
              1e-8);
    }

    TEST_CASE("with non-negative weights guided backprop is the gradient, and the start scales it") {
        const auto net = random_network(22);
        for (const Parameter& p : net->parameters()) {
            Tensor value = p.value.data();
            const NoGrad off;
            value.copy_from(abs(Variable(value)).data());
        }
        const ExplainedForward positive(*net, random_images(23, 1));
        CHECK(difference(explain(positive, "guided_backprop", {1}), explain(positive, "gradient", {1})) <
              1e-12);
        CHECK(difference(explain(positive, "gradient(start=logit)", {1}),
                         explain(positive, "gradient", {1})) > 1e-3);
    }

    TEST_CASE("the derivative of epsilon_plus end to end is right in every parameter and in the image") {
        const auto net = golden::network();
        const auto parameters = net->parameters();
        Variables inputs{Variable::leaf(golden::image())};
        for (const Parameter& p : parameters) {
            inputs.push_back(Variable::leaf(p.value.data().clone()));
        }
        const auto f = [&](const Variables& in) {
            for (size_t i = 0; i < parameters.size(); ++i) {
                Tensor value = parameters[i].value.data();
                value.copy_from(in[i + 1].data());
            }
            const Recording recording;
            const Variable x = in[0];
            const Variable logits = (*net)(x);
            LrpRules rules(composites::epsilon_plus());
            const Variable r = grad(logits, start_values(Start::logit, logits, {0}), {x},
                                    {.create_graph = true, .rules = &rules})[0];
            return r;
        };
        // Central differences of the weights against grad with respect to the network's own leaves.
        const Variable r = f(inputs);
        const Tensor cotangent = random_tensor(r.shape(), 25);
        Variables leaves;
        for (const Parameter& p : parameters) {
            leaves.push_back(p.value);
        }
        const Variables analytic = grad(r, Variable(cotangent), leaves, {.retain_graph = true});
        for (size_t k = 0; k < leaves.size(); ++k) {
            CAPTURE(parameters[k].name);
            const auto exact = analytic[k].data().to_vector<double>();
            const auto base = inputs[k + 1].data().to_vector<double>();
            for (size_t i = 0; i < base.size(); i += 1 + base.size() / 5) {
                const double step = 1e-6;
                const auto at = [&](double offset) {
                    auto moved = base;
                    moved[i] += offset;
                    Variables changed = inputs;
                    changed[k + 1] = Variable::leaf(Tensor::from(moved, inputs[k + 1].shape()));
                    return sum(f(changed) * Variable(cotangent)).item();
                };
                const double numeric = (at(step) - at(-step)) / (2 * step);
                CHECK(exact[i] == doctest::Approx(numeric).epsilon(1e-5).scale(1e-3));
            }
        }
    }

    TEST_CASE("a final softmax is left out, and says so") {
        auto net = golden::network();
        const ExplainedForward plain(*net, golden::image());
        net->add(std::make_unique<Function>("Softmax", [](const Variable& x) { return softmax(x); }));
        const ExplainedForward stripped(*net, golden::image());
        CHECK(stripped.stripped() == "softmax");
        CHECK(explain(stripped, "lrp", {0}).to_vector<double>() ==
              explain(plain, "lrp", {0}).to_vector<double>());
    }

    TEST_CASE("targets, layers and inputs that do not exist are refused") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        CHECK_THROWS_WITH_AS((void)explain(forward, "lrp", {3}), doctest::Contains("classes 0..2"), Error);
        CHECK_THROWS_WITH_AS((void)explain(forward, "lrp", {0}, "12"), doctest::Contains("unknown layer"),
                             Error);
        Tensor bad = golden::image();
        bad.fill(std::nan(""));
        CHECK_THROWS_WITH_AS(ExplainedForward(*net, bad), doctest::Contains("not finite"), Error);
    }

    TEST_CASE("composites choose by layer name and report what they matched") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        LrpRules rules(
            composites::epsilon_plus().overridden_by({.kinds = {}, .layer = "0", .rule = rules::flat()}));
        (void)grad(forward.logits(), start_values(Start::logit, forward.logits().detach(), {0}),
                   {forward.input()}, {.rules = &rules});
        std::map<std::string, std::string> matched(rules.matched().begin(), rules.matched().end());
        CHECK(matched.at("0") == "flat");
        CHECK(matched.at("4") == "zplus");
        CHECK(matched.at("5") == "merged");
        CHECK(matched.at("9") == "epsilon");
        CHECK(matched.at("7") == "norm");
        CHECK(glob_match("layer4.*.conv?", "layer4.2.conv3"));
        CHECK_FALSE(glob_match("features.*", "classifier.0"));
    }

    TEST_CASE(
        "relevance at a layer is what passes through it on the way to the input: places do not move up") {
        const auto net = random_network(71);
        const ExplainedForward forward(*net, random_images(72));
        for (const char* method : {"epsilon_plus_flat", "w2_first", "preset_b_flat_until(k=1)",
                                   "composite(parts=(depth=2:gamma; any:zplus))"}) {
            const auto explainer = build_method(method);
            for (const char* layer : {"2", "4", "5", "8"}) {
                CAPTURE(method);
                CAPTURE(layer);
                const auto at = [&](const std::vector<std::string>& layers) {
                    return forward.explain_all(*explainer, {.targets = {0, 1}, .layers = layers})
                        .maps[0]
                        .data();
                };
                CHECK(difference(at({layer}), at({layer, ""})) == 0);
            }
        }
    }
}
