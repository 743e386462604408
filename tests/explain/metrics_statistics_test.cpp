// Correlations, structural similarity, summaries, the bootstrap, complexity and imputation as plain
// functions. Numbers with many digits: tests/oracle/metrics.py.
#include <limits>
#include <numeric>

#include "explain/metrics/complexity.h"
#include "explain/metrics/imputation.h"
#include "explain/metrics/statistics.h"
#include "tests/explain/metrics_support.h"

using namespace backlight;
using namespace backlight::metric_testing;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> wave(int height, int width, double phase, double row, double column) {
    std::vector<double> map;
    for (int h = 0; h < height; ++h) {
        for (int w = 0; w < width; ++w) {
            map.push_back(std::sin(phase + row * h + column * w));
        }
    }
    return map;
}

std::vector<double> rounded(std::vector<double> values, double factor) {
    for (double& v : values) {
        v = std::nearbyint(factor * v);
    }
    return values;
}

}  // namespace

TEST_SUITE("metrics") {
    TEST_CASE("statistics: correlations and structural similarity agree with scipy and scikit-image") {
        const auto a = wave(9, 8, 1.0, 1.3, 2.1), b = wave(9, 8, 0.7, 1.1, 2.4);
        CHECK(pearson(a, b) == doctest::Approx(0.6826155020920639).epsilon(1e-12));
        CHECK(spearman(a, b) == doctest::Approx(0.6798186378545246).epsilon(1e-12));
        CHECK(spearman(rounded(a, 3), rounded(b, 2)) == doctest::Approx(0.6478297800721051).epsilon(1e-12));
        const auto x = over_max_abs(a), y = over_max_abs(b);
        CHECK(ssim(x, y, 9, 8, 3) == doctest::Approx(0.1599697574410044).epsilon(1e-9));
        CHECK(ssim(x, y, 9, 8, 5) == doctest::Approx(0.5976166423460749).epsilon(1e-9));
        CHECK(ssim(x, y, 9, 8, 7) == doctest::Approx(0.7065424054956718).epsilon(1e-9));
        CHECK(ssim(x, y, 9, 8, 11) == ssim(x, y, 9, 8, 7));  // the largest odd window that fits
        CHECK(ssim(x, x, 9, 8) == doctest::Approx(1.0));
    }

    TEST_CASE("statistics: what is not defined is NaN") {
        const std::vector<double> a{1, 2, 3}, constant{0.1, 0.1, 0.1};
        CHECK(std::isnan(pearson(a, constant)));
        CHECK(std::isnan(spearman(constant, a)));
        CHECK(std::isnan(pearson(std::vector<double>{1}, std::vector<double>{2})));
        CHECK(std::isnan(ssim(a, a, 1, 3)));
        CHECK(contains(error_of([&] { (void)pearson(a, std::vector<double>{1, 2}); }), "got 3 and 2"));
        CHECK(mean_ranks(std::vector<double>{5, 1, 5, 7}) == std::vector<double>{1.5, 0, 1.5, 3});
    }

    TEST_CASE("statistics: a summary counts what is NaN and leaves it out") {
        const Summary s = summarize(std::vector<double>{4, kNan, 1, 3, kNan, 2});
        CHECK(s.mean == 2.5);
        CHECK(s.median == 2.5);
        CHECK(s.std == doctest::Approx(std::sqrt(5.0 / 3)));
        CHECK(s.valid == 4);
        CHECK(s.skipped == 2);
        CHECK(summarize(std::vector<double>{7}).std == 0);
        CHECK(std::isnan(summarize(std::vector<double>{kNan}).mean));
        CHECK(area(std::vector<double>{1, 0.5, 0.25}) == doctest::Approx((0.5 + 0.5 + 0.125) / 2));
        CHECK(area(std::vector<double>{0.3}) == 0.3);
    }

    TEST_CASE("paired difference: only pairs count, the seed decides, and the interval holds the mean") {
        std::vector<double> a, b;
        RandomStream random(3);
        for (int i = 0; i < 200; ++i) {
            b.push_back(random.normal());
            a.push_back(b.back() + random.normal(0.5, 1));
        }
        a.push_back(kNan);
        b.push_back(100);
        const PairedDifference found = paired_difference(a, b, 1);
        CHECK(found.pairs == 200);
        CHECK(found.low < found.difference);
        CHECK(found.difference < found.high);
        // Normal theory: 1.96 deviations of the mean, here of about 1/√200 each side.
        CHECK(std::abs((found.high - found.low) / (2 * 1.96 / std::sqrt(200.0)) - 1) < 0.15);
        CHECK(paired_difference(a, b, 1).low == found.low);
        CHECK(paired_difference(a, b, 2).low != found.low);
        CHECK(paired_difference(b, a, 1).difference == -found.difference);
        const PairedDifference same = paired_difference(b, b, 1);
        CHECK(same.low == 0);
        CHECK(same.high == 0);
        CHECK(std::isnan(paired_difference(std::vector<double>{kNan}, std::vector<double>{1}, 1).difference));
        CHECK(contains(error_of([&] { (void)paired_difference(a, {}, 1); }), "same samples"));
    }

    TEST_CASE("complexity: uniform and one-hot maps are the ends of every scale, whatever order and size") {
        const std::vector<double> uniform(50, 0.3);
        std::vector<double> one_hot(50, 0.0);
        one_hot[17] = -4;
        CHECK(gini(uniform) == doctest::Approx(0).epsilon(1e-12));
        CHECK(std::abs(gini(one_hot) - 49.0 / 50) < 1e-6 * 50);
        CHECK(complexity_entropy(uniform) == doctest::Approx(std::log(50.0)).epsilon(1e-9));
        CHECK(std::abs(complexity_entropy(one_hot)) < 1e-9);
        CHECK(map_entropy(uniform) == doctest::Approx(std::log(50.0)).epsilon(1e-12));
        CHECK(map_entropy(one_hot) == 0);
        CHECK(effective_complexity(uniform) == 50);
        CHECK(effective_complexity(one_hot) == 1);
        CHECK(count_for_mass(uniform) == 45);
        CHECK(count_for_mass(one_hot) == 1);

        std::vector<double> map = wave(5, 7, 1, 1.3, 2.1), changed = map;
        RandomStream(5).shuffle(changed);
        for (double& v : changed) {
            v *= 3;
        }
        CHECK(gini(changed) == doctest::Approx(gini(map)).epsilon(1e-12));
        CHECK(complexity_entropy(changed) == doctest::Approx(complexity_entropy(map)).epsilon(1e-12));
        CHECK(map_entropy(changed) == doctest::Approx(map_entropy(map)).epsilon(1e-12));
        CHECK(effective_complexity(changed) == effective_complexity(map));
        CHECK(count_for_mass(changed) == count_for_mass(map));
    }

    TEST_CASE("complexity: maps of zeros, histograms and distances") {
        const std::vector<double> zeros(8, 0.0);
        CHECK(gini(zeros) == doctest::Approx(0));
        CHECK(std::isnan(complexity_entropy(zeros)));
        CHECK(map_entropy(zeros) == doctest::Approx(std::log(8.0)));  // nothing is known
        CHECK(effective_complexity(zeros) == 0);
        CHECK(count_for_mass(zeros) == 0);
        CHECK(histogram_entropy(wave(9, 8, 1, 1.3, 2.1), 10) ==
              doctest::Approx(2.144679092904239).epsilon(1e-12));
        CHECK(histogram_entropy(zeros) == 0);
        CHECK(mean_squared_distance(zeros, zeros) == 0);
        CHECK(mean_squared_distance(std::vector<double>{1, 2}, std::vector<double>{3, 2}) == 2);
        CHECK(contains(error_of([&] { (void)mean_squared_distance(zeros, {}); }), "got 8 and 0"));
    }

    TEST_CASE("imputation solves the equations of the removed pixels") {
        std::vector<double> picture;
        std::vector<uint8_t> removed;
        for (int h = 0; h < 5; ++h) {
            for (int w = 0; w < 6; ++w) {
                removed.push_back((3 * h + 5 * w) % 4 != 0 ? 1 : 0);
                for (int c = 0; c < 2; ++c) {
                    picture.push_back(std::sin(1 + 0.9 * h + 1.7 * w + 2.3 * c));
                }
            }
        }
        const std::vector<double> before = picture;
        impute_linear(picture, removed, {.height = 5, .width = 6, .channels = 2});
        std::vector<double> unknowns;
        for (size_t p = 0; p < removed.size(); ++p) {
            for (size_t c = 0; c < 2; ++c) {
                if (removed[p] != 0) {
                    unknowns.push_back(picture[2 * p + c]);
                } else {
                    CHECK(picture[2 * p + c] == before[2 * p + c]);
                }
            }
        }
        REQUIRE(unknowns.size() == 44);
        const double total = std::accumulate(unknowns.begin(), unknowns.end(), 0.0);
        CHECK(total == doctest::Approx(-2.7339090201697696).epsilon(1e-7));
        check_near({unknowns[0], unknowns[1], unknowns[10], unknowns[11], unknowns[42], unknowns[43]},
                   {0.110019988617, -0.189835106729, -0.0386698278673, 0.000227599792714, -0.587713109439,
                    0.474087266869},
                   1e-7);
    }

    TEST_CASE("imputation: each removed pixel is the weighted mean of its neighbours, in holes of any size") {
        RandomStream random(RandomKey{.seed = 4});
        for (const auto& [height, width, share] :
             {std::tuple{37, 50, 0.999}, {64, 31, 0.9}, {2, 41, 0.95}, {33, 33, 0.3}}) {
            std::vector<double> picture;
            std::vector<uint8_t> removed;
            for (int i = 0; i < height * width; ++i) {
                picture.push_back(random.normal());
                removed.push_back(random.uniform() < share ? 1 : 0);
            }
            removed[static_cast<size_t>(width / 2)] = 0;
            impute_linear(picture, removed, {.height = height, .width = width});
            double worst = 0;
            for (int h = 0; h < height; ++h) {
                for (int w = 0; w < width; ++w) {
                    double sum = 0, weights = 0;
                    for (int y = std::max(h - 1, 0); y <= std::min(h + 1, height - 1); ++y) {
                        for (int x = std::max(w - 1, 0); x <= std::min(w + 1, width - 1); ++x) {
                            const double weight = y == h && x == w ? 0 : (y == h || x == w ? 2 : 1);
                            sum += weight * picture[static_cast<size_t>(y * width + x)];
                            weights += weight;
                        }
                    }
                    const auto i = static_cast<size_t>(h * width + w);
                    worst = std::max(worst, removed[i] != 0 ? std::abs(picture[i] - sum / weights) : 0.0);
                }
            }
            CAPTURE(height);
            CHECK(worst < 2e-6);
        }
    }

    TEST_CASE(
        "imputation: a plane stays a plane inside, vectors are interpolated, nothing to start from is an "
        "error") {
        std::vector<double> plane;
        std::vector<uint8_t> removed;
        for (int h = 0; h < 12; ++h) {
            for (int w = 0; w < 12; ++w) {
                const bool inside = h > 0 && h < 11 && w > 0 && w < 11;
                plane.push_back(inside ? 99 : 2 + 0.5 * h - 0.25 * w);
                removed.push_back(inside ? 1 : 0);
            }
        }
        impute_linear(plane, removed, {.height = 12, .width = 12});
        CHECK(plane[5 * 12 + 7] == doctest::Approx(2 + 0.5 * 5 - 0.25 * 7).epsilon(1e-7));
        std::vector<double> row{1, 0, 0, 4};
        impute_linear(row, {0, 1, 1, 0}, {.height = 1, .width = 4});
        check_near(row, {1, 2, 3, 4}, 1e-7);
        CHECK(contains(error_of([&] {
                           impute_linear(row, {1, 1, 1, 1}, {.height = 1, .width = 4});
                       }),
                       "every pixel is removed"));
    }
}
