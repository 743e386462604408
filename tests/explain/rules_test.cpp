// Properties of the rules on single ops: conservation, equivalences, signs, derivatives.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/gradcheck.h"
#include "core/error.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::test;

namespace {

/// A linear op with a weight and a bias, on random input of both signs.
struct LinearCase {
    std::string name;
    Shape x, weight, bias;
    std::function<Variable(const Variable&, const Variable&, const Variable&)> run;
};

const std::vector<LinearCase>& linear_cases() {
    static const auto conv = [](const Conv2dAttrs& attrs) {
        return [attrs](const Variable& x, const Variable& w, const Variable& b) {
            return conv2d(x, w, b, attrs);
        };
    };
    static const std::vector<LinearCase> cases = {
        {"linear",
         {3, 5},
         {4, 5},
         {4},
         [](const Variable& x, const Variable& w, const Variable& b) { return linear(x, w, b); }},
        {"conv", {2, 5, 6, 3}, {4, 3, 3, 3}, {4}, conv({.padding = {1, 1}})},
        {"conv strided, unequal padding",
         {1, 6, 5, 2},
         {3, 2, 3, 2},
         {3},
         conv({.stride = {2, 1}, .padding = {0, 1, 1, 2}})},
        {"conv dilated", {1, 7, 7, 2}, {2, 3, 3, 2}, {2}, conv({.padding = {2, 2}, .dilation = {2, 2}})},
        {"conv grouped", {2, 4, 4, 4}, {6, 3, 3, 2}, {6}, conv({.padding = {1, 1}, .groups = 2})},
        {"conv depthwise", {1, 4, 4, 3}, {3, 3, 3, 1}, {3}, conv({.padding = {1, 1}, .groups = 3})},
        {"conv transposed",
         {1, 3, 4, 3},
         {3, 3, 3, 2},
         {2},
         [](const Variable& x, const Variable& w, const Variable& b) {
             return conv_transpose2d(x, w, b, {.stride = {2, 2}, .padding = {1, 1}}, {1, 1});
         }},
    };
    return cases;
}

RuleOptions tiny(double stabilizer) {
    RuleOptions options;
    options.stabilizer = stabilizer;
    options.zero_bias = true;
    return options;
}

struct Recorded {
    Variable x, weight, bias, y;
};

Recorded record(const LinearCase& c, uint64_t seed) {
    Recorded r{Variable::leaf(random_tensor(c.x, seed)),
               Variable::leaf(random_tensor(c.weight, seed + 1)),
               Variable::leaf(random_tensor(c.bias, seed + 2)),
               {}};
    const Recording recording;
    r.y = c.run(r.x, r.weight, r.bias);
    return r;
}

/// What must arrive: all of R_y, except that an output without a positive (negative) part passes nothing
/// through it.
double conserved(const LinearCase& c, const Recorded& r, const std::string& rule, const Tensor& r_y) {
    if (rule != "zplus" && rule != "alpha_beta") {
        return total(r_y);
    }
    const NoGrad off;
    const Variable none = Tensor::zeros(c.bias, DType::f64);
    const Variable x = r.x.detach();
    const Variable w = r.weight.detach();
    const Variable up =
        c.run(positive_part(x), positive_part(w), none) + c.run(negative_part(x), negative_part(w), none);
    const Variable down =
        c.run(positive_part(x), negative_part(w), none) + c.run(negative_part(x), positive_part(w), none);
    const Variable has_up = 1.0 - Variable(mask(UnaryOp::is_zero, up.data()));
    const Variable has_down = 1.0 - Variable(mask(UnaryOp::is_zero, down.data()));
    const Variable share = rule == "zplus" ? has_up : has_up * 2.0 - has_down;
    return sum(share * Variable(r_y)).item();
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("every rule conserves relevance when the bias is left out of the denominators") {
        constexpr double kNothing = 1e-20;  // what a denominator absorbs: less than its last digit
        const std::vector<Rule> all = {rules::epsilon(kNothing, tiny(kNothing)),
                                       rules::zplus(tiny(kNothing)),
                                       rules::alpha_beta(2, 1, tiny(kNothing)),
                                       rules::gamma(0.25, tiny(kNothing)),
                                       rules::zbox({-1}, {1}, tiny(kNothing)),
                                       rules::w_square(tiny(kNothing)),
                                       rules::flat(tiny(kNothing))};
        for (const LinearCase& c : linear_cases()) {
            for (const Rule& rule : all) {
                for (const uint64_t seed : {7, 107, 207}) {
                    CAPTURE(c.name);
                    CAPTURE(rule.name());
                    CAPTURE(seed);
                    const Recorded r = record(c, seed);
                    const Tensor r_y = random_tensor(r.y.shape(), seed + 4);
                    const Tensor r_x = relevance(r.y, r_y, r.x, everywhere(rule)).data();
                    CHECK(r_x.shape() == c.x);
                    // Where z is near 0 shares of both signs are large: digits are those of the largest.
                    const double largest = std::max(max_abs(r_x), max_abs(r_y));
                    CHECK(std::abs(total(r_x) - conserved(c, r, rule.name(), r_y)) <= 1e-12 * largest);
                }
            }
        }
    }

    TEST_CASE("gamma below a ReLU: the same with one share, where outputs <= 0 get nothing, as with both") {
        for (const LinearCase& c : linear_cases()) {
            for (const bool nonnegative : {false, true}) {
                for (const bool zero_bias : {false, true}) {
                    CAPTURE(c.name);
                    CAPTURE(nonnegative);
                    Recorded r = record(c, 371);
                    const Recording recording;
                    r.y = c.run(nonnegative ? relu(r.x) : r.x, r.weight, r.bias);
                    const Tensor from_above =
                        where_positive(random_tensor(r.y.shape(), 375), r.y).detach().data();
                    RuleOptions options;
                    options.zero_bias = zero_bias;
                    LrpRules rules(everywhere(rules::gamma(0.5, options)));
                    rules.collect_parameters();
                    RuleInput input = Merging().input_of(NodeView(r.y.node()));
                    const auto one_share = [&](const Tensor& r_y) {
                        input.r_y = r_y;
                        return input.only_positive_get_relevance();
                    };
                    CHECK_FALSE(one_share(from_above));  // a history is built
                    {
                        const NoGrad off;
                        CHECK(one_share(from_above));
                        CHECK_FALSE(one_share(random_tensor(r.y.shape(), 376)));
                    }
                    const auto explain = [&](bool create_graph) {
                        const Tensor map =
                            grad(r.y, from_above, {r.x},
                                 {.create_graph = create_graph, .retain_graph = true, .rules = &rules})[0]
                                .data();
                        return std::pair(map, rules.parameters().begin()->second.weight.data());
                    };
                    const auto [one, of_weight] = explain(false);
                    const auto [both, of_weight_by_both] =
                        explain(true);  // a history: both shares are computed
                    CHECK(difference(one, both) < 1e-12);
                    CHECK(difference(of_weight, of_weight_by_both) < 1e-12);
                    CHECK(max_abs(one) > 1e-3);
                }
            }
        }
    }

    TEST_CASE(
        "what passes through the weights is what reaches the input, and bias takes the rest of the "
        "denominators") {
        for (const LinearCase& c : linear_cases()) {
            for (const Rule& rule :
                 {rules::epsilon(0.1), rules::zplus(), rules::alpha_beta(2, 1), rules::gamma(0.25),
                  rules::zbox({-1}, {1}), rules::w_square(), rules::flat()}) {
                CAPTURE(c.name);
                CAPTURE(rule.name());
                const Recorded r = record(c, 71);
                LrpRules rules(everywhere(rule));
                rules.collect_parameters();
                const Variable r_y = random_tensor(r.y.shape(), 72);
                const Tensor r_x = grad(r.y, r_y, {r.x}, {.rules = &rules})[0].data();
                REQUIRE(rules.parameters().size() == 1);
                const ParameterRelevance& parameters = rules.parameters().begin()->second;
                CHECK(parameters.weight.shape() == c.weight);
                CHECK(total(parameters.weight.data()) == doctest::Approx(total(r_x)).epsilon(1e-9).scale(1));
                if (rule.name() == "epsilon") {  // z / stab(z) of R_y arrives: all of z is weights and bias
                    const NoGrad off;
                    const Variable z = r.y.detach();
                    const double arrived = sum(r_y * z / stabilize(z, 0.1)).item();
                    CHECK(total(r_x) + total(parameters.bias.data()) ==
                          doctest::Approx(arrived).epsilon(1e-9).scale(1));
                }
            }
        }
    }

    TEST_CASE("zplus, zbox, w2 and flat keep relevance non-negative") {
        for (const LinearCase& c : linear_cases()) {
            for (const Rule& rule :
                 {rules::zplus(), rules::zbox({-1}, {1}), rules::w_square(), rules::flat()}) {
                CAPTURE(c.name);
                CAPTURE(rule.name());
                const Recorded r = record(c, 3);
                const Tensor r_x =
                    relevance(r.y, random_tensor(r.y.shape(), 4, 0, 1), r.x, everywhere(rule)).data();
                for (const double v : r_x.to_vector<double>()) {
                    CHECK(v >= -1e-14);
                }
            }
        }
    }

    TEST_CASE("zplus equals alpha=1 beta=0, and gamma=0 equals epsilon where z is not zero") {
        for (const LinearCase& c : linear_cases()) {
            CAPTURE(c.name);
            const Recorded r = record(c, 21);
            const Tensor r_y = random_tensor(r.y.shape(), 22);
            const auto with = [&](const Rule& rule) {
                return relevance(r.y, r_y, r.x, everywhere(rule)).data();
            };
            CHECK(difference(with(rules::zplus()), with(rules::alpha_beta(1, 0))) < 1e-12);
            CHECK(difference(with(rules::gamma(0)), with(rules::epsilon(1e-6))) < 1e-9);
        }
    }

    TEST_CASE("a known non-negative input gives the same relevance as the form for any sign") {
        // The input is a ReLU's output, so the graph says it is not negative; a leaf of the same values says
        // nothing, and in f64 has no shortcuts.
        for (const DType type : {DType::f64, DType::f32}) {
            for (const Rule& rule : {rules::zplus(), rules::alpha_beta(2, 1), rules::gamma(0.25)}) {
                for (const uint64_t seed : {31, 131, 231}) {
                    CAPTURE(type);
                    CAPTURE(rule.name());
                    CAPTURE(seed);
                    const Tensor values = random_tensor({2, 5, 5, 3}, seed).to(type);
                    const Tensor weight = random_tensor({4, 3, 3, 3}, seed + 1).to(type);
                    const Tensor bias = random_tensor({4}, seed + 2).to(type);
                    const Tensor r_y = random_tensor({2, 5, 5, 4}, seed + 3).to(type);
                    Variable hidden, y;
                    {
                        const Recording recording;
                        hidden = relu(Variable::leaf(values));
                        y = conv2d(hidden, weight, bias, {.padding = {1, 1}});
                    }
                    const Tensor fast = relevance(y, r_y, hidden, everywhere(rule)).data().to(DType::f64);
                    const Variable plain = Variable::leaf(hidden.data().to(DType::f64));
                    Variable z;
                    {
                        const Recording recording;
                        z = conv2d(plain, weight.to(DType::f64), bias.to(DType::f64), {.padding = {1, 1}});
                    }
                    const Tensor direct = relevance(z, r_y.to(DType::f64), plain, everywhere(rule)).data();
                    // In f32 alpha_beta takes z⁻ = z - z⁺, which has fewer digits where z⁺ is most of z.
                    const double bound = type == DType::f64            ? 1e-12
                                         : rule.name() == "alpha_beta" ? 1e-4
                                                                       : 1e-5;
                    CHECK(difference(fast, direct) < bound);
                }
            }
        }
    }

    TEST_CASE("a batch of large samples, which a rule takes in parts, has each sample's relevance") {
        constexpr int64_t kSamples = 3;
        const Tensor x = random_tensor({kSamples, 300, 300, 1}, 71);
        const Tensor weight = random_tensor({32, 3, 3, 1}, 72), bias = random_tensor({32}, 73);
        const Tensor r_y = random_tensor({kSamples, 300, 300, 32}, 74);  // 69 MB
        const auto explained = [&](const Rule& rule, const Tensor& input, const Tensor& start) {
            const Variable leaf = Variable::leaf(input);
            Variable y;
            {
                const Recording recording;
                y = conv2d(leaf, weight, bias, {.padding = {1, 1}});
            }
            return relevance(y, start, leaf, everywhere(rule)).data();
        };
        const auto sample = [](const Tensor& all, int64_t n) { return slice(Variable(all), 0, n, 1).data(); };
        for (const Rule& rule :
             {rules::epsilon().with_distributed_bias(), rules::zplus(), rules::alpha_beta(), rules::gamma(),
              rules::zbox({-1}, {1}), rules::w_square()}) {
            CAPTURE(rule.name());
            const Tensor together = explained(rule, x, r_y);
            REQUIRE(together.shape() == x.shape());
            for (int64_t n = 0; n < kSamples; ++n) {
                const Tensor alone = explained(rule, sample(x, n), sample(r_y, n));
                CHECK(difference(sample(together, n), alone) < 1e-9);
            }
        }
    }

    TEST_CASE("epsilon is the textbook matrix form") {
        const Recorded r = record(linear_cases()[0], 41);
        const Tensor r_y = random_tensor({3, 4}, 42);
        const auto x = r.x.data().to_vector<double>();
        const auto w = r.weight.data().to_vector<double>();
        const auto z = r.y.data().to_vector<double>();
        const auto in = r_y.to_vector<double>();
        std::vector<double> expected(15, 0.0);
        for (size_t n = 0; n < 3; ++n) {
            for (size_t j = 0; j < 5; ++j) {
                for (size_t k = 0; k < 4; ++k) {
                    const double zk = z[n * 4 + k];
                    expected[n * 5 + j] +=
                        x[n * 5 + j] * w[k * 5 + j] / (zk + (zk >= 0 ? 0.1 : -0.1)) * in[n * 4 + k];
                }
            }
        }
        const Tensor got = relevance(r.y, r_y, r.x, everywhere(rules::epsilon(0.1))).data();
        CHECK(difference(got, Tensor::from(expected, {3, 5})) < 1e-13);
    }

    TEST_CASE("the flat rule counts the inputs of each receptive field that are not padding") {
        // One output pixel in the corner of a padded 3x3 convolution sees 4 pixels of 2 channels.
        const Variable x = Variable::leaf(random_tensor({1, 4, 4, 2}, 51));
        Variable y;
        {
            const Recording recording;
            y = conv2d(x, random_tensor({1, 3, 3, 2}, 52), {}, {.padding = {1, 1}});
        }
        std::vector<double> seed(16, 0.0);
        seed[0] = 8;
        const auto r =
            relevance(y, Tensor::from(seed, {1, 4, 4, 1}), x, everywhere(rules::flat(tiny(1e-15)))).data();
        const auto values = r.to_vector<double>();
        for (size_t h = 0; h < 4; ++h) {
            for (size_t w = 0; w < 4; ++w) {
                CHECK(values[(h * 4 + w) * 2] == doctest::Approx(h < 2 && w < 2 ? 1.0 : 0.0));
            }
        }
    }

    TEST_CASE(
        "the gradient of a function of relevance is right for every rule, in x, the weight, the bias and "
        "R_y") {
        const std::vector<Rule> all = {rules::epsilon(0.05),
                                       rules::zplus(),
                                       rules::alpha_beta(2, 1),
                                       rules::gamma(0.25),
                                       rules::zbox({-2}, {2}),
                                       rules::w_square(),
                                       rules::flat(),
                                       rules::epsilon(0.05, {.form = Stabilizer::Form::clip}),
                                       rules::epsilon(0.05, {.scale_by_rms = true})};
        for (const LinearCase& c : linear_cases()) {
            for (const Rule& rule : all) {
                CAPTURE(c.name);
                CAPTURE(rule.name());
                const auto f = [&](const Variables& in) {
                    const Recording recording;
                    const Variable y = c.run(in[0], in[1], in[2]);
                    return relevance(y, in[3], in[0], everywhere(rule), true);
                };
                // Away from the kinks at 0 of x and W; positive bias and z+ keep denominators away from 0.
                const auto away = [](const Shape& shape, uint64_t seed) {
                    const NoGrad off;
                    const Variable v = random_tensor(shape, seed);
                    return Variable::leaf(
                        (v + Variable(mask(UnaryOp::is_positive, v.data())) * 0.4 - 0.2).data());
                };
                const Recorded shape_of = record(c, 60);
                const Variables inputs = {away(c.x, 61), away(c.weight, 62), away(c.bias, 63),
                                          Variable::leaf(random_tensor(shape_of.y.shape(), 64, 0.2, 1.0))};
                const auto report = gradcheck(
                    f, inputs, {.step = 1e-6, .relative = 1e-4, .absolute = 1e-5, .max_entries = 8});
                INFO(to_string(report));
                CHECK(report.passed);
            }
        }
    }

    TEST_CASE("options that cannot be are refused with the values that can") {
        CHECK_THROWS_WITH_AS((void)rules::alpha_beta(2, 2), doctest::Contains("alpha - beta = 1"), Error);
        CHECK_THROWS_WITH_AS((void)rules::zbox({1}, {0}), doctest::Contains("low <= high"), Error);
        CHECK_THROWS_WITH_AS((void)build_rule("zpluss"), doctest::Contains("did you mean zplus?"), Error);
        CHECK_THROWS_WITH_AS((void)build_rule("gamma(gama=1)"), doctest::Contains("gama"), Error);
        CHECK_THROWS_WITH_AS((void)build_method("epsilon_gamma_box"), doctest::Contains("low=L, high=H"),
                             Error);
        CHECK_THROWS_WITH_AS((void)build_method("lrpp"), doctest::Contains("did you mean lrp?"), Error);
        CHECK_THROWS_WITH_AS((void)build_method("gradient(start=ten)"), doctest::Contains("unknown start"),
                             Error);
        CHECK(build_rule("gamma(0.5)").name() == "gamma");
    }
}
