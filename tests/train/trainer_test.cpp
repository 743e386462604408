// The loop: what a run writes, that it learns, and that an interrupted one continues bit for bit.
#include "train/trainer.h"

#include <algorithm>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/io/safetensors.h"
#include "layers/state.h"
#include "tests/layers/support.h"
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

TEST_CASE("train: a run leaves weights, a checkpoint and a line an epoch, and gets better") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "deep" / "run");
    config.data = "toy1(noise=0, sep=3)";  // clusters far apart: a network that learns gets them right
    int64_t steps = 0, epochs = 0;
    TrainHooks hooks;
    hooks.step = [&](const TrainProgress& p) {
        CHECK(p.steps_per_epoch == 10);
        CHECK(p.step_in_epoch == steps % 10 + 1);
        CHECK(p.epoch == steps / 10 + 1);
        CHECK(p.epochs == 4);
        CHECK(p.images == 35);
        CHECK(p.lr == 0.05);
        ++steps;
    };
    hooks.epoch = [&](const TrainProgress& p, const Evaluation& e) {
        CHECK(p.epoch == ++epochs);
        CHECK(e.samples == 50);
    };
    const TrainResult result = train(config, hooks);
    CHECK(steps == 40);
    CHECK(epochs == 4);
    CHECK(result.steps == 40);
    CHECK(result.epochs_done == 4);
    CHECK_FALSE(result.interrupted);
    CHECK(files_of(config.run) ==
          std::vector<std::string>{"checkpoint.safetensors", "metrics.jsonl", "weights.safetensors"});

    const auto lines = metrics_of(config.run);
    REQUIRE(lines.size() == 4);
    for (size_t i = 0; i < lines.size(); ++i) {
        CHECK(lines[i]["epoch"] == i + 1);
        CHECK(lines[i]["step"] == 10 * (i + 1));
        CHECK(lines[i]["lr"] == 0.05);
        CHECK(lines[i]["test"]["samples"] == 50);
        CHECK(lines[i]["test"]["class_accuracy"].size() == 2);
        CHECK(lines[i]["seconds"] >= 0);
    }
    CHECK(lines[3]["train_loss"] < lines[0]["train_loss"]);
    CHECK(lines[3]["test"]["loss"] == result.test.loss);
    CHECK(lines[3]["test"]["accuracy"] == result.test.accuracy);
    CHECK(result.test.accuracy > 0.9);
}

TEST_CASE("train: the weight file says what it is of, and loads") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 1;
    const TrainResult result = train(config);
    const auto weights = config.run / "weights.safetensors";
    const SafetensorsFile file = read_safetensors(weights);
    CHECK(file.metadata.at("format") == "pt");
    CHECK(file.metadata.at("backlight.model") == result.model.spec);
    const LoadedModel loaded = load_model("toy1", 0, weights);
    CHECK(loaded.class_names == std::vector<std::string>{"0", "1"});
    CHECK(loaded.low.size() == 5);
    CHECK(loaded.high.size() == 5);
    const Tensor x = result.data->test->all().input;
    CHECK(layer_testing::equal(predict(*loaded.model.net, x), predict(*result.model.net, x)));
}

TEST_CASE("load_model: the number of classes follows the file's head unless it is stated") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "w.safetensors";
    const Model seven = build_model("toy2", 7);
    write_safetensors(path, state_dict(*seven.net));
    CHECK(load_model("toy2", 0, path).model.classes == 7);
    CHECK(load_model("toy2", 7, path).model.classes == 7);
    CHECK(contains(error_of([&] { (void)load_model("toy2", 3, path); }),
                   "2.weight (expected float32 (3, 5), got float32 (7, 5))"));
    CHECK(contains(error_of([&] { (void)load_model("toy2(classes=3)", 0, path); }), "misshapen"));
    CHECK(contains(error_of([&] { (void)load_model("toy3", 0, path); }), "unexpected: 2.bias"));
    CHECK(contains(error_of([&] { (void)load_model("toy2", 0, folder.path() / "none"); }), "none"));
    auto tensors = state_dict(*seven.net);
    tensors["2.weight"] = Tensor::zeros({int64_t{1} << 40, 0});  // a head that claims a lot and holds nothing
    write_safetensors(path, tensors);
    CHECK(contains(error_of([&] { (void)load_model("toy2", 0, path); }), "got float32 (1099511627776, 0)"));
}

