// What a run is told, and how it is refused.
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

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
