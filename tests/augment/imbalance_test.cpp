// What explanations say of classes, and what is made of it: the samples of the next mini-epoch, the weights
// of the loss.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "augment/class_measures.h"
#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/io/image.h"
#include "tests/augment/step.h"
#include "train/loss.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

void check_near(const std::vector<double>& found, const std::vector<double>& expected,
                double tolerance = 1e-6) {
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(found[i] - expected[i]) <= tolerance);
    }
}

/// Samples of three features, so many of each class, and a dense layer on them, f32.
struct Small {
    std::shared_ptr<InMemoryDataset> data;
    Model model;
    TrainingRun run;

    Small(const std::vector<double>& weight, const std::vector<int64_t>& counts, int64_t batch_size = 7) {
        const auto classes = static_cast<int64_t>(counts.size());
        std::vector<int64_t> labels;
        for (size_t k = 0; k < counts.size(); ++k) {
            labels.insert(labels.end(), static_cast<size_t>(counts[k]), static_cast<int64_t>(k));
        }
        std::vector<float> values(labels.size() * 3, 1.0f);
        data = std::make_shared<InMemoryDataset>(Shape{3}, values, labels, numbered_classes(classes));
        model.net = dense(weight, 3, classes);
        model.net->to(DType::f32);
        model.classes = classes;
        run = {.model = &model, .data = data, .batch_size = batch_size, .steps_per_epoch = 1, .epochs = 9};
    }
    Small(const Small&) = delete;
    Small& operator=(const Small&) = delete;
    void set(const std::vector<float>& weight) {
        Tensor w = model.net->parameters()[0].value.data();
        w.copy_from(Tensor::from(weight, w.shape()));
    }
};

using Measure = ClassMeasures::Measure;

ClassMeasures::Config of_gradient(Measure measure) {
    return {
        .who = "test", .explainer = "gradient", .absolute = true, .measure = measure, .representatives = 4};
}

TrainConfig imbalanced_config() {
    TrainConfig config;
    config.model = "cnn_small";  // batch norm: its statistics must not see an explanation
    config.data = "shapes_imbalanced(n=90, n_test=16)";
    config.epochs = 3;
    config.mini_epoch = 48;
    config.batch_size = 16;
    config.lr = 0.01;
    return config;
}

/// Counts the labels of each epoch and the weights that it finds.
class Spy final : public Augmentation {
public:
    explicit Spy(std::map<int64_t, std::vector<int64_t>>& counts) : counts_(counts) {}
    void change_batch(TrainingStep& step) override {
        auto& of_epoch = counts_[step.epoch];
        of_epoch.resize(static_cast<size_t>(step.run.data->num_classes()));
        for (const int64_t label : labels_of(step.batch, "spy")) {
            ++of_epoch[static_cast<size_t>(label)];
        }
    }

private:
    std::map<int64_t, std::vector<int64_t>>& counts_;
};

std::map<int64_t, std::vector<int64_t>> labels_by_epoch(TrainConfig config, const std::string& system) {
    std::map<int64_t, std::vector<int64_t>> counts;
    TrainHooks hooks;
    hooks.make_augmentation = [&](const std::string& text) -> std::unique_ptr<Augmentation> {
        return text == "spy" ? std::make_unique<Spy>(counts) : build_augmentation(text);
    };
    config.augment = {system, "spy"};
    (void)train(config, hooks);
    return counts;
}

}  // namespace

TEST_CASE("shares: softmax of the measures of classes that have samples") {
    const std::vector<bool> both{true, true};
    check_near(Shares{}.of({0, 1}, both), {0.2689414, 0.7310586});
    check_near(Shares{.temperature = 0.5}.of({0, 1}, both), {0.1192029, 0.8807971});
    check_near(Shares{.standardize = true}.of({1, 3}, both), {0.1192029, 0.8807971});
    check_near(Shares{.standardize = true}.of({2, 2}, both), {0.5, 0.5});
    check_near(Shares{.rescale = true}.of({1, 2}, both), {0.3775407, 0.6224593});
    check_near(Shares{.rescale = true}.of({0, 0}, both), {0.5, 0.5});
    check_near(Shares{.standardize = true}.of({1, 77, 3}, {true, false, true}), {0.1192029, 0, 0.8807971});
    check_near(Shares{}.of({900, 900}, both), {0.5, 0.5});  // no overflow
}

