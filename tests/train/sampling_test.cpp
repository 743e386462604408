// What an epoch of training is made of: samplers, mini-epochs, and samples that cannot be read.
#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/io/image.h"
#include "datasets/sampler.h"
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

/// Pictures of two classes. Bad ones: every fourth of the first class is cut off, and one of the test set.
void write_pictures(const std::filesystem::path& folder, bool with_bad = true) {
    const auto write = [&](const std::string& place, int value, bool good) {
        std::vector<uint8_t> png = encode_png(Tensor::full({8, 8, 3}, value, DType::u8));
        if (!good && with_bad) {
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

/// Notes something of each batch before its forward pass.
class Brightness final : public Augmentation {
public:
    void change_batch(TrainingStep& step) override { note("mean", mean(Variable(step.batch.input)).item()); }
};

TrainHooks with_brightness() {
    TrainHooks hooks;
    hooks.make_augmentation = [](const std::string& text) {
        auto own = std::make_unique<Brightness>();
        own->schedule(text, 0, 1);
        return own;
    };
    return hooks;
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
        const auto list = runs.path() / "whole" / "skipped.txt";
        CHECK(contains(result.skipped, "; all are listed in " + list.string()));
        const std::string listed = slurp(list);
        CHECK(std::count(listed.begin(), listed.end(), '\n') == 4);
        for (const char* name :
             {"train/dark/100.png", "train/dark/104.png", "train/dark/108.png", "test/dark/100.png"}) {
            CHECK(contains(result.skipped, name));
            CHECK(contains(listed, name));
        }
        // That of a resumed run has what both processes met.
        CHECK(slurp(runs.path() / "parts" / "skipped.txt") == listed);
        config.run = runs.path() / "parts";
        config.epochs = 4;
        config.resume = true;
        write_pictures(folder.path() / "data", false);
        CHECK(train(config).skipped.empty());
        CHECK(slurp(config.run / "skipped.txt") == listed);
        config.resume = false;
        config.overwrite = true;
        (void)train(config);
        CHECK_FALSE(std::filesystem::exists(config.run / "skipped.txt"));
        write_pictures(folder.path() / "data");
        config = pictures_config(folder.path() / "data");
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

TEST_CASE("train: a test picture that cannot be read costs no step of the epoch before it") {
    for (const int64_t max_steps : {0, 10}) {  // 10: the end of the second epoch
        CAPTURE(max_steps);
        const TemporaryFolder folder;
        const auto data = folder.path() / "data";
        write_pictures(data, false);
        TrainConfig config = pictures_config(data);
        config.on_corrupt = "stop";
        config.ema = 0.5;
        config.max_steps = max_steps;
        config.augment = {"brightness"};
        config.run = folder.path() / "whole";
        const TrainResult whole = train(config, with_brightness());

        config.run = folder.path() / "parts";
        TrainHooks hooks = with_brightness();
        hooks.epoch = [&](const TrainProgress&, const Evaluation&) {
            testing::write_bytes(data / "test/dark/103.png", {});
        };
        const std::string failure = error_of([&] { (void)train(config, hooks); });
        CHECK(contains(failure, "test/dark/103.png"));
        CHECK(contains(failure, "; step 10 is saved in " + config.run.string()));
        CHECK(failure.find('\n') == std::string::npos);
        CHECK(metrics_of(config.run).size() == 1);

        // Still there: nothing is lost by trying again.
        config.resume = true;
        CHECK(contains(error_of([&] { (void)train(config, with_brightness()); }), "step 10 is saved"));
        write_pictures(data, false);
        std::vector<int64_t> images;
        std::string noted;
        hooks = with_brightness();
        hooks.step = [&](const TrainProgress& p) { images.push_back(p.images); };
        hooks.note = [&](const std::string& text) { noted += text; };
        const TrainResult rest = train(config, hooks);
        CHECK(contains(noted, "resumed at epoch 2, step 10"));
        REQUIRE_FALSE(images.empty());
        CHECK(images[0] == 0);  // the epoch, which has no step left
        CHECK(images.size() == (max_steps == 0 ? 6 : 1));
        CHECK(rest.steps == whole.steps);
        CHECK(rest.epochs_done == whole.epochs_done);
        check_same_run(folder.path() / "whole", folder.path() / "parts");
    }
}

TEST_CASE("train: a training picture that cannot be read costs no step before it") {
    const TemporaryFolder folder;
    const auto data = folder.path() / "data";
    write_pictures(data, false);
    TrainConfig config = pictures_config(data);
    config.on_corrupt = "stop";
    config.workers = 0;  // a picture is read when its batch comes
    config.accumulate = 2;
    config.augment = {"brightness"};
    // Batches of 5 in steps of two: in the second step of the second epoch, in its second batch.
    const auto train_set = load_data(config.data)->train;
    const int64_t bad =
        make_sampler("uniform", *train_set, 0)->order(config.seed, 1).at(static_cast<size_t>(3 * 5 + 1));
    const std::string picture = (bad < 12 ? "train/dark/" : "train/light/") +
                                std::to_string(100 + (bad < 12 ? bad : bad - 12)) + ".png";
    const auto fails_in_step_5 = [&] {
        TrainHooks hooks = with_brightness();
        hooks.step = [&, seen = 0](const TrainProgress&) mutable {
            if (++seen == 4) {
                testing::write_bytes(data / picture, {});
            }
        };
        const std::string failure = error_of([&] { (void)train(config, hooks); });
        write_pictures(data, false);
        return failure;
    };
    CHECK_FALSE(contains(fails_in_step_5(), "is saved"));  // there is no run folder
    config.run = folder.path() / "whole";
    (void)train(config, with_brightness());
    config.run = folder.path() / "parts";
    const std::string failure = fails_in_step_5();
    CHECK(contains(failure, picture));
    CHECK(contains(failure, "; the step before is saved in " + config.run.string()));
    config.resume = true;
    std::string noted;
    TrainHooks hooks = with_brightness();
    hooks.note = [&](const std::string& text) { noted += text; };
    (void)train(config, hooks);
    CHECK(contains(noted, "resumed at epoch 2, step 4"));
    check_same_run(folder.path() / "whole", folder.path() / "parts");

    // Before the first step there is nothing to save, and the folder stays free for another try.
    write_pictures(data);
    config.run = folder.path() / "first";
    config.resume = false;
    config.batch_size = 24;
    const std::string first = error_of([&] { (void)train(config, with_brightness()); });
    CHECK(contains(first, "train/dark/"));
    CHECK_FALSE(contains(first, "is saved"));
    CHECK_FALSE(std::filesystem::exists(config.run / "checkpoint.safetensors"));
}
