// What every measure that changes the input stands on: the order of pixels, their fill, constant maps,
// vectors.
#include <set>

#include "explain/metrics/pixel_map.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/metrics_support.h"

using namespace backlight;
using namespace backlight::metric_testing;
using backlight::test::random_tensor;

namespace {

std::vector<double> random_map(uint64_t seed) { return random_tensor({36}, seed).to_vector<double>(); }

}  // namespace

TEST_SUITE("metrics") {
    TEST_CASE(
        "ranking: stable, equal values by index; lerf is its reverse, random a permutation by seed and "
        "sample") {
        const std::vector<double> r{1, 3, 3, 0, 1};
        CHECK(ranking(r) == std::vector<int64_t>{1, 2, 0, 4, 3});
        CHECK(removal_order(r, Order::lerf, {}) == std::vector<int64_t>{3, 4, 0, 2, 1});
        const auto drawn = removal_order(r, Order::random, {.seed = 1, .sample = 2});
        CHECK(drawn == removal_order(r, Order::random, {.seed = 1, .sample = 2}));
        CHECK(std::set<int64_t>(drawn.begin(), drawn.end()).size() == 5);
        CHECK(removal_order(random_map(1), Order::random, {.seed = 1, .sample = 2}) !=
              removal_order(random_map(1), Order::random, {.seed = 1, .sample = 3}));
        CHECK(top_count(0.15, 36) == 5);
        CHECK(top_count(0.15, 1) == 1);
        CHECK(top_count(0, 36) == 1);
        CHECK(square_regions(5, 7, 3).count == 6);
        CHECK(square_regions(5, 7, 3).of_pixel[4 * 7 + 6] == 5);  // the clipped corner
    }

    TEST_CASE("degenerate maps: constant ones are ranked by index, a one-pixel picture works") {
        const auto net = golden::network();
        for (const double value : {0.0, -2.0}) {
            Scene constant(*net, golden::image(), {0}, Tensor::full({1, 6, 6, 1}, value, DType::f64));
            std::vector<double> falling(36);
            for (size_t i = 0; i < 36; ++i) {
                falling[i] = -static_cast<double>(i);
            }
            Scene by_index(*net, golden::image(), {0}, Tensor::from(falling, {1, 6, 6, 1}));
            for (const std::string metric : {"drop_mag", "deletion", "insertion", "pixel_flipping"}) {
                CAPTURE(metric);
                CHECK(constant.values(metric) == by_index.values(metric));
            }
            CHECK(std::isnan(constant.values("faithfulness_correlation")[0]));
            CHECK(std::isnan(constant.values("monotonicity(size=2)")[0]));
        }
        const auto dot = linear_network(random_tensor({2, 3}, 1));
        Scene one(*dot, random_tensor({1, 1, 1, 3}, 2), {1}, random_tensor({1, 1, 1, 1}, 3));
        for (const std::string metric : {"drop_prop", "deletion", "insertion", "pixel_flipping", "road",
                                         "region_perturbation(fill=zero)", "infidelity", "gini", "mass90"}) {
            CAPTURE(metric);
            CHECK(std::isfinite(one.values(metric)[0]));
        }
        CHECK(std::isnan(one.values("monotonicity")[0]));
    }

    TEST_CASE("vectors are pictures of one row") {
        const auto net = linear_network(random_tensor({2, 5}, 41));
        Scene scene(*net, random_tensor({3, 5}, 42), {0, 1, 0}, random_tensor({3, 5}, 43));
        for (const std::string metric :
             {"drop_prop", "pixel_flipping", "region_perturbation(size=1, fill=zero)", "deletion",
              "insertion(fill=mean)", "road", "infidelity", "faithfulness_correlation",
              "monotonicity(size=1)", "gini"}) {
            CAPTURE(metric);
            for (const double v : scene.values(metric)) {
                CHECK(std::isfinite(v));
            }
        }
        CHECK(contains(error_of([&] { (void)scene.values("insertion"); }), "fill=blur: expected pictures"));
        CHECK(contains(error_of([&] {
                           Scene narrow(*net, random_tensor({1, 5}, 1), {0}, random_tensor({1, 1}, 1));
                           (void)narrow.values("gini");
                       }),
                       "the relevance of shape (1, 1) has no value for each of the 5 features"));
    }

    TEST_CASE("wrong options name what is expected") {
        CHECK(contains(error_of([] { (void)build_metric("deletio"); }), "did you mean deletion"));
        CHECK(contains(error_of([] { (void)build_metric("deletion(stepps=3)"); }), "stepps"));
        CHECK(contains(error_of([] { (void)build_metric("deletion(fill=grey)"); }), "grey"));
        CHECK(contains(error_of([] { (void)build_metric("deletion(step=3, steps=4)"); }), "not both"));
        CHECK(contains(error_of([] { (void)build_metric("iou(fraction=0.2, tau=0.5)"); }), "not both"));
        CHECK(contains(error_of([] { (void)build_metric("drop_prop(fraction=2)"); }), "fraction"));
        CHECK(contains(error_of([] { (void)build_metric("region_perturbation(orders=most)"); }),
                       "morf, lerf, random"));
    }
}
