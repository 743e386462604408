// Attention by explanation and the dropouts: their factors on a network small enough for a pencil, the plain
// run at strength zero, resumes, refusals.
#include <cmath>

#include "augment/features/unit_dropout.h"
#include "autograd/grad.h"
#include "tests/augment/step.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

/// x = (1, 2) -> h = relu(W x) = (1, 2, 0) -> V h. Contributions to class 0: (-1, -2, 0), to class 1: (2, -1,
/// 0).
std::unique_ptr<Sequential> two_layers() {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Linear>(Linear::Config{.in = 2, .out = 3}));
    net->add(make_relu());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 3, .out = 2}));
    Tensor w = net->parameters()[0].value.data(), v = net->parameters()[2].value.data();
    w.copy_from(Tensor::from(std::vector<float>{1, 0, 0, 1, 1, -1}, {3, 2}));
    v.copy_from(Tensor::from(std::vector<float>{-1, -1, 5, 2, -0.5f, 3}, {2, 3}));
    return net;
}

struct Pencil : HandStep {
    explicit Pencil(const std::vector<int64_t>& labels)
        : HandStep(two_layers(), inputs(labels.size()), labels, 2) {
        model.net->to(DType::f32);
    }
    static Tensor inputs(size_t n) {
        std::vector<float> x;
        for (size_t i = 0; i < n; ++i) {
            x.insert(x.end(), {1, 2});
        }
        return Tensor::from(x, {static_cast<int64_t>(n), 2});
    }
    /// The layer's output behind the system, (N, 3), when it is `h` before.
    std::vector<float> changed(Augmentation& system, const std::vector<float>& h = {1, 2, 0}) {
        std::vector<float> all;
        for (int64_t n = 0; n < batch.size(); ++n) {
            all.insert(all.end(), h.begin(), h.end());
        }
        step.shared.clear();
        system.before_forward(step);
        return system.change_features(step, "1", Variable(Tensor::from(all, {batch.size(), 3})))
            .data()
            .to_vector<float>();
    }
};

std::unique_ptr<Augmentation> begun(Pencil& pencil, const std::string& spec) {
    auto system = build_augmentation(spec);
    system->begin(pencil.run);
    return system;
}

void check_values(const std::vector<float>& found, const std::vector<double>& expected) {
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
        CHECK(static_cast<double>(found[i]) == doctest::Approx(expected[i]).epsilon(1e-5));
    }
}

const std::vector<float> kOnes{1, 1, 1};

TrainConfig toy_run() {
    TrainConfig config = train_testing::toy_config("");
    config.epochs = 2;
    return config;
}

TrainConfig picture_run() {
    TrainConfig config;
    config.model = "cnn_g(in=3, size=16)";
    config.data = "shapes16(n=60, n_test=20)";
    config.epochs = 2;
    config.batch_size = 20;
    config.lr = 0.01;
    return config;
}

}  // namespace

TEST_CASE("attention: the mask by hand, and what the start of the relevance makes of a rejected class") {
    Pencil pencil({1, 0});  // class 1 has logit 1, class 0 has -3
    // r' of class 1: (1, -1/2, 0). Of class 0 the contributions are negative; over the logit they become
    // positive.
    check_values(pencil.changed(*begun(pencil, "attention(layer=1)"), kOnes), {1.5, 0.75, 1, 1.25, 1.5, 1});
    check_values(pencil.changed(*begun(pencil, "attention(layer=1, explainer=epsilon(start=logit))"), kOnes),
                 {1.5, 0.75, 1, 0.75, 0.5, 1});
    check_values(pencil.changed(*begun(pencil, "attention(layer=1, strength=0.5)"), kOnes),
                 {1.25, 0.875, 1, 1.125, 1.25, 1});
    check_values(pencil.changed(*begun(pencil, "attention(layer=1, target=predicted)"), kOnes),
                 {1.5, 0.75, 1, 1.5, 0.75, 1});
}

TEST_CASE("attention: gradients see a constant mask, and only the masked forward pass") {
    Pencil pencil({1});
    const auto system = begun(pencil, "attention(layer=1)");
    system->before_forward(pencil.step);
    pencil.forward({system.get()});
    check_values(pencil.step.logits.data().to_vector<float>(), {-1.5 - 1.5, 3 - 0.75});  // V (M ⊙ h)
    const Variable start(Tensor::from(std::vector<float>{0, 1}, {1, 2}));
    const Variable d = grad(pencil.step.logits, start, {pencil.step.input})[0];
    check_values(d.data().to_vector<float>(), {2 * 1.5, -0.5 * 0.75});  // Wᵀ (M ⊙ V_1) at the active units
}

