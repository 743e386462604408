// Composites: presets, their text form, pools and sums, and which paths relevance takes.
#include "tests/explain/golden_network.h"
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

TEST_SUITE("explain/composites") {
    TEST_CASE("presets of iNNvestigate are compositions of known rules") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        CHECK(difference(map_of(forward, "preset_a(epsilon=1e-6)", {0}),
                         map_of(forward, "epsilon_plus", {0})) < 1e-12);
        CHECK(difference(map_of(forward, "preset_b_flat(epsilon=1e-6)", {0}),
                         map_of(forward, "epsilon_alpha2_beta1_flat", {0})) < 1e-12);
        CHECK(difference(map_of(forward, "preset_b_flat_until(k=0)", {0}),
                         map_of(forward, "preset_b_flat", {0})) < 1e-12);
        CHECK(difference(map_of(forward, "preset_b_flat_until(k=1)", {0}),
                         map_of(forward, "preset_b_flat", {0})) > 1e-3);
    }

    TEST_CASE("composites from text are the presets they spell; parts in front override") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto text = [&](const std::string& parts) {
            return map_of(forward, "composite(parts=(" + parts + "))", {0});
        };
        CHECK(difference(text("conv:zplus; linear:epsilon"), map_of(forward, "epsilon_plus", {0})) == 0);
        const auto notes = [&](const std::string& parts) {
            return found(forward, "composite(parts=(" + parts + "))", {.targets = {0}}).notes;
        };
        CHECK(notes("first:zbox(low=-1,high=1); conv:gamma(0.25); linear:epsilon(1e-6)").empty());
        CHECK(notes("conv:zplus; linear:epsilon; first:zbox(low=-1, high=1); softmax:pass") ==
              std::vector<std::string>{"no op met first:zbox(low=-1, high=1)", "no op met softmax:pass"});
        CHECK(difference(text("first:zbox(low=-1,high=1); conv:gamma(0.25); linear:epsilon(1e-6)"),
                         map_of(forward, "epsilon_gamma_box(low=-1, high=1)", {0})) == 0);
        CHECK(difference(text("depth=0:flat; layer=4:zplus; last:epsilon"),
                         map_of(forward, "epsilon_plus_flat", {0})) == 0);
        CHECK(difference(text("depth>=-1:epsilon; rectified:zplus"), map_of(forward, "epsilon_plus", {0})) ==
              0);
        CHECK(difference(map_of(forward, "epsilon_plus(composite=(first:flat))", {0}),
                         map_of(forward, "epsilon_plus_flat", {0})) == 0);
        CHECK(difference(text("any:zplus; average:even; max_pool:even"), text("any:zplus")) > 1e-3);
        for (const auto& [bad, message] : std::vector<std::pair<std::string, std::string>>{
                 {"convv:zplus", "did you mean conv"},
                 {"conv:zpluss", "did you mean zplus"},
                 {"conv", "expected PREDICATE:RULE"},
                 {"depth<2:flat; any:epsilon", "expected depth<=N"},
                 {"first:flat", "no part of it matches"}}) {
            CAPTURE(bad);
            CHECK_THROWS_WITH_AS((void)text(bad), doctest::Contains(message.c_str()), Error);
        }
    }

    TEST_CASE("rules of pools and sums, and a distributed bias, conserve what arrives") {
        const auto net = random_network(101);
        const ExplainedForward forward(*net, random_images(102, 1));
        const double logit = logits_at(forward, {1})[0];
        for (const char* parts :
             {"any:epsilon(zero_bias=true,epsilon=1e-12); max_pool:norm(stabilizer=1e-12)",
              "any:epsilon(zero_bias=true,epsilon=1e-12); sum:norm(stabilizer=1e-12)",
              // a distributed bias reaches inputs that are 0, which only an even share hands on
              "any:epsilon(epsilon=1e-9,bias=distribute); max_pool:even; average:even; sum:even",
              "any:epsilon(epsilon=0.1,bias=distribute); max_pool:even; average:even; sum:even",
              "any:alpha_beta(alpha=2,bias=distribute); max_pool:even; average:even; sum:even",
              "any:zplus(bias=distribute); max_pool:even; average:even; sum:even"}) {
            CAPTURE(parts);
            const Tensor r =
                map_of(forward, "composite(stabilizer=1e-12, parts=(" + std::string(parts) + "))", {1});
            CHECK(sums(r)[0] == doctest::Approx(logit).epsilon(1e-6));
        }
    }

    TEST_CASE("paths: the strided shortcuts' dots, without them and alone") {
        // A block of stride 2 whose shortcut samples every second position.
        const auto net = random_network(111);
        for (const Parameter& p : net->parameters()) {  // no biases: what is lost is lost at the shortcut
            if (p.name.ends_with("bias")) {
                Tensor value = p.value.data();
                value.copy_from(Tensor::zeros(value.shape(), DType::f64));
            }
        }
        const ExplainedForward forward(*net, random_tensor({4, 8, 8, 2}, 112, 0.1, 1));
        const auto dots = [&](const std::string& options) {
            const Explanation e = found(forward, "z_plus(zero_bias=true" + options + ")",
                                        {.targets = {0, 1, 2, 0}, .layers = {"3"}});
            const auto r = e.maps[0].data().to_vector<double>();  // (4,4,4,4)
            double on_dots = 0;
            double all = 0;
            for (size_t i = 0; i < r.size(); ++i) {
                const size_t w = i / 4 % 4;
                const size_t h = i / 16 % 4;
                all += std::abs(r[i]);
                on_dots += h % 2 == 0 && w % 2 == 0 ? std::abs(r[i]) : 0;
            }
            return on_dots / all;
        };
        CHECK(dots(", paths=only_strided_shortcuts") == 1.0);
        const double excluded = dots(", paths=exclude_strided_shortcuts");
        CHECK(excluded < 0.25);
        CHECK(dots("") > 0.25);
        CHECK(dots(", paths=exclude_downsample") == excluded);
        CHECK(dots(", paths=exclude_shortcuts") == excluded);
        // reroute conserves, drop loses the shortcut's share
        const auto total = [&](const std::string& options) {
            return sums(map_of(
                forward, "epsilon(zero_bias=true, epsilon=1e-12, paths=exclude_shortcuts" + options + ")",
                {0, 1, 2, 0}));
        };
        check_near(total(""), logits_at(forward, {0, 1, 2, 0}), 1e-8);
        CHECK(std::abs(total(", handling=drop")[0] - total("")[0]) > 1e-3);
        const Explanation partial =
            found(forward, "z_plus(paths=exclude_shortcuts)", {.targets = {0, 1, 2, 0}});
        CHECK(partial.expected.empty());  // it is not what the logit is made of
        REQUIRE(partial.notes.size() == 1);
        CHECK(partial.notes[0].find("partial") != std::string::npos);
        const std::string first = forward.layers().names().front();
        for (const std::string& method :
             {std::string("smoothgrad(n=2, method=gradient(paths=exclude_shortcuts))"),
              "guided_grad_cam(paths=exclude_shortcuts, layer=" + first + ")",
              "crp(channels=0, paths=exclude_shortcuts, layer=" + first + ")"}) {
            CAPTURE(method);
            const Explanation wrapped = found(forward, method, {.targets = {0, 1, 2, 0}});
            REQUIRE(wrapped.notes.size() == 1);
            CHECK(wrapped.notes[0].find("partial") != std::string::npos);
            CHECK(wrapped.notes[0].find("paths=exclude_shortcuts") != std::string::npos);
        }
        CHECK(
            found(forward, "smoothgrad(n=2, method=grad_cam(layer=" + first + "))", {.targets = {0, 1, 2, 0}})
                .coarse);
        CHECK(difference(map_of(forward, "gradient(paths=exclude_shortcuts)", {0, 1, 2, 0}),
                         map_of(forward, "gradient", {0, 1, 2, 0})) > 1e-3);
        const auto plain = golden::network();
        CHECK_THROWS_WITH_AS(
            (void)map_of(ExplainedForward(*plain, golden::image()), "lrp(paths=exclude_shortcuts)", {0}),
            doctest::Contains("no such shortcut"), Error);
    }
}
