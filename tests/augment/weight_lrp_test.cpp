// Relevance as weight-wise learning rates: the hand-computed case, factors against loops, strength zero,
// wrong use.
#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "tests/augment/step.h"
#include "tests/explain/support.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

using Values = std::vector<double>;

Values values_of(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

void check_near(const Values& found, const Values& expected, double tolerance = 1e-6) {
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(found[i] - expected[i]) <= tolerance);
    }
}

/// The factors of every parameter: what the system makes of gradients of ones.
std::map<std::string, Values> factors(HandStep& hand, const std::string& spec) {
    const auto system = build_augmentation(spec);
    system->begin(hand.run);
    system->before_forward(hand.step);
    for (const Parameter& p : hand.model.net->parameters()) {
        p.value.set_grad(Tensor::ones(p.value.shape(), p.value.dtype()));
    }
    system->change_gradients(hand.step);
    std::map<std::string, Values> found;
    for (const Parameter& p : hand.model.net->parameters()) {
        found[p.name] = values_of(p.value.grad());
    }
    return found;
}

HandStep hand_case() { return {dense({1, 1, 1, 0}, 2, 2), Tensor::from(Values{1, 2}, {1, 2}), {0}, 2}; }

/// conv 2 -> 3, ReLU, depthwise conv, ReLU, flatten, linear.
std::unique_ptr<Sequential> small_cnn(int64_t kernel) {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .kernel = {kernel, kernel}}))
        .add(make_relu());
    net->add(std::make_unique<Conv2d>(
        Conv2d::Config{.in = 3, .out = 3, .attrs = {.padding = {1, 1}, .groups = 3}}));
    net->add(make_relu()).add(make_flatten());
    const int64_t side = 5 - kernel;
    net->add(std::make_unique<Linear>(Linear::Config{.in = side * side * 3, .out = 4}));
    test::randomize(*net, 21);
    return net;
}

TrainConfig mlp_config() {
    TrainConfig config;
    config.model = "mlp(image=12:12:1, widths=16:16)";
    config.data = "shapes12(n=64, n_test=16)";
    config.epochs = 3;
    config.batch_size = 16;
    config.lr = 0.1;
    return config;
}

}  // namespace

TEST_CASE("weight_lrp: the factors of one dense layer, by hand") {
    // x = (1,2), W = [[1,1],[1,0]], class 0: z = (3,1), r of z (1,0), r of x (1/3, 2/3), S = [[1/3, 2/3],
    // [0,0]].
    const std::string common = ", warmup=0, explainer=epsilon(epsilon=1e-9))";
    const auto check = [&](const std::string& options, const Values& expected) {
        CAPTURE(options);
        HandStep hand = hand_case();
        const auto found = factors(hand, "weight_lrp(" + options + common);
        check_near(found.at("0.weight"), expected);
        check_near(found.at("0.bias"), {1, 1}, 0);
    };
    check("reading=outer", {4. / 3, 8. / 3, 0, 0});
    check("reading=outer, normalise=sum", {1. / 3, 2. / 3, 0, 0});
    check("reading=weight_lrp", {4. / 3, 8. / 3, 0, 0});
    check("reading=outer, cap=2", {4. / 3, 2, 0, 0});
    check("reading=outer, kappa=0.5", {7. / 6, 11. / 6, 0.5, 0.5});
    const double root = std::sqrt(1. / 3) + std::sqrt(2. / 3);
    check("reading=outer_sqrt", {4 * std::sqrt(1. / 3) / root, 4 * std::sqrt(2. / 3) / root, 0, 0});
    check("reading=hadamard", {2, 0, 2, 0});  // s = (1/3 1, 2/3 0)
    check("reading=hadamard, normalise=sum", {0.5, 0, 0.5, 0});
    check("reading=dot", {1, 1, 1, 1});
    check("reading=dot, normalise=sum", {1, 1, 1, 1});
}

TEST_CASE("weight_lrp: every sample starts with relevance 1, whatever its logit") {
    // x = (1,2) of class 0 has z_0 = 3 and sends (1/3, 2/3); x = (2,-1) of class 1 has z_1 = 2 and sends (1,
    // 0).
    HandStep hand(dense({1, 1, 1, 0}, 2, 2), Tensor::from(Values{1, 2, 2, -1}, {2, 2}), {0, 1}, 2);
    const auto found = factors(hand, "weight_lrp(warmup=0, cap=100)");
    const double first = 3 / 3.01, second = 2 / 2.01,
                 total = first + second;  // what the stabilizer 0.01 leaves
    check_near(found.at("0.weight"), {4 * first / 3 / total, 8 * first / 3 / total, 4 * second / total, 0},
               1e-9);
}