TEST_CASE("attention: controls keep the size of the mask and lose its place") {
    Pencil pencil({1, 0});
    const auto shuffled = begun(pencil, "attention(layer=1, mask=shuffled)");
    bool moved = false;
    for (pencil.step.step = 0; pencil.step.step < 8; ++pencil.step.step) {
        auto values = pencil.changed(*shuffled, kOnes);
        moved = moved || values[0] < 1.4f;
        std::sort(values.begin(), values.begin() + 3);
        std::sort(values.begin() + 3, values.end());
        check_values(values, {0.75, 1, 1.5, 1, 1.25, 1.5});
    }
    CHECK(moved);
    const auto random = begun(pencil, "attention(layer=1, mask=random)");
    double low = 2, high = 0, mean = 0;
    for (pencil.step.step = 0; pencil.step.step < 200; ++pencil.step.step) {
        for (const float value : pencil.changed(*random, kOnes)) {
            low = std::min(low, double{value});
            high = std::max(high, double{value});
            mean += value / 1200;
        }
    }
    CHECK(low >= 0.5);
    CHECK(low < 0.51);
    CHECK(high <= 1.5);
    CHECK(high > 1.49);
    CHECK(mean == doctest::Approx(1).epsilon(0.03));
}

TEST_CASE("explanation_dropout: which unit goes, and what the others are worth") {
    Pencil pencil({1, 0});  // |r| is largest at unit 0 for class 1, at unit 1 for class 0
    const auto at = [&](const std::string& options, const std::vector<float>& h = {1, 2, 0}) {
        return pencil.changed(
            *begun(pencil, "explanation_dropout(layer=1, p=0.34, rounding=down" + options + ")"), h);
    };
    check_values(at("", kOnes), {0, 1.5, 1.5, 1.5, 0, 1.5});
    check_values(at(", rescale=per_sample"), {0, 3, 0, 3, 0, 0});  // 3/2 and 3/1
    check_values(at(", rescale=per_batch"), {0, 4, 0, 2, 0, 0});   // 6/3
    check_values(at(", lowest=true", kOnes), {1.5, 1.5, 0, 1.5, 1.5, 0});
    // Nothing that is active stays: the scale has a bound, and a sample without activation is left alone.
    check_values(at(", rescale=per_sample", {1, 0, 0}), {0, 0, 0, 1, 0, 0});
    check_values(at(", rescale=per_sample", {0, 0, 0}), {0, 0, 0, 0, 0, 0});
    check_values(at(", rescale=per_sample", {1, 0.01f, 0}), {0, 0.05, 0, 1.01, 0, 0});
}

TEST_CASE("explanation_dropout: the mean number of dropped units is exact, ties fall at random") {
    RandomStream random(RandomKey{.seed = 3});
    double mean = 0;
    for (int i = 0; i < 4000; ++i) {
        const int64_t k = stochastic_count(0.25, 5, random);
        CHECK((k == 1 || k == 2));
        mean += static_cast<double>(k) / 4000;
    }
    CHECK(mean == doctest::Approx(1.25).epsilon(0.02));
    CHECK(stochastic_count(0.5, 4, random) == 2);
    CHECK(stochastic_count(0.99, 2, random) == 1);  // one stays
    std::vector<int> dropped(4);
    const std::vector<double> scores{1, 0, 0, 0};
    for (int i = 0; i < 3000; ++i) {
        const std::vector<double> kept = drop_largest(scores, 2, random);
        for (size_t u = 0; u < 4; ++u) {
            dropped[u] += kept[u] == 0 ? 1 : 0;
        }
    }
    CHECK(dropped[0] == 3000);
    for (size_t u = 1; u < 4; ++u) {
        CHECK(dropped[u] > 900);
        CHECK(dropped[u] < 1100);
    }
}

TEST_CASE("explanation_dropout: a criterion that decays ends at random") {
    Pencil pencil({1});
    pencil.run.epochs = 10;
    pencil.run.steps_per_epoch = 100;
    const auto system = begun(pencil, "explanation_dropout(layer=1, p=0.34, rounding=down, decay=true)");
    const auto share_of_first = [&](int64_t from) {
        int first = 0;
        for (pencil.step.step = from; pencil.step.step < from + 100; ++pencil.step.step) {
            first += pencil.changed(*system, kOnes)[0] == 0 ? 1 : 0;
        }
        return first;
    };
    CHECK(share_of_first(0) > 85);
    CHECK(share_of_first(900) < 55);
    CHECK(share_of_first(900) > 20);
}

