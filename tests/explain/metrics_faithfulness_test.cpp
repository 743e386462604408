// Faithfulness: identities and properties of the measures that change the input.
#include <numeric>

#include "explain/metrics/pixel_map.h"
#include "explain/metrics/statistics.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/metrics_support.h"

using namespace backlight;
using namespace backlight::metric_testing;
using backlight::test::random_images;
using backlight::test::random_network;
using backlight::test::random_tensor;

namespace {

/// f(x) = Σ over the first `used` of 36 pixels of w_i x_i, against a class that is always 0.
struct LinearScene {
    explicit LinearScene(int64_t used = 36, uint64_t seed = 3)
        : x(random_tensor({1, 6, 6, 1}, seed, 0.2, 1)) {
        std::vector<double> w = random_tensor({36}, seed + 1, 0.1, 0.5).to_vector<double>();
        std::fill(w.begin() + used, w.end(), 0.0);
        w.resize(72, 0.0);
        weight = Tensor::from(w, {2, 36});
        net = linear_network(weight);
        const std::vector<double> values = x.to_vector<double>();
        for (size_t i = 0; i < 36; ++i) {
            relevance.push_back(w[i] * values[i]);
        }
    }
    [[nodiscard]] Scene scene(const std::vector<double>& map) const {
        return {*net, x, {0}, Tensor::from(map, {1, 6, 6, 1})};
    }
    [[nodiscard]] double value(const std::vector<double>& map, const std::string& metric,
                               const std::string& name = "") const {
        return scene(map).values(metric, name)[0];
    }

    Tensor x, weight;
    std::unique_ptr<Sequential> net;
    std::vector<double> relevance;  // input times gradient: the truth
};

std::vector<double> random_map(uint64_t seed) { return random_tensor({36}, seed).to_vector<double>(); }

}  // namespace