TEST_CASE(
    "weight_lrp: relevance of layers and the outer product, by loops; convolutions by channel and group") {
    const Tensor x = test::random_tensor({3, 4, 4, 2}, 5);
    HandStep hand(small_cnn(3), x, {0, 2, 3}, 4);
    const auto found = factors(hand, "weight_lrp(reading=outer, warmup=0, cap=1e9, last=true)");
    const ExplainedForward forward(*hand.model.net, x);
    const auto explainer = build_method("epsilon(epsilon=0.01, start=one)");
    const Explanation e = forward.explain_all(
        *explainer, {.targets = {0, 2, 3}, .layers = {"0:in", "0", "2:in", "2", "5:in", "5"}});
    const auto channel_sums = [&](size_t map) {  // (N,C)
        const Variable r = abs(e.maps[map]);
        const Variable flat = r.rank() == 4 ? sum(r, {1, 2}) : r;
        return std::pair{flat.data().to_vector<double>(), static_cast<size_t>(flat.dim(1))};
    };
    const auto check = [&](const std::string& layer, size_t map, size_t positions, bool depthwise) {
        CAPTURE(layer);
        const auto [in, columns] = channel_sums(map);
        const auto [out, rows] = channel_sums(map + 1);
        Values scores;
        double total = 0;
        for (size_t k = 0; k < rows; ++k) {
            for (size_t j = 0; j < (depthwise ? 1 : columns); ++j) {
                double s = 0;
                for (size_t n = 0; n < 3; ++n) {
                    s += out[n * rows + k] * in[n * columns + (depthwise ? k : j)] / 3;
                }
                scores.push_back(s);
                total += s;
            }
        }
        Values expected;
        const size_t each = depthwise ? 1 : columns;
        for (size_t k = 0; k < rows; ++k) {
            for (size_t p = 0; p < positions; ++p) {
                for (size_t j = 0; j < each; ++j) {
                    expected.push_back(scores[k * each + j] / total * static_cast<double>(scores.size()));
                }
            }
        }
        check_near(found.at(layer + ".weight"), expected, 1e-9);
        double mean = 0;
        for (const double f : found.at(layer + ".weight")) {
            mean += f / static_cast<double>(expected.size());
        }
        CHECK(mean == doctest::Approx(1).epsilon(1e-9));
    };
    check("0", 0, 9, false);
    check("2", 2, 9, true);
    check("5", 4, 1, false);
    // normalise=sum is mean1 over the number of weights.
    const auto by_sum = factors(hand, "weight_lrp(reading=outer, warmup=0, normalise=sum, last=true)");
    for (const char* layer : {"0.weight", "2.weight", "5.weight"}) {
        Values expected = found.at(layer);
        for (double& f : expected) {
            f /= static_cast<double>(expected.size());
        }
        check_near(by_sum.at(layer), expected, 1e-12);
    }
}

TEST_CASE("weight_lrp: what flows through the weights of a convolution, by loops") {
    const Tensor x = test::random_tensor({2, 4, 4, 2}, 6);
    HandStep hand(small_cnn(1), x, {1, 3}, 4);
    const auto found = factors(hand, "weight_lrp(reading=weight_lrp, warmup=0, cap=1e9)");
    const ExplainedForward forward(*hand.model.net, x);
    const auto explainer = build_method("epsilon(epsilon=0.01, start=one)");
    const auto r = forward.explain_all(*explainer, {.targets = {1, 3}, .layers = {"0"}})
                       .maps[0]
                       .data()
                       .to_vector<double>();
    const auto z = forward.layers().at("0").data().to_vector<double>();
    const auto a = x.to_vector<double>();
    const auto w = hand.model.net->parameters()[0].value.data().to_vector<double>();  // (3,1,1,2)
    Values expected(6, 0.0);
    double total = 0;
    for (size_t p = 0; p < 2 * 16; ++p) {
        for (size_t k = 0; k < 3; ++k) {
            const double value = z[p * 3 + k];
            for (size_t j = 0; j < 2; ++j) {
                expected[k * 2 + j] += std::abs(a[p * 2 + j] * w[k * 2 + j] * r[p * 3 + k] /
                                                (value + (value < 0 ? -0.01 : 0.01)));
            }
        }
    }
    for (const double s : expected) {
        total += s;
    }
    for (double& s : expected) {
        s *= 6 / total;
    }
    check_near(found.at("0.weight"), expected, 1e-9);
}

