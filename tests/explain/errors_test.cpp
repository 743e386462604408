// What methods say when they cannot answer: values that overflow and where, parameters without relevance,
// layers that a composite does not find, options.
#include "core/io/npy.h"
#include "explain/metrics/pixel_map.h"
#include "explain/metrics/runner.h"
#include "tests/datasets/support.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;
using testing::contains;
using testing::error_of;

namespace {

void set_weights(const Module& net, const std::string& name, double value) {
    Tensor weight = golden::parameter(net, name).data();
    weight.fill(value);
}

/// Two 1x1 convolutions, average, linear layer; f32, all weights of a layer the same. For (N,2,2,1).
std::unique_ptr<Sequential> small_network(double first, double second, double last) {
    auto net = std::make_unique<Sequential>();
    for (const int64_t in : {1, 2}) {
        net->add(std::make_unique<Conv2d>(
            Conv2d::Config{.in = in, .out = 2, .kernel = {1, 1}, .attrs = {}, .bias = false}));
    }
    net->add(make_global_avg_pool()).add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 2, .out = 2, .bias = false}));
    set_weights(*net, "0.weight", first);
    set_weights(*net, "1.weight", second);
    set_weights(*net, "4.weight", last);
    return net;
}

/// Its logits are 4e30, but on the way back the second convolution overflows.
std::unique_ptr<Sequential> overflowing() { return small_network(1e-30, 1e30, 1e30); }

std::string refused(const ExplainedForward& forward, const std::string& method, const ExplainRequest& request,
                    const ExplainContext& context = {}) {
    return error_of([&] { (void)found(forward, method, request, context); });
}

}  // namespace

