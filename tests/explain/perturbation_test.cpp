// Methods that look at the score of changed inputs only.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/io/npy.h"
#include "explain/least_squares.h"
#include "explain/segmentation.h"
#include "tests/core/io/support.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

const std::vector<std::string> kAll = {"occlusion", "ablation", "lime", "kernel_shap", "rise", "erasure"};

Explanation found(const ExplainedForward& forward, const std::string& method, const ExplainRequest& request,
                  const ExplainContext& context = {}) {
    return forward.explain_all(*build_method(method, context), request);
}

Tensor map_of(const ExplainedForward& forward, const std::string& method, const std::vector<int64_t>& targets,
              const ExplainContext& context = {}) {
    return found(forward, method, {.targets = targets}, context).maps[0].data();
}

std::vector<double> values_of(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

void check_near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
    REQUIRE(a.size() == b.size());
    double scale = 1e-300;
    for (const double v : b) {
        scale = std::max(scale, std::abs(v));
    }
    for (size_t i = 0; i < a.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(a[i] - b[i]) <= tolerance * scale);
    }
}

/// Flatten and one linear layer.
std::unique_ptr<Sequential> linear_network(int64_t inputs, uint64_t seed, bool constant = false) {
    auto net = std::make_unique<Sequential>();
    net->add(make_flatten()).add(std::make_unique<Linear>(Linear::Config{.in = inputs, .out = 3}));
    randomize(*net, seed);
    if (constant) {
        Tensor weight = net->parameters()[0].value.data();
        weight.fill(0);
    }
    return net;
}

std::unique_ptr<Sequential> mlp(int64_t inputs, uint64_t seed) {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Linear>(Linear::Config{.in = inputs, .out = 6})).add(make_relu());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 6, .out = 3}));
    randomize(*net, seed);
    return net;
}

Tensor sample_of(const Tensor& x, int64_t n) {
    const NoGrad off;
    return slice(Variable(x), 0, n, 1).data();
}

