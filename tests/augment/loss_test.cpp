// RRR, penalties on explanations and input-gradient regularisation: hand-computed values, derivatives against
// differences, strength zero, wrong use.
#include <cmath>

#include "augment/loss/explanation_penalty.h"
#include "autograd/functions.h"
#include "core/io/image.h"
#include "tests/augment/step.h"
#include "tests/explain/support.h"
#include "train/loss.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

/// conv BN ReLU pool, flatten, linear ReLU linear; a kink is unlikely within the step of the differences.
std::unique_ptr<Sequential> small_cnn() {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 1, .out = 3, .attrs = {.padding = {1, 1}}}));
    net->add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3}))
        .add(make_relu())
        .add(make_max_pool(2));
    net->add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 12, .out = 5})).add(make_relu());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 5, .out = 3}));
    test::randomize(*net, 11);
    return net;
}

void check_near(const Tensor& found, const std::vector<double>& expected, double tolerance = 1e-6) {
    const auto values = found.to(DType::f64).to_vector<double>();
    REQUIRE(values.size() == expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(values[i] - expected[i]) <= tolerance);
    }
}

struct Term {
    double value;
    Tensor d_weight, d_bias;
};

Term term_of(HandStep& hand, const std::string& spec) {
    const auto system = build_augmentation(spec);
    system->begin(hand.run);
    const Variable term = hand.loss_term(*system);
    const auto p = hand.model.net->parameters();
    const Variables d = grad(std::vector<Variable>{term}, std::vector<Variable>{},
                             std::vector<Variable>{p[0].value, p[1].value}, {.allow_unused = true});
    const auto or_zeros = [](const Variable& v, const Parameter& of) {
        return v.defined() ? v.data() : Tensor::zeros(of.value.shape(), DType::f64);
    };
    return {term.item(), or_zeros(d[0], p[0]), or_zeros(d[1], p[1])};
}

}  // namespace

TEST_CASE("rrr: the closed form of a linear softmax") {
    HandStep hand(dense({1, 0, 0, 1}, 2, 2), Tensor::from(std::vector<double>{1, 0}, {1, 2}), {0}, 2);
    const Term term = term_of(hand, "rrr(lambda=1, masks=all)");
    CHECK(term.value == doctest::Approx(0.427105).epsilon(1e-5));
    check_near(term.d_weight, {1.153967, -0.427105, -1.153967, 0.427105});
    check_near(term.d_bias, {0.726862, -0.726862});
    CHECK(term_of(hand, "rrr(lambda=10, masks=all)").value == doctest::Approx(4.27105).epsilon(1e-5));
}

TEST_CASE("input_gradient: the closed form of a linear softmax") {
    HandStep hand(dense({1, 0, 0, 1}, 2, 2), Tensor::from(std::vector<double>{1, 0}, {1, 2}), {0}, 2);
    const Term term = term_of(hand, "input_gradient(lambda=1)");
    CHECK(term.value == doctest::Approx(0.144659).epsilon(1e-5));
    check_near(term.d_weight, {-0.066849, -0.144659, 0.066849, 0.144659});
    check_near(term.d_bias, {-0.211508, 0.211508});
    // Against the uniform distribution it is RRR on all inputs over C².
    CHECK(term_of(hand, "input_gradient(lambda=1, target=uniform)").value ==
          doctest::Approx(term_of(hand, "rrr(lambda=1, masks=all)").value / 4));
}

TEST_CASE("rrr: relevance over its maximum, differentiated and constant") {
    // Toy experiment 3: feature 1 is the decoy; w = the row of the true class.
    const auto check = [](const std::vector<double>& w, const char* scale, double value,
                          const std::vector<double>& gradient) {
        HandStep hand(dense({w[0], w[1], 0, 0}, 2, 2), Tensor::from(std::vector<double>{1, 1}, {1, 2}), {0},
                      2);
        auto set = std::make_shared<InMemoryDataset>(Shape{2}, std::vector<float>{1, 1},
                                                     std::vector<int64_t>{0}, numbered_classes(2));
        set->set_decoy_masks({0, 1});
        hand.run.data = set;
        hand.batch.decoy_mask = Tensor::from(std::vector<double>{0, 1}, {1, 2});
        const Term term =
            term_of(hand, std::string("rrr(lambda=1, explainer=epsilon(epsilon=1e-9), scale=") + scale + ")");
        CAPTURE(scale);
        CHECK(term.value == doctest::Approx(value).epsilon(1e-6));
        check_near(term.d_weight, {gradient[0], gradient[1], 0, 0});
    };
    check({2, 1}, "through", 0.25, {-0.25, 0.5});
    check({2, 1}, "stop", 0.25, {0, 0.5});
    check({1, 2}, "through", 1, {0, 0});
    check({1, 2}, "stop", 1, {0, 1});
}