TEST_SUITE("explain/errors") {
    TEST_CASE("a relevance that is not finite: every method names the sample and the op it comes from") {
        const auto net = overflowing();
        const ExplainedForward forward(*net, Tensor::ones({1, 2, 2, 1}));
        const ExplainContext context{.cam_layer = "0", .background = always(Tensor::zeros({2, 2, 2, 1}))};
        for (const char* method :
             {"gradient", "input_x_gradient", "smoothgrad(n=2)", "integrated_gradients(n=3)",
              "expected_gradients(k=3)", "guided_backprop", "grad_cam(relu=false)", "hires_cam(relu=false)",
              "guided_grad_cam", "deep_lift", "deep_shap", "epsilon",
              "crp(layer=0, channels=0, composite=epsilon)"}) {
            CAPTURE(method);
            const std::string error = refused(forward, method, {.targets = {0}, .numbers = {5}}, context);
            CAPTURE(error);
            CHECK(contains(error, "the relevance of sample 5 is not finite from conv2d 1 on"));
        }
        // a replay has the names of what it repeats
        CHECK(contains(refused(forward, "integrated_gradients(n=3)", {.targets = {0}, .layers = {"0"}}),
                       "sample 0 is not finite at layer 0 from conv2d 1 on"));
        // z+ divides by the smallest of sums
        const auto dim = small_network(1, 1, 1);
        const ExplainedForward dark(*dim, Tensor::full({1, 2, 2, 1}, 1e-20));
        const Tensor start = Tensor::from({1e37f, 0.0f}, {1, 2});
        for (const char* method : {"excitation_backprop", "contrastive_eb"}) {
            CAPTURE(method);
            CHECK(contains(refused(dark, method, {.start = start}), "not finite from linear 4 on"));
        }
    }

    TEST_CASE("a prototype so far away that its similarity overflows: nothing finite starts") {
        const testing::TemporaryFolder folder;
        const std::string file = (folder.path() / "p.npy").string();
        write_npy(file, Tensor::full({1, 2}, 1e30));
        const auto net = small_network(1, 1, 1);
        const ExplainedForward forward(*net, Tensor::ones({1, 2, 2, 1}));
        CHECK(contains(
            refused(forward, "prp(layer=0, prototypes=" + file + ", low=-1, high=1)", {.targets = {0}}),
            "not finite from the start on, at conv2d 0"));
    }

    TEST_CASE("logits that overflow: the sample is named before anything is explained") {
        const auto net = small_network(1e30, 1e30, 1);
        const Tensor x = Tensor::from({0.f, 0.f, 0.f, 0.f, 1.f, 1.f, 1.f, 1.f}, {2, 2, 2, 1});
        const ExplainedForward forward(*net, x);
        for (const char* method : {"gradient", "epsilon_plus", "integrated_gradients", "occlusion"}) {
            CAPTURE(method);
            CHECK(contains(refused(forward, method, {.targets = {0, 0}, .numbers = {3, 9}}),
                           std::string(method) + ": the logits of sample 9 are not finite"));
        }
    }

    TEST_CASE("metrics name the op too") {
        const auto net = overflowing();
        MetricRun run(*net, {.methods = {"gradient"}, .metrics = {"gini"}});
        const std::string error = error_of([&] {
            run.add({.x = Tensor::ones({1, 2, 2, 1}), .number = {41}});
        });
        CHECK(contains(error, "sample 41 is not finite from conv2d 1 on"));
    }

    TEST_CASE("parameters: methods that give no relevance of them say so") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const ExplainContext context{.cam_layer = "6",
                                     .background = always(Tensor::zeros({1, 6, 6, 2}, DType::f64))};
        for (const char* method :
             {"gradient", "cam", "grad_cam", "guided_grad_cam", "integrated_gradients(n=2)",
              "expected_gradients(k=2)", "deep_lift", "deep_shap", "contrastive_eb",
              "contextual_decomposition(window=3)", "smoothgrad(method=lrp, n=2)", "occlusion"}) {
            CAPTURE(method);
            CHECK(contains(refused(forward, method, {.targets = {0}, .parameters = true}, context),
                           "LRP methods"));
        }
        // Between the output and a layer behind all weights there are none.
        CHECK(
            contains(refused(forward, "lrp", {.targets = {0}, .layers = {"9"}, .parameters = true}, context),
                     "no relevance of parameters"));
    }

    TEST_CASE("parameters: crp and prp give them; a layer's sum is its input's relevance") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto check = [&](const std::string& method) {
            CAPTURE(method);
            const Explanation e =
                found(forward, method, {.targets = {0}, .layers = {"", "4:in"}, .parameters = true});
            for (const auto& [layer, map] : {std::pair("0", e.maps[0]), std::pair("4", e.maps[1])}) {
                CAPTURE(layer);
                REQUIRE(e.parameters.contains(layer));
                CHECK(total(e.parameters.at(layer).weight.data()) ==
                      doctest::Approx(total(map.data())).epsilon(1e-9));
            }
            CHECK(found(forward, method, {.targets = {0}}).parameters.empty());
            return e;
        };
        CHECK(check("crp(layer=6, channels=1, composite=epsilon_plus)").parameters.contains("9"));
        const testing::TemporaryFolder folder;
        const std::string file = (folder.path() / "p.npy").string();
        write_npy(file, Tensor::from({0.5, 0.5, 0.5, 0.5}, {1, 4}));
        const std::string prp = "prp(layer=6, prototypes=" + file + ", low=-1, high=1)";
        CHECK_FALSE(check(prp).parameters.contains("9"));  // above what is explained
    }

    TEST_CASE("composites: a layer pattern without a layer is an error with the nearest name") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto error = [&](const std::string& method) {
            return refused(forward, method, {.targets = {0}});
        };
        CHECK(contains(error("composite(parts=(layer=44:zplus; any:epsilon))"),
                       "unknown layer with weights \"44\"; did you mean 4?; known: 0, 4, 9"));
        CHECK(contains(error("epsilon_plus(composite=(layer=features.*:flat))"),
                       "unknown layer with weights \"features.*\""));
        CHECK(contains(error("composite(parts=(max_pool&layer=4:even; any:epsilon))"),
                       "unknown layer of this kind \"4\"; did you mean 3?"));
        CHECK(contains(error("smoothgrad(n=1, method=epsilon(composite=(layer=x:flat)))"), "\"x\""));
        CHECK(contains(error("crp(layer=6, channels=0, composite=epsilon(composite=(layer=x:flat)))"),
                       "\"x\""));
        CHECK(error("composite(parts=(max_pool&layer=3:even; layer=?:epsilon))") == "no error");
        // A traversal that begins or ends further in does not meet every layer.
        const std::string ends = "composite(parts=(layer=0:flat; layer=9:epsilon; any:zplus))";
        CHECK(refused(forward, ends, {.targets = {0}, .layers = {"6"}}) == "no error");
        CHECK(refused(forward, ends, {.layers = {"3"}, .neuron = "4:0"}) == "no error");
    }

    TEST_CASE("the value of a preset's main option may stand alone") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        for (const auto& [short_form, long_form] : std::vector<std::pair<std::string, std::string>>{
                 {"deep_taylor(innvestigate)", "deep_taylor(variant=innvestigate)"},
                 {"deep_taylor_bounded(innvestigate, low=-1, high=1)",
                  "deep_taylor_bounded(variant=innvestigate, low=-1, high=1)"},
                 {"preset_b_flat_until( 1 , epsilon=0.3)", "preset_b_flat_until(k=1, epsilon=0.3)"},
                 {"gamma(0.5)", "gamma(gamma=0.5)"},
                 {"epsilon(0.25)", "epsilon(epsilon=0.25)"},
                 {"smoothgrad(n=2, method=preset_b_flat_until(0))",
                  "smoothgrad(n=2, method=preset_b_flat_until(k=0))"},
                 {"crp(layer=6, channels=0, composite=gamma(0.5))",
                  "crp(layer=6, channels=0, composite=gamma(gamma=0.5))"}}) {
            CAPTURE(short_form);
            CHECK(difference(map_of(forward, short_form, {0}), map_of(forward, long_form, {0})) == 0);
        }
        CHECK(difference(map_of(forward, "deep_taylor(innvestigate)", {0}),
                         map_of(forward, "deep_taylor", {0})) > 1e-3);
        CHECK(default_reduce("deep_taylor(innvestigate)") == "sum");
        const auto error = [](const std::string& text) {
            return error_of([&] { (void)build_method(text); });
        };
        CHECK(contains(error("deep_taylor(innvestigat)"), "did you mean innvestigate"));
        CHECK(contains(error("preset_b_flat_until(1, k=2)"), "given twice"));
        CHECK(contains(error("preset_b_flat_until(k=2, 1)"), "expected key=value"));
        CHECK(contains(error("epsilon_plus(0.25)"), "expected key=value"));
        CHECK(contains(error("gradient(one)"), "expected key=value"));
    }

    TEST_CASE("expand=true stretches the box of a preset to the sample") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());  // values within [-1, 1]
        const std::string box = "low=-0.4, high=0.4", box_rule = "first:zbox(low=-0.4,high=0.4,expand=true)";
        const auto map = [&](const std::string& method) { return map_of(forward, method, {0}); };
        CHECK(difference(
                  map("epsilon_gamma_box(" + box + ", expand=true)"),
                  map("composite(parts=(" + box_rule + "; conv:gamma(0.25); linear:epsilon(1e-6)))")) == 0);
        CHECK(difference(map("gamma(" + box + ", expand=true)"),
                         map("composite(parts=(" + box_rule + "; any:gamma(0.25)))")) == 0);
        CHECK(difference(map("epsilon_gamma_box(" + box + ", expand=true)"),
                         map("epsilon_gamma_box(" + box + ")")) > 1e-3);
        CHECK(difference(map("epsilon_gamma_box(low=-1, high=1, expand=true)"),
                         map("epsilon_gamma_box(low=-1, high=1)")) < 1e-12);
        for (const double r : values_of(map("deep_taylor_bounded(" + box + ", expand=true)"))) {
            CHECK(r >= 0);
        }
        CHECK(contains(error_of([] { (void)build_method("epsilon_plus(expand=true)"); }),
                       "unknown option \"expand\""));
        CHECK(contains(error_of([] { (void)build_method("gamma(expand=true)"); }), "input range"));
    }
}
