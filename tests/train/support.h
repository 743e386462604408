// What the tests of training share: run folders, metrics without their timing, configurations that take a
// moment.
#pragma once

#include <atomic>
#include <nlohmann/json.hpp>

#include "tests/datasets/support.h"
#include "train/trainer.h"

namespace backlight::train_testing {

using testing::contains;
using testing::error_of;
using testing::TemporaryFolder;

inline std::string slurp(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE_MESSAGE(file.good(), path.string());
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The lines of metrics.jsonl. Each has to be whole.
inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run) {
    const std::string text = slurp(run / "metrics.jsonl");
    CHECK((text.empty() || text.back() == '\n'));
    std::istringstream in(text);
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(in, line);) {
        INFO("line ", lines.size() + 1, ": ", line);
        lines.push_back(nlohmann::json::parse(line, nullptr, false));
        REQUIRE(lines.back().is_object());
    }
    return lines;
}

/// What two runs of the same bits agree in.
inline std::vector<nlohmann::json> untimed_metrics(const std::filesystem::path& run) {
    auto lines = metrics_of(run);
    for (nlohmann::json& line : lines) {
        REQUIRE(line.erase("seconds") == 1);
        REQUIRE(line.erase("images_per_second") == 1);
    }
    return lines;
}

inline void check_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
    CHECK(slurp(a / "weights.safetensors") == slurp(b / "weights.safetensors"));
    if (std::filesystem::exists(a / "weights_ema.safetensors")) {
        CHECK(slurp(a / "weights_ema.safetensors") == slurp(b / "weights_ema.safetensors"));
    }
    const auto lines_a = untimed_metrics(a), lines_b = untimed_metrics(b);
    REQUIRE(lines_a.size() == lines_b.size());
    for (size_t i = 0; i < lines_a.size(); ++i) {
        CHECK(lines_a[i].dump() == lines_b[i].dump());
    }
}

/// 40 steps of toy1: 350 training samples, 4 epochs of 10 steps.
inline TrainConfig toy_config(const std::filesystem::path& run) {
    TrainConfig config;
    config.model = "toy1";
    config.data = "toy1";
    config.run = run;
    config.epochs = 4;
    config.batch_size = 35;
    config.lr = 0.05;
    config.seed = 3;
    return config;
}

/// Asks a run to stop after a step, as a signal would.
class StopAfter {
public:
    explicit StopAfter(int64_t steps) {
        hooks_.stop = &stop_;
        hooks_.step = [this, steps](const TrainProgress&) { stop_ = ++seen_ >= steps; };
    }
    [[nodiscard]] const TrainHooks& hooks() const { return hooks_; }

private:
    std::atomic<bool> stop_ = false;
    int64_t seen_ = 0;
    TrainHooks hooks_;
};

/// Names, sorted.
inline std::vector<std::string> files_of(const std::filesystem::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
}

/// Trains once in one go, once interrupted after `steps` and resumed; both must agree in every bit.
inline void check_resume(TrainConfig config, int64_t steps) {
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

inline TrainConfig digits_config() {
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

}  // namespace backlight::train_testing
