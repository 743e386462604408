// Robustness, randomisation and sums: metrics that call the explainer again.
#include <limits>

#include "explain/metrics/network_copy.h"
#include "explain/metrics/similarity.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/metrics_support.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::metric_testing;
using backlight::test::random_images;
using backlight::test::random_network;
using backlight::test::random_tensor;

namespace {

/// Every parameter and buffer of a network, in order.
std::vector<std::vector<double>> state_of(Module& net) {
    std::vector<std::vector<double>> state;
    for (const Parameter& parameter : net.parameters()) {
        state.push_back(layer_testing::values_of(parameter.value.data()));
    }
    for (const Buffer& buffer : net.buffers()) {
        state.push_back(layer_testing::values_of(*buffer.value));
    }
    return state;
}

MetricContext with_copies(uint64_t network_seed) {
    return {.explain = {.seed = 3}, .build_network = [network_seed] { return random_network(network_seed); }};
}

/// An explanation that never looks at the network: |x| of each pixel.
class InputExplainer final : public Explainer {
public:
    [[nodiscard]] std::string name() const override { return "edges"; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest&, bool) override {
        return {.maps = {abs(forward.input().detach())}};
    }
};

}  // namespace

TEST_SUITE("metrics") {
    TEST_CASE("sensitivity: 0 for the gradient of a linear model, exact for input times gradient") {
        const Tensor x = random_tensor({2, 4, 4, 3}, 1), weight = random_tensor({2, 48}, 2);
        const auto net = linear_network(weight);
        const MetricContext context{.explain = {.std = {0.5, 0.25, 1}, .seed = 7}};
        CHECK(run(*net, {.x = x}, "gradient", "max_sensitivity", context) == std::vector<double>{0, 0});

        // max_k ‖δ_k ⊙ w‖ / ‖x ⊙ w‖ with δ uniform in ±0.02/std: within the bound, and near what n draws
        // give.
        const auto largest = run(*net, {.x = x}, "input_x_gradient", "max_sensitivity", context);
        const auto mean = run(*net, {.x = x}, "input_x_gradient", "avg_sensitivity", context);
        const auto targets = ExplainedForward(*net, x).predicted();
        const auto values = x.to_vector<double>(), w = weight.to_vector<double>();
        for (size_t n = 0; n < 2; ++n) {
            double norm = 0, bound = 0, variance = 0;
            for (size_t i = 0; i < 48; ++i) {
                const double rho = 0.02 / std::vector<double>{0.5, 0.25, 1}[i % 3];
                const double wi = w[static_cast<size_t>(targets[n]) * 48 + i];
                norm += std::pow(values[48 * n + i] * wi, 2);
                bound += std::pow(rho * wi, 2);
                variance += std::pow(rho * wi, 2) / 3;
            }
            CHECK(mean[n] < largest[n]);
            CHECK(largest[n] < std::sqrt(bound / norm));
            CHECK(std::abs(mean[n] / std::sqrt(variance / norm) - 1) < 0.1);
        }
        CHECK(run(*net, {.x = x}, "input_x_gradient", "max_sensitivity", context) ==
              largest);  // the same seed
        MetricContext other = context;
        other.explain.seed = 8;
        CHECK(run(*net, {.x = x}, "input_x_gradient", "max_sensitivity", other) != largest);
    }

    TEST_CASE("sensitivity: noise stays within the data's range, a map of zeros is skipped") {
        const auto net = linear_network(random_tensor({2, 16}, 2));
        const Tensor x = Tensor::full({1, 4, 4, 1}, 0.5, DType::f64);
        // The range is the one value: x cannot move.
        const MetricContext fixed{.explain = {.low = {0.5}, .high = {0.5}}};
        CHECK(run(*net, {.x = x}, "input_x_gradient", "max_sensitivity", fixed) == std::vector<double>{0});
        const auto zero = linear_network(Tensor::zeros({2, 16}, DType::f64));
        CHECK(std::isnan(run(*zero, {.x = x}, "gradient", "max_sensitivity")[0]));
    }

    TEST_CASE("sensitivity explains the class of x though x + δ is predicted differently") {
        // Two logits that differ by a hair: noise flips the prediction, the maps of both classes are far
        // apart.
        const Tensor weight = Tensor::from(std::vector<double>{1, -1, -1, 1}, {2, 4 / 2});
        const auto net = linear_network(weight);
        const Tensor x = Tensor::from(std::vector<double>{0.5001, 0.5}, {1, 1, 2, 1});
        CHECK(run(*net, {.x = x}, "gradient", "max_sensitivity(radius=0.2)") == std::vector<double>{0});
    }

    TEST_CASE(
        "a network's copy: restored it is the network, redrawn layers change alone, the original never") {
        const auto net = random_network(5);
        const auto before = state_of(*net);
        NetworkCopy copy(*net, random_network(6));
        CHECK(state_of(copy.net()) == before);
        CHECK(copy.layers() ==
              std::vector<std::string>{"0", "4.body.0", "4.body.3", "4.shortcut.0", "8", "10"});
        for (const Reinit how : {Reinit::matched, Reinit::reset, Reinit::shuffle}) {
            copy.restore();
            copy.randomize(1, how, Init::pytorch, 1);
            const auto after = state_of(copy.net());
            const auto names = net->parameters();
            for (size_t i = 0; i < names.size(); ++i) {
                const bool in_layer =
                    names[i].name.starts_with("4.body.0") || names[i].name.starts_with("4.body.1");
                const bool redrawn = in_layer && (how == Reinit::reset || names[i].name.ends_with("weight"));
                CAPTURE(names[i].name);
                CHECK((after[i] != before[i]) == redrawn);
                auto sorted = after[i], original = before[i];
                std::sort(sorted.begin(), sorted.end());
                std::sort(original.begin(), original.end());
                CHECK((how != Reinit::shuffle || sorted == original));
            }
            for (const Buffer& buffer : copy.net().buffers()) {
                const bool reset = how == Reinit::reset && buffer.name.starts_with("4.body.1.");
                if (reset && buffer.name.ends_with("running_var")) {
                    CHECK(layer_testing::values_of(*buffer.value) == std::vector<double>(5, 1.0));
                }
                if (reset && buffer.name.ends_with("running_mean")) {
                    CHECK(layer_testing::values_of(*buffer.value) == std::vector<double>(5, 0.0));
                }
            }
            copy.restore();
            copy.randomize(1, how, Init::pytorch, 1);
            CHECK(state_of(copy.net()) == after);  // the seed decides
            copy.restore();
            CHECK(state_of(copy.net()) == before);
        }
        CHECK(state_of(*net) == before);
        CHECK(contains(error_of([&] { NetworkCopy(*net, golden::network()); }), "not built like the first"));
    }

    TEST_CASE("similarity: magnitudes, signed values and structure are compared each on its own") {
        const std::vector<double> a = random_tensor({64}, 1).to_vector<double>();
        std::vector<double> opposite, scaled;
        for (const double v : a) {
            opposite.push_back(-v);
            scaled.push_back(7 * v);
        }
        const auto of = [&](const std::vector<double>& b) {
            return similarity(ComparedMap(a), ComparedMap(b), 8, 8, 7).values;
        };
        for (const double v : of(scaled)) {
            CHECK(v == doctest::Approx(1));
        }
        CHECK(of(opposite)[0] == doctest::Approx(1));   // Spearman of |r|
        CHECK(of(opposite)[1] == doctest::Approx(-1));  // of r
        CHECK(of(opposite)[3] == doctest::Approx(-1));
        CHECK(std::isnan(of(std::vector<double>(64, 0.5))[0]));  // a constant has no ranks
    }

    TEST_CASE(
        "mprt: the model is untouched, the curve starts at 1, every layer counts, the mean leaves the start "
        "out") {
        const auto net = random_network(7);
        const auto before = state_of(*net);
        const MetricSamples samples{.x = random_images(8, 3)};
        for (const std::string order : {"top_down", "bottom_up", "independent"}) {
            for (const std::string init : {"matched", "reset", "shuffle"}) {
                MetricRun measured(*net, {.methods = {"gradient"},
                                          .metrics = {"mprt(order=" + order + ", init=" + init + ")"},
                                          .context = with_copies(1)});
                measured.add(samples);
                CAPTURE(order);
                CAPTURE(init);
                CHECK(state_of(*net) == before);
                const auto series = measured.series();
                REQUIRE(series.size() == 4);
                CHECK(series[0].metric == "mprt[spearman," + order + "," + init + "]");
                const MeanCurve curve = measured.curves()[0];
                REQUIRE(curve.points.size() == 7);
                CHECK(curve.points[0] == "original");
                CHECK(curve.points[1] == (order == "top_down" ? "10" : "0"));
                CHECK(curve.mean[0] == 1);
                double mean = 0;
                for (size_t l = 1; l < 7; ++l) {
                    CHECK(curve.mean[l] < 1);
                    mean += curve.mean[l] / 6;
                }
                CHECK(series[0].summary.mean == doctest::Approx(mean));
            }
        }
    }

    TEST_CASE("mprt: an explanation that ignores the network stays the same, one that reads it does not") {
        const auto net = random_network(9);
        MetricContext context = with_copies(2);
        const Tensor x = random_images(10, 4);
        Scene scene(*net, x, ExplainedForward(*net, x).predicted(), random_tensor({4, 8, 8, 2}, 1), context);
        InputExplainer edges;
        const ExplainedBatch explained =
            read_explanation(scene.batch, edges, "edges", "sum", edges.explain(scene.forward, {}, false));
        const MetricResult of_edges = build_metric("mprt")->measure(explained);
        for (const MetricColumn& column : of_edges.columns) {
            for (const double v : column.values) {
                CHECK(v == doctest::Approx(1));
            }
        }
        const auto of_gradient = run(*net, {.x = x}, "gradient", "mprt", context);
        for (const double v : of_gradient) {
            CHECK(v < 0.8);
        }
        // Smooth: the mean over noisy inputs, of the original and of the randomised network alike.
        const auto smooth = run(*net, {.x = x}, "gradient", "mprt(smooth=3)", context);
        CHECK(smooth != of_gradient);
        CHECK(run(*net, {.x = x}, "gradient", "mprt(smooth=3, noise_level=0)", context) == of_gradient);
        CHECK(contains(error_of([&] { (void)run(*net, {.x = x}, "gradient", "mprt"); }),
                       "build the network again"));
    }

    TEST_CASE(
        "mprt: LRP reads the weights as they are now, layer by layer, and the original ones again "
        "afterwards") {
        const auto net = random_network(7);
        const Tensor x = random_images(8, 2);
        const auto targets = ExplainedForward(*net, x).predicted();
        const auto map = [&](Module& network, Explainer& explainer) {
            return ExplainedForward(network, x).explain(explainer, {.targets = targets});
        };
        const auto kept = build_method("epsilon_plus");  // through all of it
        const Tensor before = map(*net, *kept);
        Scene scene(*net, x, targets, before, with_copies(1));
        const ExplainedBatch explained =
            read_explanation(scene.batch, *kept, "epsilon_plus", "sum", {.maps = {Variable(before)}});
        const MetricCurve curve = build_metric("mprt", scene.context)->measure(explained).curves[0];

        NetworkCopy copy(*net, random_network(2));
        for (size_t step = 1; step <= copy.layers().size(); ++step) {
            copy.randomize(copy.layers().size() - step, Reinit::matched, Init::pytorch, 3);
            const auto fresh = build_method("epsilon_plus");
            const auto after = maps_of(explained, map(copy.net(), *fresh));
            for (size_t n = 0; n < 2; ++n) {
                const double expected =
                    similarity(ComparedMap(explained.maps[n]), ComparedMap(after[n]), 8, 8, 7).values[0];
                CHECK(curve.values[n][step] == doctest::Approx(expected).epsilon(1e-12));
            }
        }
        copy.restore();
        const auto fresh = build_method("epsilon_plus");
        CHECK(layer_testing::equal(map(copy.net(), *fresh), before));
        CHECK(layer_testing::equal(map(*net, *kept), before));
    }

    TEST_CASE(
        "emprt: the entropy rises by what randomised weights do; 0 for an explanation that ignores them") {
        const auto net = random_network(9);
        const Tensor x = random_images(10, 4);
        Scene scene(*net, x, {0, 1, 2, 0}, random_tensor({4, 8, 8, 2}, 1), with_copies(2));
        InputExplainer edges;
        const ExplainedBatch explained =
            read_explanation(scene.batch, edges, "edges", "sum", edges.explain(scene.forward, {}, false));
        CHECK(build_metric("emprt")->measure(explained).columns[0].values == std::vector<double>(4, 0.0));
        for (const double v : run(*net, {.x = x}, "gradient", "emprt", with_copies(2))) {
            CHECK(v != 0);
            CHECK(std::isfinite(v));
        }
    }

    TEST_CASE("random logit: the mean over all other classes, 1 for an explanation that ignores the class") {
        const auto net = random_network(9);
        const Tensor x = random_images(10, 2);
        const auto targets = ExplainedForward(*net, x).predicted();
        const ExplainedForward forward(*net, x);
        const auto gradient = build_method("gradient");
        const auto map = [&](const std::vector<int64_t>& classes) {
            return forward.explain(*gradient, {.targets = classes});
        };
        Scene scene(*net, x, targets, map(targets));
        const ExplainedBatch explained =
            read_explanation(scene.batch, *gradient, "gradient", "sum", {.maps = {Variable(map(targets))}});
        std::vector<double> expected(2, 0.0);
        for (int64_t shift = 1; shift < 3; ++shift) {
            const auto others = maps_of(explained, map({(targets[0] + shift) % 3, (targets[1] + shift) % 3}));
            for (size_t n = 0; n < 2; ++n) {
                expected[n] +=
                    similarity(ComparedMap(explained.maps[n]), ComparedMap(others[n]), 8, 8, 7).values[0] / 2;
            }
        }
        const MetricResult found = build_metric("random_logit")->measure(explained);
        CHECK(found.columns[0].name == "random_logit[spearman]");
        CHECK(found.columns[1].name == "random_logit[ssim]");
        check_near(found.columns[0].values, expected, 1e-12);
        check_near(scene.values("random_logit"), {1, 1}, 1e-12);
        const auto many = linear_network(random_tensor({30, 16}, 3));
        const Tensor pictures = random_tensor({3, 4, 4, 1}, 4);
        CHECK(run(*many, {.x = pictures}, "gradient", "random_logit") ==
              run(*many, {.x = pictures}, "gradient", "random_logit"));
        const auto single = linear_network(random_tensor({1, 16}, 3));
        CHECK(std::isnan(run(*single, {.x = pictures}, "gradient", "random_logit")[0]));
    }

    TEST_CASE(
        "completeness and conservation: gaps to what the method promises and to what started at the output") {
        const auto net = golden::network();
        const MetricSamples samples{.x = golden::image()};
        const auto value = [&](const std::string& method, const std::string& metric,
                               const std::string& name) {
            return run(*net, samples, method, metric, {.explain = {.low = {-1}, .high = {1}}}, name)[0];
        };
        CHECK(value("deep_lift", "completeness", "completeness") < 1e-10);
        CHECK(value("deep_lift", "completeness", "completeness[pass]") == 1);
        CHECK(value("integrated_gradients(n=5)", "completeness(tolerance=1e-9)", "completeness[pass]") == 0);
        CHECK(std::isnan(value("gradient", "completeness", "completeness")));
        // ΣR 1.056800690, logit 1.0164868279.
        CHECK(std::abs(value("epsilon_plus", "conservation", "conservation[gap]") - 0.0403138621) < 2e-9);
        CHECK(value("epsilon_plus", "conservation", "conservation") ==
              doctest::Approx(0.0403138621 / 1.0164868279));
        CHECK(value("epsilon(zero_bias=true, epsilon=1e-9)", "conservation", "conservation") < 2e-6);
        CHECK(value("epsilon(zero_bias=true)", "conservation", "conservation[pass]") == 1);
        CHECK(value("excitation_backprop", "conservation", "conservation") < 1e-5);  // starts with 1

        MetricRun layered(*net, {.methods = {"epsilon_plus"}, .metrics = {"conservation(layers=true)"}});
        layered.add(samples);
        const MeanCurve curve = layered.curves().at(0);
        CHECK(curve.points == std::vector<std::string>{"start", "9:in", "4:in", "0:in"});
        // Between the rectifier of the golden number and the linear layer the average's stabiliser takes
        // 1e-6.
        check_near({curve.mean[1]}, {1.116484694}, 2e-6);
        check_near({curve.mean[0], curve.mean[2], curve.mean[3]}, {1.0164868279, 1.084084788, 1.056800690},
                   2e-9);
    }
}
