// Golden numbers: made in f64 by an independent implementation of the formulas; the LRP rows agree with
// Zennit 0.5.1 to 4e-16 (on the merged network). Tolerances are relative to max |R|: 1e-8 for values, 1e-7 at
// second order (the tables print nine digits).
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "autograd/functions.h"
#include "explain/cam.h"
#include "explain/explainer.h"
#include "tests/explain/golden_network.h"

using namespace backlight;

namespace {

double max_abs(const std::vector<double>& values) {
    double m = 0;
    for (const double v : values) {
        m = std::max(m, std::abs(v));
    }
    return m;
}

void check_close(const std::vector<double>& got, const std::vector<double>& expected, double tolerance) {
    REQUIRE(got.size() == expected.size());
    constexpr double kPrinted = 5.1e-10;  // the tables have nine decimals
    const double scale = max_abs(expected);
    for (size_t i = 0; i < got.size(); ++i) {
        INFO("element ", i, ": got ", got[i], ", expected ", expected[i]);
        CHECK(std::abs(got[i] - expected[i]) <= tolerance * scale + kPrinted);
    }
}

/// R_x of one linear layer with W = [[1,-1,2],[-0.5,0.5,1]], b = [0.5,-1], R_y = [1,2].
std::vector<double> linear_layer(const std::vector<double>& x, const Rule& rule) {
    const Variable input = Variable::leaf(Tensor::from(x, {1, 3}));
    const Variable weight = Tensor::from({1.0, -1.0, 2.0, -0.5, 0.5, 1.0}, {2, 3});
    const Variable bias = Tensor::from({0.5, -1.0}, {2});
    const Recording recording;
    const Variable z = linear(input, weight, bias);
    LrpRules rules({.name = "one", .parts = {{.kinds = {}, .layer = {}, .rule = rule}}});
    const Tensor r_y = Tensor::from({1.0, 2.0}, {1, 2});
    return grad(z, r_y, {input}, {.rules = &rules})[0].data().to_vector<double>();
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("rules reproduce the golden numbers of one linear layer") {
        const std::vector<double> x = {1, -2, 0.5};
        RuleOptions no_bias;
        no_bias.zero_bias = true;
        const std::vector<std::pair<Rule, std::vector<double>>> table = {
            {rules::epsilon(1e-6), {0.722221923, 1.444443846, -0.277777577}},
            {rules::epsilon(0.25), {0.654970760, 1.309941520, -0.233918129}},
            {rules::zplus(), {0.222222173, 0.444444346, 2.222218173}},
            {rules::alpha_beta(1, 0), {0.222222173, 0.444444346, 2.222218173}},
            {rules::alpha_beta(2, 1), {0.044444506, 0.088889011, 4.444436346}},
            {rules::gamma(0.25), {0.698412478, 1.396824955, -0.158730053}},
            {rules::zbox({-3}, {3}), {0.649999904, 0.512499940, 1.837499693}},
            {rules::w_square(), {0.359999894, 0.359999894, 1.439999578}},
            {rules::flat(), {0.999999667, 0.999999667, 0.999999667}},
            {rules::epsilon(1e-6, no_bias), {1.249998938, 2.499997875, -0.749999063}},
            {rules::zplus(no_bias), {0.249999938, 0.499999875, 2.249995938}},
            {rules::alpha_beta(2, 1, no_bias), {-0.166666347, -0.333332694, 4.499991875}},
            {rules::gamma(0.25, no_bias), {1.159090198, 2.318180396, -0.477272248}},
            {rules::w_square(no_bias), {0.499999750, 0.499999750, 1.999999000}},
        };
        for (const auto& [rule, expected] : table) {
            CAPTURE(rule.name());
            check_close(linear_layer(x, rule), expected, 1e-8);
        }
    }

    TEST_CASE(
        "an output that is exactly zero counts as positive for the stabilizer and passes nothing for gamma") {
        const std::vector<double> x = {1, 2, 0.5};
        // The largest entries are 2e6: nine printed digits are 1e-6 of absolute precision there.
        check_close(linear_layer(x, rules::epsilon(1e-6)), {-999998.000004, 1999996.000008, 1000001.999996},
                    1e-8);
        check_close(linear_layer(x, rules::epsilon(0.25)), {-2.666666667, 5.333333333, 5.333333333}, 1e-8);
        check_close(linear_layer(x, rules::zplus()), {0.399999840, 1.333332444, 1.066666062}, 1e-8);
        check_close(linear_layer(x, rules::alpha_beta(2, 1)), {0.133333458, 1.666665389, 2.133332124}, 1e-8);
        check_close(linear_layer(x, rules::gamma(0.25)), {1.111110123, -1.777776198, 1.111110123}, 1e-8);
        check_close(linear_layer(x, rules::zbox({-3}, {3})), {0.619047550, 0.797618939, 1.583333142}, 1e-8);
    }

    TEST_CASE("methods reproduce the golden numbers of a small network") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        check_close(forward.logits().data().to_vector<double>(), {1.0164868279, -0.9786805112, -0.0283207404},
                    1e-9);
        struct Row {
            std::string method;
            double sum, sum_abs, at000, at231, at550;
        };
        const std::vector<Row> table = {
            {"gradient", -0.480456640, 4.812395569, -0.023229053, -0.210503914, 0.009093603},
            {"input_x_gradient", 0.992131055, 2.997407548, -0.019546574, 0.147326361, 0.009008190},
            {"guided_backprop", -0.484756504, 5.945852165, -0.004782617, -0.330689600, 0},
            {"deconvnet", -0.046887282, 0.538479394, -0.000621647, -0.016934411, -0.012227840},
            {"epsilon", 0.992128357, 2.997402613, -0.019546654, 0.147326084, 0.009008091},
            {"epsilon_plus", 1.056800690, 1.056800690, 0.004730963, 0.054225779, 0.008418704},
            {"lrp", 1.056800690, 1.056800690, 0.004730963, 0.054225779, 0.008418704},
            {"epsilon_gamma_box(low=-1, high=1)", 1.065512378, 1.356677514, -0.000844107, 0.073445397,
             0.007013510},
            {"epsilon_alpha2_beta1", 1.094762038, 4.691632802, 0.008508577, 0.170676114, 0.023504129},
            {"epsilon_plus_flat", 1.084084717, 1.084084717, 0.003234455, 0.029244863, 0.004037853},
            {"epsilon_alpha2_beta1_flat", 1.065035907, 1.252357176, 0.001757868, 0.028555751, 0.005636629},
            {"z_plus", 0.968130409, 0.968130409, 0.004519419, 0.049163066, 0.005610413},
            {"gamma", 1.014599831, 1.799858890, -0.001913843, 0.100212028, 0.008003663},
            {"w2_first", 1.071668178, 1.071668178, 0.003305474, 0.047125917, 0.006200349},
            {"z_plus(start=one)", 0.952427894, 0.952427894, 0.004446117, 0.048365670, 0.005519415},
            {"z_plus(start=one, zero_bias=true, epsilon=1e-20)", 1.0, 1.0, 0.004734664, 0.050456789,
             0.005519436},
        };
        for (const Row& row : table) {
            CAPTURE(row.method);
            const auto r = forward.explain(*build_method(row.method), {.targets = {0}}).to_vector<double>();
            REQUIRE(r.size() == 72);
            const double sum = std::accumulate(r.begin(), r.end(), 0.0);
            const double sum_abs =
                std::accumulate(r.begin(), r.end(), 0.0, [](double s, double v) { return s + std::abs(v); });
            const auto at = [&](size_t h, size_t w, size_t c) { return r[(h * 6 + w) * 2 + c]; };
            check_close({sum, sum_abs, at(0, 0, 0), at(2, 3, 1), at(5, 5, 0)},
                        {row.sum, row.sum_abs, row.at000, row.at231, row.at550}, 1e-8);
        }
    }

