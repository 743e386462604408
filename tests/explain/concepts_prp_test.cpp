// Prototypical relevance propagation: what it starts with, and what arrives at the input.
#include <doctest/doctest.h>

#include <cmath>

#include "core/error.h"
#include "core/io/npy.h"
#include "explain/concepts/prp.h"
#include "tests/datasets/support.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;
using testing::contains;
using testing::error_of;

TEST_SUITE("explain") {
    TEST_CASE("prp: the channels share the similarity at the best position") {
        const Variable a = random_tensor({2, 3, 2, 4}, 1);
        const Variable prototype = random_tensor({4}, 2);
        for (const int power : {2, 4}) {
            const PrototypeMatch match = match_prototype(a, prototype, power);
            const auto values = a.data().to_vector<double>(), p = prototype.data().to_vector<double>();
            const auto r = match.relevance.data().to_vector<double>();
            const auto similarity = match.similarity.data().to_vector<double>();
            for (size_t n = 0; n < 2; ++n) {
                double best = -1;
                size_t where = 0;
                for (size_t at = 0; at < 6; ++at) {
                    double d2 = 0;
                    for (size_t c = 0; c < 4; ++c) {
                        d2 += std::pow(values[(n * 6 + at) * 4 + c] - p[c], 2);
                    }
                    const double s = std::log((d2 + 1) / (d2 + 1e-4));
                    where = s > best ? at : where;
                    best = std::max(best, s);
                }
                CHECK(similarity[n] == doctest::Approx(best).epsilon(1e-12));
                CHECK(match.position[n] == std::array<int64_t, 2>{static_cast<int64_t>(where / 2),
                                                                  static_cast<int64_t>(where % 2)});
                double total = 0, sum_u = 0;
                for (size_t c = 0; c < 4; ++c) {
                    sum_u += 1 / (std::pow(std::abs(values[(n * 6 + where) * 4 + c] - p[c]), power) + 1e-12);
                }
                for (size_t at = 0; at < 6; ++at) {
                    for (size_t c = 0; c < 4; ++c) {
                        const double u =
                            1 / (std::pow(std::abs(values[(n * 6 + at) * 4 + c] - p[c]), power) + 1e-12);
                        const double expected = at == where ? best * u / sum_u : 0;
                        CHECK(std::abs(r[(n * 6 + at) * 4 + c] - expected) < 1e-12);
                        total += r[(n * 6 + at) * 4 + c];
                    }
                }
                CHECK(total == doctest::Approx(best).epsilon(1e-12));
            }
        }
    }

    TEST_CASE("prp: a prototype that is the patch splits evenly, and nothing overflows") {
        const Variable a = Tensor::from({1.0, 2.0, 3.0, 4.0}, {1, 1, 1, 4});
        for (const int power : {2, 4}) {
            const PrototypeMatch match = match_prototype(a, Tensor::from({1.0, 2.0, 3.0, 4.0}, {4}), power);
            const double similarity = std::log(1e4);
            for (const double r : match.relevance.data().to_vector<double>()) {
                CHECK(r == doctest::Approx(similarity / 4).epsilon(1e-12));
            }
            const Variable single = Tensor::from({1.0f, 2.0f, 3.0f, 4.0f}, {1, 1, 1, 4});
            const auto in_float =
                match_prototype(single, Tensor::from({1.0f, 2.0f, 3.0f, 1e9f}, {4}), power).relevance.data();
            for (const float r : in_float.to_vector<float>()) {
                CHECK(std::isfinite(r));
            }
        }
        CHECK(contains(error_of([&] { (void)match_prototype(a, Tensor::ones({3}, DType::f64)); }),
                       "(N,h,w,C)"));
        CHECK(contains(error_of([&] { (void)match_prototype(a, Tensor::ones({4}, DType::f64), 3); }),
                       "2 or 4"));
    }

    TEST_CASE("prp: what arrives at the input is the similarity, but for biases") {
        const testing::TemporaryFolder folder;
        const auto net = golden::network();
        for (const Parameter& parameter :
             net->parameters()) {  // no biases: batch norm's shift and mean count too
            if (parameter.name == "0.bias" || parameter.name == "1.bias" || parameter.name == "5.bias") {
                Tensor(parameter.value.data()).fill(0);
            }
        }
        for (const Buffer& buffer : net->buffers()) {
            if (buffer.name.ends_with("running_mean")) {
                buffer.value->fill(0);
            }
        }
        const ExplainedForward forward(*net, golden::image());
        const std::string file = (folder.path() / "p.npy").string();
        write_npy(file, Tensor::from({0.3, 0.9, 0.1, 0.2, 0.5, 0.5, 0.5, 0.5}, {2, 4}));
        const auto method =
            build_method("prp(layer=6, prototypes=" + file + ", prototype=1, low=-1, high=1)");
        const Explanation found = forward.explain_all(*method, {.targets = {0}});
        REQUIRE(found.expected.size() == 1);
        CHECK(found.expected[0] > 0);
        CHECK(total(found.maps[0].data()) == doctest::Approx(found.expected[0]).epsilon(1e-4));
        CHECK(found.maps[0].shape() == Shape{1, 6, 6, 2});
        CHECK(contains(found.notes[0], "similarity"));

        const auto refused = [&](const std::string& options) {
            return error_of(
                [&] { (void)forward.explain_all(*build_method("prp(" + options + ")"), {.targets = {0}}); });
        };
        CHECK(contains(refused("layer=6"), "prototypes=FILE.npy"));
        CHECK(contains(refused("layer=6, prototypes=" + file), "low=L, high=H"));
        CHECK(contains(refused("layer=6, prototypes=" + file + ", prototype=2, low=-1, high=1"),
                       "there is no prototype 2"));
        CHECK(contains(refused("layer=3, prototypes=" + file + ", low=-1, high=1"), "prototype (C)"));
    }
}
