// LIME and KernelSHAP: what subsets of segments do.
#include <bit>

#include "explain/least_squares.h"
#include "explain/segmentation.h"
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

namespace {

/// φ_i = Σ_S |S|! (M - |S| - 1)! / M! (f(S + i) - f(S)), all subsets.
std::vector<double> shapley_by_enumeration(Module& net, const Tensor& x, const std::vector<int64_t>& ids,
                                           int64_t players, int64_t target) {
    std::vector<double> score;
    for (uint64_t present = 0; present < uint64_t{1} << players; ++present) {
        score.push_back(score_without(net, x, ids, present, target));
    }
    std::vector<double> values;
    for (int64_t i = 0; i < players; ++i) {
        double value = 0;
        for (uint64_t s = 0; s < score.size(); ++s) {
            if ((s >> i & 1U) == 0) {
                const auto size = static_cast<double>(std::popcount(s));
                const auto m = static_cast<double>(players);
                const double weight =
                    std::exp(std::lgamma(size + 1) + std::lgamma(m - size) - std::lgamma(m + 1));
                value += weight * (score[s | uint64_t{1} << i] - score[s]);
            }
        }
        values.push_back(value);
    }
    return values;
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("kernel_shap gives the Shapley values that enumeration gives") {
        const auto net = random_network(21);
        const Tensor x = random_images(22, 1);
        const ExplainedForward forward(*net, x);
        for (const int64_t wanted : {1, 2, 4, 9, 10}) {
            CAPTURE(wanted);
            const std::string options =
                concat_text("(segments=grid, n_segments=", wanted, ", fill=zero, share=false)");
            const auto ids = grid_segments(8, 8, wanted);
            const int64_t players = *std::max_element(ids.begin(), ids.end()) + 1;
            const auto map = values_of(map_of(forward, "kernel_shap" + options, {1}));
            const auto expected = shapley_by_enumeration(*net, x, ids, players, 1);
            std::vector<double> painted;
            for (const int64_t id : ids) {
                painted.push_back(expected[static_cast<size_t>(id)]);
            }
            check_near(map, painted, 1e-9);
        }
    }

    TEST_CASE("kernel_shap of vectors: each feature a player; the sum is always f(x) - f(fill)") {
        const auto net = mlp(7, 31);
        const Tensor x = random_tensor({3, 7}, 32);
        const ExplainedForward forward(*net, x);
        const std::vector<int64_t> targets{0, 1, 2};
        const Tensor map = map_of(forward, "kernel_shap", targets);
        CHECK(map.shape() == x.shape());
        const std::vector<int64_t> ids{0, 1, 2, 3, 4, 5, 6};
        for (int64_t n = 0; n < 3; ++n) {
            check_near(values_of(sample_of(map, n)),
                       shapley_by_enumeration(*net, sample_of(x, n), ids, 7, targets[static_cast<size_t>(n)]),
                       1e-9);
        }
        for (const char* method : {"kernel_shap(n=60)", "kernel_shap(fill=mean)",
                                   "kernel_shap(n=60, score=probability)", "kernel_shap(fill=noise, n=40)"}) {
            CAPTURE(method);
            const Explanation e =
                found(forward, method, {.targets = targets}, {.low = {-1}, .high = {1}, .seed = 3});
            for (int64_t n = 0; n < 3; ++n) {
                CHECK(total(sample_of(e.maps[0].data(), n)) ==
                      doctest::Approx(e.expected[static_cast<size_t>(n)]).epsilon(1e-9));
            }
        }
        // Drawn coalitions come near the exact values, and nearer when they are more.
        const auto gap = [&](const std::string& method) {
            return difference(map_of(forward, method, targets, {.seed = 1}), map);
        };
        CHECK(gap("kernel_shap(n=100)") > 1e-9);
        CHECK(gap("kernel_shap(n=100)") < 0.2);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "kernel_shap(n=2)", targets),
                             doctest::Contains("draw more"), Error);
    }

    TEST_CASE("kernel_shap draws coalitions when there are too many to list, and stays unbiased") {
        const auto net = linear_network(64 * 2, 41);
        const Tensor x = random_images(42, 1);
        const ExplainedForward forward(*net, x);
        // A linear network: every coalition fits exactly, so random ones give the exact values too.
        const std::string grid = "segments=grid, n_segments=16, fill=zero, share=false";
        const Explanation e = found(forward, "kernel_shap(" + grid + ")", {.targets = {0}});
        CHECK(e.notes[0].find("random coalitions") != std::string::npos);
        CHECK(e.notes[0].find("2082 forward") !=
              std::string::npos);  // 2 M + 2048 and the two that hold exactly
        const auto ids = grid_segments(8, 8, 16);
        std::vector<double> expected(64, 0.0);
        const double whole = score_without(*net, x, ids, ~uint64_t{0}, 0);
        for (size_t p = 0; p < 64; ++p) {
            expected[p] = whole - score_without(*net, x, ids, ~(uint64_t{1} << ids[p]), 0);
        }
        check_near(values_of(e.maps[0].data()), expected, 1e-9);
    }

    TEST_CASE("lime recovers a score that is linear in the segments as lambda goes to 0") {
        const auto net = linear_network(64 * 2, 51);
        const Tensor x = random_images(52, 2);
        const ExplainedForward forward(*net, x);
        const auto ids = grid_segments(8, 8, 16);
        const std::string grid = "n=200, segments=grid, n_segments=16, fill=zero";
        const Explanation e = found(forward, "lime(lambda=1e-9, " + grid + ")", {.targets = {2, 2}});
        CHECK(e.notes[1].find("R² of the linear model, by sample: 1, 1") != std::string::npos);
        for (int64_t n = 0; n < 2; ++n) {
            const double whole = score_without(*net, sample_of(x, n), ids, ~uint64_t{0}, 2);
            std::vector<double> expected;
            for (const int64_t id : ids) {
                expected.push_back(whole -
                                   score_without(*net, sample_of(x, n), ids, ~(uint64_t{1} << id), 2));
            }
            check_near(values_of(sample_of(e.maps[0].data(), n)), expected, 1e-8);
        }
        // A penalty makes the coefficients smaller.
        CHECK(max_abs(map_of(forward, "lime(lambda=100, " + grid + ")", {2, 2})) < max_abs(e.maps[0].data()));
        CHECK_THROWS_WITH_AS(
            (void)map_of(forward, "lime(n=10, lambda=0, segments=grid, n_segments=16)", {2, 2}),
            doctest::Contains("draw more (n)"), Error);
    }

    TEST_CASE("lime's coefficients are where the derivative of its loss is 0") {
        const auto net = random_network(55);
        const Tensor x = random_images(56, 1);
        const ExplainedForward forward(*net, x);
        const auto map = values_of(
            found(forward, "lime(n=60, lambda=0.5, width=0.4, segments=grid, n_segments=9, fill=zero)",
                  {.targets = {1}, .numbers = {7}}, {.seed = 3})
                .maps[0]
                .data());
        const auto ids = grid_segments(8, 8, 9);
        std::vector<double> b(9);
        for (size_t p = 0; p < 64; ++p) {
            b[static_cast<size_t>(ids[p])] = map[p];
        }
        RandomStream stream(RandomKey{.seed = 3, .purpose = purpose::kExplainer, .sample = 7});
        std::vector<uint64_t> z{511};
        for (int row = 1; row < 60; ++row) {
            z.push_back(0);
            for (uint64_t i = 0; i < 9; ++i) {
                z.back() |= uint64_t{stream.bernoulli(0.5)} << i;
            }
        }
        std::vector<double> weight, left;  // f - z b
        double total_weight = 0, intercept = 0;
        for (const uint64_t row : z) {
            const double distance = 1 - std::sqrt(std::popcount(row) / 9.0);
            weight.push_back(std::exp(-distance * distance / (2 * 0.4 * 0.4)));
            left.push_back(score_without(*net, x, ids, row, 1));
            for (size_t i = 0; i < 9; ++i) {
                left.back() -= (row >> i & 1U) != 0 ? b[i] : 0;
            }
            total_weight += weight.back();
            intercept += weight.back() * left.back();
        }
        intercept /= total_weight;
        for (size_t i = 0; i < 9; ++i) {
            double slope = 0;
            for (size_t row = 0; row < z.size(); ++row) {
                slope += (z[row] >> i & 1U) != 0 ? weight[row] * (left[row] - intercept) : 0;
            }
            CHECK(slope == doctest::Approx(0.5 * b[i]).epsilon(1e-9));
        }
    }

    TEST_CASE("least squares: the closed form of one column, weights, the penalty, a perfect fit") {
        const std::vector<double> a{1, 2, 4}, y{1, 3, 2}, w{1, 2, 0.5};
        const double top = 1 * 1 + 2 * 2 * 3 + 0.5 * 4 * 2, bottom = 1 + 2 * 4 + 0.5 * 16;
        CHECK(least_squares({.columns = 1, .a = a, .y = y, .weight = w}, 0.25, "t")[0] ==
              doctest::Approx(top / (bottom + 0.25)));
        const LinearFit line = fit_linear({.columns = 1, .a = a, .y = {5, 7, 11}, .weight = w}, 0, "t");
        CHECK(line.coefficients[0] == doctest::Approx(2));
        CHECK(line.intercept == doctest::Approx(3));
        CHECK(line.r_squared == doctest::Approx(1));
        const LinearFit poor =
            fit_linear({.columns = 1, .a = {-1, 0, 1}, .y = {1, 0, 1}, .weight = {1, 1, 1}}, 0, "t");
        CHECK(poor.r_squared == doctest::Approx(0));
        CHECK_THROWS_WITH_AS(
            (void)least_squares({.columns = 2, .a = {1, 2, 2, 4}, .y = {1, 1}, .weight = {1, 1}}, 0, "t"),
            doctest::Contains("t: the samples"), Error);
    }

    TEST_CASE("segments that look the same when they are absent are counted") {
        const auto net = random_network(201);
        const ExplainedForward forward(*net, random_images(202, 2));
        const auto note = [&](const std::string& method) {
            return found(forward, method, {.targets = {0, 1}}).notes[0];
        };
        CHECK(note("lime(n=20, segments=grid, n_segments=64)").find("128 of 128 look the same") !=
              std::string::npos);
        CHECK(note("kernel_shap(segments=grid, n_segments=4)").find("4 segments, all coalitions") !=
              std::string::npos);
    }
}
