// Methods that compare with samples of the training data: which of them they take, and how many at once.
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

namespace {

Tensor rows(const std::vector<Tensor>& samples) {
    const NoGrad off;
    return concat(Variables(samples.begin(), samples.end()), 0).data();
}

}  // namespace

TEST_SUITE("explain/backgrounds") {
    TEST_CASE("expected gradients never draw the sample itself, unless there is nothing else") {
        const auto net = linear_network(128, 21);
        const Tensor x = random_images(22, 2);
        const ExplainedForward forward(*net, x);
        // Of a linear network each pair's map sums to the difference of the logits.
        const auto at = [&](const std::vector<int64_t>& targets) { return logits_at(forward, targets); };
        for (const char* method : {"expected_gradients(k=1)", "expected_gradients(k=40)",
                                   "expected_gradients(k=7, stratified=true)", "expected_gradients(k=300)"}) {
            CAPTURE(method);
            const auto sum = sums(map_of(forward, method, {0, 2}, {.seed = 3, .background = always(x)}));
            const auto first = at({0, 0}), second = at({2, 2});
            check_near(sum, {first[0] - first[1], second[1] - second[0]}, 1e-10);
        }
        // Twice the sample and two others: the others, about equally often.
        const Tensor one = sample_of(x, 0);
        const Tensor others = random_images(23, 2);
        const ExplainedForward alone(*net, one), there(*net, others);
        const auto score = logits_at(there, {1, 1});
        const double logit = logits_at(alone, {1})[0];
        const auto mean = sums(
            map_of(alone, "expected_gradients(k=2000)", {1},
                   {.background = always(rows({one, sample_of(others, 0), one, sample_of(others, 1)}))}));
        CHECK(std::abs(mean[0] - (logit - (score[0] + score[1]) / 2)) < 0.06 * std::abs(score[0] - score[1]));
        CHECK(max_abs(map_of(alone, "expected_gradients(k=5)", {1},
                             {.background = always(rows({one, one}))})) == 0);
    }

    TEST_CASE("DeepSHAP takes several pairs at once: the mean over single ones, with a history too") {
        const auto net = random_network(31);
        const ExplainedForward forward(*net, random_images(32));
        constexpr int64_t kCount = 70;  // more than one pass takes
        const Tensor background = random_images(33, kCount);
        int64_t done = 0, of = 0, calls = 0;
        const ExplainContext context{.background = always(background),
                                     .progress = [&](int64_t d, int64_t all) {
                                         done = d;
                                         of = all;
                                         ++calls;
                                     }};
        const ExplainRequest request{.targets = {1, 2}, .layers = {"", "3"}};
        const Explanation all = found(forward, "deep_shap", request, context);
        CHECK(done == kCount);
        CHECK(of == kCount);
        CHECK(calls > 1);
        CHECK(calls < kCount);
        Variables mean(2);
        std::vector<double> expected(2, 0.0);
        for (int64_t k = 0; k < kCount; ++k) {
            const Explanation one =
                found(forward, "deep_shap", request, {.background = always(sample_of(background, k))});
            for (size_t i = 0; i < 2; ++i) {
                const Variable part = one.maps[i] * (1.0 / kCount);
                mean[i] = mean[i].defined() ? mean[i] + part : part;
                expected[i] += one.expected[i] / kCount;
            }
        }
        const Explanation with_history = build_method("deep_shap", context)->explain(forward, request, true);
        for (size_t i = 0; i < 2; ++i) {
            CHECK(difference(all.maps[i].data(), mean[i].data()) < 1e-12);
            CHECK(difference(with_history.maps[i].data(), mean[i].data()) < 1e-12);
            CHECK(with_history.maps[i].requires_grad());
        }
        check_near(all.expected, expected, 1e-12);
        // A start of one's own, and a neuron, belong to their samples.
        const Tensor start = random_tensor({2, 3}, 34);
        for (const ExplainRequest& asked :
             {ExplainRequest{.start = start}, ExplainRequest{.neuron = "3:1"}}) {
            const Explanation e = found(forward, "deep_shap", asked, context);
            check_near(sums(e.maps[0].data()), e.expected, 1e-10);
        }
    }
}
