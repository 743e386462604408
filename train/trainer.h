// The training loop: model, data and optimiser from a configuration; metrics, checkpoints, resume.
// A run is a folder: config.toml (written by the caller), metrics.jsonl, weights.safetensors,
// weights_ema.safetensors where weights were averaged, checkpoint.safetensors, and tuning.txt where
// convolution implementations were timed.
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
#include "train/optimizer.h"

namespace backlight {

struct TrainConfig {
    std::string model;
    std::string data;
    std::filesystem::path run;  // empty: nothing is written
    std::string weights;        // start from this file instead of a fresh initialisation
    int64_t classes = 0;        // 0: as the data has
    int64_t epochs = 10;
    int64_t max_steps = 0;  // end after so many, with an evaluation; schedules are those of all epochs. 0: no
    int64_t batch_size = 32;
    int64_t accumulate = 1;         // batches a step: the gradient is that of the mean over all their samples
    std::string precision = "f32";  // or bf16: mixed precision in the steps, see autograd/precision.h
    double lr = 0.01;
    OptimizerConfig optimizer;
    std::vector<std::string> freeze;  // globs over parameters that stay as they are, see Module::freeze
    std::string schedule = "constant";
    int64_t warmup_steps = 0;
    double clip_norm = 0;  // 0: no clipping
    double ema = 0;        // decay of the averaged weights, which are evaluated and saved too; 0: none
    double label_smoothing = 0;
    std::string class_weights;  // of the training loss: balanced, or one number a class, 1:2:0.5; empty:
                                // none. Multi-label: of the positives, balanced is negatives / positives
    int64_t top_k = 0;          // also measure this top-k accuracy; 0: no
    bool ten_crop = false;      // measure the test set by the mean over ten crops, see datasets/dataset.h
    std::string sampler = "uniform";  // of the training set, see datasets/sampler.h
    int64_t mini_epoch = 0;           // samples an epoch; 0: as the training set has
    uint64_t seed = 0;
    bool recompute = false;           // layers/recompute.h: less memory, the same bits
    int64_t checkpoint_every = 0;     // steps; 0: at the end of each epoch
    double validation = 0;            // share of the training set that is held out
    int64_t early_stop = 0;           // epochs without a better validation loss; 0: never
    int workers = -1;                 // loader threads, see datasets/loader.h
    std::string on_corrupt = "skip";  // samples that cannot be read; or stop
    bool resume = false;
    bool overwrite = false;  // begin anew in a folder that holds a run
    bool tune = false;       // time the convolution implementations of each shape, record the choice
    std::vector<std::string> augment;  // texts of `make_augmentation`
};

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
    std::string skipped;  // names the samples that this process could not read; empty: none
};

/// What a weight file says of its network and of the data that it was trained on, for `explain` and
/// `predict`.
[[nodiscard]] std::map<std::string, std::string> weight_metadata(const Model& model, const Dataset& data);

/// Throws Error on a configuration that cannot work, before anything is written.
[[nodiscard]] TrainResult train(const TrainConfig& config, const TrainHooks& hooks = {});

/// Model with weights from a file and what the file states about it: class names, input range, and in the
/// model itself how pictures are resized and normalised.
struct LoadedModel {
    Model model;
    std::vector<std::string> class_names;
    std::vector<double> low, high;  // input range; empty when the file states none
    bool multi_label = false;       // an output stands for itself: sigmoid instead of softmax
};
/// `classes` 0: as the file's head has. Throws Error on files that do not fit.
[[nodiscard]] LoadedModel load_model(const std::string& spec, int64_t classes,
                                     const std::filesystem::path& weights, DType dtype = DType::f32);

}  // namespace backlight
