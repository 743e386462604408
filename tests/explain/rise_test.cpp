// RISE: random soft masks.
#include <set>

#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

TEST_SUITE("explain") {
    TEST_CASE("rise: a constant score times the mean mask over p; twice the masks, half the variance") {
        const Tensor x = random_images(111, 1);
        const auto constant = linear_network(64 * 2, 112, true);
        const ExplainedForward forward(*constant, x);
        const double p = std::exp(values_of(forward.logits().data())[1]) / [&] {
            double sum = 0;
            for (const double logit : values_of(forward.logits().data())) {
                sum += std::exp(logit);
            }
            return sum;
        }();
        const auto flat = values_of(map_of(forward, "rise(n=4000, s=3)", {1}));
        for (const double v : flat) {
            CHECK(v == doctest::Approx(p).epsilon(0.05));
        }
        // A mask of all ones sees the whole input.
        const auto open = values_of(map_of(forward, "rise(n=3, p=1)", {1}));
        CHECK(open == std::vector<double>(64, open[0]));
        CHECK(open[0] == doctest::Approx(p).epsilon(1e-12));

        const auto net = random_network(113);
        const ExplainedForward other(*net, x);
        const auto variance = [&](int64_t masks) {
            constexpr uint64_t kRuns = 60;
            std::vector<double> sum(64, 0.0), squares(64, 0.0);
            for (uint64_t seed = 0; seed < kRuns; ++seed) {
                const auto map =
                    values_of(map_of(other, concat_text("rise(s=3, n=", masks, ")"), {1}, {.seed = seed}));
                for (size_t i = 0; i < 64; ++i) {
                    sum[i] += map[i] / kRuns;
                    squares[i] += map[i] * map[i] / kRuns;
                }
            }
            double total = 0;
            for (size_t i = 0; i < 64; ++i) {
                total += squares[i] - sum[i] * sum[i];
            }
            return total;
        };
        const double ratio = variance(20) / variance(40);
        CHECK(ratio > 1.4);
        CHECK(ratio < 2.8);
    }

    TEST_CASE("rise: a mask is a grid, enlarged bilinearly and cut out within its first cell") {
        const auto constant = linear_network(7 * 8, 115, true);
        const ExplainedForward forward(*constant, random_tensor({1, 7, 8, 1}, 116));
        const auto logit = values_of(forward.logits().data())[2];
        const NoGrad off;
        std::set<int64_t> places;
        for (uint64_t seed = 0; seed < 12; ++seed) {
            CAPTURE(seed);
            const auto map =
                values_of(map_of(forward, "rise(n=1, s=2, p=0.25, score=logit)", {2}, {.seed = seed}));
            std::vector<int64_t> matches;
            for (int64_t bits = 0; bits < 16; ++bits) {
                std::vector<double> grid;
                for (int64_t i = 0; i < 4; ++i) {
                    grid.push_back(static_cast<double>(bits >> i & 1));
                }
                const Variable large = resize(Variable(Tensor::from(grid, {1, 2, 2, 1})), 12, 12);
                for (int64_t top = 0; top < 4; ++top) {
                    for (int64_t left = 0; left < 4; ++left) {
                        const auto mask = values_of(slice(slice(large, 1, top, 7), 2, left, 8).data());
                        bool same = true;
                        for (size_t i = 0; i < mask.size(); ++i) {
                            same = same && std::abs(map[i] - logit * mask[i] / 0.25) < 1e-12;
                        }
                        if (same) {
                            matches.push_back(4 * top + left);
                        }
                    }
                }
            }
            CHECK_FALSE(matches.empty());
            if (matches.size() == 1) {  // other grids do not tell where they were cut
                places.insert(matches[0]);
            }
        }
        CHECK(places.size() > 3);
    }

    TEST_CASE("rise: what the network looks at stands out") {
        // Only the pixel at (2, 5) speaks for class 0.
        const auto net = linear_network(64 * 2, 121, true);
        std::vector<double> values(3 * 128, 0.0);
        values[(2 * 8 + 5) * 2] = 6;
        Tensor weight = net->parameters()[0].value.data();
        weight.copy_from(Tensor::from(values, {3, 128}));
        const ExplainedForward forward(*net, Tensor::ones({1, 8, 8, 2}, DType::f64));
        const auto map = values_of(map_of(forward, "rise(n=2000, s=8)", {0}));
        CHECK(std::max_element(map.begin(), map.end()) - map.begin() == 2 * 8 + 5);
    }
}