TEST_CASE("train: without a run folder nothing is written") {
    const TemporaryFolder folder;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    TrainConfig config = toy_config("");
    config.epochs = 1;
    CHECK(train(config).steps == 10);
    std::filesystem::current_path(before);
    CHECK(files_of(folder.path()).empty());
}

TEST_CASE("train: the same seed gives the same bits, another seed other weights") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "one");
    config.epochs = 2;
    (void)train(config);
    config.run = folder.path() / "two";
    (void)train(config);
    check_same_run(folder.path() / "one", folder.path() / "two");
    config.run = folder.path() / "other";
    config.seed = 4;
    (void)train(config);
    CHECK(slurp(folder.path() / "one" / "weights.safetensors") !=
          slurp(folder.path() / "other" / "weights.safetensors"));
}

TEST_CASE("train: ends after max-steps with an evaluation; a resume goes on as if it had not") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "whole");
    config.schedule = "cosine";
    (void)train(config);
    config.run = folder.path() / "parts";
    config.max_steps = 13;
    for (int i = 0; i < 2; ++i) {  // once more: nothing is left to do
        const TrainResult result = train(config);
        CHECK(result.steps == 13);
        CHECK(result.epochs_done == 1);
        CHECK_FALSE(result.interrupted);
        CHECK(result.test.samples == 50);
        const auto lines = metrics_of(config.run);
        REQUIRE(lines.size() == 2);
        CHECK(lines[1]["step"] == 13);
        CHECK(lines[1]["test"]["loss"] == result.test.loss);
        config.resume = true;
    }
    config.max_steps = 20;
    CHECK(train(config).steps == 20);
    CHECK(metrics_of(config.run).size() == 2);
    config.max_steps = 0;
    (void)train(config);
    check_same_run(folder.path() / "whole", folder.path() / "parts");
}

TEST_CASE("early stopping: ends after so many epochs without a better held-out loss, and stays ended") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 20;
    config.validation = 0.2;
    config.early_stop = 3;
    config.lr = 1e-30;  // the weights never move, so no epoch is better than the first
    const TrainResult result = train(config);
    CHECK(result.stopped_early);
    CHECK(result.epochs_done == 4);
    const auto lines = metrics_of(config.run);
    REQUIRE(lines.size() == 4);
    CHECK(lines[0].contains("validation"));
    CHECK_FALSE(lines[0].contains("test"));
    CHECK(lines[0]["validation"]["samples"] == 70);
    CHECK(result.test.samples == 50);
    config.resume = true;
    const TrainResult again = train(config);
    CHECK(again.stopped_early);
    CHECK(again.epochs_done == 4);
    CHECK(metrics_of(config.run).size() == 4);
}

TEST_CASE("train: starts from given weights") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "first");
    config.epochs = 1;
    const TrainResult first = train(config);
    config.run = folder.path() / "second";
    config.weights = (folder.path() / "first" / "weights.safetensors").string();
    config.lr = 1e-30;
    const TrainResult second = train(config);
    CHECK(second.test.loss == first.test.loss);
    config.run = folder.path() / "third";
    config.model = "toy2";
    config.data = "toy2";
    CHECK(contains(error_of([&] { (void)train(config); }), "do not fit the model"));
    CHECK_FALSE(std::filesystem::exists(config.run));
}

