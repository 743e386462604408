// The run: what is measured of which sample and class, once, and how it is summed up.
#include <limits>
#include <numeric>
#include <set>

#include "tests/explain/golden_network.h"
#include "tests/explain/metrics_support.h"

using namespace backlight;
using namespace backlight::metric_testing;
using backlight::test::random_images;
using backlight::test::random_network;
using backlight::test::random_tensor;

namespace {

MetricRun measured(Module& net, const MetricRunConfig& config, const MetricSamples& samples) {
    MetricRun all(net, config);
    all.add(samples);
    return all;
}

const MetricSeries& named(const std::vector<MetricSeries>& all, const std::string& metric,
                          const std::string& explainer) {
    for (const MetricSeries& series : all) {
        if (series.metric == metric && series.explainer == explainer) {
            return series;
        }
    }
    FAIL("no series " << metric << " of " << explainer);
    return all.front();
}

}  // namespace

TEST_SUITE("metrics") {
    TEST_CASE("every metric of the table has a description, a need, a direction and builds by its name") {
        std::set<std::string> names;
        for (const MetricEntry& entry : list_metrics()) {
            CAPTURE(entry.name);
            CHECK(names.insert(entry.name).second);
            CHECK_FALSE(entry.description.empty());
            CHECK(std::set<std::string>{"map", "masks", "forwards", "explanations", "weights"}.contains(
                entry.needs));
            CHECK(std::set<std::string>{"low", "high", "0"}.contains(entry.better));
            CHECK(build_metric(entry.name) != nullptr);
        }
        CHECK(names.size() >= 30);
    }

    TEST_CASE("run: one value a sample, the same however samples are cut into batches") {
        const auto net = random_network(1);
        const Tensor x = random_images(2, 7);
        const MetricRunConfig config{
            .methods = {"gradient", "epsilon_plus", "smoothgrad(n=2)"},
            .metrics = {"gini", "deletion", "pixel_flipping", "max_sensitivity(n=2)"},
            .context = {.explain = {.seed = 4}}};
        const MetricRun whole = measured(*net, config, {.x = x});
        MetricRun parts(*net, config);
        for (const auto& [first, count] : std::vector<std::pair<int64_t, int64_t>>{{0, 2}, {2, 1}, {3, 4}}) {
            parts.add({.x = slice(Variable(x), 0, first, count).data()});
        }
        REQUIRE(whole.series().size() == 3 * (1 + 1 + 4 + 1));
        CHECK(parts.samples() == 7);
        for (size_t s = 0; s < whole.series().size(); ++s) {
            const MetricSeries a = whole.series()[s], b = parts.series()[s];
            CAPTURE(a.metric);
            CHECK(a.metric == b.metric);
            CHECK(a.explainer == b.explainer);
            check_near(a.values, b.values, 1e-9);
        }
        for (size_t i = 0; i < 7; ++i) {
            CHECK(whole.units()[i].sample == static_cast<int64_t>(i));
            CHECK(whole.units()[i].target == parts.units()[i].target);
        }
        for (size_t c = 0; c < whole.curves().size(); ++c) {
            check_near(whole.curves()[c].mean, parts.curves()[c].mean, 1e-9);
        }
        CHECK(whole.network().forwards > 7 * 2 * 100);
        CHECK(whole.network().seconds > 0);
        CHECK(whole.network().seconds <= whole.seconds());
    }

    TEST_CASE("run: numbers of samples key what is drawn, order does not matter") {
        const auto net = random_network(1);
        const Tensor x = random_images(2, 4);
        const Tensor index = Tensor::from(std::vector<int64_t>{2, 0, 3, 1}, {4});
        const MetricRunConfig config{.methods = {"gradient"},
                                     .metrics = {"region_perturbation(size=2)"},
                                     .context = {.explain = {.low = {-1}, .high = {1}}}};
        const auto straight = measured(*net, config, {.x = x}).series()[0].values;
        const auto shuffled =
            measured(*net, config, {.x = gather_rows(Variable(x), index).data(), .number = {2, 0, 3, 1}})
                .series()[0]
                .values;
        check_near({straight[2], straight[0], straight[3], straight[1]}, shuffled, 1e-9);
    }

    TEST_CASE("run: predicted, argmax and label choose the class, several labels make several units") {
        const auto net = random_network(3);
        const Tensor x = random_images(4, 5);
        const ExplainedForward forward(*net, x);
        const auto logits = forward.logits().data().to_vector<double>();
        const auto units = [&](const std::string& target, bool multi_label) {
            std::vector<std::pair<int64_t, int64_t>> found;
            const MetricRun all = measured(*net,
                                           {.methods = {"gradient"},
                                            .metrics = {"gini"},
                                            .target = target,
                                            .context = {.multi_label = multi_label}},
                                           {.x = x, .classes = {{1}, {0, 2}, {}, {2}, {0, 1, 2}}});
            for (const auto& unit : all.units()) {
                found.emplace_back(unit.sample, unit.target);
            }
            CHECK(all.series()[0].values.size() == found.size());
            return found;
        };
        std::vector<std::pair<int64_t, int64_t>> predicted, positive;
        for (int64_t n = 0; n < 5; ++n) {
            predicted.emplace_back(n, forward.predicted()[static_cast<size_t>(n)]);
            for (int64_t k = 0; k < 3; ++k) {
                if (logits[static_cast<size_t>(3 * n + k)] > 0) {
                    positive.emplace_back(n, k);
                }
            }
        }
        REQUIRE(positive.size() != 5);
        CHECK(units("predicted", false) == predicted);
        CHECK(units("argmax", true) == predicted);
        CHECK(units("predicted", true) == positive);
        CHECK(units("label", true) == std::vector<std::pair<int64_t, int64_t>>{
                                          {0, 1}, {1, 0}, {1, 2}, {3, 2}, {4, 0}, {4, 1}, {4, 2}});
        CHECK(contains(error_of([&] {
                           (void)measured(*net,
                                          {.methods = {"gradient"}, .metrics = {"gini"}, .target = "label"},
                                          {.x = x});
                       }),
                       "needs the classes of the samples"));
        CHECK(contains(error_of([&] {
                           (void)measured(
                               *net, {.methods = {"gradient"}, .metrics = {"gini"}, .target = "label"},
                               {.x = x, .number = {9, 8, 7, 6, 5}, .classes = {{3}, {0}, {0}, {0}, {0}}});
                       }),
                       "label 3 of sample 9 is not in 0..2"));
    }

    TEST_CASE("run: a unit of several has the score, the map and the mask of its class") {
        const auto net = random_network(3);
        const Tensor x = random_images(4, 2);
        const auto at = [&](const std::vector<std::vector<int64_t>>& classes, const std::string& metric) {
            return measured(*net,
                            {.methods = {"epsilon"},
                             .metrics = {metric},
                             .target = "label",
                             .context = {.multi_label = true}},
                            {.x = x,
                             .classes = classes,
                             .class_mask =
                                 [](size_t n, int64_t k) {
                                     std::vector<float> plane(64, 0.0f);
                                     plane[8 * n + static_cast<size_t>(k)] = 1;
                                     return Tensor::from(plane, {8, 8});
                                 }})
                .series()[0]
                .values;
        };
        for (const std::string metric : {"deletion(steps=4)", "drop_mag", "relevance_mass(part=abs)"}) {
            CAPTURE(metric);
            const auto several = at({{0, 1, 2}, {1}}, metric);
            REQUIRE(several.size() == 4);
            for (int64_t k = 0; k < 3; ++k) {
                CHECK(at({{k}, {1}}, metric)[0] ==
                      doctest::Approx(several[static_cast<size_t>(k)]).epsilon(1e-9));
            }
        }
        // Multi-label scores are sigmoids: deletion starts there.
        const ExplainedForward forward(*net, x);
        const double logit = forward.logits().data().to_vector<double>()[1];
        const MetricRun all = measured(*net,
                                       {.methods = {"epsilon"},
                                        .metrics = {"deletion(steps=1)"},
                                        .target = "label",
                                        .context = {.multi_label = true}},
                                       {.x = x, .classes = {{1}, {}}});
        CHECK(all.curves()[0].mean[0] == doctest::Approx(1 / (1 + std::exp(-logit))).epsilon(1e-12));
    }

    TEST_CASE("run: masks are pixels above one half, and the summary counts skipped and degenerate units") {
        const auto net = golden::network();
        const Tensor x =
            concat({Variable(golden::image()), Variable(golden::image()), Variable(golden::image())}, 0)
                .data();
        std::vector<float> planes(3 * 36, 0.0f);
        planes[0] = 1.0f;
        planes[1] = 0.5f;  // half a pixel: not the object
        planes[2 * 36 + 3] = 0.6f;
        const MetricRun all =
            measured(*net, {.methods = {"epsilon_plus"}, .metrics = {"relevance_rank", "iou"}},
                     {.x = x, .mask = Tensor::from(planes, {3, 6, 6})});
        const MetricSeries rank = named(all.series(), "relevance_rank", "epsilon_plus");
        CHECK(rank.summary.valid == 2);
        CHECK(rank.summary.skipped == 1);
        CHECK(std::isnan(rank.values[1]));
        CHECK(rank.mean_chance == doctest::Approx(1.0 / 36));
        CHECK(rank.degenerate == 0);
        CHECK(rank.reduce == "sum");
        CHECK(std::isnan(named(all.series(), "iou", "epsilon_plus").mean_chance));
        CHECK(contains(error_of([&] {
                           (void)measured(*net, {.methods = {"gradient"}, .metrics = {"iou"}},
                                          {.x = x, .mask = Tensor::zeros({3, 5, 5})});
                       }),
                       "the masks have 25 pixels, the input has 36"));

        const auto flat = linear_network(Tensor::zeros({2, 16}, DType::f64));
        const MetricRun constant = measured(*flat, {.methods = {"gradient"}, .metrics = {"gini", "entropy"}},
                                            {.x = random_tensor({5, 4, 4, 1}, 1)});
        CHECK(constant.series()[0].degenerate == 5);
        CHECK(constant.series()[0].summary.valid == 5);
        CHECK(constant.series()[1].summary.skipped == 5);
    }

    TEST_CASE("run: the class mean weighs classes, not samples") {
        const auto net = random_network(3);
        const MetricRun all =
            measured(*net, {.methods = {"gradient"}, .metrics = {"gini"}, .target = "label"},
                     {.x = random_images(4, 4), .classes = {{0}, {0}, {0}, {2}}});
        const MetricSeries series = all.series()[0];
        const auto& v = series.values;
        CHECK(series.class_mean == doctest::Approx(((v[0] + v[1] + v[2]) / 3 + v[3]) / 2));
        CHECK(series.summary.mean == doctest::Approx((v[0] + v[1] + v[2] + v[3]) / 4));
    }

    TEST_CASE("run: channels reduce by the method's custom or the user's choice, small maps are upsampled") {
        const auto net = random_network(3);
        const MetricSamples samples{.x = random_images(4, 2)};
        const auto reduce_of = [&](const std::string& method, const std::string& reduce) {
            return measured(*net,
                            {.methods = {method},
                             .metrics = {"gini"},
                             .reduce = reduce,
                             .context = {.explain = {.cam_layer = "3"}}},
                            samples)
                .series()[0];
        };
        CHECK(reduce_of("gradient", "auto").reduce == "sum");
        CHECK(reduce_of("saliency(reduce=none)", "auto").reduce == "max-abs");
        CHECK(reduce_of("saliency(reduce=none)", "auto").values == reduce_of("saliency", "auto").values);
        CHECK(reduce_of("saliency", "auto").values == reduce_of("gradient", "max-abs").values);
        CHECK(reduce_of("grad_cam(upsample=false)", "auto").values == reduce_of("grad_cam", "auto").values);
        CHECK(contains(error_of([&] { (void)reduce_of("gradient", "summ"); }), "did you mean sum"));
    }

    TEST_CASE("run: two explainers are compared on the same samples") {
        const auto net = random_network(3);
        const MetricRun all =
            measured(*net, {.methods = {"gradient", "epsilon_plus", "saliency"}, .metrics = {"gini"}},
                     {.x = random_images(4, 6)});
        const auto pairs = all.comparisons();
        REQUIRE(pairs.size() == 3);
        CHECK(pairs[0].a == "gradient");
        CHECK(pairs[0].b == "epsilon_plus");
        CHECK(pairs[0].result.pairs == 6);
        const auto series = all.series();
        CHECK(pairs[0].result.difference ==
              doctest::Approx(series[0].summary.mean - series[1].summary.mean).epsilon(1e-12));
        CHECK(pairs[0].result.low <= pairs[0].result.difference);
        CHECK(pairs[0].result.difference <= pairs[0].result.high);
    }

    TEST_CASE("run: a map that is not finite is an error that names the sample") {
        const auto net = golden::network();
        std::vector<double> map(36, 1.0);
        map[7] = std::numeric_limits<double>::quiet_NaN();
        Scene scene(*net, golden::image(), {2}, Tensor::from(map, {1, 6, 6, 1}));
        scene.batch.sample = {41};
        CHECK(error_of([&] { (void)scene.result("gini"); }) ==
              "fixed: the map of sample 41 for class 2 is not finite");
    }

    TEST_CASE("run: what is asked for wrongly is said before anything is measured") {
        const auto net = golden::network();
        const auto error = [&](const MetricRunConfig& config) {
            return error_of([&] { const MetricRun run(*net, config); });
        };
        CHECK(contains(error({.methods = {"gradient"}, .metrics = {"ginni"}}), "did you mean gini"));
        CHECK(contains(error({.methods = {"gradientt"}, .metrics = {"gini"}}), "did you mean gradient"));
        CHECK(contains(error({.methods = {"gradient"}, .metrics = {}}), "at least one"));
        CHECK(contains(error({.methods = {"gradient", "gradient"}, .metrics = {"gini"}}), "asked for twice"));
        CHECK(contains(error({.methods = {"gradient"}, .metrics = {"gini"}, .target = "best"}),
                       "argmax or label"));
        MetricRun twice(*net, {.methods = {"gradient"}, .metrics = {"gini", "gini"}});
        CHECK(contains(error_of([&] { twice.add({.x = golden::image()}); }), "gini is asked for twice"));
    }

    TEST_CASE("run: measuring leaves the network as it was") {
        const auto net = golden::network();
        net->train();
        std::vector<uint64_t> versions;
        for (const Parameter& parameter : net->parameters()) {
            versions.push_back(parameter.value.data().version());
        }
        std::vector<std::string> metrics;
        for (const MetricEntry& entry : list_metrics()) {
            metrics.push_back(entry.name == "insertion" ? "insertion(fill=zero)" : entry.name);
        }
        MetricRun all(*net, {.methods = {"epsilon_plus", "gradient"},
                             .metrics = metrics,
                             .context = {.explain = {.low = {-1}, .high = {1}},
                                         .build_network = [] { return golden::network(); }}});
        all.add({.x = golden::image(), .classes = {{0}}, .mask = Tensor::ones({1, 6, 6})});
        CHECK(net->is_training());
        for (size_t i = 0; i < versions.size(); ++i) {
            CHECK(net->parameters()[i].value.data().version() == versions[i]);
        }
        for (const MetricSeries& series : all.series()) {
            CAPTURE(series.metric);
            CHECK(series.summary.valid + series.summary.skipped == 1);
        }
    }
}
