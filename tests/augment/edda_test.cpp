// EDDA: both readings of the mask, the background, several labels, controls, by hand on a dense layer.
#include <cmath>
#include <set>

#include "autograd/functions.h"
#include "datasets/registry.h"
#include "tests/augment/step.h"
#include "tests/datasets/voc_support.h"
#include "train/loss.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

using Floats = std::vector<float>;

/// logits = (4, 1, 0 | 0, 2, 1 | third) x + bias, f32: gradients scaled to [0,1] are (1, .25, 0) and (0, 1,
/// .5).
struct Hand {
    HandStep step;

    Hand(const Floats& inputs, const std::vector<int64_t>& labels, const std::vector<double>& bias,
         const std::vector<double>& third = {})
        : step(layer(bias, third), Tensor::from(inputs, {static_cast<int64_t>(labels.size()), 3}), labels,
               static_cast<int64_t>(bias.size())) {
        step.model.net->to(DType::f32);
        step.model.head = "0.weight";
    }
    static std::unique_ptr<Sequential> layer(const std::vector<double>& bias,
                                             const std::vector<double>& third) {
        std::vector<double> weight{4, 1, 0, 0, 2, 1};
        weight.insert(weight.end(), third.begin(), third.end());
        return dense(weight, 3, static_cast<int64_t>(bias.size()), bias);
    }
    /// Makes the labels several: (N,2), all of weight 1.
    void set_targets(const Floats& targets) {
        const auto several =
            make_dataset(step.batch.input, std::vector<int64_t>(targets.size() / 2, 0), numbered_classes(2));
        several->set_presence({targets.size(), Presence::present});
        step.data = several;
        step.run.data = several;
        const Shape shape{step.batch.size(), 2};
        step.batch.label = {};
        step.batch.target = Tensor::from(targets, shape);
        step.batch.target_weight = Tensor::ones(shape, DType::f32);
    }
    /// The batch that the system makes of it.
    const Batch& after(const std::string& text) {
        const auto system = build_augmentation(text);
        system->begin(step.run);
        system->change_batch(step.step);
        metrics = system->take_metrics();
        return step.batch;
    }
    std::map<std::string, double> metrics;
};

Floats values(const Tensor& t) { return t.to_vector<float>(); }

std::string edda(const std::string& options) {
    return "edda(explainer=gradient" + (options.empty() ? "" : ", " + options) + ")";
}

/// Two pictures of several classes, the first of them twice: the readers' test set.
TrainConfig voc_config(const TemporaryFolder& folder) {
    testing::write_voc(folder.path() / "voc");
    TrainConfig config;
    config.model = "cnn_small(in=3)";
    config.data = "voc2012:" + (folder.path() / "voc").string() + "(size=8)";
    config.epochs = 3;
    config.lr = 0.1;
    return config;
}

TrainConfig picture_config() {
    TrainConfig config;
    config.model = "cnn_small(in=3)";
    config.data = "shapes16(n=48, n_test=16)";
    config.epochs = 2;
    config.batch_size = 16;
    config.lr = 0.01;
    return config;
}

}  // namespace

TEST_CASE("edda: occlude takes the salient away, keep the rest; the original stays where the class is lost") {
    const Floats x{1, 1, 0, 1, 1, 1};
    {
        // x0 without feature 0: logits (1 + 2.5, 2): still class 0. x1 without feature 1: (4 + 2.5, 1): lost.
        Hand hand(x, {0, 1}, {2.5, 0});
        CHECK(values(hand.after(edda("mask=occlude")).input) == Floats{0, 1, 0, 1, 1, 1});
        CHECK(hand.metrics.at("masked") == 0.5);
        CHECK(hand.metrics.at("accuracy without masks") == 0.5);  // logits (7.5, 2) and (7.5, 3)
        CHECK_FALSE(hand.step.batch.soft_label.defined());
    }
    {
        // x0 with feature 0 alone: (4 + 2.5, 0). x1 with feature 1 alone: (1 + 2.5, 2): lost.
        Hand hand(x, {0, 1}, {2.5, 0});
        CHECK(values(hand.after(edda("mask=keep")).input) == Floats{1, 0, 0, 1, 1, 1});
    }
    {
        Hand hand(x, {0, 1}, {0, 0});
        CHECK(values(hand.after(edda("mask=keep")).input) == Floats{1, 0, 0, 0, 1, 0});  // (1, 2): class 1
    }
}

