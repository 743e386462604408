// Concept vectors, TCAV and its test: known directions, known values of the t distribution, known scores.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "autograd/gradcheck.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/concepts/minimise.h"
#include "explain/concepts/tcav.h"
#include "tests/datasets/support.h"
#include "tests/explain/golden_network.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;
using testing::contains;
using testing::error_of;

namespace {

struct Samples {
    Tensor with, without;
};

/// Two dimensions: the concept moves along (1, 0); a distractor of any sample moves along (1, 1) / √2, much
/// stronger.
Samples distracted(int64_t n, uint64_t seed) {
    RandomStream random(seed);
    const auto draw = [&](double t) {
        std::vector<double> values;
        for (int64_t i = 0; i < n; ++i) {
            const double distractor = random.normal(0, 3) / std::sqrt(2.0);
            values.push_back(t + distractor + random.normal(0, 0.1));
            values.push_back(distractor + random.normal(0, 0.1));
        }
        return Tensor::from(values, {n, 2});
    };
    return {draw(2), draw(0)};
}

/// A cloud around `centre`, (n, D).
Tensor cloud(int64_t n, const std::vector<double>& centre, double deviation, uint64_t seed) {
    RandomStream random(seed);
    std::vector<double> values;
    for (int64_t i = 0; i < n; ++i) {
        for (const double c : centre) {
            values.push_back(random.normal(c, deviation));
        }
    }
    return Tensor::from(values, {n, static_cast<int64_t>(centre.size())});
}

double cosine(const std::vector<double>& a, const std::vector<double>& b) {
    const auto product = [](const auto& u, const auto& v) {
        return std::inner_product(u.begin(), u.end(), v.begin(), 0.0);
    };
    return product(a, b) / std::sqrt(product(a, a) * product(b, b));
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("cav: the pattern finds the direction of the signal, a filter corrects for the distractor") {
        const Samples samples = distracted(4000, 1);
        const std::vector<double> signal{1, 0};
        const ConceptVector pattern =
            concept_vector(samples.with, samples.without, {.kind = CavKind::pattern});
        CHECK(cosine(pattern.direction, signal) > 0.99);
        for (const CavKind kind : {CavKind::logistic, CavKind::ridge, CavKind::svm}) {
            const ConceptVector filter = concept_vector(samples.with, samples.without, {.kind = kind});
            CHECK(cosine(filter.direction, signal) < 0.9);
            CHECK(cosine(filter.direction, {1, -1}) > 0.95);  // orthogonal to the distractor
            CHECK(std::abs(cosine(filter.direction, filter.direction) - 1) < 1e-12);
            CHECK(filter.direction[0] > 0);  // the concept is the positive side
        }
        CHECK(concept_vector(samples.with, samples.without).accuracy > 0.98);
        CHECK(pattern.accuracy < 0.8);  // as a classifier it is the worse one
    }

    TEST_CASE("cav: separable clouds, held-out samples, unequal numbers, and what the seed decides") {
        const Tensor with = cloud(60, {3, 1, 0}, 0.5, 2), without = cloud(25, {1, 3, 0}, 0.5, 3);
        for (const std::string& kind : list_cav_kinds()) {
            CAPTURE(kind);
            const CavOptions options{.kind = parse_cav_kind(kind)};
            const ConceptVector v = concept_vector(with, without, options);
            CHECK(v.accuracy > (kind == "svm" ? 0.9 : 0.999));  // svm: no intercept
            CHECK(v.tested_on == 20 + 8);
            CHECK(v.trained_on == 40 + 17);
            CHECK(cosine(v.direction, {1, -1, 0}) > 0.97);
            const double norm =
                std::inner_product(v.direction.begin(), v.direction.end(), v.direction.begin(), 0.0);
            CHECK(std::abs(norm - 1) < 1e-12);
            CHECK(concept_vector(with, without, options).direction == v.direction);
            CavOptions other = options;
            other.draw = 1;
            CHECK(concept_vector(with, without, other).direction != v.direction);
            // The other way round it points the other way.
            CHECK(cosine(concept_vector(without, with, options).direction, v.direction) < -0.95);
        }
    }

    TEST_CASE("cav: ridge solves its normal equations; the minimiser finds the minimum of a parabola") {
        // All samples with the concept at a = (2, 0), the others at b = (1, 1), λ = 0.3, no intercept:
        // (½ a a' + ½ b b' + λ) v = ½ a - ½ b, so v ~ (0.65, -1.65).
        const CavOptions options{.kind = CavKind::ridge, .l2 = 0.3, .intercept = false};
        const ConceptVector v = concept_vector(cloud(8, {2, 0}, 0, 1), cloud(12, {1, 1}, 0, 1), options);
        const double length = std::hypot(0.65, 1.65);
        CHECK(std::abs(v.direction[0] - 0.65 / length) < 1e-7);
        CHECK(std::abs(v.direction[1] + 1.65 / length) < 1e-7);
        CHECK(v.offset == 0);
        // With an intercept, in one dimension, the border lies half-way.
        const ConceptVector line =
            concept_vector(cloud(8, {2}, 0, 1), cloud(12, {1}, 0, 1), {.kind = CavKind::ridge});
        CHECK(std::abs(line.offset + 1.5) < 1e-7);
        const auto minimum = minimise(
            [](std::span<const double> x, std::span<double> g) {
                g[0] = 2 * (x[0] - 3) + 0.5 * x[1];
                g[1] = 20 * (x[1] + 1) + 0.5 * x[0];
                return (x[0] - 3) * (x[0] - 3) + 10 * (x[1] + 1) * (x[1] + 1) + 0.5 * x[0] * x[1];
            },
            {0, 0});
        // 2 x + 0.5 y = 6,  0.5 x + 20 y = -20
        CHECK(minimum[0] == doctest::Approx((6 * 20 + 10) / (40 - 0.25)).epsilon(1e-7));
        CHECK(minimum[1] == doctest::Approx((-40 - 3) / (40 - 0.25)).epsilon(1e-7));
    }

    TEST_CASE("cav: positions of one sample stay together; pooling") {
        const Tensor a = Tensor::from({1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}, {1, 2, 2, 2});
        CHECK(pooled_activations(a, ActivationPooling::average).to_vector<double>() ==
              std::vector<double>{4, 5});
        CHECK(pooled_activations(a, ActivationPooling::positions).shape() == Shape{1, 4, 2});
        CHECK(pooled_activations(Tensor::ones({3, 5}), ActivationPooling::positions).shape() == Shape{3, 5});
        const Tensor with = cloud(40, {2, 0}, 0.3, 6).reshape({10, 4, 2});
        const Tensor without = cloud(40, {0, 2}, 0.3, 7).reshape({10, 4, 2});
        const ConceptVector v = concept_vector(with, without);
        CHECK(v.accuracy == 1);
        CHECK(v.tested_on == 6);
    }

    TEST_CASE("cav: too few samples, equal activations and shapes that do not fit are refused") {
        const auto refused = [](const Tensor& a, const Tensor& b, const CavOptions& options = {}) {
            return error_of([&] { (void)concept_vector(a, b, options); });
        };
        const Tensor ten = cloud(10, {0, 1}, 1, 8);
        CHECK(contains(refused(cloud(5, {0, 1}, 1, 9), ten), "at least 6 samples with the concept, got 5"));
        CHECK(
            contains(refused(ten, cloud(2, {0, 1}, 1, 9)), "at least 6 samples without the concept, got 2"));
        CHECK(contains(refused(ten, cloud(10, {0, 1, 2}, 1, 9)), "(N,D)"));
        CHECK(contains(refused(Tensor::ones({9, 2}), Tensor::ones({9, 2}), {.kind = CavKind::pattern}),
                       "do not differ"));
        CHECK(contains(refused(ten, Tensor::full({9, 2}, NAN)), "not finite"));
        CHECK(contains(refused(ten, ten, {.test_share = 1}), "(0, 1)"));
        CHECK(contains(error_of([] { (void)parse_cav_kind("patern"); }), "did you mean pattern?"));
    }

    TEST_CASE("cav: projection and sensitivity are differentiable, and do what they say") {
        const Variable a = random_tensor({2, 2, 2, 3}, 10), v = Tensor::from({0.6, 0.0, 0.8}, {3});
        const Variable reference = random_tensor({3}, 11);
        const NoGrad off;
        const Variable projected = project_out(a, v, reference);
        const auto along = sum((projected - reference) * v, {-1}).data();
        CHECK(max_abs(along) < 1e-15);
        const auto moved = (a - projected).data();
        CHECK(difference(moved, (sum((a - reference) * v, {-1}, true) * v).data()) < 1e-14);
        const EnableGrad on;
        const auto check = gradcheck(
            [&](const Variables& in) {
                return sum(square(concept_sensitivity(project_out(in[0], in[1], in[2]), in[1])));
            },
            {Variable::leaf(a.data()), Variable::leaf(v.data()), Variable::leaf(reference.data())});
        CHECK(check.passed);
    }

    TEST_CASE("student's t: values of tables") {
        // Made by scipy: 2 * stats.t.sf(t, v); stats.ttest_ind(a, b, equal_var=False).
        struct Row {
            double t, degrees, p;
        };
        for (const Row& row : {Row{0, 5, 1}, Row{1, 1, 0.5}, Row{12.706204736432095, 1, 0.05},
                               Row{2.2281388519649385, 10, 0.05}, Row{-2.2281388519649385, 10, 0.05},
                               Row{1.96, 1e6, 0.04999606758526985}, Row{4, 3.5, 0.020920616365403714},
                               Row{10, 2, 0.00985245702332569}}) {
            CAPTURE(row.t);
            CHECK(student_t_two_sided(row.t, row.degrees) == doctest::Approx(row.p).epsilon(1e-9));
        }
        CHECK(incomplete_beta(2, 3, 0.4) == doctest::Approx(0.5248).epsilon(1e-12));  // 6x² - 8x³ + 3x⁴
        CHECK(incomplete_beta(0.5, 0.5, 0.25) == doctest::Approx(1.0 / 3).epsilon(1e-12));  // 2/π asin √x
        CHECK(incomplete_beta(3, 1, 0.9) == doctest::Approx(0.729).epsilon(1e-12));         // x³
        CHECK(incomplete_beta(2, 5, 0) == 0);
        CHECK(incomplete_beta(2, 5, 1) == 1);
        const std::vector<double> a{3, 4, 5, 6}, b{1, 2, 2, 3, 7};
        const TTest test = welch_t_test(a, b);
        CHECK(test.t == doctest::Approx(1.2179969144117253).epsilon(1e-12));
        CHECK(test.degrees == doctest::Approx(6.383093525179855).epsilon(1e-12));
        CHECK(test.p == doctest::Approx(0.26632429481493985).epsilon(1e-10));
        const std::vector<double> same{1, 1, 1}, other{2, 2};
        CHECK(welch_t_test(same, same).p == 1);
        CHECK(welch_t_test(same, other).p == 0);
        CHECK(contains(error_of([&] { (void)welch_t_test(same, std::vector<double>{1}); }), "two numbers"));
    }

    TEST_CASE("tcav: scores by hand, and a concept against random ones") {
        const Tensor gradient = Tensor::from({1.0, 0.0, -2.0, 0.0, 3.0, 5.0, 0.0, 1.0}, {4, 2});
        const TcavScore score = tcav_score(gradient, {1, 0});
        CHECK(score.sign == 0.5);
        CHECK(score.magnitude == doctest::Approx(4.0 / 6));
        CHECK(tcav_score(Tensor::zeros({3, 2}), {1, 0}).sign == 0);
        CHECK(tcav_score(Tensor::zeros({3, 2}), {1, 0}).magnitude == 0.5);

        // The class grows along the first axis, whatever the sample; the concept lies there.
        const Tensor concept_set = cloud(40, {2, 0, 0, 0}, 0.5, 20), pool = cloud(600, {0, 0, 0, 0}, 0.5, 21);
        const Tensor along = cloud(50, {1, 0, 0, 0}, 0.3, 22);
        const TcavVectors vectors = tcav_vectors(concept_set, pool, {});
        CHECK(vectors.disjoint);
        CHECK(vectors.of_concept.size() == 10);
        const TcavResult result = tcav(along, vectors);
        CHECK(result.mean_concept.sign > 0.95);
        CHECK(result.sign_test.p < 0.01);
        CHECK(result.magnitude_test.p < 0.01);
        // A class that does not care for it, and a concept that is none.
        const Tensor across = cloud(50, {0, 0, 0, 1}, 0.3, 23);
        CHECK(tcav(across, vectors).sign_test.p > 0.05);
        CHECK(tcav(along, tcav_vectors(cloud(40, {0, 0, 0, 0}, 0.5, 24), pool, {})).sign_test.p > 0.05);
        const TcavVectors overlapping = tcav_vectors(concept_set, cloud(50, {0, 0, 0, 0}, 0.5, 25), {});
        CHECK_FALSE(overlapping.disjoint);

        CHECK(contains(error_of([&] { (void)tcav_vectors(concept_set, pool, {.runs = 9}); }), "at least 10"));
        CHECK(contains(error_of([&] {
                           (void)tcav_vectors(concept_set, cloud(30, {0, 0, 0, 0}, 1, 26), {});
                       }),
                       "takes 40 samples, but there are only 30"));
        CHECK(contains(error_of([&] { (void)tcav_score(gradient, {1, 0, 0}); }), "(N,3)"));
        CHECK(contains(error_of([&] { (void)tcav_score(Tensor::zeros({0, 2}), {1, 0}); }), "no sample"));
    }

    TEST_CASE("tcav: sensitivity of a layer is the gradient, or relevance over activation") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto gradient = build_method("gradient"), product = build_method("input_x_gradient");
        const Tensor by_gradient = layer_sensitivity(forward, *gradient, "6", {0});
        CHECK(by_gradient.shape() == Shape{1, 4});
        // Directional derivative: what the logit gains when v is added at every position.
        const Variable a = forward.layers().at("6");
        const Variable g = grad(forward.logits(), start_values(Start::one, forward.logits().detach(), {0}),
                                {a}, {.retain_graph = true})[0];
        CHECK(difference(by_gradient, sum(g.detach(), {1, 2}).data()) < 1e-14);
        // Relevance of input times gradient over the activation is the gradient where there is an activation.
        const NoGrad off;
        const Tensor active = mask(UnaryOp::is_positive, a.data());
        CHECK(difference(layer_sensitivity(forward, *product, "6", {0}),
                         sum(g.detach() * Variable(active), {1, 2}).data()) < 1e-12);
        CHECK(contains(error_of([&] { (void)layer_sensitivity(forward, *gradient, "66", {0}); }), "66"));
    }

    TEST_CASE("tcav: what a method draws for a sample depends on its number, not on the batch") {
        const auto net = golden::network();
        const Tensor x = random_tensor({3, 6, 6, 2}, 5);
        const auto method = build_method("smoothgrad(n=3, noise_level=0.5)");
        const Variable together(
            layer_sensitivity(ExplainedForward(*net, x), *method, "3", {0, 0, 0}, {4, 7, 2}));
        const ExplainedForward one(*net, slice(Variable(x), 0, 1, 1).data());
        const Tensor middle = slice(together, 0, 1, 1).data();
        CHECK(difference(middle, layer_sensitivity(one, *method, "3", {0}, {7})) < 1e-9);
        CHECK(difference(middle, layer_sensitivity(one, *method, "3", {0}, {1})) > 1e-3);
    }
}