    TEST_CASE("relevance of inner layers reproduces the golden numbers") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto lrp = build_method("epsilon_plus");
        const NoGrad off;
        const Tensor at_relu2 = forward.explain(*lrp, {.targets = {0}, .layers = {"6"}});
        check_close(sum(Variable(at_relu2), {0, 1, 2}).data().to_vector<double>(),
                    {0.175702279, 1.237168144, 0.112416201, -0.408801930}, 1e-8);
        const Tensor at_pool1 = forward.explain(*lrp, {.targets = {0}, .layers = {"3"}});
        CHECK(at_pool1.shape() == Shape{1, 3, 3, 3});
        CHECK(sum(Variable(at_pool1)).item() == doctest::Approx(1.084084788).epsilon(1e-8));
        // The input of a layer is the output of the one before it.
        CHECK(forward.explain(*lrp, {.targets = {0}, .layers = {"4:in"}}).to_vector<double>() ==
              at_pool1.to_vector<double>());
    }

    TEST_CASE(
        "relevance of parameters reproduces the golden numbers, and its sum is that of the input's "
        "relevance") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        LrpRules rules(composites::epsilon_plus());
        rules.collect_parameters();
        const Variable start = start_values(Start::logit, forward.logits().detach(), {0});
        const Variables r = grad(forward.logits(), start, {forward.layers().at("3")}, {.rules = &rules});
        const NoGrad off;
        const ParameterRelevance& conv2 = rules.parameters().at("4");
        check_close(sum(conv2.weight, {1, 2, 3}).data().to_vector<double>(),
                    {0.175702245, 1.203565190, 0.112416169, -0.407598815}, 1e-8);
        check_close(conv2.bias.data().to_vector<double>(), {0, 0.033602740, 0, -0.001203001}, 1e-8);
        CHECK(sum(conv2.weight).item() == doctest::Approx(sum(r[0]).item()).epsilon(1e-12));
        CHECK(rules.parameters().at("9").weight.shape() == Shape{3, 4});
    }

    TEST_CASE("excitation backprop at an inner layer reproduces the golden numbers") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto eb = build_method("z_plus(start=one, zero_bias=true, epsilon=1e-20)");
        const NoGrad off;
        const Tensor r = forward.explain(*eb, {.targets = {0}, .layers = {"3"}});
        check_close(sum(Variable(r), {3}).data().to_vector<double>(),
                    {0.050174397, 0.078033450, 0.110087457, 0.171210480, 0.240441766, 0.215443949, 0,
                     0.102841145, 0.031767356},
                    1e-8);
    }

    TEST_CASE("Grad-CAM reproduces the golden numbers before its ReLU and is resized to the input") {
        const auto net = golden::network();
        const ExplainedForward forward(*net, golden::image());
        const auto cam = build_method("grad_cam(relu=false, upsample=false)", {.cam_layer = "6"});
        check_close(forward.explain(*cam, {.targets = {0}}).to_vector<double>(),
                    {0.159223590, 0.247254374, 0.194023614, 0.025082339, 0.059621446, 0.089087549,
                     0.054074428, 0.093681498, 0.194437991},
                    1e-8);
        const auto upsampled = build_method("grad_cam", {.cam_layer = "6"});
        CHECK(forward.explain(*upsampled, {.targets = {0}}).shape() == Shape{1, 6, 6, 1});
    }

    TEST_CASE(
        "second order: the gradient of a loss on relevance reaches the original parameters, through the "
        "merge") {
        struct Row {
            std::string method;
            double loss, conv1, conv2, fc, gamma1, norm_conv1, norm_conv2, norm_fc;
        };
        const std::vector<Row> table = {
            {"epsilon_plus", 0.0554106245, -0.010524109, -0.002678318, 0.087358965, 0.058521620, 0.311564371,
             0.335786946, 0.102058508},
            {"epsilon_gamma_box(low=-1, high=1)", 0.0851593590, 0.018338101, 0.003278565, 0.126616112,
             0.056303511, 0.516503563, 0.504701948, 0.147269650},
            {"epsilon_alpha2_beta1", 0.6389504831, -0.246685335, 0.050421260, 0.864888738, 0.552865163,
             2.436743281, 3.529444454, 1.055836618},
            {"epsilon", 0.3937454996, -0.140420949, 0.010932671, 0.635145963, 0.112269032, 1.092716100,
             0.663793736, 0.764423890},
        };
        for (const Row& row : table) {
            CAPTURE(row.method);
            const auto net = golden::network();
            const ExplainedForward forward(*net, golden::image());
            const Variable r =
                build_method(row.method)
                    ->explain(forward, {.targets = {0}}, true).maps[0];
            const Variable m = golden::fill({1, 6, 6, 2}, [](const golden::Index& i) {
                return std::cos(golden::d(i[1]) + 2 * golden::d(i[2]) + 3 * golden::d(i[3]));
            });
            const Variable loss = sum(m * r);
            CHECK(loss.item() == doctest::Approx(row.loss).epsilon(1e-8));
            const Variables g =
                grad(loss, {},
                     {golden::parameter(*net, "0.weight"), golden::parameter(*net, "4.weight"),
                      golden::parameter(*net, "9.weight"), golden::parameter(*net, "1.weight")});
            const auto conv1 = g[0].data().to_vector<double>();
            const auto conv2 = g[1].data().to_vector<double>();
            const auto fc = g[2].data().to_vector<double>();
            const auto norm = [](const std::vector<double>& v) {
                return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
            };
            // conv weights are (O,3,3,I): [1,0,2,0] of I = 2, [2,1,1,0] of I = 3
            check_close(
                {conv1[(1 * 9 + 2) * 2], conv2[(2 * 9 + 4) * 3], fc[1], g[3].data().to_vector<double>()[0],
                 norm(conv1), norm(conv2), norm(fc)},
                {row.conv1, row.conv2, row.fc, row.gamma1, row.norm_conv1, row.norm_conv2, row.norm_fc},
                1e-7);
        }
    }
}
