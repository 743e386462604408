// Concept relevance propagation: golden numbers, what adds up to what, and what conditions do in networks
// with branches.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/io/npy.h"
#include "explain/concepts/crp.h"
#include "explain/concepts/reference_samples.h"
#include "explain/methods.h"
#include "tests/datasets/support.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;
using testing::contains;
using testing::error_of;

namespace {

Tensor map_of(const ExplainedForward& forward, const std::string& method, const std::vector<int64_t>& targets,
              const std::vector<std::string>& layers = {}) {
    return forward.explain_all(*build_method(method), {.targets = targets, .layers = layers}).maps[0].data();
}

std::string of_channel(const std::string& layer, int64_t channel, const std::string& more) {
    return "crp(layer=" + layer + ", channels=" + std::to_string(channel) + ", " + more + ")";
}

Tensor sum_of_channels(const ExplainedForward& forward, const std::string& layer, const std::string& more,
                       const std::vector<int64_t>& targets) {
    const NoGrad off;
    Variable total;
    for (int64_t c = 0; c < forward.layers().at(layer).dim(-1); ++c) {
        const Variable map(map_of(forward, of_channel(layer, c, more), targets));
        total = total.defined() ? total + map : map;
    }
    return total.data();
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("crp: golden numbers of epsilon_plus under each channel of the second ReLU") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const std::vector<std::vector<double>> rows = {
            // sum, sum of |.|, at [0,0,0], [2,3,1], [5,5,0]
            {0.172774913, 0.172774913, 0, 0.011501224, 0.005367942},
            {1.169474308, 1.169474308, 0.006781613, 0.054840534, 0},
            {0.110478711, 0.110478711, 0, 0.007429873, 0.003050762},
            {-0.395927241, 0.395927241, -0.002050650, -0.019545852, 0}};
        for (int64_t c = 0; c < 4; ++c) {
            CAPTURE(c);
            const auto r =
                map_of(forward, of_channel("6", c, "composite=epsilon_plus"), {0}).to_vector<double>();
            const auto& row = rows[static_cast<size_t>(c)];
            const double scale = std::abs(row[0]);
            const auto near = [&](double a, double b) { CHECK(std::abs(a - b) < 1e-8 * scale); };
            near(std::accumulate(r.begin(), r.end(), 0.0), row[0]);
            near(std::accumulate(r.begin(), r.end(), 0.0, [](double s, double v) { return s + std::abs(v); }),
                 row[1]);
            near(r[0], row[2]);
            near(r[(2 * 6 + 3) * 2 + 1], row[3]);
            near(r[(5 * 6 + 5) * 2], row[4]);
        }
        const Tensor at_layer = map_of(forward, "epsilon_plus", {0}, {"6"});
        const auto share = channel_relevance(at_layer, false).to_vector<double>();
        const std::vector<double> expected = {0.175702279, 1.237168144, 0.112416201, -0.408801930};
        for (size_t c = 0; c < 4; ++c) {
            CHECK(std::abs(share[c] - expected[c]) < 1e-8);
        }
        const auto normalized = channel_relevance(at_layer).to_vector<double>();
        const double total = 0.175702279 + 1.237168144 + 0.112416201 + 0.408801930;
        CHECK(std::abs(normalized[3] + 0.408801930 / total) < 1e-8);
        CHECK(channel_relevance(Tensor::zeros({1, 2, 2, 3}, DType::f64)).to_vector<double>() ==
              std::vector<double>(3, 0.0));
    }

    TEST_CASE("crp: maps of all channels of a layer add up to the whole, a mask of ones changes nothing") {
        const auto net = random_network(41);
        const ExplainedForward forward(*net, random_images(42));
        for (const std::string composite : {"epsilon_plus_flat", "epsilon_plus", "epsilon_alpha2_beta1"}) {
            const Tensor whole = map_of(forward, composite, {0, 2});
            for (const std::string layer : {"0", "1", "2", "3", "4", "5", "6", "8", "9", "10"}) {
                CAPTURE(composite);
                CAPTURE(layer);
                const std::string more = "composite=" + composite;
                CHECK(difference(sum_of_channels(forward, layer, more, {0, 2}), whole) < 1e-12);
                std::string all;
                for (int64_t c = 0; c < forward.layers().at(layer).dim(-1); ++c) {
                    all += (c > 0 ? ":" : "") + std::to_string(c);
                }
                CHECK(
                    difference(map_of(forward, "crp(layer=" + layer + ", channels=" + all + ", " + more + ")",
                                      {0, 2}),
                               whole) < 1e-14);
            }
        }
    }

