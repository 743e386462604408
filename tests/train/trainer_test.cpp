// The loop: what a run writes, that it learns, and that an interrupted one continues bit for bit.
#include "train/trainer.h"

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/io/safetensors.h"
#include "layers/state.h"
#include "tests/layers/support.h"
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

namespace {

std::vector<std::string> files_of(const std::filesystem::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

/// Trains once in one go, once interrupted after `steps` and resumed; both must agree in every bit.
void check_resume(TrainConfig config, int64_t steps) {
    const TemporaryFolder folder;
    CAPTURE(config.model);
    CAPTURE(steps);
    config.run = folder.path() / "whole";
    const TrainResult whole = train(config);
    CHECK_FALSE(whole.interrupted);

    config.run = folder.path() / "parts";
    const StopAfter stop(steps);
    const TrainResult first = train(config, stop.hooks());
    CHECK(first.interrupted);
    CHECK(first.steps == steps);
    config.resume = true;
    std::string noted;
    const TrainResult second = train(config, {.note = [&](const std::string& text) { noted += text; }});
    CHECK(contains(noted, "resumed at epoch"));
    CHECK_FALSE(second.interrupted);
    CHECK(second.steps == whole.steps);
    CHECK(second.test.loss == whole.test.loss);
    check_same_run(folder.path() / "whole", folder.path() / "parts");
}

TrainConfig digits_config() {
    TrainConfig config;
    config.model = "cnn_small(in=1)";
    config.data = "digits";
    config.epochs = 2;
    config.batch_size = 180;  // 8 steps an epoch
    config.lr = 0.01;
    config.optimizer.name = "adam";
    config.schedule = "cosine";
    return config;
}

}  // namespace

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

TEST_CASE("resume: continues bit for bit from the middle of an epoch and from its end") {
    TrainConfig config = toy_config({});
    check_resume(config, 10);
    check_resume(config, 13);
    config.optimizer.name = "adamw";
    config.optimizer.weight_decay = 0.01;
    config.schedule = "step(every=1, gamma=0.5)";
    config.warmup_steps = 15;
    config.clip_norm = 0.5;
    config.label_smoothing = 0.1;
    config.validation = 0.2;
    check_resume(config, 9);
    config.optimizer.name = "adadelta";
    check_resume(config, 1);
}

TEST_CASE("resume: continues a network with batch norm on digits bit for bit") {
    check_resume(digits_config(), 5);
    TrainConfig config = digits_config();
    config.workers = 2;
    config.optimizer.name = "sgd";
    check_resume(config, 11);
}

TEST_CASE("resume: after a crash the last checkpoint counts, later metrics are dropped") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "whole");
    config.checkpoint_every = 4;
    (void)train(config);

    config.run = folder.path() / "parts";
    TrainHooks crash;
    crash.step = [seen = 0](const TrainProgress&) mutable {
        if (++seen == 15) {
            throw std::runtime_error("crash");
        }
    };
    CHECK_THROWS_WITH(train(config, crash), "crash");
    // What a crash between the metrics line and the checkpoint leaves, and a torn line behind it.
    std::ofstream(config.run / "metrics.jsonl", std::ios::app)
        << metrics_of(config.run)[0].dump() << "\n{\"epo";
    config.resume = true;
    std::string noted;
    (void)train(config, {.note = [&](const std::string& text) { noted += text; }});
    CHECK(contains(noted, "epoch 2, step 12"));
    check_same_run(folder.path() / "whole", folder.path() / "parts");
}

TEST_CASE("resume: the number of epochs may grow, and a finished run stays as it is") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "whole");
    (void)train(config);
    config.run = folder.path() / "parts";
    config.epochs = 2;
    (void)train(config);
    config.resume = true;
    const std::string before = slurp(config.run / "weights.safetensors");
    const TrainResult again = train(config);
    CHECK(again.steps == 20);
    CHECK(again.test.samples == 50);
    CHECK(slurp(config.run / "weights.safetensors") == before);
    CHECK(metrics_of(config.run).size() == 2);
    config.epochs = 4;
    (void)train(config);
    check_same_run(folder.path() / "whole", folder.path() / "parts");
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