TEST_CASE("class measures: entropy of the maps of a dense layer") {
    // |w| / max |w| = (.5, 1, .5), (0, 1, 0), (1, 1, 1), and of no map at all
    Small s({1, -2, 1, 0, 4, 0, 2, 2, 2, 0, 0, 0}, {5, 5, 5, 5});
    ClassMeasures measures(of_gradient(Measure::entropy));
    measures.begin(s.run);
    CHECK_FALSE(measures.is_known());
    measures.update(s.run);
    check_near(measures.values(), {1.5 * std::log(2.0), 0, std::log(3.0), std::log(3.0)});

    auto relative = of_gradient(Measure::entropy);
    relative.relative = true;
    ClassMeasures scaled(relative);
    scaled.begin(s.run);
    scaled.update(s.run);
    check_near(scaled.values(), {1.5 * std::log(2.0) / std::log(3.0), 0, 1, 1});

    // (.5, 1, .5) and (0, 1, 0) lie in two bins, two to one; the others in one.
    ClassMeasures histogram(of_gradient(Measure::histogram));
    histogram.begin(s.run);
    histogram.update(s.run);
    const double two_to_one = std::log(3.0) - 2.0 / 3 * std::log(2.0);
    check_near(histogram.values(), {two_to_one, two_to_one, 0, 0});
}

TEST_CASE("explanations of a step: a map that is not finite becomes zeros and is counted, the others stay") {
    HandStep hand(dense({10, 0, 0, 1}, 2, 2), Tensor::from(std::vector<double>{1e308, 1, 2, 3}, {2, 2}),
                  {0, 0}, 2);
    CHECK(maps_not_finite(hand.step) == 0);
    const Tensor map = explained_map(hand.step, "input_x_gradient", {0, 0});
    CHECK(map.to_vector<double>() == std::vector<double>{0, 0, 20, 0});
    CHECK(maps_not_finite(hand.step) == 1);
    (void)explained_map(hand.step, "input_x_gradient", {0, 0});  // known: not counted again
    CHECK(maps_not_finite(hand.step) == 1);
}

TEST_CASE("class measures: a map that is not finite counts as empty") {
    Small s({1, -2, 1, 0, 4, 0}, {5, 5});
    s.set({NAN, -2, 1, 0, 4, 0});
    ClassMeasures measures(of_gradient(Measure::entropy));
    measures.begin(s.run);
    CHECK(measures.update(s.run) == 8);  // all: 4 a class, and 0 times NaN reaches the other class too
    CHECK(measures.values()[0] == doctest::Approx(std::log(3.0)));
}

TEST_CASE("class measures: the distance between means of the last maps") {
    Small s({1, -2, 1, 0, 4, 0}, {5, 5});
    ClassMeasures measures(of_gradient(Measure::mse));
    measures.begin(s.run);
    measures.update(s.run);
    check_near(measures.values(), {0, 0});
    s.set({6, -6, 0, 0, 12, 0});  // (1, 1, 0); the second only grew
    measures.update(s.run);
    // (.75, 1, .25) against (.5, 1, .5)
    check_near(measures.values(), {0.125 / 3, 0});

    auto two = of_gradient(Measure::mse);
    two.history = 2;
    ClassMeasures shorter(two);
    s.set({1, -2, 1, 0, 4, 0});
    shorter.begin(s.run);
    shorter.update(s.run);
    s.set({6, -6, 0, 0, 12, 0});
    shorter.update(s.run);
    shorter.update(s.run);  // the first map left: (1, 1, 0) against (.75, 1, .25)
    check_near(shorter.values(), {0.125 / 3, 0});
    shorter.update(s.run);
    check_near(shorter.values(), {0, 0});
}

TEST_CASE("class measures: twenty different samples a class, with repetitions where there are fewer") {
    Small s({1, -2, 1, 0, 4, 0, 1, 1, 0}, {30, 3, 0});
    ClassMeasures::Config config = of_gradient(Measure::entropy);
    config.representatives = 20;
    ClassMeasures first(config), second(config), other(config);
    first.begin(s.run);
    second.begin(s.run);
    CHECK(first.representatives() == second.representatives());
    s.run.seed = 1;
    other.begin(s.run);
    CHECK(first.representatives() != other.representatives());
    const auto& chosen = first.representatives();
    REQUIRE(chosen.size() == 40);
    CHECK(std::set<int64_t>(chosen.begin(), chosen.begin() + 20).size() == 20);
    CHECK(*std::max_element(chosen.begin(), chosen.begin() + 20) < 30);
    const std::set<int64_t> few(chosen.begin() + 20, chosen.end());
    CHECK(few.size() <= 3);
    CHECK(*few.begin() >= 30);
    CHECK(first.present() == std::vector<bool>{true, true, false});
    first.update(s.run);
    check_near(first.values(), {1.5 * std::log(2.0), 0, 0});
}

