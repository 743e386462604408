// Checkpoint: everything that a run needs to continue bit for bit, in one safetensors file that is replaced
// atomically.
#pragma once

#include <filesystem>
#include <limits>
#include <map>
#include <string>

#include "layers/module.h"
#include "train/optimizer.h"

namespace backlight {

struct TrainState {
    int64_t epoch = 0, batch = 0;  // the next batch to train on
    int64_t step = 0;
    double best_loss = std::numeric_limits<double>::infinity();  // of the held-out part so far
    int64_t best_epoch = 0;                                      // after which it was reached; 0: none yet
    int64_t metrics_bytes = 0;              // length of metrics.jsonl that belongs to this state
    double epoch_loss = 0;                  // sum over the steps of the present epoch
    int64_t threads = 0;                    // that the kernels used: another number gives other last digits
    std::string tuning;                     // record of the convolution implementations
    std::map<std::string, Tensor> average;  // of the weights, see WeightAverage; empty: none
    std::map<std::string, Tensor> systems;  // state of the augmentations: "0.name", "1.name"
    std::vector<double> class_shares;       // that the present epoch was drawn with; empty: by the sampler
    std::string identity;                   // what must be the same for a resume: model, data, optimiser, ...
};

void save_checkpoint(const std::filesystem::path& path, Module& net, const Optimizer& optimizer,
                     const TrainState& state);
/// Restores network and optimiser. Throws Error when the file is damaged or belongs to another configuration.
[[nodiscard]] TrainState load_checkpoint(const std::filesystem::path& path, Module& net, Optimizer& optimizer,
                                         const std::string& identity);

}  // namespace backlight