TEST_CASE("weight_lrp: the last layer and layers that are not named keep their gradients") {
    const Tensor x = test::random_tensor({2, 4, 4, 2}, 6);
    const auto changed = [&](const std::string& options) {
        HandStep hand(small_cnn(3), x, {1, 3}, 4);
        hand.model.head = "5.weight";
        std::string layers;
        for (const auto& [name, factor] : factors(hand, "weight_lrp(" + options + ")")) {
            layers +=
                std::any_of(factor.begin(), factor.end(), [](double f) { return f != 1; }) ? name + " " : "";
        }
        return layers;
    };
    CHECK(changed("warmup=0") == "0.weight 2.weight ");
    CHECK(changed("warmup=0, last=true") == "0.weight 2.weight 5.weight ");
    CHECK(changed("warmup=0, layers=5") == "5.weight ");  // the only one
    CHECK(changed("warmup=0, layers=2:5") == "2.weight ");
    CHECK(changed("warmup=0, kappa=0") == "");
    CHECK(changed("") == "");
    // A pass that ends at the lowest layer of interest finds the same factors.
    HandStep hand(small_cnn(3), x, {1, 3}, 4);
    CHECK(factors(hand, "weight_lrp(warmup=0, layers=2)").at("2.weight") ==
          factors(hand, "weight_lrp(warmup=0, last=true)").at("2.weight"));
}

TEST_CASE("weight_lrp: controls have the mean, and a permutation the values, of the factors") {
    const Tensor x = test::random_tensor({2, 4, 4, 2}, 6);
    HandStep hand(small_cnn(3), x, {1, 3}, 4);
    Values plain = factors(hand, "weight_lrp(warmup=0, layers=5, cap=1e9)").at("5.weight");
    Values shuffled =
        factors(hand, "weight_lrp(warmup=0, layers=5, cap=1e9, control=shuffled)").at("5.weight");
    Values random = factors(hand, "weight_lrp(warmup=0, layers=5, control=random)").at("5.weight");
    CHECK(plain != shuffled);
    std::sort(plain.begin(), plain.end());
    std::sort(shuffled.begin(), shuffled.end());
    check_near(shuffled, plain, 1e-6);
    double mean = 0;
    for (const double f : random) {
        CHECK(f >= 0);
        mean += f / static_cast<double>(random.size());
    }
    CHECK(mean == doctest::Approx(1).epsilon(1e-9));
    hand.step.step = 1;
    CHECK(factors(hand, "weight_lrp(warmup=0, layers=5, control=random)").at("5.weight") != random);
}

TEST_CASE("weight_lrp: the batches of an accumulated step count together") {
    const Tensor x = test::random_tensor({4, 4, 4, 2}, 8);
    HandStep whole(small_cnn(3), x, {0, 1, 2, 3}, 4);
    const Values expected = factors(whole, "weight_lrp(warmup=0)").at("0.weight");
    const auto system = build_augmentation("weight_lrp(warmup=0)");
    system->begin(whole.run);
    for (int64_t part = 0; part < 2; ++part) {
        Batch batch{.input = slice(Variable(x), 0, 2 * part, 2).data(),
                    .label = Tensor::from(std::vector<int64_t>{2 * part, 2 * part + 1}, {2}),
                    .indices = {2 * part, 2 * part + 1}};
        TrainingStep step{.run = whole.run, .batch = batch};
        system->before_forward(step);
    }
    const Variable& weight = whole.model.net->parameters()[0].value;
    weight.set_grad(Tensor::ones(weight.shape(), DType::f64));
    system->change_gradients(whole.step);
    check_near(values_of(weight.grad()), expected, 1e-12);
}