TEST_CASE("class measures: the size of the batches changes nothing") {
    std::vector<std::vector<double>> values;
    for (const int64_t batch_size : {3, 100}) {
        Model model = build_model("cnn_g", 4, 5);
        const auto source = load_data("shapes_imbalanced(n=60, n_test=4)");
        const TrainingRun run{.model = &model, .data = source->train, .batch_size = batch_size};
        for (const char* explainer :
             {"z_plus(start=one)", "epsilon_plus(start=one)", "epsilon_gamma_box(start=one)",
              "saliency(reduce=none)", "guided_backprop"}) {
            const Options options(parse_spec(concat_text("imbalance(explainer=", explainer, ")")));
            ClassMeasures measures(read_measures(options));
            measures.begin(run);
            measures.update(run);
            values.push_back(measures.values());
            for (const double m : measures.values()) {
                CHECK((m > 0 && m <= std::log(144.0) + 1e-6));
            }
        }
    }
    for (size_t i = 0; i < 5; ++i) {
        check_near(values[i], values[i + 5], 1e-5);
    }
}

TEST_CASE("class measures: samples that cannot be read do not stand for a class") {
    const TemporaryFolder folder;
    for (int i = 0; i < 6; ++i) {
        for (const char* kind : {"dark", "light"}) {
            auto png = encode_png(Tensor::full({8, 8, 3}, kind[0] == 'd' ? i : 250 - i, DType::u8));
            if (i == 2) {
                png.resize(png.size() / 2);
            }
            testing::write_bytes(folder.path() / "train" / kind / (std::to_string(i) + ".png"), png);
            testing::write_bytes(folder.path() / "test" / kind / (std::to_string(i) + ".png"),
                                 encode_png(Tensor::full({8, 8, 3}, i, DType::u8)));
        }
    }
    Model model = build_model("cnn_small(in=3)", 2, 0);
    const auto source = load_data("folder:" + folder.text());
    const TrainingRun run{.model = &model, .data = source->train, .batch_size = 4};
    ClassMeasures measures(of_gradient(Measure::entropy));
    measures.begin(run);
    for (const int64_t index : measures.representatives()) {
        CHECK(readable(*source->train, {index}).size() == 1);
    }
    CHECK(measures.representatives().size() == 8);
}

TEST_CASE("imbalance: the shares of its controls") {
    Small s({1, -2, 1, 0, 4, 0, 1, 1, 0, 1, 0, 0}, {900, 300, 80, 25});
    const auto shares = [&](const std::string& text) {
        const auto system = build_augmentation(text);
        system->begin(s.run);
        return system->class_shares(s.run, 0).value_or(std::vector<double>());
    };
    check_near(shares("imbalance(control=uniform)"), {0.25, 0.25, 0.25, 0.25});
    check_near(shares("imbalance(control=data)"), {0.1908082, 0.1984015, 0.2330538, 0.3777366});
    check_near(shares("imbalance(control=data, invert=complement)"),
               {0.1559225, 0.2469361, 0.2922799, 0.3048615});
    CHECK(shares("imbalance").empty());  // nothing is known yet: as the data is
    const auto system = build_augmentation("imbalance(explainer=gradient)");
    system->begin(s.run);
    system->end_epoch(s.run, 0);
    const double e = 1.5 * std::log(2.0);
    const double total = std::exp(e) + 1 + 2 + 1;  // entropies e, 0, ln 2, 0
    check_near(system->class_shares(s.run, 1).value(), {std::exp(e) / total, 1 / total, 2 / total, 1 / total},
               1e-5);
    const auto metrics = system->take_metrics();
    CHECK(metrics.at("share of 1") == doctest::Approx(1 / total));
    CHECK(metrics.at("measure of 0") == doctest::Approx(e));
}

TEST_CASE("imbalance: a class without samples is not drawn") {
    Small s({1, -2, 1, 0, 4, 0, 1, 1, 0}, {5, 0, 5});
    for (const char* text : {"imbalance(control=uniform)", "imbalance(control=data)"}) {
        const auto system = build_augmentation(text);
        system->begin(s.run);
        check_near(system->class_shares(s.run, 0).value(), {0.5, 0, 0.5});
    }
}