TEST_CASE("edda: tau is the bound between salient and not") {
    const Floats x{1, 1, 1};
    const auto kept = [&](const std::string& options) {
        Hand hand(x, {0}, {9, 0});
        return values(hand.after(edda(options)).input);
    };
    CHECK(kept("tau=0.2") == Floats{0, 0, 1});
    CHECK(kept("tau=0.25") == Floats{0, 1, 1});  // s <= tau stays
    CHECK(kept("tau=0") == Floats{0, 0, 1});
    CHECK(kept("tau=1") == x);
    CHECK(kept("tau=0.25, mask=keep") == Floats{1, 0, 0});
    CHECK(kept("tau=0.2, mask=keep") == Floats{1, 1, 0});
}

TEST_CASE("edda: a map without range keeps everything, in both readings") {
    for (const char* mask : {"mask=occlude", "mask=keep"}) {
        Hand hand({1, 2, 3}, {2}, {0, 0, 9}, {5, 5, 5});
        CHECK(values(hand.after(edda(mask)).input) == Floats{1, 2, 3});
        CHECK(hand.metrics.at("maps without range") == 1);
        CHECK(hand.metrics.at("masked") == 1);
    }
}

TEST_CASE("edda: target=predicted explains what the network sees") {
    // Seen as class 0; kept is its feature 0, and the label is lost: the original stays.
    Hand hand({1, 1, 1, 1, 0, 0}, {1, 0}, {0, 0});
    CHECK(values(hand.after(edda("mask=keep, target=predicted")).input) == Floats{1, 1, 1, 1, 0, 0});
    Hand label({1, 1, 1, 1, 0, 0}, {1, 0}, {0, 0});
    CHECK(values(label.after(edda("mask=keep")).input) == Floats{0, 1, 0, 1, 0, 0});
}

TEST_CASE("edda: with p = 1 what is lost stands for the background") {
    const Floats x{1, 1, 0, 1, 1, 1};
    {
        Hand hand(x, {0, 1}, {2.5, 0});
        const Batch& batch = hand.after(edda("p=1"));
        CHECK(values(batch.input) == Floats{0, 1, 0, 1, 0, 1});
        CHECK(values(batch.soft_label) == Floats{1, 0, 0.5f, 0.5f});
        CHECK(hand.metrics.at("background") == 0.5);
        CHECK(hand.metrics.at("masked") == 0.5);
    }
    {
        Hand hand(x, {0, 1}, {2.5, 0, -9}, {0, 0, 0});  // three outputs, the data has two classes
        hand.step.data = make_dataset(Tensor::from(x, {2, 3}), {0, 1}, numbered_classes(2));
        hand.step.run.data = hand.step.data;
        const std::string text = edda("p=1, background=extra_class");
        CHECK(values(hand.after(text).soft_label) == Floats{1, 0, 0, 0, 0, 1});
        const auto system = build_augmentation(text);
        const auto bias = [&] { return values(hand.step.model.net->parameters()[1].value.data()); };
        system->begin_test(hand.step.run);
        CHECK(bias() == Floats{2.5f, 0, -1e9f});
        system->end_test(hand.step.run);
        CHECK(bias() == Floats{2.5f, 0, -9});
        (void)system->finish(hand.step.run);
        CHECK(bias() == Floats{2.5f, 0, -1e9f});
    }
    Hand hand(x, {0, 1}, {2.5, 0});
    CHECK(error_of([&] { (void)hand.after(edda("p=1, background=extra_class")); }) ==
          "edda: background=extra_class needs one output more than the data has classes, 3, the model has 2");
}

