// What a run of training is told.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

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
    int64_t batch_size = 32;        // a last sample of an epoch that is alone joins the batch before it
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

/// Throws Error on a value that no run can work with; what depends on the data is checked when that is there.
void check_config(const TrainConfig& config);

/// What must agree between a run and its resume, as one text. `model`: the full text of the network that was
/// built. The number of epochs may grow.
[[nodiscard]] std::string identity_of(const TrainConfig& config, const std::string& model);

}  // namespace backlight
