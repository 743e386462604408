// Occlusion, ablation and representation erasure: what taking a part away does.
#include <array>
#include <functional>

#include "core/io/npy.h"
#include "explain/segmentation.h"
#include "tests/core/io/support.h"
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

TEST_SUITE("explain") {
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
        const auto large = linear_network(56 * 56, 73);
        const ExplainedForward wide(*large, random_tensor({1, 56, 56, 1}, 74));
        const auto note = [&](const std::string& method) {
            return found(wide, method, {.targets = {1}}).notes[0];
        };
        CHECK(note("occlusion").find("729 windows of 4 x 4 at strides 2 and 2") != std::string::npos);
        CHECK(note("occlusion(window=1:8)").find("windows of 1 x 8 at strides 1 and 2") != std::string::npos);
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
        REQUIRE(importance.shape() == Shape{2, 1, 1, 4});
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
        CHECK(map_of(forward, "erasure(layer=3:in)", targets).shape() == Shape{2, 1, 1, 4});
        CHECK(map_of(forward, "erasure", targets).shape() == Shape{2, 1, 1, 2});
        CHECK(map_of(forward, "erasure(layer=8)", targets).shape() == Shape{2, 5});
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
}