TEST_CASE(
    "train: a step over all samples goes along the gradient of the smoothed loss, warmed up and clipped") {
    TrainConfig config = toy_config({});
    config.model = "toy3";
    config.data = "toy3";
    config.batch_size = 1000;  // one step
    config.epochs = 1;
    config.lr = 2;
    config.optimizer.momentum = 0;
    config.warmup_steps = 4;
    config.label_smoothing = 0.2;
    const Model start = build_model("toy3", 2, config.seed);
    const Batch all = load_data("toy3")->train->all();
    backward(cross_entropy((*start.net)(Variable(all.input)), all.label, 0.2));
    double norm = 0;
    for (const Parameter& p : start.net->parameters()) {
        for (const double g : layer_testing::values_of(p.value.grad())) {
            norm += g * g;
        }
    }
    norm = std::sqrt(norm);
    for (const double clip : {0.0, norm / 3, norm * 3}) {
        CAPTURE(clip);
        config.clip_norm = clip;
        const TrainResult result = train(config);
        CHECK(result.steps == 1);
        const double factor = 2 * 0.25 * (clip > 0 && clip < norm ? clip / norm : 1);
        for (const Parameter& p : start.net->parameters()) {
            auto expected = layer_testing::values_of(p.value.data());
            const auto gradient = layer_testing::values_of(p.value.grad());
            for (size_t i = 0; i < expected.size(); ++i) {
                expected[i] -= factor * gradient[i];
            }
            layer_testing::check_values(layer_testing::parameter(*result.model.net, p.name).data(),
                                        p.value.shape(), expected);
        }
    }
}

TEST_CASE("train: frozen parameters stay; runs with groups, frozen parameters and rmsprop resume") {
    TrainConfig config = toy_config({});
    config.epochs = 2;
    config.freeze = {"0.*"};
    const Model start = build_model(config.model, 2, config.seed);
    const auto frozen = start.net->parameters();
    const TrainResult result = train(config);
    bool others_moved = true;
    for (const Parameter& before : frozen) {
        const Variable after = layer_testing::parameter(*result.model.net, before.name);
        CAPTURE(before.name);
        CHECK(after.requires_grad() != before.name.starts_with("0."));
        if (before.name.starts_with("0.")) {
            CHECK(layer_testing::equal(after.data(), before.value.data()));
        } else {
            others_moved = others_moved && !layer_testing::equal(after.data(), before.value.data());
        }
    }
    CHECK(others_moved);
    config.freeze.clear();
    config.optimizer.weight_decay = 0.01;
    config.optimizer.no_decay_norm_bias = true;
    config.optimizer.groups = {parse_group("0.*:lr=0.1")};
    check_resume(config, 13);
    config.freeze = {"0.*"};
    config.optimizer.groups.clear();
    config.optimizer.name = "rmsprop";
    config.lr = 0.001;
    check_resume(config, 13);
}

TEST_CASE("train: accumulated batches make the step of one large batch, the short end of an epoch included") {
    TrainConfig whole = toy_config({}), parts = toy_config({});  // 350 samples
    whole.batch_size = 80;                                       // 4 steps and one of 30
    parts.batch_size = 20;                                       // 18 batches, the last of 10
    parts.accumulate = 4;
    whole.epochs = parts.epochs = 2;
    whole.schedule = parts.schedule = "cosine";
    const auto same_step = [&] {
        const TrainResult a = train(whole), b = train(parts);
        CHECK(a.steps == 10);
        CHECK(b.steps == 10);
        for (const Parameter& p : a.model.net->parameters()) {
            layer_testing::check_values(layer_testing::parameter(*b.model.net, p.name).data(),
                                        p.value.shape(), layer_testing::values_of(p.value.data()), 1e-6);
        }
        CHECK(b.test.loss == doctest::Approx(a.test.loss).epsilon(1e-6));
    };
    same_step();
    whole.class_weights = parts.class_weights = "1:7";  // batches weigh as their classes do
    whole.label_smoothing = parts.label_smoothing = 0.1;
    same_step();
    parts.batch_size = 1;  // many batches whose samples weigh nothing
    parts.accumulate = 80;
    whole.class_weights = parts.class_weights = "0:1";
    same_step();
    parts.checkpoint_every = 3;
    check_resume(parts, 7);
}

