// Localisation: what a map says of where an object is.
#include "explain/metrics/localisation.h"
#include "tests/explain/metrics_support.h"

using namespace backlight;
using namespace backlight::metric_testing;
using backlight::test::random_tensor;

namespace {

/// Rows 1..2 x columns 1..3 of 6x5 pixels.
PixelSet object() {
    PixelSet s(30, 0);
    for (const size_t p : {6, 7, 8, 11, 12, 13}) {
        s[p] = 1;
    }
    return s;
}

std::vector<double> indicator(const PixelSet& s, double inside = 1, double outside = 0) {
    std::vector<double> map;
    for (const uint8_t in : s) {
        map.push_back(in != 0 ? inside : outside);
    }
    return map;
}

/// One unit of 6x5 pixels with `map` and the object.
struct Picture {
    std::unique_ptr<Sequential> net = linear_network(random_tensor({2, 30}, 1));
    Scene scene;
    explicit Picture(const std::vector<double>& map, MetricContext context = {})
        : scene(*net, random_tensor({1, 6, 5, 1}, 2), {0}, Tensor::from(map, {1, 6, 5, 1}),
                std::move(context)) {
        scene.batch.mask = {object()};
    }
};

}  // namespace

TEST_SUITE("metrics") {
    TEST_CASE("localisation: the object's own map is right everywhere, its complement nowhere") {
        const PixelSet s = object();
        const auto own = indicator(s), other = indicator(s, 0, 1);
        for (const auto& [map, expected] : {std::pair{own, 1.0}, {other, 0.0}}) {
            CHECK(pointing_hit(map, s, 5) == expected);
            CHECK(relevance_mass(map, s) == expected);
            CHECK(relevance_mass(map, s, "signed") == expected);
            CHECK(relevance_mass(map, s, "abs") == expected);
            CHECK(relevance_rank(map, s) == expected);
            CHECK(attribution_localisation(map, s) == doctest::Approx(expected).epsilon(1e-8));
            CHECK(top_k_intersection(map, s, 4) == expected);
        }
        CHECK(top_k_intersection(own, s, 1000) == 0.2);  // all 30 pixels
        CHECK(intersection_over_union(s, s) == 1);
        PixelSet half = s;
        half[6] = half[7] = half[8] = 0;
        half[0] = 1;
        CHECK(intersection_over_union(half, s) == doctest::Approx(3.0 / 7));
    }

    TEST_CASE("localisation: no positive relevance, no object, an object everywhere") {
        const PixelSet s = object(), none(30, 0), all(30, 1);
        const auto negative = indicator(s, -1, -2);
        CHECK(std::isnan(relevance_mass(negative, s)));
        CHECK(relevance_mass(negative, s, "abs") == doctest::Approx(6.0 / 54));
        CHECK(pointing_hit(negative, s, 5) == 1);
        CHECK(relevance_rank(negative, s) == 1);
        const auto map = indicator(s);
        for (const double v : {pointing_hit(map, none, 5), relevance_mass(map, none),
                               relevance_rank(map, none), attribution_localisation(map, none),
                               top_k_intersection(map, none, 3), intersection_over_union(s, none)}) {
            CHECK(std::isnan(v));
        }
        for (const double v : {pointing_hit(map, all, 5), relevance_mass(map, all), relevance_rank(map, all),
                               top_k_intersection(map, all, 3)}) {
            CHECK(v == 1);
        }
        CHECK(attribution_localisation(std::vector<double>(30, 0.0), s) == 0);
    }

    TEST_CASE("pointing game: first of equal maxima, any of them, and a tolerance that is a radius") {
        const PixelSet s = object();
        std::vector<double> map(30, 0.0);
        map[0] = map[12] = 1;  // (0,0) outside, (2,2) inside
        CHECK(pointing_hit(map, s, 5) == 0);
        CHECK(pointing_hit(map, s, 5, 0, true) == 1);
        CHECK(pointing_hit(map, s, 5, 1.4) == 0);  // (1,1) is √2 away
        CHECK(pointing_hit(map, s, 5, 1.5) == 1);
        std::vector<double> corner(30, 0.0);
        corner[29] = 1;  // (5,4): (2,3) is √10 away
        CHECK(pointing_hit(corner, s, 5, 3.1) == 0);
        CHECK(pointing_hit(corner, s, 5, 3.2) == 1);
    }

    TEST_CASE(
        "pointing game: boxes are tolerant in pixels of the original picture, options change name and "
        "value") {
        std::vector<double> corner(30, 0.0);
        corner[29] = 1;
        Picture boxes(corner, {.masks_are_boxes = true});
        CHECK(boxes.scene.result("pointing_game").columns[0].name == "pointing_game[tolerance=15]");
        CHECK(boxes.scene.values("pointing_game") == std::vector<double>{1});
        boxes.scene.batch.zoom = {0.2};  // 3 pixels here
        CHECK(boxes.scene.values("pointing_game") == std::vector<double>{0});
        boxes.scene.batch.zoom = {0.25};
        CHECK(boxes.scene.values("pointing_game") == std::vector<double>{1});
        // Masks that say nothing of boxes are exact.
        CHECK(Picture(corner).scene.values("pointing_game") == std::vector<double>{0});

        Picture right(indicator(object()));
        CHECK(right.scene.result("pointing_game").columns[0].name == "pointing_game");
        CHECK(right.scene.result("pointing_game").columns[0].chance == std::vector<double>{0.2});
        CHECK(right.scene.values("pointing_game(weighted=true)")[0] == doctest::Approx(0.8));
        const std::string hard = "pointing_game(difficult=true)";
        CHECK(std::isnan(right.scene.values(hard, "pointing_game[difficult")[0]));  // the only class
        right.scene.batch.in_company = {true};
        CHECK(right.scene.values(hard, "pointing_game[difficult")[0] == 1);
        PixelSet large(30, 1);
        right.scene.batch.mask = {large};
        CHECK(std::isnan(right.scene.values(hard, "pointing_game[difficult")[0]));
    }

    TEST_CASE("localisation metrics: values with their chance, samples without an object are skipped") {
        Picture picture(indicator(object(), 3, 1));
        for (const std::string metric : {"pointing_game", "relevance_mass", "relevance_rank",
                                         "attribution_localisation", "top_k(k=6)", "iou(fraction=0.2)"}) {
            CAPTURE(metric);
            picture.scene.batch.mask = {object()};
            const MetricColumn known = picture.scene.result(metric).columns[0];
            CHECK(known.better == "high");
            const bool shared = metric == "relevance_mass" || metric == "attribution_localisation";
            CHECK(known.values[0] == doctest::Approx(shared ? 18.0 / 42 : 1.0));
            CHECK(known.chance ==
                  (metric.starts_with("iou") ? std::vector<double>{} : std::vector<double>{0.2}));
            picture.scene.batch.mask = {{}};
            CHECK(std::isnan(picture.scene.values(metric)[0]));
            picture.scene.batch.mask = {PixelSet(30, 0)};
            CHECK(std::isnan(picture.scene.values(metric)[0]));
            picture.scene.batch.mask = {};
            CHECK(contains(error_of([&] { (void)picture.scene.values(metric); }),
                           "needs the masks of the data set"));
        }
        CHECK(Picture(indicator(object(), 3, 1)).scene.values("iou(tau=0.9)")[0] == 1);
        CHECK(Picture(indicator(object(), 3, 1)).scene.values("iou(tau=0.3)")[0] == 0.2);
        CHECK(Picture(indicator(object(), -1, -3)).scene.values("iou(tau=0.9)")[0] == 0);
    }

    TEST_CASE("localisation: random maps get the object's share on average") {
        const PixelSet s = object();
        double pointing = 0, rank = 0, mass = 0;
        constexpr int kMaps = 4000;
        for (uint64_t seed = 0; seed < kMaps; ++seed) {
            const auto map = random_tensor({30}, 1000 + seed).to_vector<double>();
            pointing += pointing_hit(map, s, 5) / kMaps;
            rank += relevance_rank(map, s) / kMaps;
            mass += relevance_mass(map, s) / kMaps;
        }
        CHECK(std::abs(pointing - 0.2) < 0.02);  // three standard errors
        CHECK(std::abs(rank - 0.2) < 0.01);
        CHECK(std::abs(mass - 0.2) < 0.01);
    }
}