TEST_CASE("weight_lrp: strength zero and the reading as a number are the plain run, bit for bit") {
    const TrainConfig config = mlp_config();
    const std::string plain = weights_after(config, {});
    CHECK(weights_after(config, {"weight_lrp(kappa=0)"}) == plain);
    CHECK(weights_after(config, {"weight_lrp(kappa=0, on_step=true)"}) == plain);
    CHECK(weights_after(config, {"weight_lrp(warmup=3)"}) == plain);
    CHECK(weights_after(config, {"weight_lrp(start_epoch=3)"}) == plain);
    CHECK(weights_after(config, {"weight_lrp(reading=dot, warmup=0)"}) ==
          plain);  // explains, changes nothing
    for (const std::string reading : {"outer", "outer_sqrt", "hadamard", "weight_lrp"}) {
        CAPTURE(reading);
        CHECK(weights_after(config, {"weight_lrp(reading=" + reading + ")"}) != plain);
    }
}

TEST_CASE("weight_lrp: the explanation leaves batch norm and dropout of the training alone") {
    TrainConfig config = mlp_config();
    config.model = "resnet18(in=1, width=8, small=true)";
    config.max_steps = 2;
    config.epochs = 1;
    CHECK(weights_after(config, {"weight_lrp(reading=dot, warmup=0)"}) == weights_after(config, {}));
    config.accumulate = 2;
    CHECK(weights_after(config, {"weight_lrp(reading=dot, warmup=0)"}) == weights_after(config, {}));
    for (const std::string reading : {"outer", "weight_lrp"}) {
        CHECK(weights_after(config, {"weight_lrp(reading=" + reading + ", warmup=0)"}) !=
              weights_after(config, {}));
    }
}

TEST_CASE("weight_lrp: on the step or on the gradient is one under plain descent, not under Adam") {
    TrainConfig config = mlp_config();
    config.optimizer.momentum = 0;
    const auto run = [&](const std::string& system) {
        TrainConfig one = config;
        one.augment = {system};
        return values_of(train(one, with_augmentations()).model.net->parameters()[2].value.data());
    };
    check_near(run("weight_lrp(warmup=0)"), run("weight_lrp(warmup=0, on_step=true)"), 1e-5);
    config.optimizer.name = "adam";
    config.lr = 0.01;
    const Values gradient = run("weight_lrp(warmup=0, on_step=false)"),
                 step = run("weight_lrp(warmup=0, on_step=true)");
    double largest = 0;
    for (size_t i = 0; i < step.size(); ++i) {
        largest = std::max(largest, std::abs(gradient[i] - step[i]));
    }
    CHECK(largest > 1e-3);
    CHECK(run("weight_lrp(warmup=0)") == step);  // what Adam needs is the default there
}

TEST_CASE("weight_lrp: a resumed run has the bits of a whole one") {
    TrainConfig config = mlp_config();
    config.optimizer.name = "adam";
    config.lr = 0.01;
    check_resume_with(config, {"weight_lrp(on_step=true)"}, 6);
    check_resume_with(config, {"weight_lrp(control=random, every=2)"}, 7);
}

TEST_CASE("weight_lrp: mixed and several labels start at their shares") {
    TrainConfig config = mlp_config();
    config.model = "cnn_g";
    CHECK(weights_after(config, {"mixup", "weight_lrp(warmup=0)"}) != weights_after(config, {"mixup"}));
}

TEST_CASE("weight_lrp: wrong use is told before the first step") {
    TrainConfig config = mlp_config();
    const auto message = [&](const std::string& options) {
        return refusal_of(config, "weight_lrp(" + options + ")");
    };
    CHECK(contains(message("layers=features.*"),
                   "no dense or convolutional layer that is trained has a name like features.*"));
    CHECK(contains(message("reading=inner"), "outer_sqrt"));
    CHECK(contains(message("kappa=2"), "kappa"));
    CHECK(contains(message("cap=0"), "cap"));
    CHECK(contains(message("warmup=-1"), "warmup"));
    CHECK(contains(message("normalise=max"), "mean1"));
    CHECK(contains(message("control=constant"), "shuffled"));
    CHECK(contains(message("explainer=lime"), "lime"));
    CHECK(contains(message("explainer=epsilonn"), "did you mean epsilon"));
    CHECK(contains(message("reading=weight_lrp, explainer=gradient"), "LRP methods"));
    CHECK(contains(message("reading=outer, explainer=integrated_gradients(n=3)"), "several times"));
    CHECK(contains(message("lambda=1"), "lambda"));
    config.model = "mlp(image=12:12:1, widths=16:8)";
    CHECK(contains(message("reading=hadamard"), "as many inputs as outputs"));
    config.freeze = {"*.weight"};
    CHECK(contains(message("reading=outer"), "no dense or convolutional layer that is trained"));
}