TEST_CASE("random_dropout: rates and scales") {
    Pencil pencil({1});
    const auto rate = [&](Augmentation& system, float scale) {
        int zeros = 0;
        for (pencil.step.step = 0; pencil.step.step < 1000; ++pencil.step.step) {
            for (const float value : pencil.changed(system, kOnes)) {
                CHECK((value == 0 || value == doctest::Approx(scale)));
                zeros += value == 0 ? 1 : 0;
            }
        }
        return zeros / 3000.0;
    };
    CHECK(rate(*begun(pencil, "random_dropout(layer=1, p=0.25)"), 1 / 0.75f) ==
          doctest::Approx(0.25).epsilon(0.1));
    CHECK(rate(*begun(pencil, "random_dropout(layer=1, p=0.33333333333333334, exact=true)"), 1.5f) ==
          doctest::Approx(1.0 / 3));
}

TEST_CASE("excitation_dropout: the drop probability") {
    for (const int64_t n : {3, 128}) {
        for (const double c : {0.4, 0.5, 0.8}) {
            CHECK(excitation_drop_probability(1.0 / static_cast<double>(n), c, n) == doctest::Approx(c));
            CHECK(excitation_drop_probability(1, c, n) == doctest::Approx(1));
            CHECK(excitation_drop_probability(0, c, n) == 0);
            for (double p = 0; p < 0.99; p += 0.1) {
                CHECK(excitation_drop_probability(p, c, n) < excitation_drop_probability(p + 0.1, c, n));
            }
        }
    }
}

TEST_CASE(
    "excitation_dropout: the unit that carries all evidence always goes; without evidence all are alike") {
    Pencil pencil(
        {1, 0});  // V+ of class 1: (2, 0, 3), h = (1, 2, 0): p = (1, 0, 0). Of class 0 nothing arrives.
    const auto system = begun(pencil, "excitation_dropout(layer=1)");
    std::vector<int> zeros(3);
    for (pencil.step.step = 0; pencil.step.step < 600; ++pencil.step.step) {
        const auto values = pencil.changed(*system, kOnes);
        check_values({values.begin(), values.begin() + 3}, {0, 1.5, 1.5});
        const auto kept = std::count_if(values.begin() + 3, values.end(), [](float v) { return v > 0; });
        for (size_t u = 0; u < 3; ++u) {
            zeros[u] += values[3 + u] == 0 ? 1 : 0;
            CHECK((values[3 + u] == 0 || values[3 + u] == doctest::Approx(3.0 / static_cast<double>(kept))));
        }
    }
    for (const int count : zeros) {
        CHECK(count == doctest::Approx(300).epsilon(0.12));
    }
    const auto metrics = system->take_metrics();
    CHECK(metrics.at("drop probability") == doctest::Approx((1.0 / 3 + 0.5) / 2));
    CHECK(metrics.at("dropped") == doctest::Approx(metrics.at("drop probability")).epsilon(0.05));

    const auto inverse = begun(pencil, "excitation_dropout(layer=1, scale=inverse)");
    const auto unscaled = pencil.changed(*inverse, kOnes);
    check_values({unscaled.begin(), unscaled.begin() + 3}, {0, 1, 1});
}

TEST_CASE("dropouts of channels: a channel goes as a whole") {
    HandStep hand(std::make_unique<Sequential>(), Tensor::zeros({4, 1}, DType::f32), {0, 0, 0, 0}, 2);
    const Tensor features = Tensor::ones({4, 2, 2, 6}, DType::f32);
    const auto system = build_augmentation("random_dropout(layer=1, p=0.5, units=channel)");
    const auto values = system->change_features(hand.step, "1", Variable(features)).data().to_vector<float>();
    int zeros = 0;
    for (size_t n = 0; n < 4; ++n) {
        for (size_t c = 0; c < 6; ++c) {
            for (size_t position = 1; position < 4; ++position) {
                CHECK(values[(n * 4 + position) * 6 + c] == values[n * 24 + c]);
            }
            zeros += values[n * 24 + c] == 0 ? 1 : 0;
        }
    }
    CHECK(zeros > 4);
    CHECK(zeros < 20);
    CHECK(unit_count(features.shape(), UnitKind::channel) == 6);
    CHECK(unit_relevance(features, UnitKind::channel) == std::vector<double>(24, 4.0));
}