TEST_CASE("imbalance: epochs have the shares from the first (controls) or second (explanations) on") {
    const TrainConfig config = imbalanced_config();
    const std::vector<int64_t> even(4, 12);
    auto counts = labels_by_epoch(config, "imbalance(control=uniform)");
    CHECK(counts.size() == 3);
    for (const auto& [epoch, of_class] : counts) {
        CHECK(of_class == even);
    }
    counts = labels_by_epoch(config, "imbalance(measure=mse)");  // no distance yet: softmax of zeros
    CHECK(counts[0] != even);
    CHECK(counts[1] == even);
    counts = labels_by_epoch(config, "imbalance(control=uniform, start_epoch=1)");
    CHECK(counts[0] != even);
    CHECK(counts[1] == even);
    counts = labels_by_epoch(config, "imbalance(standardize=true, temperature=0.01)");  // all of one class
    CHECK(*std::max_element(counts[2].begin(), counts[2].end()) == 48);
}

TEST_CASE("imbalance and class_factors: without effect they change no bit") {
    const TrainConfig config = imbalanced_config();
    const std::string plain = weights_after(config, {});
    CHECK(weights_after(config, {"class_factors(temperature=1e300)"}) == plain);
    CHECK(weights_after(config, {"class_factors(start_epoch=3)"}) == plain);
    CHECK(weights_after(config, {"imbalance(start_epoch=3)"}) == plain);
    CHECK(weights_after(config, {"class_factors"}) != plain);
    CHECK(weights_after(config, {"imbalance"}) != plain);
}

TEST_CASE("imbalance and class_factors: a resume gives the same bits, within an epoch and between two") {
    for (const int64_t steps : {4, 6, 7}) {  // of 3 an epoch
        CAPTURE(steps);
        for (const char* text : {"imbalance(control=uniform)", "imbalance(standardize=true)",
                                 "imbalance(measure=mse, history=2)", "class_factors(measure=mse)",
                                 "class_factors(measure=mse, control=shuffled)"}) {
            CAPTURE(text);
            check_resume_with(imbalanced_config(), {text}, steps);
        }
    }
}

TEST_CASE("imbalance and class_factors: wrong use is told before training") {
    const auto error = [](const std::string& text, TrainConfig config = imbalanced_config()) {
        config.augment = {text};
        return error_of([&] { (void)train(config, with_augmentations()); });
    };
    CHECK(contains(error("imbalance(explainer=zplus)"), "unknown method \"zplus\""));
    CHECK(contains(error("imbalance(measure=gini)"), "measure"));
    CHECK(contains(error("class_factors(control=data)"), "control"));
    CHECK(contains(error("imbalance(temperature=0)"), "temperature"));
    TrainConfig vectors = imbalanced_config();
    vectors.model = "toy1";
    vectors.data = "toy1";
    CHECK(contains(error("class_factors(explainer=grad_cam)", vectors), "grad_cam"));
    TrainConfig twice = imbalanced_config();
    twice.augment = {"imbalance", "imbalance(control=uniform)"};
    CHECK(error_of([&] { (void)train(twice, with_augmentations()); }) ==
          "augment: imbalance and imbalance(control=uniform) both replace the samples of an epoch; a run "
          "takes one of "
          "them");
}

TEST_CASE(
    "class_factors: K softmax(m / T) of the measures weighs the loss of a class, and scales its gradient") {
    Small s({1, 0, 0, 2, 2, 2}, {4, 8});  // entropies 0 and ln 3: f = 2 (1, 3) / 4
    const auto system = build_augmentation("class_factors(explainer=gradient)");
    system->begin(s.run);
    const auto gradient_of = [&](const Batch& batch) {
        const Variable weight = s.model.net->parameters()[0].value;
        const SummedLoss loss = loss_of((*s.model.net)(Variable(batch.input)), batch, 0, {});
        return grad(std::vector<Variable>{loss.sum / loss.weight}, std::vector<Variable>{},
                    std::vector<Variable>{weight})[0]
            .data()
            .to_vector<float>();
    };
    Batch batch = s.data->batch(std::vector<int64_t>{5, 6, 7});  // all of class 1
    const auto plain = gradient_of(batch);
    TrainingStep step{.run = s.run, .batch = batch};
    system->before_forward(step);
    CHECK_FALSE(batch.sample_weight.defined());  // nothing is known yet
    system->end_epoch(s.run, 0);
    system->before_forward(step);
    check_near({batch.sample_weight.to_vector<float>()[0], system->take_metrics().at("factor of 0")},
               {1.5, 0.5});
    const auto weighted = gradient_of(batch);
    for (size_t i = 0; i < plain.size(); ++i) {
        CHECK(weighted[i] == doctest::Approx(1.5 * static_cast<double>(plain[i])).epsilon(1e-6));
    }
}