TEST_CASE("train: recomputation changes memory and time, not a bit of the run") {
    const TemporaryFolder folder;
    TrainConfig config = digits_config();
    config.model = "resnet18(small=true, in=1, width=16)";
    config.max_steps = 4;
    config.batch_size = 20;
    config.accumulate = 2;
    config.epochs = 1;
    config.freeze = {"layer1.*"};
    config.run = folder.path() / "plain";
    (void)train(config);
    config.recompute = true;
    config.run = folder.path() / "recomputed";
    (void)train(config);
    check_same_run(folder.path() / "plain", folder.path() / "recomputed");
}

TEST_CASE("train: averaged weights follow their formula, are saved, and a resume continues them") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 1;
    config.batch_size = 175;  // two steps
    config.ema = 0.75;
    const TrainResult two = train(config);
    config.run.clear();
    const StopAfter one(1);
    const TrainResult single = train(config, one.hooks());
    const auto file = read_safetensors(folder.path() / "run" / "weights_ema.safetensors").tensors;
    for (const Parameter& p : two.model.net->parameters()) {
        const auto begin =
            layer_testing::values_of(layer_testing::parameter(*single.model.net, p.name).data());
        auto expected = layer_testing::values_of(p.value.data());
        for (size_t i = 0; i < expected.size(); ++i) {
            expected[i] = 0.75 * begin[i] + 0.25 * expected[i];
        }
        layer_testing::check_values(file.at(p.name), p.value.shape(), expected, 1e-6);
    }
    const auto lines = metrics_of(folder.path() / "run");
    REQUIRE(two.test_ema.has_value());
    CHECK(lines[0]["test_ema"]["loss"] == two.test_ema->loss);
    CHECK(two.test_ema->loss != two.test.loss);
    LoadedModel loaded = load_model("toy1", 0, folder.path() / "run" / "weights_ema.safetensors");
    CHECK(evaluate(*loaded.model.net, *two.data->test).loss == two.test_ema->loss);
    config = toy_config({});
    config.ema = 0.9;
    check_resume(config, 13);
}

TEST_CASE("train: class weights are those of the loss; metrics hold the top-k accuracy asked for") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 1;
    config.batch_size = 1000;  // one step
    config.optimizer.momentum = 0;
    config.top_k = 2;
    const auto counts = load_data("toy1")->train->class_counts();
    REQUIRE(counts.size() == 2);
    const auto weight = [&](size_t k) { return 350.0 / (2.0 * static_cast<double>(counts[k])); };
    std::ostringstream text;
    text.precision(17);
    text << weight(0) << ":" << weight(1);
    for (const std::string& weights : {std::string("balanced"), text.str(), std::string("3:1")}) {
        CAPTURE(weights);
        config.class_weights = weights;
        config.overwrite = true;
        const Tensor expected = weights == "3:1" ? layer_testing::tensor({3, 1}, {2})
                                                 : layer_testing::tensor({weight(0), weight(1)}, {2});
        const Model start = build_model("toy1", 2, config.seed);
        const Batch all = load_data("toy1")->train->all();
        backward(cross_entropy((*start.net)(Variable(all.input)), all.label, 0, expected));
        const TrainResult result = train(config);
        layer_testing::check_plain_step(*start.net, *result.model.net, config.lr);
        CHECK(metrics_of(config.run)[0]["test"]["top2_accuracy"] == 1);
    }
}