TEST_CASE("penalties on explanations: gradients against differences") {
    const std::vector<std::string> specs = {
        "rrr(lambda=2, masks=all)",
        "rrr(lambda=2, masks=all, layer=2)",
        "rrr(lambda=2, masks=all, explainer=epsilon_plus)",
        "rrr(lambda=2, masks=all, explainer=epsilon(epsilon=0.1), layer=3)",
        "rrr(lambda=2, masks=all, explainer=epsilon(epsilon=0.1), scale=through)",
        "rrr(lambda=2, masks=all, explainer=grad_cam(layer=2))",
        "rrr(lambda=2, masks=all, explainer=integrated_gradients(n=3))",
        "rrr(lambda=2, masks=all, explainer=guided_backprop)",
        "penalty(form=l1)",
        "penalty(form=l2, explainer=input_x_gradient)",
        "penalty(form=entropy, explainer=epsilon_plus)",
        "penalty(form=total_variation)",
        "input_gradient(lambda=1)",
        "input_gradient(lambda=1, target=uniform)"};
    for (const std::string& spec : specs) {
        CAPTURE(spec);
        HandStep hand(small_cnn(), test::random_tensor({2, 4, 4, 1}, 5), {0, 2}, 3);
        const auto system = build_augmentation(spec);
        system->begin(hand.run);
        CHECK(hand.loss_term(*system).item() > 0);
        CHECK(worst_gradient_error(hand, *system) < 1e-5);
    }
}

TEST_CASE("a relevance in a loss: the statistics of a batch are constants, no sample explains another") {
    HandStep hand(small_cnn(), test::random_tensor({2, 4, 4, 1}, 5), {0, 1}, 3);
    hand.model.net->train();
    hand.forward();
    const Tensor start = Tensor::from(std::vector<double>{1, 0, 0, 0, 0, 0}, {2, 3});  // of the first sample
    const ExplainedForward forward(*hand.model.net, hand.layers, hand.step.input, hand.step.logits);
    const auto of_second = [](const Variable& r) { return test::max_abs(slice(r, 0, 1, 1).data()); };
    for (const std::string method :
         {"gradient", "saliency", "input_x_gradient", "guided_backprop", "deconvnet", "smooth_relu",
          "gradient(paths=all)", "epsilon", "epsilon_plus", "epsilon_alpha2_beta1", "deep_lift",
          "grad_cam(layer=0)", "excitation_backprop"}) {
        CAPTURE(method);
        const Variable r = build_method(method)->explain(forward, {.start = start}, true).maps[0];
        CHECK(test::max_abs(slice(r, 0, 0, 1).data()) > 0);
        CHECK(of_second(r) == 0);
    }
    // The loss itself does see the statistics.
    CHECK(of_second(grad(hand.step.logits, Variable(start), {hand.step.input}, {.retain_graph = true})[0]) >
          1e-3);
}

TEST_CASE("rrr: sum_log_prob is the gradient method with that start, also with batch norm") {
    const auto value = [](const std::string& spec) {
        HandStep hand(small_cnn(), test::random_tensor({4, 4, 4, 1}, 5), {0, 1, 2, 0}, 3);
        const auto system = build_augmentation(spec);
        system->begin(hand.run);
        hand.model.net->train();
        return hand.loss_term(*system).item();
    };
    CHECK(value("rrr(masks=all)") ==
          doctest::Approx(value("rrr(masks=all, explainer=gradient(start=sum-log-prob))")).epsilon(1e-12));
}

TEST_CASE("loss family: strength zero is the plain run, bit for bit; another strength is not") {
    const TrainConfig config = decoy_config();
    const std::string plain = weights_after(config, {});
    for (const std::string name : {"rrr", "penalty", "input_gradient"}) {
        CAPTURE(name);
        CHECK(weights_after(config, {name + "(lambda=0)"}) == plain);
        CHECK(weights_after(config, {name + "(lambda=1, start_epoch=2)"}) == plain);
        CHECK(weights_after(config, {name + "(lambda=1)"}) != plain);
    }
}

TEST_CASE("loss family: a relative lambda is one of the first loss, and a resume keeps it") {
    HandStep hand(small_cnn(), test::random_tensor({2, 4, 4, 1}, 5), {0, 2}, 3);
    const auto system = build_augmentation("rrr(lambda=0.5, masks=all, relative=true)");
    system->begin(hand.run);
    const double term = hand.loss_term(*system).item();
    const SummedLoss loss = loss_of(hand.step.logits, hand.batch, 0, {});
    CHECK(term == doctest::Approx(0.5 * loss.sum.item() / loss.weight).epsilon(1e-12));
    for (const Parameter& p : hand.model.net->parameters()) {  // later losses do not change the unit
        Tensor w = p.value.data();
        w.copy_from((Variable(w) * 0.5).data());
    }
    const double later = hand.loss_term(*system).item();
    const auto resumed = build_augmentation("rrr(lambda=0.5, masks=all, relative=true)");
    resumed->restore(system->state());
    resumed->begin(hand.run);
    CHECK(hand.loss_term(*resumed).item() == later);
    const auto absolute = build_augmentation("rrr(lambda=0.5, masks=all)");
    absolute->begin(hand.run);
    CHECK(later / hand.loss_term(*absolute).item() ==
          doctest::Approx(system->state().at("unit").to_vector<double>()[0]).epsilon(1e-12));
    check_resume_with(decoy_config(), {"rrr(lambda=0.1, relative=true)"}, 2);
}