TEST_CASE("edda: no test answers the background, in no epoch and with no weights") {
    const TemporaryFolder folder;
    TrainConfig config = picture_config();
    config.run = folder.path() / "run";
    config.classes = 5;
    config.ema = 0.5;
    // Nothing is ever recognised behind these masks, so all that is trained says: background.
    config.augment = {"edda(explainer=saliency, tau=0, p=1, background=extra_class)"};
    config.lr = 0.3;
    TrainHooks hooks = with_augmentations();
    int64_t epochs = 0;
    const auto answers_it = [](const Evaluation& evaluation) {
        int64_t answers = 0;
        for (const auto& row : evaluation.confusion) {
            answers += row.back();
        }
        return answers > 0;
    };
    hooks.epoch = [&](const TrainProgress& now, const Evaluation& evaluation) {
        CHECK(now.augment.at(config.augment[0]).at("background") > 0);
        CHECK_FALSE(answers_it(evaluation));
        ++epochs;
    };
    const TrainResult result = train(config, hooks);
    CHECK(epochs == config.epochs);
    CHECK_FALSE(answers_it(result.test));
    CHECK_FALSE(answers_it(result.test_ema.value()));
    for (const char* file : {"weights.safetensors", "weights_ema.safetensors"}) {
        const Model model = load_model(config.model, 5, config.run / file).model;
        CHECK_FALSE(answers_it(evaluate(*model.net, *result.data->test)));
    }
}

TEST_CASE("edda: p is the share of the lost that becomes background") {
    const int64_t n = 2000;
    std::vector<int64_t> labels(n, 1);
    Hand hand(Floats(n * 3, 1.0f), labels, {2.5, 0});
    (void)hand.after(edda("p=0.3"));
    CHECK(hand.metrics.at("background") == doctest::Approx(0.3).epsilon(0.1));
}

TEST_CASE("edda: the fill is what its name says") {
    Hand hand({1, 4, 7}, {0}, {99, 0});
    CHECK(values(hand.after(edda("fill=mean")).input) == Floats{4, 4, 7});
    Hand least({2, 4, 1}, {0}, {99, 0});
    CHECK(values(least.after(edda("fill=min")).input) == Floats{1, 4, 1});
}

TEST_CASE("edda: of several labels each that is there and still seen adds a picture") {
    struct Case {
        std::string options;
        Floats targets, inputs, new_targets, new_weights;
    };
    const Floats x{1, 1, 1};  // logits (4, 2): both classes are seen
    for (const Case& c : {
             Case{"mask=keep", {1, 1}, {1, 0, 0, 0, 1, 0}, {1, 0, 0, 1}, {1, 0, 0, 1}},
             Case{"mask=keep, label_mode=full", {1, 1}, {1, 0, 0, 0, 1, 0}, {1, 1, 1, 1}, {1, 1, 1, 1}},
             Case{"mask=keep, max_added_per_image=1", {1, 1}, {1, 0, 0}, {1, 0}, {1, 0}},
             Case{"mask=keep", {0, 1}, {0, 1, 0}, {0, 1}, {0, 1}},  // seen, but not there
             Case{"mask=keep, label_mode=full", {0, 1}, {0, 1, 0}, {0, 1}, {1, 1}},
             // Without feature 0 logit 0 is 0, without feature 1 logit 1 is 0: neither exceeds one half.
             Case{"mask=occlude", {1, 1}, {}, {}, {}},
             Case{"mask=occlude, p=1", {1, 1}, {0, 1, 1, 1, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 1}},
             Case{"mask=occlude, p=1, label_mode=full", {0, 1}, {1, 0, 1}, {0, 0}, {1, 1}},
             Case{"mask=keep, max_added_per_image=0", {1, 1}, {}, {}, {}},
         }) {
        CAPTURE(c.options);
        Hand hand(x, {0}, {-1, -1});
        hand.set_targets(c.targets);
        hand.step.batch.sample_weight = Tensor::full({1}, 2, DType::f32);
        const Batch& batch = hand.after(edda(c.options));
        const auto joined = [](Floats a, const Floats& b) {
            a.insert(a.end(), b.begin(), b.end());
            return a;
        };
        CHECK(values(batch.input) == joined(x, c.inputs));
        CHECK(values(batch.target) == joined(c.targets, c.new_targets));
        CHECK(values(batch.target_weight) == joined({1, 1}, c.new_weights));
        const size_t rows = 1 + c.inputs.size() / 3;
        CHECK(batch.indices == std::vector<int64_t>(rows, 0));
        CHECK(values(batch.sample_weight) == Floats(rows, 2.0f));
        CHECK(hand.metrics.at("added") == static_cast<double>(rows - 1));
    }
}