TEST_CASE("features family: strength zero is the plain run, bit for bit; another strength is not") {
    const TrainConfig config = toy_run();
    const std::string plain = weights_after(config, {});
    for (const std::string spec :
         {"attention(layer=1, strength=0", "attention(layer=1, mask=random, strength=0",
          "explanation_dropout(layer=1, p=0", "random_dropout(layer=1, p=0",
          "excitation_dropout(layer=1, p=0"}) {
        CAPTURE(spec);
        CHECK(weights_after(config, {spec + ")"}) == plain);
        const std::string on = spec.substr(0, spec.size() - 1) + "0.5";
        CHECK(weights_after(config, {on + ", start_epoch=2)"}) == plain);
        CHECK(weights_after(config, {on + ")"}) != plain);
    }
}

TEST_CASE("features family: two layers draw different numbers") {
    Pencil pencil({1});
    const auto first = build_augmentation("random_dropout(layer=1)"),
               second = build_augmentation("random_dropout(layer=2)");
    const auto draw = [&](Augmentation& system) {
        std::vector<float> all;
        for (pencil.step.step = 0; pencil.step.step < 10; ++pencil.step.step) {
            const auto values = pencil.changed(system, kOnes);
            all.insert(all.end(), values.begin(), values.end());
        }
        return all;
    };
    CHECK(draw(*first) == draw(*build_augmentation("random_dropout(layer=1)")));
    CHECK(draw(*first) != draw(*second));
}

TEST_CASE("features family: a sample that a batch has twice gets two masks, the first as if it were alone") {
    Pencil pencil({1, 1, 0}), alone({1});
    pencil.batch.indices = {4, 4, 5};
    alone.batch.indices = {4};
    const auto system = build_augmentation("random_dropout(layer=1)");
    bool differ = false;
    for (pencil.step.step = 0; pencil.step.step < 10; ++pencil.step.step) {
        const auto rows = pencil.changed(*system, kOnes);
        alone.step.step = pencil.step.step;
        const auto one = alone.changed(*system, kOnes);
        CHECK(std::vector<float>(rows.begin(), rows.begin() + 3) == one);
        differ = differ || std::vector<float>(rows.begin() + 3, rows.begin() + 6) != one;
    }
    CHECK(differ);
}

TEST_CASE("features family: a resumed run has the same bits") {
    check_resume_with(train_testing::toy_config(""),
                      {"attention(layer=1, mask=shuffled)", "explanation_dropout(layer=3, decay=true)",
                       "excitation_dropout(layer=5)"},
                      17);
}

TEST_CASE("features family: pictures, their channels, mixed precision, the map of a CAM") {
    TrainConfig config = picture_run();
    const std::string plain = weights_after(config, {});
    for (const std::string system :
         {"attention(layer=features.4)",
          "attention(layer=features.4, explainer=grad_cam(layer=features.4, upsample=false))",
          "explanation_dropout(layer=features.1, units=channel, explainer=epsilon_plus)",
          "excitation_dropout(layer=features.4, units=channel)", "excitation_dropout(layer=features.4)"}) {
        CAPTURE(system);
        CHECK(weights_after(config, {system}) != plain);
    }
    config.precision = "bf16";
    CHECK(weights_after(config, {"attention(layer=features.4)"}) != weights_after(config, {}));
}

TEST_CASE("features family: wrong use is told before the first step") {
    TrainConfig config = toy_run();
    const auto message = [&](const std::string& system) { return refusal_of(config, system); };
    CHECK(contains(message("attention"), "attention: which features? attention(layer=L)"));
    CHECK(contains(message("attention(layer=9)"), "9"));
    CHECK(contains(message("attention(layer=1, explainer=epsilom)"), "did you mean epsilon"));
    CHECK(contains(message("attention(layer=1, strength=3)"), "strength"));
    CHECK(contains(message("attention(layer=1, mask=none)"), "relevance"));
    CHECK(contains(message("explanation_dropout(layer=1, p=1)"), "p"));
    CHECK(contains(message("random_dropout(layer=1, explainer=epsilon)"), "explainer"));
    CHECK(contains(message("excitation_dropout(layer=1, p=0.01)"), "p=0.01 of 64 units is one unit or less"));
    CHECK(contains(message("attention(layer=1, explainer=grad_cam)"), "layer"));
    config.data = "shapes16(n=40, n_test=20)";
    config.model = "cnn_g(in=3, size=16)";
    CHECK(contains(message("attention(layer=features.4, explainer=grad_cam(layer=features.4))"),
                   "gives a map of shape"));
}