TEST_SUITE("metrics") {
    TEST_CASE("fill=inpaint: what is left tells what was there") {
        const LinearScene linear;
        // A picture of one value is what its neighbours say, whatever is gone.
        const Tensor flat = Tensor::full({1, 6, 6, 1}, 0.7, DType::f64);
        Scene same(*linear.net, flat, {0}, Tensor::from(random_map(6), {1, 6, 6, 1}));
        for (const std::string metric : {"deletion(fill=inpaint, step=5, score=logit)",
                                         "insertion(fill=inpaint, step=5, score=logit)"}) {
            CAPTURE(metric);
            const MetricResult found = same.result(metric);
            CHECK(found.columns[0].name.find("inpaint") != std::string::npos);
            for (const double score : found.curves[0].values[0]) {
                CHECK(score == doctest::Approx(found.curves[0].values[0][0]).epsilon(1e-9));
            }
        }
        // One pixel in the middle of others is their weighted mean: beside 1/6, across a corner 1/12.
        std::vector<double> first(36, 0.0);
        first[14] = 1;
        const auto& x = linear.x.to_vector<double>();
        const auto& w = linear.weight.to_vector<double>();
        const double around = (x[8] + x[13] + x[15] + x[20]) / 6 + (x[7] + x[9] + x[19] + x[21]) / 12;
        Scene scene(*linear.net, linear.x, {0}, Tensor::from(first, {1, 6, 6, 1}));
        const auto curve = scene.result("deletion(fill=inpaint, step=1, score=logit)").curves[0].values[0];
        CHECK(curve[0] - curve[1] == doctest::Approx(w[14] * (x[14] - around)).epsilon(1e-6));
        // Nothing left: the mean.
        const double mean = std::accumulate(x.begin(), x.end(), 0.0) / 36;
        CHECK(curve.back() == doctest::Approx(mean * std::accumulate(w.begin(), w.begin() + 36, 0.0)));
        const auto back = scene.result("insertion(fill=inpaint, step=1, score=logit)").curves[0].values[0];
        CHECK(back.front() == doctest::Approx(curve.back()));
        CHECK(back.back() == doctest::Approx(curve.front()));
        CHECK_THROWS_WITH_AS((void)scene.result("pixel_flipping(fill=inpaint, features=channels)"),
                             doctest::Contains("whole pixels"), Error);
        CHECK_THROWS_AS((void)scene.result("monotonicity(fill=inpaint)"), Error);
        CHECK(std::isfinite(scene.values("region_perturbation(fill=inpaint, size=3)")[0]));
        CHECK(std::isfinite(scene.values("pixel_flipping(fill=inpaint)")[0]));
    }

    TEST_CASE("insertion is the reversed deletion of the opposite order, ties included") {
        const auto net = golden::network();
        std::vector<double> map = random_map(5);
        for (double& v : map) {
            v = std::round(2 * v);  // many ties
        }
        Scene scene(*net, golden::image(), {0}, Tensor::from(map, {1, 6, 6, 1}));
        const auto insertion = scene.result("insertion(fill=zero, step=4)").curves[0].values[0];
        auto lerf = scene.result("pixel_flipping(step=4)").curves[1].values[0];
        std::reverse(lerf.begin(), lerf.end());
        check_near(insertion, lerf, 1e-12);
    }

    TEST_CASE("drop, increase and ties are 100; the direction follows the mode") {
        const auto net = random_network(11);
        const Tensor x = random_images(12, 20);
        const Tensor map = random_tensor({20, 8, 8, 1}, 13);
        std::vector<int64_t> targets;
        for (int64_t n = 0; n < 20; ++n) {
            targets.push_back(n % 3);
        }
        Scene scene(*net, x, targets, map);
        for (const std::string options : {"", "(mode=occlude)", "(mask=soft)", "(fraction=1)"}) {
            CAPTURE(options);
            const auto drop = scene.values("drop_prop" + options),
                       rise = scene.values("increase_prop" + options);
            const auto fell = scene.values("drop_mag" + options),
                       rose = scene.values("increase_mag" + options);
            for (size_t n = 0; n < 20; ++n) {
                const double ties = fell[n] == 0 && rose[n] == 0 ? 100 : 0;
                CHECK(drop[n] + rise[n] + ties == 100);
                CHECK((options != "(fraction=1)" || ties == 100));  // everything is kept: the same bits
                CHECK((drop[n] > 0) == (fell[n] > 0));
                CHECK((rise[n] > 0) == (rose[n] > 0));
            }
        }
        CHECK(scene.result("drop_prop").columns[0].name == "drop_prop[keep,zero,15]");
        CHECK(scene.result("drop_prop").columns[0].better == "low");
        CHECK(scene.result("drop_prop(mode=occlude, fill=mean, fraction=0.1)").columns[0].name ==
              "drop_prop[occlude,mean,10]");
        CHECK(scene.result("drop_prop(mode=occlude)").columns[0].better == "high");
        CHECK(scene.result("increase_mag(mask=soft, score=logit)").columns[0].name ==
              "increase_mag[keep,zero,soft,logit]");
    }

    TEST_CASE("drop is 0 for a model that looks at the top pixels alone") {
        const LinearScene linear(5);  // 5 of 36 pixels: 15 %
        CHECK(linear.value(linear.relevance, "drop_prop") == 0);
        CHECK(linear.value(linear.relevance, "drop_mag") == 0);
        CHECK(linear.value(linear.relevance, "drop_prop(mode=occlude)") == 100);
        std::vector<double> opposite = linear.relevance;
        for (double& v : opposite) {
            v = -v;
        }
        CHECK(linear.value(opposite, "drop_prop") == 100);
    }

    TEST_CASE("soft masks multiply with the map between 0 and 1") {
        const LinearScene linear;
        const std::vector<double> map = random_map(8);
        const auto [low, high] = std::minmax_element(map.begin(), map.end());
        double full = 0, kept = 0;
        for (size_t i = 0; i < 36; ++i) {
            full += linear.relevance[i];
            kept += linear.relevance[i] * (map[i] - *low) / (*high - *low);
        }
        CHECK(linear.value(map, "drop_mag(mask=soft, score=logit)") ==
              doctest::Approx(100 * (full - kept) / full).epsilon(1e-10));
    }

    TEST_CASE("the true map of a linear model beats random maps on every measure of faithfulness") {
        const LinearScene linear;
        const auto truth = [&](const std::string& metric, const std::string& name = "") {
            return linear.value(linear.relevance, metric, name);
        };
        for (uint64_t seed = 0; seed < 20; ++seed) {
            const std::vector<double> map = random_map(100 + seed);
            const auto other = [&](const std::string& metric, const std::string& name = "") {
                return linear.value(map, metric, name);
            };
            CAPTURE(seed);
            CHECK(truth("deletion") < other("deletion"));
            CHECK(truth("insertion(fill=zero)") > other("insertion(fill=zero)"));
            CHECK(truth("pixel_flipping", "pixel_flipping[gap") >
                  other("pixel_flipping", "pixel_flipping[gap"));
            CHECK(truth("region_perturbation(size=1, fill=zero)") >
                  other("region_perturbation(size=1, fill=zero)"));
            CHECK(truth("irof(fill=zero, segments=grid, n_segments=9)") >
                  other("irof(fill=zero, segments=grid, n_segments=9)"));
            CHECK(truth("faithfulness_correlation(score=logit)") >
                  other("faithfulness_correlation(score=logit)"));
            CHECK(truth("monotonicity(size=2, score=logit)") > other("monotonicity(size=2, score=logit)"));
        }
    }

    TEST_CASE("on a linear model the true map is exact: infidelity 0, correlations 1") {
        const LinearScene linear;
        CHECK(linear.value(linear.relevance, "faithfulness_correlation(score=logit)") ==
              doctest::Approx(1).epsilon(1e-10));
        CHECK(linear.value(linear.relevance, "monotonicity(size=1, score=logit)") ==
              doctest::Approx(1).epsilon(1e-10));
        // <I, gradient> is what f loses, for any I; input times gradient is exact where I is the whole of x.
        const std::vector<double> all = linear.weight.to_vector<double>();
        const std::vector<double> gradient(all.begin(), all.begin() + 36);
        for (const std::string options : {"square", "gaussian"}) {
            CHECK(linear.value(gradient, "infidelity(perturbation=" + options + ")") < 1e-20);
            std::vector<double> tripled = gradient;
            for (double& v : tripled) {
                v *= 3;
            }
            CHECK(linear.value(tripled, "infidelity(perturbation=" + options + ")") > 1e-4);
            CHECK(linear.value(tripled, "infidelity(scale=true, perturbation=" + options + ")") < 1e-20);
        }
    }

    TEST_CASE(
        "regions: the true order is the best of all orders, random in between, and the gap is their "
        "difference") {
        const LinearScene linear;
        const std::string metric = "region_perturbation(size=2, fill=zero, orders=morf:lerf:random)";
        Scene scene = linear.scene(linear.relevance);
        const double morf = scene.values(metric, "region_perturbation[morf")[0];
        const double lerf = scene.values(metric, "region_perturbation[lerf")[0];
        const double random = scene.values(metric, "region_perturbation[random")[0];
        CHECK(morf > random);
        CHECK(random > lerf);
        CHECK(scene.values(metric, "region_perturbation[abpc")[0] == morf - lerf);
        // AOPC of a random map averages to that of a random order: half of what goes in all, (L+1)/2 of L+1
        // steps.
        double mean = 0;
        constexpr int kMaps = 200;
        for (uint64_t seed = 0; seed < kMaps; ++seed) {
            const double value =
                linear.value(random_map(500 + seed), "region_perturbation(size=2, fill=zero)");
            CHECK(value <= morf);
            CHECK(value >= lerf);
            mean += value / kMaps;
        }
        const double total = std::accumulate(linear.relevance.begin(), linear.relevance.end(), 0.0);
        CHECK(mean == doctest::Approx(total / 2).epsilon(0.02));
        CHECK(
            linear.scene(linear.relevance).result("region_perturbation(size=2, fill=zero)").columns[0].name ==
            "region_perturbation[morf,zero,size=2]");
    }

    TEST_CASE(
        "irof: with square segments it is the area over region perturbation's curve, as share of the score") {
        const LinearScene linear;
        const double start = std::accumulate(linear.relevance.begin(), linear.relevance.end(), 0.0);
        for (const auto& map : {linear.relevance, random_map(77)}) {
            Scene scene = linear.scene(map);
            const auto falls = scene.result("region_perturbation(size=2, fill=zero)").curves[0].values[0];
            const std::string metric = "irof(segments=grid, n_segments=9, fill=zero, score=logit)";
            CHECK(scene.values(metric)[0] == doctest::Approx(area(falls) / start).epsilon(1e-12));
            CHECK(scene.result(metric).columns[0].name == "irof[zero,logit,segments=grid,n_segments=9]");
        }
        const auto net = random_network(14);
        const Tensor x = random_images(15, 2);
        Scene pictures(*net, x, {0, 1}, random_tensor({2, 8, 8, 1}, 16));
        for (const double v : pictures.values("irof(n_segments=6)")) {
            CHECK(std::isfinite(v));
        }
        CHECK(pictures.result("irof").columns[0].name == "irof[mean]");
    }

    TEST_CASE("pixel flipping by (pixel, channel) is the sum that Quantus takes") {
        const auto net = golden::network();
        const Tensor x = golden::image(), map = random_tensor({1, 6, 6, 2}, 9);
        Scene scene(*net, x, {0}, map);
        std::vector<double> changed = x.to_vector<double>();
        const double low = *std::min_element(changed.begin(), changed.end());
        std::vector<double> curve;
        for (const int64_t element : ranking(map.to_vector<double>())) {
            changed[static_cast<size_t>(element)] = low;
            curve.push_back(scene.forward.scores(Tensor::from(changed, {1, 6, 6, 2}), {0}, {.targets = {0}},
                                                 Score::probability)[0]);
        }
        double trapezoid = 0;
        for (size_t k = 0; k + 1 < curve.size(); ++k) {
            trapezoid += (curve[k] + curve[k + 1]) / 2;
        }
        const std::string quantus =
            "pixel_flipping(features=channels, step=1, include_start=false, norm_auc=false, fill=min)";
        CHECK(scene.values(quantus)[0] == doctest::Approx(trapezoid).epsilon(1e-12));
        CHECK(scene.result("pixel_flipping(max_fraction=0.5, step=3)").curves[0].points.size() == 7);
        CHECK(contains(error_of([&] {
                           Scene reduced(*net, x, {0}, random_tensor({1, 6, 6, 1}, 1));
                           (void)reduced.values("pixel_flipping(features=channels)");
                       }),
                       "features=channels needs a relevance of the input's shape"));
    }

    TEST_CASE("road: accuracy falls where the model looks, ends with what the noise level gives") {
        const auto net = random_network(21);
        const Tensor x = random_images(22, 4);
        Scene scene(*net, x, ExplainedForward(*net, x).predicted(), random_tensor({4, 8, 8, 1}, 23));
        const MetricResult found = scene.result("road");
        CHECK(found.columns[0].name == "road[morf,linear]");
        CHECK(found.curves[0].points.size() == 50);
        for (size_t n = 0; n < 4; ++n) {
            CHECK(found.curves[0].values[n][0] == 1);  // 1 % of 64 pixels: one
            CHECK(found.columns[2].values[n] == found.columns[1].values[n] - found.columns[0].values[n]);
        }
        CHECK(scene.values("road") == found.columns[0].values);
        const auto sharp = scene.result("road(score=probability, noise=0)").curves[0].values[0];
        const auto noisy = scene.result("road(score=probability, noise=0.01)").curves[0].values[0];
        CHECK(sharp != noisy);
        check_near(sharp, noisy, 0.05);
    }

    TEST_CASE("nothing depends on the scale of the map, on the order of samples or on the size of batches") {
        const auto net = random_network(31);
        const Tensor x = random_images(32, 6), map = random_tensor({6, 8, 8, 2}, 33);
        const auto targets = ExplainedForward(*net, x).predicted();
        const MetricContext context{.explain = {.low = {-1}, .high = {1}, .seed = 5}};
        Scene all(*net, x, targets, map, context);
        Scene scaled(*net, x, targets, (Variable(map) * 3.0).data(), context);
        for (const std::string metric :
             {"drop_prop", "drop_mag", "increase_prop", "increase_mag", "pixel_flipping", "deletion",
              "insertion", "region_perturbation(size=3)", "road(score=probability)",
              "faithfulness_correlation", "monotonicity(size=3)", "gini", "entropy", "effective_complexity",
              "mass90", "infidelity(scale=true)"}) {
            CAPTURE(metric);
            const MetricResult first = all.result(metric), second = scaled.result(metric);
            for (size_t c = 0; c < first.columns.size(); ++c) {
                check_near(first.columns[c].values, second.columns[c].values, 1e-12);
            }
            for (int64_t n = 0; n < 6; ++n) {  // alone, with its own number
                const auto one = [&](const Tensor& t) { return slice(Variable(t), 0, n, 1).data(); };
                Scene alone(*net, one(x), {targets[static_cast<size_t>(n)]}, one(map), context);
                alone.batch.sample = {n};
                const MetricResult apart = alone.result(metric);
                for (size_t c = 0; c < first.columns.size(); ++c) {
                    check_near({first.columns[c].values[static_cast<size_t>(n)]}, apart.columns[c].values,
                               1e-9);
                }
            }
        }
    }
}