TEST_CASE("resume: another configuration is refused, naming both, and nothing changes") {
    const TemporaryFolder folder;
    const TrainConfig config = toy_config(folder.path() / "run");
    const StopAfter stop(13);
    (void)train(config, stop.hooks());
    const std::string checkpoint = slurp(config.run / "checkpoint.safetensors");
    const std::string metrics = slurp(config.run / "metrics.jsonl");
    const auto refused = [&](const std::function<void(TrainConfig&)>& change) {
        TrainConfig other = config;
        other.resume = true;
        change(other);
        const std::string text = error_of([&] { (void)train(other); });
        CHECK(contains(text, "another configuration"));
        CHECK(contains(text, "checkpoint.safetensors"));
        CHECK(slurp(config.run / "checkpoint.safetensors") == checkpoint);
        CHECK(slurp(config.run / "metrics.jsonl") == metrics);
    };
    refused([](TrainConfig& c) { c.lr = 0.06; });
    refused([](TrainConfig& c) { c.seed = 4; });
    refused([](TrainConfig& c) { c.batch_size = 34; });
    refused([](TrainConfig& c) { c.model = "mlp(in=5, widths=8)"; });
    refused([](TrainConfig& c) { c.data = "toy1(noise=0.2)"; });
    refused([](TrainConfig& c) { c.optimizer.name = "adam"; });
    refused([](TrainConfig& c) { c.optimizer.momentum = 0.8; });
    refused([](TrainConfig& c) { c.optimizer.weight_decay = 0.1; });
    refused([](TrainConfig& c) { c.schedule = "cosine"; });
    refused([](TrainConfig& c) { c.warmup_steps = 2; });
    refused([](TrainConfig& c) { c.clip_norm = 1; });
    refused([](TrainConfig& c) { c.label_smoothing = 0.1; });
    refused([](TrainConfig& c) { c.validation = 0.1; });
}

TEST_CASE("resume: a folder without a checkpoint starts anew and says so") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 1;
    config.resume = true;
    std::string noted;
    CHECK(train(config, {.note = [&](const std::string& text) { noted += text; }}).steps == 10);
    CHECK(contains(noted, "starting anew"));
}

TEST_CASE("resume: a damaged checkpoint is refused") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 1;
    (void)train(config);
    config.resume = true;
    const auto path = config.run / "checkpoint.safetensors";
    const std::string whole = slurp(path);
    std::ofstream(path, std::ios::binary).write(whole.data(), static_cast<std::streamsize>(whole.size() / 2));
    CHECK(contains(error_of([&] { (void)train(config); }), "checkpoint.safetensors"));
    write_safetensors(path, read_safetensors(config.run / "weights.safetensors").tensors);
    CHECK(contains(error_of([&] { (void)train(config); }), "not a checkpoint"));
    write_safetensors(path, {}, {{"backlight.checkpoint", "{}"}});
    CHECK(contains(error_of([&] { (void)train(config); }), "damaged"));
}

TEST_CASE("train: a folder that holds a run is refused without --resume or --overwrite") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 1;
    (void)train(config);
    const std::string weights = slurp(config.run / "weights.safetensors");
    config.seed = 5;
    const std::string text = error_of([&] { (void)train(config); });
    CHECK(contains(text, "already holds a run"));
    CHECK(contains(text, "--resume"));
    CHECK(contains(text, "--overwrite"));
    CHECK(slurp(config.run / "weights.safetensors") == weights);
    CHECK(metrics_of(config.run).size() == 1);

    config.overwrite = true;
    (void)train(config);
    TrainConfig fresh = config;
    fresh.run = folder.path() / "fresh";
    (void)train(fresh);
    check_same_run(config.run, fresh.run);
}

