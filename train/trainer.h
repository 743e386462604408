// The training loop: model, data and optimiser from a configuration; metrics, checkpoints, resume.
// A run is a folder: config.toml (written by the caller), metrics.jsonl, weights.safetensors,
// weights_ema.safetensors where weights were averaged, checkpoint.safetensors, skipped.txt where samples
// could not be read, and tuning.txt where convolution implementations were timed.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "datasets/registry.h"
#include "models/model.h"
#include "train/augmentation.h"
#include "train/evaluation.h"
#include "train/train_config.h"

namespace backlight {

/// Builds a system from its text. What training knows of them: augment/registry.h has it.
using AugmentationBuilder = std::function<std::unique_ptr<Augmentation>(const std::string& text)>;

/// What the loop tells while it runs. `loss` is the mean over the epoch so far.
struct TrainProgress {
    int64_t epoch = 0, epochs = 0;
    int64_t step_in_epoch = 0, steps_per_epoch = 0;
    int64_t images = 0;  // of the step
    double loss = 0, lr = 0, images_per_second = 0;
    /// Of an epoch that ended: what each system noted, by its text.
    std::map<std::string, std::map<std::string, double>> augment{};
};

struct TrainHooks {
    /// Once, when the configuration was found good and the run folder is there.
    std::function<void()> begin;
    /// After each step. Once without images where a resume finds all steps of an epoch done.
    std::function<void(const TrainProgress&)> step;
    /// After each epoch; the evaluation is of the test set, or of the held-out part when there is one.
    std::function<void(const TrainProgress&, const Evaluation&)> epoch;
    std::function<void(const std::string&)> note;
    /// Builds what `augment` asks for.
    AugmentationBuilder make_augmentation;
    /// When it becomes true the loop saves a checkpoint and returns.
    const std::atomic<bool>* stop = nullptr;
};

struct TrainResult {
    Model model;
    std::unique_ptr<DataSource> data;
    Evaluation test;
    std::optional<Evaluation> test_ema;  // of the averaged weights
    int64_t epochs_done = 0, steps = 0;
    bool interrupted = false;
    bool stopped_early = false;
    std::string skipped;  // names samples that this process could not read, and skipped.txt; empty: none
};

/// What a weight file says of its network and of the data that it was trained on, for `explain` and
/// `predict`.
[[nodiscard]] std::map<std::string, std::string> weight_metadata(const Model& model, const DataSource& data);

/// Throws Error on a configuration that cannot work, before anything is written. What fails later (a picture
/// that cannot be read, a loss that is not finite, a disk) leaves a checkpoint of the last step before it,
/// and the text says so.
[[nodiscard]] TrainResult train(const TrainConfig& config, const TrainHooks& hooks = {});

/// Model with weights from a file and what the file states about it: class names, input range, and in the
/// model itself how pictures are resized and normalised.
struct LoadedModel {
    Model model;
    std::vector<std::string> class_names;
    std::vector<double> low, high;  // input range; empty when neither the file nor the architecture has one
    bool states_input = false;      // the file says what pictures need; else it is the architecture's habit
    bool multi_label = false;       // an output stands for itself: sigmoid instead of softmax
};
/// `classes` 0: as the file's head has. Throws Error on files that do not fit.
[[nodiscard]] LoadedModel load_model(const std::string& spec, int64_t classes,
                                     const std::filesystem::path& weights, DType dtype = DType::f32);

}  // namespace backlight