TEST_CASE("a penalty of one's own: a function of the step and its relevance") {
    HandStep hand(small_cnn(), test::random_tensor({2, 4, 4, 1}, 5), {0, 2}, 3);
    const auto system =
        explanation_penalty({.lambda = 3, .explainer = "epsilon_plus"},
                            [](const TrainingStep&, const Variable& r) { return sum(square(r)) / 2.0; });
    system->begin(hand.run);
    CHECK(hand.loss_term(*system).item() > 0);
    CHECK(worst_gradient_error(hand, *system) < 1e-5);
}

TEST_CASE("loss family: wrong use is told before the first step") {
    TrainConfig config = decoy_config();
    const auto message = [&](const std::string& system) { return refusal_of(config, system); };
    CHECK(contains(message("rrr(explainer=lime)"), "lime has no derivative"));
    CHECK(contains(message("rrr(lambda=-1)"), "lambda"));
    CHECK(contains(message("rrr(layer=features.99)"), "features.99"));
    CHECK(contains(message("rrr(masks=/nowhere)"), "masks: /nowhere is no folder"));
    CHECK(contains(message("rr"), "did you mean rrr"));
    CHECK(contains(message("penalty(form=l3)"), "l1"));
    // What a first relevance tells, before any epoch and whenever the system would begin.
    CHECK(contains(message("rrr(explainer=grad_cam(layer=nope), start_epoch=1)"), "nope"));
    CHECK(contains(message("rrr(explainer=cam)"), "cam: "));
    CHECK(contains(message("rrr(masks=decoy, layer=classifier.1)"), "mark nothing in a relevance of shape"));
    CHECK(contains(message("rrr(masks=decoy, cutoff=0.5)"), "cutoff belongs to earlier"));
    config.augment = {"rrr(explainer=epsilon_gamma_box)"};
    CHECK_NOTHROW((void)train(config, with_augmentations()));                 // the data states its range
    for (const char* explainer : {"expected_gradients(k=2)", "deep_shap"}) {  // the run has a background
        config.augment = {concat_text("penalty(explainer=", explainer, ")")};
        CHECK_NOTHROW((void)train(config, with_augmentations()));
    }
    config.data = "digits";
    config.model = "cnn_small(in=1)";
    CHECK(contains(message("rrr"), "no masks"));
    config.data = "toy1";
    config.model = "toy1";
    CHECK(contains(message("rrr(masks=decoy)"), "no masks of decoys"));
}

TEST_CASE("rrr: masks from a folder are those of the data; missing and misshapen ones are told") {
    const TemporaryFolder folder;
    TrainConfig config = decoy_config();
    const auto data = load_data(config.data);
    const Batch all = data->train->all();
    const auto planes = all.decoy_mask.to_vector<float>();
    const auto masks = folder.path() / "masks";
    std::filesystem::create_directories(masks);
    for (int64_t i = 0; i < data->train->size(); ++i) {
        std::vector<uint8_t> bytes;
        for (size_t p = 0; p < 144; ++p) {
            bytes.push_back(planes[static_cast<size_t>(i) * 144 + p] > 0.5f ? 255 : 0);
        }
        write_png(masks / (std::to_string(i) + ".png"), Tensor::from(bytes, {12, 12, 1}));
    }
    CHECK(weights_after(config, {"rrr(lambda=10, masks=" + masks.string() + ")"}) ==
          weights_after(config, {"rrr(lambda=10, masks=decoy)"}));
    CHECK(weights_after(config, {"rrr(lambda=10, masks=shuffled)"}) !=
          weights_after(config, {"rrr(lambda=10, masks=decoy)"}));

    config.augment = {"rrr(masks=" + masks.string() + ")"};
    const auto message = [&] { return error_of([&] { (void)train(config, with_augmentations()); }); };
    write_png(masks / "7.png", Tensor::from(std::vector<uint8_t>(100, 0), {10, 10, 1}));
    CHECK(contains(message(), "7.png has 10 x 10 pixels, its sample 12 x 12"));
    std::filesystem::remove(masks / "3.png");
    std::filesystem::remove(masks / "7.png");
    CHECK(contains(message(), "masks: 2 of 64 samples have none, the first is "));
}

TEST_CASE("rrr: two pictures of one name in folders of classes cannot share a mask") {
    const TemporaryFolder folder;
    for (const char* place : {"data/train/a", "data/train/b", "data/test/a", "data/test/b", "masks"}) {
        std::filesystem::create_directories(folder.path() / place);
        write_png(folder.path() / place / "0.png", Tensor::from(std::vector<uint8_t>(192, 9), {8, 8, 3}));
    }
    TrainConfig config;
    config.model = "cnn_g";
    config.data = "folder:" + (folder.path() / "data").string() + "(size=8)";
    config.augment = {"rrr(masks=" + (folder.path() / "masks").string() + ")"};
    CHECK(contains(error_of([&] { (void)train(config, with_augmentations()); }), "would be that of both"));
}
