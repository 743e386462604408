// Methods that look at the score of changed inputs only: what they have in common.
#include "core/io/npy.h"
#include "tests/core/io/support.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

namespace {

const std::vector<std::string> kAll = {"occlusion", "ablation", "lime", "kernel_shap", "rise", "erasure"};

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("occlusion and Shapley values reproduce the golden numbers") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto occluded = values_of(map_of(forward, "occlusion(window=3, stride=3)", {0}));
        CHECK(occluded[0] == doctest::Approx(-0.346062684).epsilon(1e-8));
        CHECK(occluded[14] == occluded[0]);  // row 2, column 2
        CHECK(occluded[15] != occluded[0]);
        const Explanation shapley = found(
            forward, "kernel_shap(segments=grid, n_segments=4, fill=zero, share=false)", {.targets = {0}});
        const auto map = values_of(shapley.maps[0].data());
        check_near({map[0], map[5], map[30], map[35]}, {-0.000199714, 0.427030935, 0.102402816, 0.396856903},
                   2e-9);
        CHECK(shapley.expected.empty());
        const Explanation shared =
            found(forward, "kernel_shap(segments=grid, n_segments=4, fill=zero)", {.targets = {0}});
        CHECK(total(shared.maps[0].data()) == doctest::Approx(0.926090940).epsilon(1e-9));
        CHECK(shared.expected[0] == doctest::Approx(0.926090940).epsilon(1e-9));
    }

    TEST_CASE("a constant score explains nothing") {
        const auto net = linear_network(64 * 2, 131, true);
        const ExplainedForward forward(*net, random_images(132, 2));
        for (const char* method :
             {"occlusion", "ablation", "lime", "kernel_shap", "erasure", "kernel_shap(n=400)"}) {
            CAPTURE(method);
            CHECK(max_abs(map_of(forward, method, {0, 1})) < 1e-15);
        }
    }

    TEST_CASE("the seed and the sample's number decide, not the batch it stands in") {
        const auto net = random_network(141);
        const Tensor x = random_images(142, 3);
        const ExplainedForward forward(*net, x);
        const ExplainContext context{.low = {-1}, .high = {1}, .seed = 9};
        ExplainContext other = context;
        other.seed = 10;
        const std::vector<int64_t> targets{0, 1, 2};
        for (const std::string method :
             {"occlusion(fill=noise)", "lime(n=100, n_segments=9)",
              "kernel_shap(n=60, n_segments=9, segments=grid)", "kernel_shap(n_segments=4, fill=noise)",
              "rise(n=50)", "ablation(fill=noise)"}) {
            CAPTURE(method);
            const Tensor map = map_of(forward, method, targets, context);
            CHECK(difference(map_of(forward, method, targets, context), map) == 0);
            CHECK(difference(map_of(forward, method, targets, other), map) > 1e-6);
            for (int64_t n = 0; n < 3; ++n) {
                const ExplainedForward alone(*net, sample_of(x, n));
                const Explanation e = found(alone, method, {.targets = {n}, .numbers = {n}}, context);
                CHECK(difference(e.maps[0].data(), sample_of(map, n)) < 1e-12);
            }
        }
    }

    TEST_CASE("a start is a sum of logits, a neuron a score of its own") {
        const auto net = random_network(151);
        const ExplainedForward forward(*net, random_images(152, 1));
        const Tensor start = Tensor::from({2.0, -1.0, 0.0}, {1, 3});
        for (const std::string method :
             {"occlusion(window=2, stride=2)", "ablation", "kernel_shap(n_segments=6)"}) {
            CAPTURE(method);
            const NoGrad off;
            const Tensor both = found(forward, method, {.start = start}).maps[0].data();
            const Tensor sum =
                (Variable(map_of(forward, method, {0})) * 2.0 - Variable(map_of(forward, method, {1})))
                    .data();
            CHECK(difference(both, sum) < 1e-9);
            const Tensor neuron = found(forward, method, {.neuron = "8:1"}).maps[0].data();
            CHECK(difference(neuron, map_of(forward, method, {0})) > 1e-3);
            CHECK(difference(found(forward, method, {.neuron = "10:0"}).maps[0].data(),
                             map_of(forward, method, {0})) < 1e-12);
        }
        CHECK(max_abs(found(forward, "ablation(layer=3)", {.neuron = "8:1"}).maps[0].data()) > 1e-6);
    }

    TEST_CASE("a score is a logit, a probability or a sigmoid") {
        const auto net = mlp(3, 161);
        const Tensor x = random_tensor({1, 3}, 162);
        const ExplainedForward forward(*net, x);
        const auto with = values_of(forward.logits().data());
        auto changed = values_of(x);
        changed[1] = 0;
        const auto without = values_of(ExplainedForward(*net, Tensor::from(changed, {1, 3})).logits().data());
        const auto softmax = [](const std::vector<double>& z) {
            return std::exp(z[0]) / (std::exp(z[0]) + std::exp(z[1]) + std::exp(z[2]));
        };
        const auto sigmoid = [](const std::vector<double>& z) { return 1 / (1 + std::exp(-z[0])); };
        CHECK(values_of(map_of(forward, "occlusion", {0}))[1] == doctest::Approx(with[0] - without[0]));
        CHECK(values_of(map_of(forward, "occlusion(score=probability)", {0}))[1] ==
              doctest::Approx(softmax(with) - softmax(without)));
        CHECK(values_of(map_of(forward, "occlusion(score=sigmoid)", {0}))[1] ==
              doctest::Approx(sigmoid(with) - sigmoid(without)));
    }

    TEST_CASE("vectors: windows of features, a model of features, regions of features") {
        const auto net = mlp(5, 171);
        const ExplainedForward forward(*net, random_tensor({2, 5}, 172));
        CHECK(difference(map_of(forward, "occlusion", {0, 1}), map_of(forward, "ablation", {0, 1})) == 0);
        CHECK(map_of(forward, "occlusion(window=2, stride=1)", {0, 1}).shape() == Shape{2, 5});
        CHECK(map_of(forward, "lime(n=100)", {0, 1}).shape() == Shape{2, 5});
        const io_testing::TemporaryFolder folder;
        const std::string masks = (folder / "masks.npy").string();
        write_npy(masks, Tensor::from(std::vector<int64_t>{4, 4, 4, 2, 2}, {5}));
        const auto map = values_of(map_of(forward, "kernel_shap(share=false, masks=" + masks + ")", {0, 1}));
        CHECK(map[0] == map[2]);
        CHECK(map[0] != map[3]);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "rise", {0, 1}), doctest::Contains("kernel_shap, lime"),
                             Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "lime(fill=segment-mean)", {0, 1}),
                             doctest::Contains("pictures"), Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "occlusion(fill=blur)", {0, 1}),
                             doctest::Contains("(N,H,W,C)"), Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "occlusion(window=6)", {0, 1}),
                             doctest::Contains("larger than"), Error);
    }

    TEST_CASE("they explain the input, without a history, and say so otherwise") {
        const auto net = random_network(181);
        const ExplainedForward forward(*net, random_images(182, 1));
        for (const std::string& name : kAll) {
            CAPTURE(name);
            const auto method = build_method(name);
            CHECK_FALSE(method->differentiable());
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {.targets = {0}}, true),
                                 doctest::Contains("no derivative"), Error);
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {.targets = {0}, .layers = {"3"}}, false),
                                 doctest::Contains("explains the input, not layer 3"), Error);
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {.targets = {0}, .parameters = true}, false),
                                 doctest::Contains("LRP methods"), Error);
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {}, false), doctest::Contains("no target"),
                                 Error);
            CHECK_THROWS_AS((void)build_method(name + "(lairs=3)"), Error);
        }
        CHECK(build_method("erasure")->name() == "representation_erasure");
        CHECK_THROWS_WITH_AS(
            (void)build_method("ablation")->explain(forward, {.targets = {0}, .layers = {"3"}}, false),
            doctest::Contains("ablation(layer=3)"), Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "occlusion(window=2, stride=3)", {0}),
                             doctest::Contains("gaps"), Error);
        for (const char* text :
             {"occlusion(window=0)", "occlusion(window=1:2:3)", "rise(p=0)", "rise(p=1.5)", "rise(n=0)",
              "lime(n=1)", "lime(lambda=-1)", "lime(width=0)", "kernel_shap(score=loss)", "ablation(limit=0)",
              "occlusion(fill=segment-mean)"}) {
            CAPTURE(text);
            CHECK_THROWS_AS((void)build_method(text), Error);
        }
    }

    TEST_CASE("progress counts forward passes and ends at their number") {
        const auto net = random_network(191);
        const ExplainedForward forward(*net, random_images(192, 2));
        for (const std::string method :
             {"occlusion", "ablation", "ablation(layer=3)", "lime(n=300)", "kernel_shap",
              "kernel_shap(n_segments=4)", "kernel_shap(n=31)", "rise(n=300)", "erasure(layer=0)"}) {
            CAPTURE(method);
            int64_t last = 0, end = 0;
            ExplainContext context;
            context.progress = [&](int64_t done, int64_t of) {
                CHECK(done > last);
                last = done;
                end = of;
            };
            (void)map_of(forward, method == "kernel_shap(n=31)" ? "kernel_shap(n=31, n_segments=6)" : method,
                         {0, 1}, context);
            CHECK(last == end);
            CHECK(end > 0);
        }
    }

    TEST_CASE("a pass that remembers answers runs the same copies once for all classes") {
        const auto net = mlp(8, 17);
        const Tensor x = random_tensor({2, 8}, 18);
        int64_t rows = 0;
        net->add_hook([&](Module&, const Variable& input, const Variable&) {
            rows += input.dim(0);
            return Variable();
        });
        for (const char* method : {"occlusion(window=2, stride=2)", "lime(n=30)", "kernel_shap(n=40)"}) {
            CAPTURE(method);
            const ExplainedForward plain(*net, x);
            ExplainedForward remembers(*net, x);
            remembers.remember_answers();
            rows = 0;
            (void)map_of(plain, method, {0, 0});
            const int64_t once = rows;
            rows = 0;
            for (const int64_t target : {0, 1, 2}) {
                const std::vector<int64_t> targets{target, target};
                CHECK(difference(map_of(remembers, method, targets), map_of(plain, method, targets)) == 0);
            }
            CHECK(rows == once + 3 * once);
        }
    }

    TEST_CASE("in f32 the maps are those of f64") {
        const auto net = golden::network(DType::f32);
        const auto exact = golden::network();
        const ExplainedForward forward(*net, golden::image().to(DType::f32));
        const ExplainedForward reference(*exact, golden::image());
        for (const std::string method : {"occlusion", "ablation", "kernel_shap(n_segments=6)",
                                         "lime(n=50, n_segments=6)", "rise(n=50)", "erasure(layer=3)"}) {
            CAPTURE(method);
            const Tensor map = map_of(forward, method, {0});
            CHECK(map.dtype() == DType::f32);
            CHECK(difference(map.to(DType::f64), map_of(reference, method, {0})) < 1e-4);
        }
    }
}