TEST_CASE("edda: of several pictures each has its own classes, and what is ignored stays so") {
    // Logits (3, 1), (3, -1), (-1, 2): the second class is not seen in the second picture.
    Hand hand({1, 1, 0, 1, 0, 0, 0, 1, 1}, {0, 0, 0}, {-2, -1});
    hand.set_targets({0, 1, 1, 1, 0, 1});
    hand.step.batch.target_weight = Tensor::from(Floats{0, 1, 1, 1, 1, 1}, {3, 2});
    const Batch& batch = hand.after(edda("mask=keep, label_mode=full"));
    CHECK(values(batch.input) == Floats{1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0});
    CHECK(values(batch.target) == Floats{0, 1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1});
    CHECK(values(batch.target_weight) == Floats{0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1});
    CHECK(batch.indices == std::vector<int64_t>{0, 1, 2, 0, 1, 2});
}

TEST_CASE("edda: the loss of the grown batch is that of the classes that count") {
    Hand hand({1, 1, 1}, {0}, {-1, -1});
    hand.set_targets({1, 1});
    const Batch& batch = hand.after(edda("mask=keep"));
    const SummedLoss loss = loss_of((*hand.step.model.net)(Variable(batch.input)), batch, 0, {});
    const auto softplus_of_minus = [](double z) { return std::log1p(std::exp(-z)); };
    // logits (4, 2) of the original, 3 of class 0 alone, 1 of class 1 alone
    const double expected =
        softplus_of_minus(4) + softplus_of_minus(2) + softplus_of_minus(3) + softplus_of_minus(1);
    CHECK(loss.sum.item() == doctest::Approx(expected).epsilon(1e-5));
    CHECK(loss.weight == 4);
}

TEST_CASE("edda: the control has masks of the same sizes in other places") {
    Model model = build_model("cnn_small(in=3)", 4, 1);
    const auto source = load_data("shapes16(n=24, n_test=4)");
    const TrainingRun run{.model = &model, .data = source->train, .batch_size = 24};
    std::vector<int64_t> rows(24);
    for (size_t i = 0; i < rows.size(); ++i) {
        rows[i] = static_cast<int64_t>(i);
    }
    // Always class 3: every masked picture is taken, so that the masks can be read off.
    Tensor bias = model.net->parameters().back().value.data();
    bias.copy_from(Tensor::from(Floats{0, 0, 0, 1e6f}, {4}));
    const auto holes = [&](const std::string& text) {
        Batch batch = source->train->batch(rows);
        batch.label = Tensor::from(std::vector<int64_t>(24, 3), {24});
        TrainingStep step{.run = run, .batch = batch};
        const auto system = build_augmentation(text);
        system->begin(run);
        system->change_batch(step);
        const Floats after = values(batch.input);
        std::vector<std::vector<bool>> of_samples(24, std::vector<bool>(256));
        for (size_t i = 0; i < after.size(); i += 3) {
            of_samples[i / 768][i % 768 / 3] = after[i] == 0 && after[i + 1] == 0 && after[i + 2] == 0;
        }
        return of_samples;
    };
    const auto sizes = [](const std::vector<std::vector<bool>>& masks) {
        std::multiset<int64_t> all;
        for (const auto& mask : masks) {
            all.insert(std::count(mask.begin(), mask.end(), true));
        }
        return all;
    };
    const auto own = holes("edda(explainer=saliency)"),
               moved = holes("edda(explainer=saliency, control=shuffled)");
    CHECK(own != moved);
    CHECK(sizes(own) == sizes(moved));
    CHECK(*sizes(own).begin() > 0);
}

