// Metrics of explanations over data sets: which samples, which masks, what is written; and a known failure
// that they have to find.
#include "experiments/explanation_metrics.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "explain/metrics/pixel_map.h"
#include "tests/datasets/voc_support.h"
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

namespace {

LoadedModel untrained(const std::string& spec, int64_t classes) {
    return {.model = build_model(spec, classes, 3)};
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        lines.push_back(line);
    }
    return lines;
}

const MetricSeries& series_of(const std::vector<MetricSeries>& all, const std::string& explainer,
                              const std::string& metric) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const MetricSeries& s) {
        return s.explainer == explainer && s.metric == metric;
    });
    REQUIRE(found != all.end());
    return *found;
}

}  // namespace

TEST_CASE("explanation metrics: samples are spread evenly") {
    CHECK(spread_samples(10, 3) == std::vector<int64_t>{0, 3, 6});
    CHECK(spread_samples(3, 0) == std::vector<int64_t>{0, 1, 2});
    CHECK(spread_samples(3, 10) == std::vector<int64_t>{0, 1, 2});
}

TEST_CASE(
    "explanation metrics: rows, summary and comparison of a generated set, the same for any batch size") {
    const auto data = load_data("shapes16(n=40, n_test=30)");
    LoadedModel model = untrained("cnn_small(in=3)", 4);
    const ExplanationMetricsConfig config{.methods = {"epsilon_plus", "gradient"},
                                          .metrics = {"relevance_mass", "drop_prop", "pointing_game"},
                                          .masks = true};
    const auto samples = spread_samples(30, 7);
    const MetricRun run = measure_explanations(model, *data, "test", samples, config);
    CHECK(run.samples() == 7);
    const std::vector<std::string> lines = lines_of(metrics_csv(run));
    REQUIRE(lines.size() == 1 + 2 * 3 * 7);
    CHECK(lines[0] == "sample,class,explainer,metric,value");
    CHECK(lines[2].starts_with("4,"));  // the second of seven samples
    CHECK(contains(lines[8], ",\"drop_prop[keep,zero,15]\","));
    CHECK(contains(lines[1], ",epsilon_plus,relevance_mass,0."));

    const auto json = nlohmann::json::parse(metrics_json(run));
    CHECK(json["samples"] == 7);
    CHECK(json["summary"].size() == 6);
    CHECK(json["summary"][0]["metric"] == "relevance_mass");
    CHECK(json["summary"][0]["reduce"] == "sum");
    CHECK(json["summary"][0]["valid"] == 7);
    CHECK(json["comparisons"].size() == 3);
    CHECK(json["speed"]["network_share"] > 0);
    // A random map would get what share of the pixels the figures cover.
    const Batch batch = data->test->batch(samples);
    double covered = 0;
    for (const double v : batch.mask.to(DType::f64).to_vector<double>()) {
        covered += v > 0.5 ? 1.0 / (7 * 256) : 0.0;
    }
    CHECK(json["summary"][0]["random"].get<double>() == doctest::Approx(covered));
    std::ostringstream printed;
    print_metrics(printed, run);
    CHECK(contains(printed.str(), "relevance_mass"));
    CHECK(contains(printed.str(), "% of it in the network"));

    ExplanationMetricsConfig small = config;
    small.batch_size = 2;
    const auto other = measure_explanations(model, *data, "test", samples, small).series();
    const auto whole = run.series();
    for (size_t s = 0; s < whole.size(); ++s) {
        for (size_t n = 0; n < 7; ++n) {
            CHECK(other[s].values[n] == doctest::Approx(whole[s].values[n]).epsilon(1e-4));
        }
    }
}

TEST_CASE("explanation metrics: vectors, backgrounds from the training set, and what a set does not have") {
    const auto data = load_data("toy1");
    LoadedModel model = untrained("toy1", 2);
    const MetricRun run = measure_explanations(model, *data, "test", spread_samples(50, 5),
                                               {.methods = {"deep_shap", "expected_gradients(k=5)"},
                                                .metrics = {"relevance_rank", "completeness"},
                                                .masks = true,
                                                .background_size = 3});
    CHECK(series_of(run.series(), "deep_shap", "completeness").summary.mean < 1e-4);
    CHECK(series_of(run.series(), "deep_shap", "relevance_rank").mean_chance == doctest::Approx(0.4));

    const auto digits = load_data("digits");
    LoadedModel other = untrained("cnn_small(in=1)", 10);
    CHECK(contains(error_of([&] {
                       (void)measure_explanations(other, *digits, "test", {0},
                                                  {.methods = {"lrp"}, .metrics = {"iou"}, .masks = true});
                   }),
                   "--masks: digits has no masks"));
    CHECK(
        contains(error_of([] { check_names({.methods = {"lrp"}, .metrics = {"iou"}}); }), "needs the masks"));
    CHECK(contains(error_of([] { check_names({.methods = {"lrpp"}, .metrics = {"gini"}}); }),
                   "did you mean lrp"));
    CHECK(contains(error_of([] { check_names({.methods = {"lrp"}, .metrics = {"giny"}}); }),
                   "did you mean gini"));
}