TEST_CASE("train: overwriting forgets the old run at once, so that a crash cannot bring it back") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.epochs = 2;
    (void)train(config);
    config.overwrite = true;
    TrainHooks crash;
    crash.step = [](const TrainProgress&) { throw std::runtime_error("crash"); };
    CHECK_THROWS_WITH(train(config, crash), "crash");
    config.overwrite = false;
    config.resume = true;
    (void)train(config);
    CHECK(metrics_of(config.run).size() == 2);  // the old checkpoint would have left one line at most
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

TEST_CASE("train: a configuration that cannot work is refused before anything is written") {
    const TemporaryFolder folder;
    const auto refused = [&](const std::string& part, const std::function<void(TrainConfig&)>& change) {
        TrainConfig config = toy_config(folder.path() / "run");
        change(config);
        const std::string text = error_of([&] { (void)train(config); });
        CAPTURE(text);
        CHECK(contains(text, part));
        CHECK_FALSE(contains(text, "\n"));
        CHECK(files_of(folder.path()).empty());
    };
    refused("1 <= epochs", [](TrainConfig& c) { c.epochs = 0; });
    refused("epochs <= 1e9", [](TrainConfig& c) { c.epochs = INT64_MAX; });
    refused("batch-size >= 1", [](TrainConfig& c) { c.batch_size = 0; });
    refused("max-steps >= 0", [](TrainConfig& c) { c.max_steps = -1; });
    refused("accumulate >= 1", [](TrainConfig& c) { c.accumulate = 0; });
    refused("ema < 1", [](TrainConfig& c) { c.ema = 1; });
    refused("lr > 0", [](TrainConfig& c) { c.lr = 0; });
    refused("lr > 0", [](TrainConfig& c) { c.lr = std::nan(""); });
    refused("clip-norm", [](TrainConfig& c) { c.clip_norm = -1; });
    refused("label-smoothing", [](TrainConfig& c) { c.label_smoothing = 1; });
    refused("label-smoothing", [](TrainConfig& c) { c.label_smoothing = -0.1; });
    refused("validation", [](TrainConfig& c) { c.validation = 1; });
    refused("no samples", [](TrainConfig& c) { c.validation = 1e-9; });
    refused("early", [](TrainConfig& c) { c.early_stop = 3; });
    refused("early-stop", [](TrainConfig& c) {
        c.validation = 0.1;
        c.early_stop = -1;
    });
    refused("checkpoint-every", [](TrainConfig& c) { c.checkpoint_every = -1; });
    refused("classes", [](TrainConfig& c) { c.classes = -1; });
    refused("2 classes", [](TrainConfig& c) { c.classes = 1; });
    refused("warm-up", [](TrainConfig& c) { c.warmup_steps = -1; });
    refused("unknown model", [](TrainConfig& c) { c.model = "toy9"; });
    refused("unknown data set", [](TrainConfig& c) { c.data = "toy9"; });
    refused("unknown optimizer", [](TrainConfig& c) { c.optimizer.name = "sdg"; });
    refused("no parameter matches \"tail.*\"", [](TrainConfig& c) { c.freeze = {"tail.*"}; });
    refused("left to train", [](TrainConfig& c) { c.freeze = {"*"}; });
    refused("no trained parameter matches \"tail.*\"",
            [](TrainConfig& c) { c.optimizer.groups = {parse_group("tail.*:lr=1")}; });
    refused("2 numbers", [](TrainConfig& c) { c.class_weights = "1:2:3"; });
    refused("numbers >= 0", [](TrainConfig& c) { c.class_weights = "1:-2"; });
    refused("class-weights", [](TrainConfig& c) { c.class_weights = "balancd"; });
    refused("model toy1(classes=2) has no segments", [](TrainConfig& c) { c.recompute = true; });
    refused("top-k <= 2", [](TrainConfig& c) { c.top_k = 3; });
    refused("unknown schedule", [](TrainConfig& c) { c.schedule = "cosin"; });
    refused("(N, 4), got (1, 5)", [](TrainConfig& c) { c.model = "toy2"; });
    refused("none.safetensors", [](TrainConfig& c) { c.weights = "/none.safetensors"; });
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
