// Explanations of many samples by many methods, in a folder: arrays, pictures, one index, one page. What is
// there already is not computed again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "explain/explainer.h"
#include "report/heatmap.h"
#include "report/reduce.h"
#include "train/trainer.h"

namespace backlight {

/// One input as it goes through the network.
struct ExplainSample {
    std::string name;     // of its files; unique
    std::string label;    // of the reader, may be empty
    int64_t target = 0;   // the class to explain; -1: the predicted one
    Tensor input;         // (1,H,W,C) or (1,D)
    int64_t number = -1;  // keys what methods draw; -1: its index
};

struct ExplainRunConfig {
    std::filesystem::path out;         // the folder
    std::vector<std::string> methods;  // texts of build_method; "all": every method
    ExplainContext context;
    std::string
        identity;  // what must agree with the index of a folder that is continued: model, weights, data, ...
    int64_t samples = 0;
    std::function<ExplainSample(int64_t index)> sample;
    bool pictures = true;  // also a PNG a map
    int64_t shown = 8;     // samples on the page and in grid.png
    report::Reduce reduce = report::Reduce::sum;
    report::HeatmapOptions heatmap{.percentile = 99.5};
};

struct ExplainRunResult {
    int64_t computed = 0, kept = 0;     // maps
    int64_t redrawn = 0;                // pictures of kept maps
    std::vector<std::string> left_out;  // "method: why", "method at sample: why", or of a sample alone
};

/// Writes out/index.json, out/NAME/METHOD.npy and .png, out/grid.png and out/report.html. `model` says which
/// colours pictures have and what classes are called. A map is kept where it is of a sample of this name with
/// the same values and target; its picture is drawn again where that is missing or was drawn otherwise.
/// Methods of "all" that do not work on a sample are left out there, those that work on none altogether.
/// Throws Error when the folder holds explanations of something else, when a method that was named cannot
/// work, or when a sample is wrong; what was computed stays.
ExplainRunResult explain_run(const LoadedModel& model, const ExplainRunConfig& config, std::ostream& out);

}  // namespace backlight
