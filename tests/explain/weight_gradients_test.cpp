// Gradients of |R|²/2 with respect to weights, against central differences of textbook formulas: the numbers
// are those of tests/oracle/weight_gradients.py, which also shows what a library computes that takes weights
// as data.
#include <doctest/doctest.h>

#include <numeric>

#include "tests/explain/golden_network.h"
#include "tests/explain/support.h"

using namespace backlight;
using test::difference;

namespace {

Variable half_square(const Variable& r) { return sum(square(r)) * 0.5; }

double norm_of(const std::vector<double>& v) {
    return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
}

}  // namespace

TEST_SUITE("weight gradients") {
    TEST_CASE("the derivative of a linear layer's relevance in its weight is that of central differences") {
        struct Row {
            Composite composite;
            std::vector<double> expected;
        };
        const std::vector<Row> rows = {
            {composites::epsilon(),
             {0.500000114, -2.000000062, 0.749999696, 0.499999903, -1.999999361, 0.749999451}},
            {composites::z_plus(),
             {0.999999753, -3.999998617, -0.499997901, -0.999994222, 1.999988445, -0.499993111}}};
        for (const Row& row : rows) {
            CAPTURE(row.composite.name);
            const Recording recording;
            const Variable x = Variable::leaf(Tensor::from(std::vector<double>{1, -2, 0.5}, {1, 3}));
            const Variable w =
                Variable::leaf(Tensor::from(std::vector<double>{1, -1, 2, -0.5, 0.5, 1}, {2, 3}));
            const Variable y = linear(x, w, Tensor::from(std::vector<double>{0.5, -1}, {2}));
            const Variable r = test::relevance(y, y, x, row.composite, true);
            const Tensor g = grad(half_square(r), {}, {w})[0].data();
            CHECK(difference(g, Tensor::from(row.expected, {2, 3})) < 1e-8);
        }
    }

    TEST_CASE("so is that of a network's relevance, through batch norm, pools and both convolutions") {
        struct Row {
            std::string method;
            double loss;
            std::vector<double> at,
                norms;  // of the two convolutions, the linear layer and the first norm's weight
        };
        const std::vector<Row> rows = {{"epsilon",
                                        0.1329821414,
                                        {-0.016037782, 0.004485993, 0.351096791, 0.107262140},
                                        {0.161867169, 0.403358720, 0.452351459, 0.151144987}},
                                       {"epsilon_plus",
                                        0.0182276348,
                                        {-0.005929975, 0.004418606, 0.048121348, 0.031448336},
                                        {0.073504889, 0.195499952, 0.059490807, 0.046028206}}};
        for (const Row& row : rows) {
            CAPTURE(row.method);
            const auto net = golden::network();
            const ExplainedForward forward(*net, golden::image());
            const Variable r = build_method(row.method)->explain(forward, {.targets = {0}}, true).maps[0];
            const Variable loss = half_square(r);
            CHECK(loss.item() == doctest::Approx(row.loss).epsilon(1e-8));
            const std::vector<std::string> names = {"0.weight", "4.weight", "9.weight", "1.weight"};
            const std::vector<size_t> places = {(1 * 9 + 2) * 2, (2 * 9 + 4) * 3, 1,
                                                0};  // [1,0,2,0], [2,1,1,0], [0,1], [0]
            for (size_t i = 0; i < names.size(); ++i) {
                CAPTURE(names[i]);
                const auto g = grad(loss, {}, {golden::parameter(*net, names[i])}, {.retain_graph = true})[0]
                                   .data()
                                   .to_vector<double>();
                CHECK(g[places[i]] == doctest::Approx(row.at[i]).epsilon(1e-6));
                CHECK(norm_of(g) == doctest::Approx(row.norms[i]).epsilon(1e-7));
            }
        }
    }
}
