#include "train/train_config.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace backlight {
namespace {

nlohmann::json to_json(const std::vector<ParameterGroup>& groups) {
    nlohmann::json all = nlohmann::json::array();
    for (const ParameterGroup& group : groups) {
        all.push_back({group.pattern, group.lr ? nlohmann::json(*group.lr) : nlohmann::json(),
                       group.weight_decay ? nlohmann::json(*group.weight_decay) : nlohmann::json()});
    }
    return all;
}

}  // namespace

std::string identity_of(const TrainConfig& c, const std::string& model) {
    return nlohmann::json{{"model", model},
                          {"data", c.data},
                          {"weights", c.weights},
                          {"batch_size", c.batch_size},
                          {"accumulate", c.accumulate},
                          {"ema", c.ema},
                          {"precision", c.precision},
                          {"lr", c.lr},
                          {"optimizer", c.optimizer.name},
                          {"momentum", c.optimizer.momentum},
                          {"nesterov", c.optimizer.nesterov},
                          {"weight_decay", c.optimizer.weight_decay},
                          {"alpha", c.optimizer.alpha},
                          {"centered", c.optimizer.centered},
                          {"no_decay_norm_bias", c.optimizer.no_decay_norm_bias},
                          {"groups", to_json(c.optimizer.groups)},
                          {"freeze", c.freeze},
                          {"schedule", c.schedule},
                          {"warmup", c.warmup_steps},
                          {"clip_norm", c.clip_norm},
                          {"label_smoothing", c.label_smoothing},
                          {"class_weights", c.class_weights},
                          {"sampler", c.sampler},
                          {"mini_epoch", c.mini_epoch},
                          {"augment", c.augment},
                          {"seed", c.seed},
                          {"validation", c.validation}}
        .dump();
}

void check_config(const TrainConfig& c) {
    BACKLIGHT_CHECK(c.epochs >= 1 && c.epochs <= 1'000'000'000, "train: expected 1 <= epochs <= 1e9, got ",
                    c.epochs);
    BACKLIGHT_CHECK(c.max_steps >= 0, "train: expected max-steps >= 0, got ", c.max_steps);
    BACKLIGHT_CHECK(c.batch_size >= 1, "train: expected batch-size >= 1, got ", c.batch_size);
    BACKLIGHT_CHECK(c.accumulate >= 1, "train: expected accumulate >= 1, got ", c.accumulate);
    BACKLIGHT_CHECK(c.ema >= 0 && c.ema < 1, "train: expected 0 <= ema < 1, got ", c.ema);
    BACKLIGHT_CHECK(c.precision == "f32" || c.precision == "bf16",
                    "train: expected precision f32 or bf16, got ", c.precision);
    BACKLIGHT_CHECK(std::isfinite(c.lr) && c.lr > 0, "train: expected lr > 0, got ", c.lr);
    BACKLIGHT_CHECK(c.clip_norm >= 0, "train: expected clip-norm >= 0, got ", c.clip_norm);
    BACKLIGHT_CHECK(c.validation >= 0 && c.validation < 1, "train: expected 0 <= validation < 1, got ",
                    c.validation);
    BACKLIGHT_CHECK(c.early_stop == 0 || c.validation > 0,
                    "train: early stopping needs a held-out part of the training set: validation=0.1");
    BACKLIGHT_CHECK(c.early_stop >= 0, "train: expected early-stop >= 0, got ", c.early_stop);
    BACKLIGHT_CHECK(c.label_smoothing >= 0 && c.label_smoothing < 1,
                    "train: expected 0 <= label-smoothing < 1, got ", c.label_smoothing);
    BACKLIGHT_CHECK(c.classes >= 0, "train: expected classes >= 0, got ", c.classes);
    BACKLIGHT_CHECK(c.top_k >= 0, "train: expected top-k >= 0, got ", c.top_k);
    BACKLIGHT_CHECK(c.checkpoint_every >= 0, "train: expected checkpoint-every >= 0, got ",
                    c.checkpoint_every);
    BACKLIGHT_CHECK(c.mini_epoch >= 0, "train: expected mini-epoch >= 0, got ", c.mini_epoch);
    BACKLIGHT_CHECK(c.on_corrupt == "skip" || c.on_corrupt == "stop",
                    "train: expected on-corrupt skip or stop, got ", c.on_corrupt);
    BACKLIGHT_CHECK(!c.resume || !c.run.empty(), "train: resume needs a run folder");
}

}  // namespace backlight