    TEST_CASE("crp: paths around a layer carry nothing, or what bypasses it is the rest") {
        const auto net = random_network(43);
        const ExplainedForward forward(*net, random_images(44));
        // Within the residual block 4: its body's first convolution is bypassed by the shortcut.
        const std::string inside = "4.body.0";
        const auto names = forward.layers().names();
        REQUIRE(std::find(names.begin(), names.end(), inside) != names.end());
        const Tensor whole = map_of(forward, "epsilon_plus", {0, 1});
        const Tensor through = sum_of_channels(forward, inside, "composite=epsilon_plus", {0, 1});
        CHECK(difference(through, whole) > 1e-3);
        // With the bypass each of the C maps holds it once: Σ = through + C bypass, whole = through + bypass.
        const auto channels = static_cast<double>(forward.layers().at(inside).dim(-1));
        const NoGrad off;
        const Tensor with_bypass =
            sum_of_channels(forward, inside, "composite=epsilon_plus, exclude_parallel=false", {0, 1});
        const Tensor expected = (Variable(through) + (Variable(whole) - Variable(through)) * channels).data();
        CHECK(difference(with_bypass, expected) < 1e-11);
        // Body and shortcut together are everything.
        const Tensor shortcut = sum_of_channels(forward, "4.shortcut.0", "composite=epsilon_plus", {0, 1});
        CHECK(difference((Variable(through) + Variable(shortcut)).data(), whole) < 1e-12);
    }

