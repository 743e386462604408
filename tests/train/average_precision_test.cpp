// Average precision against scikit-learn and the VOC kit: the numbers are those of
// tests/oracle/average_precision.py.
#include "train/average_precision.h"

#include <cmath>

#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

constexpr AveragePrecision kKinds[] = {AveragePrecision::steps, AveragePrecision::voc_all,
                                       AveragePrecision::voc_11_points};

/// The formulas of the script.
Tensor scores() {
    std::vector<double> values;
    for (int64_t i = 0; i < 40; ++i) {
        for (int64_t k = 0; k < 3; ++k) {
            const double score = static_cast<double>((37 * i + 11 * k) % 41) / 8;
            values.push_back(k == 2 ? std::floor(score) : score);
        }
    }
    return tensor(values, {40, 3});
}
Tensor targets() {
    std::vector<double> values;
    for (int64_t i = 0; i < 40; ++i) {
        for (int64_t k = 0; k < 3; ++k) {
            values.push_back((13 * i + 5 * k) % 17 < 5 + k ? 1 : 0);
        }
    }
    return tensor(values, {40, 3});
}

}  // namespace

TEST_CASE("average precision: scikit-learn's and the two of VOC, with equal scores") {
    const double golden[3][3] = {
        {0.3266326351506188, 0.34035947712418302, 0.34188948306595363},
        {0.41203275906724179, 0.42560606060606065, 0.42995867768595042},
        {0.40772569444444445, 0.41736111111111107, 0.41818181818181821},
    };
    for (size_t kind = 0; kind < 3; ++kind) {
        const auto got = class_average_precision(scores(), targets(), {}, kKinds[kind]);
        REQUIRE(got.size() == 3);
        for (size_t k = 0; k < 3; ++k) {
            CAPTURE(kind);
            CAPTURE(k);
            CHECK(std::abs(got[k] - golden[k][kind]) <= 1e-12);
        }
        CHECK(std::abs(mean_average_precision(got) -
                       (golden[0][kind] + golden[1][kind] + golden[2][kind]) / 3) <= 1e-12);
    }
}

TEST_CASE("average precision: by hand; samples of weight 0 do not count; no positives give NaN") {
    const std::vector<double> order = {5, 4, 3, 2, 1}, hits = {1, 0, 1, 0, 1}, weights = {1, 1, 1, 0, 1};
    CHECK(average_precision(order, hits) == doctest::Approx((1 + 2.0 / 3 + 3.0 / 5) / 3));
    CHECK(average_precision(order, hits, weights) == doctest::Approx((1 + 3.0 / 4 + 3.0 / 4) / 3));
    CHECK(average_precision(order, hits, weights, AveragePrecision::steps) ==
          doctest::Approx((1 + 2.0 / 3 + 3.0 / 4) / 3));
    CHECK(average_precision(order, hits, {}, AveragePrecision::voc_11_points) ==
          doctest::Approx((4 * 1 + 3 * 2.0 / 3 + 4 * 3.0 / 5) / 11));
    CHECK(std::isnan(average_precision(order, std::vector<double>(5, 0.0))));
    CHECK(std::isnan(average_precision({}, {})));
    CHECK(mean_average_precision(std::vector<double>{0.5, std::nan(""), 1}) == 0.75);
    CHECK(std::isnan(mean_average_precision({})));
    for (const AveragePrecision kind : kKinds) {
        CHECK(average_precision(order, std::vector<double>{1, 1, 0, 0, 0}, {}, kind) == 1);
    }
    CHECK(contains(error_of([&] { (void)average_precision(order, std::vector<double>{1}); }), "as many"));
    CHECK(contains(
        error_of([&] { (void)average_precision(std::vector<double>{std::nan("")}, std::vector<double>{1}); }),
        "finite"));
}