TEST_CASE("class_factors: its controls, soft labels, several labels") {
    Small s({1, 0, 0, 2, 2, 2}, {4, 12});
    const auto weights = [&](const std::string& text, Batch& batch) {
        const auto system = build_augmentation(text);
        system->begin(s.run);
        TrainingStep step{.run = s.run, .batch = batch};
        system->end_epoch(s.run, 0);
        system->before_forward(step);
        const Tensor found = batch.target.defined() ? batch.target_weight : batch.sample_weight;
        return found.to(DType::f64).to_vector<double>();
    };
    const std::vector<int64_t> rows{0, 15};
    Batch batch = s.data->batch(rows);
    check_near(weights("class_factors(control=inverse)", batch), {1.5, 0.5});  // 1/4 and 1/12 with mean 1
    batch = s.data->batch(rows);
    check_near(weights("class_factors(control=balanced)", batch), {2, 2.0 / 3});
    batch = s.data->batch(rows);
    const auto shuffled = weights("class_factors(control=shuffled, explainer=gradient)", batch);
    CHECK(std::abs(shuffled[0] + shuffled[1] - 2) < 1e-6);
    CHECK(std::abs(std::abs(shuffled[0] - 1) - 0.5) < 1e-6);  // 1.5 and 0.5, in some order

    batch = s.data->batch(rows);
    batch.soft_label = Tensor::from(std::vector<float>{0.25f, 0.75f, 1, 0}, {2, 2});
    check_near(weights("class_factors(control=inverse)", batch), {0.75, 1.5});
    batch = s.data->batch(rows);  // a third output, which is no class: its share counts as it is
    batch.soft_label = Tensor::from(std::vector<float>{0.25f, 0.25f, 0.5f, 0, 0, 1}, {2, 3});
    check_near(weights("class_factors(control=inverse)", batch), {1, 1});

    s.data->set_presence({16 * 2, Presence::present});
    batch = s.data->batch(rows);
    batch.target_weight = Tensor::from(std::vector<float>{1, 0, 1, 1}, {2, 2});
    check_near(weights("class_factors(explainer=gradient)", batch), {0.5, 0, 0.5, 1.5});
}

TEST_CASE("imbalance, class_factors: what an option of the run does already is refused") {
    TrainConfig config = decoy_config();
    const auto message = [&](const std::string& system) { return refusal_of(config, system); };
    CHECK(contains(message("imbalance(every=3)"), "every=N is not for it"));
    CHECK(contains(message("imbalance(control=uniform, explainer=nonsense)"), "leave explainer out"));
    CHECK(contains(message("class_factors(control=inverse, explainer=nonsense)"), "leave explainer out"));
    CHECK(contains(message("gradient_mask(layer=features.0, mask=object, explainer=nonsense)"),
                   "leave explainer out"));
    CHECK(contains(message("attention(layer=features.0, mask=random, explainer=nonsense)"),
                   "leave explainer out"));
    CHECK(contains(message("imbalance(control=uniform, measure=mse)"), "leave measure out"));
    CHECK(contains(message("imbalance(control=data, history=2)"), "leave history out"));
    CHECK(contains(message("imbalance(control=uniform, temperature=2)"), "leave temperature out"));
    CHECK(contains(message("imbalance(invert=complement)"), "leave invert out"));
    CHECK(contains(message("imbalance(measure=mse, relative=true)"), "leave relative out"));
    CHECK(contains(message("class_factors(control=balanced, temperature=2)"), "leave temperature out"));
    CHECK(
        contains(message("attention(layer=features.0, mask=random, target=predicted)"), "leave target out"));
    CHECK(contains(message("weight_lrp(control=random, explainer=nonsense)"), "leave explainer out"));
    config.sampler = "balanced";
    CHECK(contains(message("imbalance(control=uniform)"), "--sampler balanced"));
    config.sampler = "uniform";
    config.class_weights = "balanced";
    CHECK(contains(message("class_factors(control=balanced)"), "--class-weights balanced"));
}

TEST_CASE("imbalance: an old run stays until everything of the new one was found good") {
    const TemporaryFolder folder;
    TrainConfig config = decoy_config();
    config.run = folder.path() / "run";
    (void)train(config, with_augmentations());
    const std::string weights = train_testing::slurp(config.run / "weights.safetensors");
    config.overwrite = true;
    config.augment = {"attention(layer=nope)"};
    CHECK(contains(error_of([&] { (void)train(config, with_augmentations()); }), "nope"));
    CHECK(train_testing::slurp(config.run / "weights.safetensors") == weights);
    CHECK(std::filesystem::exists(config.run / "checkpoint.safetensors"));
}