TEST_CASE("edda: without effect it changes no bit, batch norm and random numbers included") {
    TrainConfig config = picture_config();
    const std::string plain = weights_after(config, {});
    CHECK(weights_after(config, {"edda(tau=1)"}) == plain);
    CHECK(weights_after(config, {"edda(start_epoch=2)"}) == plain);
    CHECK(weights_after(config, {"edda(mask=keep)"}) != plain);
    const TemporaryFolder folder;
    config = voc_config(folder);
    const std::string several = weights_after(config, {});
    CHECK(weights_after(config, {"edda(max_added_per_image=0)"}) == several);
}

TEST_CASE("edda: trains on several labels and resumes with the same bits") {
    const TemporaryFolder folder;
    TrainConfig config = voc_config(folder);
    config.epochs = 30;
    const std::string plain = weights_after(config, {});
    CHECK(weights_after(config, {"edda(mask=keep)"}) != plain);
    check_resume_with(config, {"edda(mask=keep, p=0.5)"}, 25);
    check_resume_with(picture_config(), {"edda(mask=keep, p=0.5)", "cutout"}, 4);
}

TEST_CASE("edda: acts with several labels beside systems of the other families") {
    const TemporaryFolder folder;
    TrainConfig config = voc_config(folder);
    config.epochs = 30;
    const std::string alone = weights_after(config, {"edda(mask=keep)"});
    for (const std::string other :
         {"rrr(masks=all, lambda=0.1)", "penalty(explainer=sum_log_prob)", "class_factors(control=balanced)",
          "random_dropout(layer=1)", "attention(layer=1, target=predicted)",
          "explanation_dropout(layer=1, target=predicted)", "excitation_dropout(layer=1, target=predicted)",
          "weight_lrp(warmup=0)", "prune(criterion=weight, fraction=0.2, step=0.2)"}) {
        CAPTURE(other);
        const std::string both = weights_after(config, {"edda(mask=keep)", other});
        CHECK(both != alone);
        CHECK(both != weights_after(config, {other}));
    }
}

TEST_CASE("edda: wrong use is told before training") {
    const auto error = [](const std::string& text, const std::string& model, const std::string& data) {
        TrainConfig config = picture_config();
        config.model = model;
        config.data = data;
        config.augment = {text};
        return error_of([&] { (void)train(config, with_augmentations()); });
    };
    CHECK(contains(error("edda", "toy1", "toy1"), "grad_cam"));
    CHECK(contains(error("edda(explainer=saliency, fill=blur)", "toy1", "toy1"), "blur"));
    CHECK(contains(error("edda(explainer=salience)", "toy1", "toy1"), "did you mean saliency?"));
    CHECK(contains(error("edda(mask=both)", "toy1", "toy1"), "occlude"));
    CHECK(contains(error("edda(tau=2)", "toy1", "toy1"), "tau"));
    CHECK(contains(error("edda(background=extra_class)", "toy1", "toy1"), "without p=P"));
    CHECK(contains(error("edda(explainer=saliency, label_mode=full)", "toy1", "toy1"),
                   "label_mode is for data with several labels a sample; leave it out"));
    CHECK(contains(error("edda", "toy1", "toy1"), "name one, grad_cam(layer=L)"));
    CHECK(error("edda(explainer=saliency, fill=noise)", "cnn_small(in=3)", "shapes16(n=16, n_test=4)") ==
          "no error");
}