    TEST_CASE("crp: conditions at two layers hold together, channels of one layer add up") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const NoGrad off;
        const auto at = [&](const std::string& conditions) {
            return Variable(
                map_of(forward, "crp(conditions=(" + conditions + "), composite=epsilon_plus)", {0}));
        };
        CHECK(difference((at("6:1") + at("6:3")).data(), at("6:1:3").data()) < 1e-13);
        CHECK(difference((at("6:1; 2:0") + at("6:1; 2:1") + at("6:1; 2:2")).data(), at("6:1").data()) <
              1e-13);
        CHECK(difference(at("2:0; 6:1").data(), at("6:1; 2:0").data()) == 0);
        CHECK(max_abs(at("6:1; 6:2").data()) == 0);
        CHECK(difference(at("7:in:1").data(), at("6:1").data()) == 0);
        CHECK(difference(map_of(forward, "crp(layer=9, channels=0, composite=epsilon_plus)", {0}),
                         map_of(forward, "epsilon_plus", {0})) == 0);
        CHECK(max_abs(map_of(forward, "crp(layer=9, channels=1)", {0})) == 0);
    }

    TEST_CASE("crp: a mask of positions, relevance at a layer below, and an explanation inside a loss") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        LrpRules rules(composites::epsilon_plus());
        std::vector<double> here(9, 0.0);
        here[4] = 1;
        const Tensor position = Tensor::from(here, {3, 3, 1});
        const Variable output = forward.logits();
        const Variable start = forward.begin({.targets = {0}}, Start::logit, false).start;
        CrpRules masked(rules, {{.layer = "6", .mask = position}}, forward.layers());
        const Variables maps = grad(output, start, {forward.layers().at("6"), forward.layers().at("3")},
                                    {.retain_graph = true, .rules = &masked});
        const auto upper = maps[0].data().to_vector<double>();
        for (size_t i = 0; i < upper.size(); ++i) {
            CHECK((upper[i] != 0) <= (i / 4 == 4));  // what arrives at the layer is shown behind the mask
        }
        CHECK(max_abs(maps[1].data()) > 0);
        const auto crp = build_method("crp(layer=6, channels=1)");
        const Explanation found = crp->explain(forward, {.targets = {0}}, true);
        const Variable loss = sum(square(found.maps[0]));
        CHECK(max_abs(grad(loss, {}, {golden::parameter(*net, "4.weight")})[0].data()) > 0);
        CHECK(contains(found.notes[0], "channel 1 of 6"));
    }

    TEST_CASE("crp: wrong conditions are refused by name") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto refused = [&](const std::string& method, const std::vector<std::string>& layers = {}) {
            return error_of([&] { (void)map_of(forward, method, {0}, layers); });
        };
        CHECK(contains(refused("crp"), "layer=L, channels=3:5"));
        CHECK(contains(refused("crp(layer=66, channels=0)"), "66"));
        CHECK(
            contains(refused("crp(layer=6, channels=4)"), "layer 6 has no channel 4, it has channels 0..3"));
        CHECK(contains(refused("crp(layer=6, channels=-1)"), "no channel -1"));
        CHECK(contains(refused("crp(layer=6)"), "needs channels or a mask"));
        CHECK(contains(refused("crp(conditions=(6))"), "LAYER:CHANNEL"));
        CHECK(contains(refused("crp(conditions=(6:a))"), "\"6:a\""));
        CHECK(contains(refused("crp(layer=0:in, channels=0)"), "network's input"));
        CHECK(contains(refused("crp(layer=6, channels=0, composite=epsilon_plsu)"),
                       "did you mean epsilon_plus?"));
        CHECK(contains(refused("crp(layer=6, channels=0, composite=epsilon(eps=1))"),
                       "unknown option \"eps\""));
        CHECK(contains(refused("crp(layer=2, channels=0)", {"6"}), "does not lie between"));
        const auto branched = random_network(45);
        const ExplainedForward two(*branched, random_images(46));
        CHECK(contains(error_of([&] {
                           (void)map_of(two, "crp(conditions=(4.body.0:0; 4.shortcut.0:1))", {0, 0});
                       }),
                       "side by side"));
        CHECK(max_abs(map_of(two, "crp(conditions=(4.body.0:0; 4.shortcut.0:1), exclude_parallel=false)",
                             {0, 0})) > 0);
        LrpRules rules(composites::epsilon_plus());
        CHECK(contains(
            error_of([&] { CrpRules(rules, {{.layer = "6", .mask = Tensor::ones({5})}}, forward.layers()); }),
            "does not fit"));
    }

    TEST_CASE("reference samples: the best by maximum or sum, whatever the batches") {
        const Tensor values =
            Tensor::from({1.0, 5.0, 2.0, 0.0, 3.0, -1.0, 0.0, 5.0, 4.0, 1.0, 1.0, 1.0}, {3, 1, 2, 2});
        const std::vector<int64_t> indices{10, 11, 12};
        ReferenceSamples best(2, 2);
        best.add(values, indices);
        REQUIRE(best.of(0).size() == 2);
        CHECK(best.of(0)[0].sample == 12);
        CHECK(best.of(0)[0].value == 4);
        CHECK(best.of(0)[0].column == 0);
        CHECK(best.of(0)[1].sample == 11);
        CHECK(best.of(1)[0].sample == 10);  // 5 and 5: the smaller number first
        CHECK(best.of(1)[1].sample == 11);
        CHECK(best.of(1)[1].column == 1);
        ReferenceSamples sums(2, 2, PositionPooling::sum), batches(2, 2, PositionPooling::sum);
        sums.add(values, indices);
        for (const int64_t n : {2, 0, 1}) {
            batches.add(slice(Variable(values), 0, n, 1).data(),
                        std::vector<int64_t>{indices[static_cast<size_t>(n)]});
        }
        for (const int64_t c : {0, 1}) {
            for (size_t k = 0; k < 2; ++k) {
                CHECK(sums.of(c)[k].sample == batches.of(c)[k].sample);
                CHECK(sums.of(c)[k].value == batches.of(c)[k].value);
            }
        }
        CHECK(sums.of(0)[0].value == 5);
        CHECK(batches.samples_seen() == 3);
        CHECK(contains(error_of([&] { (void)best.of(2); }), "channels 0..1"));
        CHECK(contains(error_of([&] { best.add(Tensor::ones({3, 3}), indices); }), "(N,2)"));
        CHECK(contains(error_of([&] { best.add(Tensor::full({3, 2}, NAN), indices); }), "not finite"));
    }

    TEST_CASE("receptive field: what a position can see, and nothing else") {
        const auto net = golden::network();  // 3x3 padding 1, pool 2, 3x3 padding 1
        const ExplainedForward forward(*net, golden::image());
        const auto at = [&](const std::string& layer, int64_t row, int64_t column) {
            const std::array<int64_t, 2> position{row, column};
            const PictureWindow w = receptive_fields(forward, layer, std::span(&position, 1))[0];
            return std::vector<int64_t>{w.top, w.left, w.height, w.width};
        };
        CHECK(at("0", 2, 3) == std::vector<int64_t>{1, 2, 3, 3});
        CHECK(at("0", 0, 0) == std::vector<int64_t>{0, 0, 2, 2});
        CHECK(at("3", 1, 1) == std::vector<int64_t>{1, 1, 4, 4});
        CHECK(at("6", 0, 2) == std::vector<int64_t>{0, 1, 5, 5});
        CHECK(at("6", 1, 1) == std::vector<int64_t>{0, 0, 6, 6});
        const std::array<int64_t, 2> outside{3, 0};
        CHECK(contains(error_of([&] { (void)receptive_fields(forward, "6", std::span(&outside, 1)); }),
                       "no position (3, 0)"));
        CHECK(contains(error_of([&] { (void)receptive_fields(forward, "8", std::span(&outside, 1)); }),
                       "spatial extent"));
    }
}