/// f(x) with the segments of `absent` set to zero, for one sample of pixels or features.
double score_without(Module& net, const Tensor& x, const std::vector<int64_t>& ids, uint64_t present,
                     int64_t target) {
    auto values = values_of(x);
    const size_t channels = values.size() / ids.size();
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = (present >> ids[i / channels] & 1U) != 0 ? values[i] : 0;
    }
    const ExplainedForward forward(net, Tensor::from(values, x.shape()));
    return values_of(forward.logits().data())[static_cast<size_t>(target)];
}

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
    TEST_CASE("occlusion and Shapley values reproduce the golden numbers") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto occluded = values_of(map_of(forward, "occlusion(window=3, stride=3)", {0}));
        CHECK(occluded[0] == doctest::Approx(-0.346062684).epsilon(1e-8));
        CHECK(occluded[14] == occluded[0]);  // row 2, column 2
        CHECK(occluded[15] != occluded[0]);
        const Explanation shapley = found(
            forward, "kernel_shap(segments=grid, n_segments=4, fill=zero, share=false)", {.targets = {0}});
        const auto map = values_of(shapley.maps[0].data());
        check_near({map[0], map[5], map[30], map[35]}, {-0.000199714, 0.427030935, 0.102402816, 0.396856903},
                   2e-9);
        CHECK(shapley.expected.empty());
        const Explanation shared =
            found(forward, "kernel_shap(segments=grid, n_segments=4, fill=zero)", {.targets = {0}});
        CHECK(total(shared.maps[0].data()) == doctest::Approx(0.926090940).epsilon(1e-9));
        CHECK(shared.expected[0] == doctest::Approx(0.926090940).epsilon(1e-9));
    }

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

    TEST_CASE("occlusion of a linear score: disjoint windows sum to f(x) - f(filled), cut ones too") {
        const auto net = linear_network(64 * 2, 61);
        const Tensor x = random_images(62, 2);
        const ExplainedForward forward(*net, x);
        const auto logits = values_of(forward.logits().data());
        const ExplainedForward black(*net, Tensor::full(x.shape(), -2, DType::f64));
        const auto of_black = values_of(black.logits().data());
        for (const char* window : {"1", "3", "8", "2:5"}) {
            CAPTURE(window);
            const Tensor map = map_of(
                forward,
                concat_text("occlusion(share=true, fill=black, window=", window, ", stride=", window, ")"),
                {0, 1}, {.mean = {0.5}, .std = {0.25}});
            CHECK(total(sample_of(map, 0)) == doctest::Approx(logits[0] - of_black[0]).epsilon(1e-12));
            CHECK(total(sample_of(map, 1)) == doctest::Approx(logits[4] - of_black[4]).epsilon(1e-12));
        }
    }

    TEST_CASE("occlusion: each pixel has the mean over the windows that cover it") {
        const auto net = random_network(71);
        const Tensor x = random_images(72, 1);
        const ExplainedForward forward(*net, x);
        const auto map = values_of(map_of(forward, "occlusion(window=3:4, stride=2:3)", {1}));
        std::vector<double> sums(64, 0.0), covers(64, 0.0);
        std::vector<int64_t> ids(64);
        for (const int64_t top : {0, 2, 4, 6}) {  // 6: the last row of windows is cut at the border
            for (const int64_t left : {0, 3, 6}) {
                for (int64_t p = 0; p < 64; ++p) {
                    const int64_t i = p / 8, j = p % 8;
                    ids[static_cast<size_t>(p)] =
                        i >= top && i < top + 3 && j >= left && j < left + 4 ? 1 : 0;
                }
                const double lost = score_without(*net, x, ids, 3, 1) - score_without(*net, x, ids, 1, 1);
                for (size_t p = 0; p < 64; ++p) {
                    sums[p] += ids[p] == 1 ? lost : 0;
                    covers[p] += ids[p] == 1 ? 1 : 0;
                }
            }
        }
        std::transform(sums.begin(), sums.end(), covers.begin(), sums.begin(), std::divides<>());
        check_near(map, sums, 1e-12);
        const Explanation usual = found(forward, "occlusion", {.targets = {1}});
        CHECK(usual.notes[0].find("64 windows of 1 x 1 at strides 1 and 1, 65 forward") != std::string::npos);
    }

    TEST_CASE("ablation: single values as Captum, regions of a file, its channels") {
        const auto net = random_network(81);
        const Tensor x = random_images(82, 2);
        const ExplainedForward forward(*net, x);
        const Tensor map = map_of(forward, "ablation", {1, 2});
        REQUIRE(map.shape() == x.shape());
        auto changed = values_of(x);
        changed[128 + 77] = 0;
        const ExplainedForward without(*net, Tensor::from(changed, x.shape()));
        CHECK(values_of(map)[128 + 77] ==
              doctest::Approx(values_of(forward.logits().data())[5] - values_of(without.logits().data())[5]));

        const io_testing::TemporaryFolder folder;
        const auto ids = grid_segments(8, 8, 4);
        const std::string masks = (folder / "masks.npy").string();
        write_npy(masks, Tensor::from(ids, {8, 8}));
        CHECK(difference(map_of(forward, "ablation(masks=" + masks + ")", {1, 2}),
                         map_of(forward, "occlusion(window=4, stride=4)", {1, 2})) == 0);
        std::vector<int64_t> channel;
        for (int64_t i = 0; i < 128; ++i) {
            channel.push_back(i % 2);
        }
        write_npy(masks, Tensor::from(channel, {8, 8, 2}));
        const auto by_channel =
            values_of(map_of(forward, "ablation(masks=" + masks + ", share=true)", {1, 2}));
        CHECK(by_channel[0] == by_channel[126]);
        CHECK(by_channel[0] != by_channel[1]);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "ablation(limit=100)", {1, 2}),
                             doctest::Contains("raise the limit"), Error);
    }

    TEST_CASE("ablation and erasure at a layer do what a hook that clears it does") {
        const auto net = random_network(91);
        const Tensor x = random_images(92, 2);
        const ExplainedForward forward(*net, x);
        const std::vector<int64_t> targets{2, 0};
        const auto log_p = [&](const Tensor& logits) {
            const NoGrad off;
            const auto all = values_of(log_softmax(Variable(logits)).data());
            return std::vector<double>{all[2], all[3]};
        };
        const Explanation erased = found(forward, "erasure(layer=3)", {.targets = targets});
        const Tensor importance = erased.maps[0].data();
        REQUIRE(importance.shape() == Shape{2, 4});
        CHECK(erased.notes[1].find("mean over 2 samples") != std::string::npos);
        const std::string ablation = "ablation(layer=3)";
        const Tensor units = map_of(forward, ablation, targets);
        REQUIRE(units.shape() == Shape{2, 4, 4, 4});
        const auto whole = log_p(forward.logits().data());
        for (size_t channel = 0; channel < 4; ++channel) {
            const auto hooked = [&](bool all_positions) {
                const int id = net->at("3").add_hook([&](Module&, const Variable&, const Variable& y) {
                    auto values = values_of(y.data());
                    for (size_t i = channel; i < values.size(); i += 4) {
                        const size_t position = i % 64 / 4;
                        values[i] = all_positions || position == 6 ? 0 : values[i];
                    }
                    return Variable(Tensor::from(values, y.shape()));
                });
                const NoGrad off;
                const Tensor logits = (*net)(Variable(x)).data();
                net->at("3").remove_hook(id);
                return logits;
            };
            const auto without = log_p(hooked(true));
            for (size_t n = 0; n < 2; ++n) {
                CHECK(values_of(importance)[n * 4 + channel] ==
                      doctest::Approx((-whole[n] + without[n]) / -whole[n]).epsilon(1e-10));
            }
            const auto one = values_of(hooked(false));
            CHECK(values_of(units)[64 + 6 * 4 + channel] ==
                  doctest::Approx(values_of(forward.logits().data())[3] - one[3]).epsilon(1e-10));
        }
        CHECK_THROWS_WITH_AS((void)map_of(forward, "ablation(layer=30)", targets), doctest::Contains("30"),
                             Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "ablation(layer=3, fill=blur)", targets),
                             doctest::Contains("zero or mean"), Error);
        CHECK_NOTHROW((void)map_of(forward, "ablation(layer=3, fill=mean)", targets));
        CHECK(map_of(forward, "erasure(layer=3:in)", targets).shape() == Shape{2, 4});
        CHECK(map_of(forward, "erasure", targets).shape() == Shape{2, 2});
    }

    TEST_CASE("erasure: -log p next to probability 1 keeps its digits, at 1 it has none") {
        const auto net = linear_network(2, 101);
        Tensor weight = net->parameters()[0].value.data(), bias = net->parameters()[1].value.data();
        weight.copy_from(Tensor::from({1.0, 0.0, 0.0, 0.0, 0.0, 0.0}, {3, 2}));
        bias.fill(0);
        // Logits (30, 0, 0): S = log(1 + 2 e^-30), and log 3 without the first feature.
        const ExplainedForward sure(*net, Tensor::from({30.0, 1.0}, {1, 2}));
        const auto map = values_of(map_of(sure, "erasure", {0}));
        const double s = std::log1p(2 * std::exp(-30.0));
        CHECK(map[0] == doctest::Approx((s - std::log(3.0)) / s).epsilon(1e-2));
        CHECK(map[1] == 0);
        const ExplainedForward certain(*net, Tensor::from({800.0, 1.0}, {1, 2}));
        CHECK_THROWS_WITH_AS((void)map_of(certain, "erasure", {0}), doctest::Contains("probability 1"),
                             Error);
        CHECK_THROWS_WITH_AS((void)found(sure, "erasure", {.start = Tensor::ones({1, 3}, DType::f64)}),
                             doctest::Contains("likelihoods"), Error);
    }

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

    TEST_CASE("a constant score explains nothing") {
        const auto net = linear_network(64 * 2, 131, true);
        const ExplainedForward forward(*net, random_images(132, 2));
        for (const char* method :
             {"occlusion", "ablation", "lime", "kernel_shap", "erasure", "kernel_shap(n=400)"}) {
            CAPTURE(method);
            CHECK(max_abs(map_of(forward, method, {0, 1})) < 1e-15);
        }
    }

    TEST_CASE("the seed and the sample's number decide, not the batch it stands in") {
        const auto net = random_network(141);
        const Tensor x = random_images(142, 3);
        const ExplainedForward forward(*net, x);
        const ExplainContext context{.low = {-1}, .high = {1}, .seed = 9};
        ExplainContext other = context;
        other.seed = 10;
        const std::vector<int64_t> targets{0, 1, 2};
        for (const std::string method :
             {"occlusion(fill=noise)", "lime(n=100, n_segments=9)",
              "kernel_shap(n=60, n_segments=9, segments=grid)", "kernel_shap(n_segments=4, fill=noise)",
              "rise(n=50)", "ablation(fill=noise)"}) {
            CAPTURE(method);
            const Tensor map = map_of(forward, method, targets, context);
            CHECK(difference(map_of(forward, method, targets, context), map) == 0);
            CHECK(difference(map_of(forward, method, targets, other), map) > 1e-6);
            for (int64_t n = 0; n < 3; ++n) {
                const ExplainedForward alone(*net, sample_of(x, n));
                const Explanation e = found(alone, method, {.targets = {n}, .numbers = {n}}, context);
                CHECK(difference(e.maps[0].data(), sample_of(map, n)) < 1e-12);
            }
        }
    }

    TEST_CASE("a start is a sum of logits, a neuron a score of its own") {
        const auto net = random_network(151);
        const ExplainedForward forward(*net, random_images(152, 1));
        const Tensor start = Tensor::from({2.0, -1.0, 0.0}, {1, 3});
        for (const std::string method :
             {"occlusion(window=2, stride=2)", "ablation", "kernel_shap(n_segments=6)"}) {
            CAPTURE(method);
            const NoGrad off;
            const Tensor both = found(forward, method, {.start = start}).maps[0].data();
            const Tensor sum =
                (Variable(map_of(forward, method, {0})) * 2.0 - Variable(map_of(forward, method, {1})))
                    .data();
            CHECK(difference(both, sum) < 1e-9);
            const Tensor neuron = found(forward, method, {.neuron = "8:1"}).maps[0].data();
            CHECK(difference(neuron, map_of(forward, method, {0})) > 1e-3);
            CHECK(difference(found(forward, method, {.neuron = "10:0"}).maps[0].data(),
                             map_of(forward, method, {0})) < 1e-12);
        }
        CHECK(max_abs(found(forward, "ablation(layer=3)", {.neuron = "8:1"}).maps[0].data()) > 1e-6);
    }

    TEST_CASE("a score is a logit, a probability or a sigmoid") {
        const auto net = mlp(3, 161);
        const Tensor x = random_tensor({1, 3}, 162);
        const ExplainedForward forward(*net, x);
        const auto with = values_of(forward.logits().data());
        auto changed = values_of(x);
        changed[1] = 0;
        const auto without = values_of(ExplainedForward(*net, Tensor::from(changed, {1, 3})).logits().data());
        const auto softmax = [](const std::vector<double>& z) {
            return std::exp(z[0]) / (std::exp(z[0]) + std::exp(z[1]) + std::exp(z[2]));
        };
        const auto sigmoid = [](const std::vector<double>& z) { return 1 / (1 + std::exp(-z[0])); };
        CHECK(values_of(map_of(forward, "occlusion", {0}))[1] == doctest::Approx(with[0] - without[0]));
        CHECK(values_of(map_of(forward, "occlusion(score=probability)", {0}))[1] ==
              doctest::Approx(softmax(with) - softmax(without)));
        CHECK(values_of(map_of(forward, "occlusion(score=sigmoid)", {0}))[1] ==
              doctest::Approx(sigmoid(with) - sigmoid(without)));
    }

    TEST_CASE("vectors: windows of features, a model of features, regions of features") {
        const auto net = mlp(5, 171);
        const ExplainedForward forward(*net, random_tensor({2, 5}, 172));
        CHECK(difference(map_of(forward, "occlusion", {0, 1}), map_of(forward, "ablation", {0, 1})) == 0);
        CHECK(map_of(forward, "occlusion(window=2, stride=1)", {0, 1}).shape() == Shape{2, 5});
        CHECK(map_of(forward, "lime(n=100)", {0, 1}).shape() == Shape{2, 5});
        const io_testing::TemporaryFolder folder;
        const std::string masks = (folder / "masks.npy").string();
        write_npy(masks, Tensor::from(std::vector<int64_t>{4, 4, 4, 2, 2}, {5}));
        const auto map = values_of(map_of(forward, "kernel_shap(share=false, masks=" + masks + ")", {0, 1}));
        CHECK(map[0] == map[2]);
        CHECK(map[0] != map[3]);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "rise", {0, 1}), doctest::Contains("kernel_shap, lime"),
                             Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "lime(fill=segment-mean)", {0, 1}),
                             doctest::Contains("pictures"), Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "occlusion(fill=blur)", {0, 1}),
                             doctest::Contains("(N,H,W,C)"), Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "occlusion(window=6)", {0, 1}),
                             doctest::Contains("larger than"), Error);
    }

    TEST_CASE("they explain the input, without a history, and say so otherwise") {
        const auto net = random_network(181);
        const ExplainedForward forward(*net, random_images(182, 1));
        for (const std::string& name : kAll) {
            CAPTURE(name);
            const auto method = build_method(name);
            CHECK_FALSE(method->differentiable());
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {.targets = {0}}, true),
                                 doctest::Contains("no derivative"), Error);
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {.targets = {0}, .layers = {"3"}}, false),
                                 doctest::Contains("explains the input, not layer 3"), Error);
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {.targets = {0}, .parameters = true}, false),
                                 doctest::Contains("LRP methods"), Error);
            CHECK_THROWS_WITH_AS((void)method->explain(forward, {}, false), doctest::Contains("no target"),
                                 Error);
            CHECK_THROWS_AS((void)build_method(name + "(lairs=3)"), Error);
        }
        CHECK(build_method("erasure")->name() == "representation_erasure");
        CHECK_THROWS_WITH_AS(
            (void)build_method("ablation")->explain(forward, {.targets = {0}, .layers = {"3"}}, false),
            doctest::Contains("ablation(layer=3)"), Error);
        CHECK_THROWS_WITH_AS((void)map_of(forward, "occlusion(window=2, stride=3)", {0}),
                             doctest::Contains("gaps"), Error);
        for (const char* text :
             {"occlusion(window=0)", "occlusion(window=1:2:3)", "rise(p=0)", "rise(p=1.5)", "rise(n=0)",
              "lime(n=1)", "lime(lambda=-1)", "lime(width=0)", "kernel_shap(score=loss)", "ablation(limit=0)",
              "occlusion(fill=segment-mean)"}) {
            CAPTURE(text);
            CHECK_THROWS_AS((void)build_method(text), Error);
        }
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

    TEST_CASE("progress counts forward passes and ends at their number") {
        const auto net = random_network(191);
        const ExplainedForward forward(*net, random_images(192, 2));
        for (const std::string method :
             {"occlusion", "ablation", "ablation(layer=3)", "lime(n=300)", "kernel_shap",
              "kernel_shap(n_segments=4)", "kernel_shap(n=31)", "rise(n=300)", "erasure(layer=0)"}) {
            CAPTURE(method);
            int64_t last = 0, end = 0;
            ExplainContext context;
            context.progress = [&](int64_t done, int64_t of) {
                CHECK(done > last);
                last = done;
                end = of;
            };
            (void)map_of(forward, method == "kernel_shap(n=31)" ? "kernel_shap(n=31, n_segments=6)" : method,
                         {0, 1}, context);
            CHECK(last == end);
            CHECK(end > 0);
        }
    }

    TEST_CASE("in f32 the maps are those of f64") {
        const auto net = golden::network(DType::f32);
        const auto exact = golden::network();
        const ExplainedForward forward(*net, golden::image().to(DType::f32));
        const ExplainedForward reference(*exact, golden::image());
        for (const std::string method : {"occlusion", "ablation", "kernel_shap(n_segments=6)",
                                         "lime(n=50, n_segments=6)", "rise(n=50)", "erasure(layer=3)"}) {
            CAPTURE(method);
            const Tensor map = map_of(forward, method, {0});
            CHECK(map.dtype() == DType::f32);
            CHECK(difference(map.to(DType::f64), map_of(reference, method, {0})) < 1e-4);
        }
    }
}
