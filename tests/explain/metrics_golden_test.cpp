// Golden numbers of the measures, in f64: a 4x4 map, and the network of golden_network.h under its
// epsilon_plus map summed over channels. Made by an implementation apart from this one; nine digits are
// given.
#include "explain/metrics/complexity.h"
#include "explain/metrics/localisation.h"
#include "explain/metrics/pixel_map.h"
#include "explain/metrics/statistics.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/metrics_support.h"

using namespace backlight;
using namespace backlight::metric_testing;

namespace {

constexpr double kDigits = 1.5e-9;

/// sin(phase + 1.3h + 2.1w), 4x4.
std::vector<double> wave(double phase) {
    std::vector<double> map;
    for (int h = 0; h < 4; ++h) {
        for (int w = 0; w < 4; ++w) {
            map.push_back(std::sin(phase + 1.3 * h + 2.1 * w));
        }
    }
    return map;
}

/// Rows 1 and 2 x columns 1 and 2.
PixelSet centre() { return {0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0}; }

struct GoldenNetwork {
    std::unique_ptr<Sequential> net = golden::network();
    MetricSamples samples{.x = golden::image()};

    [[nodiscard]] double value(const std::string& metric, const std::string& method = "epsilon_plus",
                               const std::string& name = "") const {
        return run(*net, samples, method, metric, {}, name).at(0);
    }
    [[nodiscard]] std::vector<double> curve(const std::string& metric) const {
        MetricRun measured(*net, {.methods = {"epsilon_plus"}, .metrics = {metric}});
        measured.add(samples);
        return measured.curves().at(0).mean;
    }
};

}  // namespace

TEST_SUITE("metrics") {
    TEST_CASE("golden: measures of a 4x4 map") {
        const std::vector<double> r = wave(1.0);
        const PixelSet s = centre();
        CHECK(ranking(r)[0] == 2 * 4 + 2);
        CHECK(pointing_hit(r, s, 4) == 1);
        CHECK(std::abs(relevance_mass(r, s) - 0.224613588) < kDigits);
        CHECK(std::abs(relevance_mass(r, s, "signed") + 1.851224607) < kDigits);
        CHECK(std::abs(relevance_mass(r, s, "abs") - 0.255000484) < kDigits);
        CHECK(relevance_rank(r, s) == 0.25);
        CHECK(std::abs(gini(r) - 0.241868207) < kDigits);
        CHECK(std::abs(complexity_entropy(r) - 2.654342387) < kDigits);
        CHECK(std::abs(complexity_entropy(r) / std::log(16.0) - 0.957351650) < kDigits);
        CHECK(std::abs(map_entropy(r) - 2.654342387) < kDigits);
        CHECK(std::abs(mean_squared_distance(over_max_abs(r), over_max_abs(wave(1.1))) - 0.004733793) <
              kDigits);
    }

    TEST_CASE("golden: the ranking of the network's map") {
        const GoldenNetwork golden;
        const ExplainedForward forward(*golden.net, golden.samples.x);
        const Tensor r = forward.explain(*build_method("epsilon_plus"), {.targets = {0}});
        const auto order = ranking(pixel_maps(r, "sum", 6, 6)[0]);
        CHECK(std::vector<int64_t>(order.begin(), order.begin() + 8) ==
              std::vector<int64_t>{15, 28, 10, 6, 22, 23, 17, 19});
    }

    TEST_CASE("golden: drop and increase, keeping and occluding, of two maps") {
        const GoldenNetwork golden;
        CHECK(top_count(0.15, 36) == 5);
        CHECK(golden.value("drop_prop") == 0);
        CHECK(golden.value("increase_prop") == 100);
        CHECK(golden.value("drop_mag") == 0);
        CHECK(std::abs(golden.value("increase_mag") - 4.687194087) < 1e-8);
        CHECK(golden.value("drop_prop(mode=occlude)") == 100);
        CHECK(std::abs(golden.value("drop_mag(mode=occlude)") - 18.901689457) < 1e-8);
        CHECK(golden.value("increase_mag(mode=occlude)") == 0);
        CHECK(std::abs(golden.value("drop_mag", "saliency") - 12.703404850) < 1e-8);
        CHECK(std::abs(golden.value("drop_mag(mode=occlude)", "saliency") - 21.755347449) < 1e-8);
    }

    TEST_CASE("golden: deletion and insertion, four pixels a step") {
        const GoldenNetwork golden;
        check_near(golden.curve("deletion(step=4)"),
                   {0.672155760, 0.529104361, 0.524122685, 0.470106746, 0.446132015, 0.474957312, 0.438524011,
                    0.412133604, 0.374880072, 0.362550390},
                   kDigits);
        CHECK(std::abs(golden.value("deletion(step=4)") - 0.465257098) < kDigits);
        CHECK(std::abs(golden.value("insertion(step=4, fill=zero)") - 0.704064981) < kDigits);
        CHECK(std::abs(golden.value("pixel_flipping(step=4)", "epsilon_plus", "pixel_flipping[lerf") -
                       0.704064981) < kDigits);
        CHECK(std::abs(golden.value("pixel_flipping(step=4)", "epsilon_plus", "pixel_flipping[morf") -
                       0.465257098) < kDigits);
    }

    TEST_CASE("golden: nine regions of 2x2") {
        const GoldenNetwork golden;
        const std::string metric = "region_perturbation(size=2, fill=zero)";
        check_near(golden.curve(metric),
                   {0, 0.136144677, 0.402766747, 0.396740527, 0.359124426, 0.519106760, 0.757693222,
                    0.758805026, 0.768299599, 0.926090940},
                   kDigits);
        CHECK(std::abs(golden.value(metric) - 0.502477192) < kDigits);
        const ExplainedForward forward(*golden.net, golden.samples.x);
        const Tensor r = forward.explain(*build_method("epsilon_plus"), {.targets = {0}});
        CHECK(ranking(region_sums(square_regions(6, 6, 2), pixel_maps(r, "sum", 6, 6)[0])) ==
              std::vector<int64_t>{4, 5, 8, 2, 0, 3, 1, 7, 6});
    }
}