namespace {

/// Takes note of how many samples each call of the network gets.
class CountsSamples final : public Augmentation {
public:
    explicit CountsSamples(std::vector<int64_t>& seen) : seen_(&seen) {}
    void begin(const TrainingRun& run) override {
        run.model->net->add_hook([seen = seen_](Module&, const Variable& input, const Variable&) {
            seen->push_back(input.dim(0));
            return Variable();
        });
    }

private:
    std::vector<int64_t>* seen_;
};

}  // namespace

TEST_CASE("train: an evaluation takes no more large pictures at once than a step, and is not made twice") {
    std::vector<int64_t> seen;
    TrainConfig config;
    config.model = "cnn_small";
    config.epochs = 1;
    config.batch_size = 40;
    config.mini_epoch = 80;
    config.augment = {"counts"};
    const TrainHooks hooks{.make_augmentation = [&](const std::string& text) {
        auto own = std::make_unique<CountsSamples>(seen);
        own->schedule(text, 0, 1);
        return own;
    }};
    config.data = "digits(size=96)";
    const int64_t count = train(config, hooks).test.samples;
    CHECK(static_cast<int64_t>(seen.size()) == 2 + (count + 39) / 40);  // two steps, one evaluation
    CHECK(*std::max_element(seen.begin(), seen.end()) == 40);
    seen.clear();
    config.data = "digits";
    (void)train(config, hooks);
    CHECK(*std::max_element(seen.begin(), seen.end()) == 256);
}

TEST_CASE("train: a last sample that is alone joins the batch before it, which batch norm needs") {
    TrainConfig config = digits_config();
    config.model = "resnet18(small=true, in=1, width=8)";  // its last stage has one pixel
    config.mini_epoch = 33;
    config.batch_size = 16;
    std::vector<int64_t> images;
    TrainHooks hooks;
    hooks.step = [&](const TrainProgress& p) {
        CHECK(p.steps_per_epoch == 2);
        images.push_back(p.images);
    };
    CHECK(train(config, hooks).steps == 4);
    CHECK(images == std::vector<int64_t>{16, 17, 16, 17});
    check_resume(config, 1);
    config.sampler = "balanced";
    check_resume(config, 3);
    config.accumulate = 2;  // one step of two batches
    config.sampler = "uniform";
    images.clear();
    hooks.step = [&](const TrainProgress& p) { images.push_back(p.images); };
    CHECK(train(config, hooks).steps == 2);
    CHECK(images == std::vector<int64_t>{33, 33});
}

TEST_CASE("train: mixed precision learns as float does, keeps float weights, and resumes bit for bit") {
    TrainConfig config = digits_config();
    const TrainResult plain = train(config);
    config.precision = "bf16";
    const TrainResult mixed = train(config);
    CHECK(mixed.test.loss != plain.test.loss);
    CHECK(mixed.test.accuracy > plain.test.accuracy - 0.05);
    for (const auto& [name, value] : state_dict(*mixed.model.net)) {
        CAPTURE(name);
        CHECK(value.dtype() != DType::bf16);
    }
    check_resume(config, 11);
    config.precision = "f16";
    CHECK_THROWS_WITH(train(config), "train: expected precision f32 or bf16, got f16");
}

TEST_CASE("train: a loss that is not finite ends the run with a hint") {
    TrainConfig config = toy_config({});
    config.lr = 1e30;
    const std::string text = error_of([&] { (void)train(config); });
    CHECK(contains(text, "not finite at step"));
    CHECK(contains(text, "smaller lr"));
    // The step that breaks the weights may be the last of an epoch; weights that no one can load are not
    // saved.
    const TemporaryFolder folder;
    config.run = folder.path() / "run";
    config.batch_size = INT64_MAX;  // all samples in one step
    config.lr = 1e38;
    CHECK(contains(error_of([&] { (void)train(config); }), "not finite after epoch 1"));
    CHECK_FALSE(std::filesystem::exists(config.run / "checkpoint.safetensors"));
    CHECK_FALSE(std::filesystem::exists(config.run / "weights.safetensors"));
}
