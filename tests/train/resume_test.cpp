// A run that was interrupted, crashed or is to be overwritten: the same bits, or a refusal that loses
// nothing.
#include "core/io/safetensors.h"
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

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
