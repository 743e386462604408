// The main job: a small network learns handwritten digits and is explained; then a mark is planted in one
// class, and the explanation shows that the network reads the mark ("Clever Hans", Lapuschkin et al., 2019).
#pragma once

#include <filesystem>
#include <ostream>

#include "train/trainer.h"

namespace backlight {

struct DemoConfig {
    std::filesystem::path run = "runs/demo";
    bool quick = false;  // fewer epochs: shows that everything works, not how good it gets
    uint64_t seed = 0;
    int64_t marked_class = 3;
    std::filesystem::path weights;  // of efficientnet_lite0; empty: no photographs
    std::filesystem::path photos;
};

struct DemoResult {
    double clean_accuracy = 0;     // of the first network on unmarked digits
    double marked_accuracy = 0;    // second network, marked class, mark present
    double unmarked_accuracy = 0;  // second network, marked class, mark taken away
    double mass_on_mark = 0;       // share of positive relevance on the mark, second network, marked class
    double mass_control = 0;       // the same place and images, first network
};

/// Explains the photographs, trains both networks into `run` and `run/clever_hans`, writes `run/report.html`.
DemoResult run_demo(const DemoConfig& config, const TrainHooks& hooks, std::ostream& out);

}  // namespace backlight
