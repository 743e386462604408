// What an epoch of training is made of: samplers, mini-epochs, and samples that cannot be read.
#include <cmath>

#include "core/io/image.h"
#include "tests/train/support.h"

using namespace backlight;
using namespace backlight::train_testing;

namespace {

/// Trains once in one go, once interrupted after `steps` and resumed; returns the result of the first.
TrainResult check_resume(TrainConfig config, const std::filesystem::path& folder, int64_t steps) {
    config.run = folder / "whole";
    TrainResult whole = train(config);
    config.run = folder / "parts";
    const StopAfter stop(steps);
    CHECK(train(config, stop.hooks()).interrupted);
    config.resume = true;
    CHECK(train(config).steps == whole.steps);
    check_same_run(folder / "whole", folder / "parts");
    return whole;
}

/// Pictures of two classes, every fourth of the first cut off, and a test set with one bad picture.
void write_pictures(const std::filesystem::path& folder) {
    const auto write = [&](const std::string& place, int value, bool good) {
        std::vector<uint8_t> png = encode_png(Tensor::full({8, 8, 3}, value, DType::u8));
        if (!good) {
            png.erase(png.end() - 9, png.end());
        }
        testing::write_bytes(folder / place, png);
    };
    for (int i = 0; i < 12; ++i) {
        write("train/dark/" + std::to_string(100 + i) + ".png", i, i % 4 != 0);
        write("train/light/" + std::to_string(100 + i) + ".png", 255 - i, true);
        write("test/dark/" + std::to_string(100 + i) + ".png", i, i != 0);
        write("test/light/" + std::to_string(100 + i) + ".png", 250 - i, true);
    }
}

TrainConfig pictures_config(const std::filesystem::path& folder) {
    TrainConfig config;
    config.model = "cnn_small(in=3)";
    config.data = "folder:" + folder.string() + "(flip=true, crop=1)";
    config.epochs = 3;
    config.batch_size = 5;
    config.seed = 2;
    return config;
}

}  // namespace

TEST_CASE("train: samplers and mini-epochs set the length of an epoch, and a resume draws the same samples") {
    for (const char* sampler :
         {"uniform", "balanced", "classes(probabilities=0.8:0.2)", "classes(weights=1:3)"}) {
        CAPTURE(sampler);
        const TemporaryFolder folder;
        TrainConfig config = toy_config({});
        config.sampler = sampler;
        config.mini_epoch = 100;  // 3 steps of toy1's batches of 35
        config.schedule = "step(every=1, gamma=0.5)";
        const TrainResult result = check_resume(config, folder.path(), 5);
        CHECK(result.steps == 4 * 3);
        const auto lines = metrics_of(folder.path() / "whole");
        CHECK(lines[1]["lr"] == doctest::Approx(0.025));
    }
}

TEST_CASE("train: accumulated batches of a mini-epoch are shares of its samples") {
    TrainConfig config = toy_config({});
    config.epochs = 2;
    config.mini_epoch = 60;
    config.batch_size = 60;
    const double whole = train(config).test.loss;
    config.batch_size = 25;  // 25, 25 and 10
    config.accumulate = 3;
    CHECK(train(config).test.loss == doctest::Approx(whole).epsilon(1e-5));
}

TEST_CASE("train: a sampler that cannot work is refused before anything is written") {
    const TemporaryFolder folder;
    TrainConfig config = toy_config(folder.path() / "run");
    config.sampler = "classes(probabilities=0.5:0.4)";
    CHECK(error_of([&] { (void)train(config); }) == "sampler: the probabilities sum to 0.9, expected 1");
    config.sampler = "uniform";
    config.mini_epoch = -1;
    CHECK(error_of([&] { (void)train(config); }) == "train: expected mini-epoch >= 0, got -1");
    config.mini_epoch = 0;
    config.on_corrupt = "ignore";
    CHECK(error_of([&] { (void)train(config); }) == "train: expected on-corrupt skip or stop, got ignore");
    CHECK_FALSE(std::filesystem::exists(folder.path() / "run"));
}

TEST_CASE("train: corrupt samples are skipped, named, and a resume is bit for bit the same") {
    const TemporaryFolder folder;
    write_pictures(folder.path() / "data");
    TrainConfig config = pictures_config(folder.path() / "data");
    for (const int workers : {0, 2}) {
        config.workers = workers;
        const TemporaryFolder runs;
        const TrainResult result = check_resume(config, runs.path(), 7);
        CHECK(result.steps == 3 * 5);  // 24 samples: the schedule does not change
        CHECK(result.test.samples == 23);
        CHECK(contains(result.skipped, "skipped 4 samples that cannot be read: "));
        for (const char* name :
             {"train/dark/100.png", "train/dark/104.png", "train/dark/108.png", "test/dark/100.png"}) {
            CHECK(contains(result.skipped, name));
        }
    }
    config.accumulate = 2;
    CHECK(std::isfinite(train(config).test.loss));
}

TEST_CASE("train: corrupt samples stop the run when asked to, or when there are no others") {
    const TemporaryFolder folder;
    write_pictures(folder.path() / "data");
    TrainConfig config = pictures_config(folder.path() / "data");
    config.on_corrupt = "stop";
    CHECK(contains(error_of([&] { (void)train(config); }), "truncated PNG picture"));
    config.on_corrupt = "skip";
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path() / "data/test")) {
        if (entry.is_regular_file()) {
            testing::write_bytes(entry.path(), {});
        }
    }
    CHECK(error_of([&] { (void)train(config); }) == "evaluate: none of the 24 samples can be read");
}