TEST_CASE(
    "explanation metrics: of several labels each has its own object; boxes are tolerant in original pixels") {
    const TemporaryFolder folder;
    testing::write_voc(folder.path());
    const auto measured = [&](const std::string& options, const std::string& metric) {
        const auto data = load_data("voc2012:" + folder.path().string() + "(" + options + ")");
        LoadedModel model = untrained("cnn_small(in=3)", 20);
        return measure_explanations(
            model, *data, "train", {0, 1},
            {.methods = {"gradient"}, .metrics = {metric}, .target = "label", .masks = true});
    };
    // Whole pictures of 8 x 12 on 12 x 12: `a` shows a dog on rows 1..4 and columns 2..5, `b` a person
    // everywhere.
    const MetricRun run = measured("size=8, resize=8", "relevance_rank");
    constexpr int64_t kDog = 11, kPerson = 14;
    REQUIRE(run.units().size() == 2);
    CHECK(run.units()[0].target == kDog);
    CHECK(run.units()[1].target == kPerson);
    const MetricSeries rank = run.series()[0];
    CHECK(rank.chance[0] == doctest::Approx(16.0 / 64));  // the central 8 x 8 of 8 x 12
    CHECK(rank.chance[1] == 1);
    CHECK(rank.values[1] == 1);

    CHECK(measured("size=8, resize=8", "pointing_game").series()[0].metric == "pointing_game[tolerance=15]");
    // On 32 x 32 a pixel of the picture is four: how far the map's peak lies from the dog decides.
    const std::string spec = "voc2012:" + folder.path().string() + "(size=32, resize=32)";
    const auto data = load_data(spec);
    const LoadedModel model = untrained("cnn_small(in=3)", 20);
    const ExplainedForward forward(*model.model.net, data->train->batch(std::vector<int64_t>{0}).input);
    const Tensor map = forward.explain(*build_method("gradient"), {.targets = {kDog}});
    const auto r = pixel_maps(map, "sum", 32, 32)[0];
    const auto peak = ranking(r)[0];
    const auto dog = data->train->class_mask(0, kDog).to(DType::f64).to_vector<double>();
    double distance = 1e9;
    for (int64_t p = 0; p < 32 * 32; ++p) {
        if (dog[static_cast<size_t>(p)] > 0.5) {
            distance = std::min(distance, std::hypot(static_cast<double>(p / 32 - peak / 32),
                                                     static_cast<double>(p % 32 - peak % 32)));
        }
    }
    REQUIRE(distance > 0);
    for (const double factor : {0.99, 1.01}) {
        const std::string metric = "pointing_game(tolerance=" + std::to_string(factor * distance / 4) + ")";
        CHECK(measured("size=32, resize=32", metric).series()[0].values[0] == (factor > 1 ? 1 : 0));
    }
}

TEST_CASE("explanation metrics: the randomisation test finds that guided backprop hardly reads the weights") {
    const TemporaryFolder folder;
    TrainConfig config;
    config.model = "cnn_small(in=1)";
    config.data = "shapes12(n=600, n_test=100)";
    config.run = folder.path() / "run";
    config.epochs = 4;
    config.lr = 0.05;
    TrainResult trained = train(config);
    LoadedModel model{.model = std::move(trained.model)};
    const auto all = measure_explanations(model, *trained.data, "test", spread_samples(100, 30),
                                          {.methods = {"gradient", "guided_backprop"}, .metrics = {"mprt"}})
                         .series();
    for (const char* similarity : {"spearman", "spearman_signed", "ssim", "pearson"}) {
        CAPTURE(similarity);
        const std::string metric = std::string("mprt[") + similarity + ",top_down,matched]";
        CHECK(series_of(all, "gradient", metric).summary.mean <
              series_of(all, "guided_backprop", metric).summary.mean - 0.2);
    }
}
