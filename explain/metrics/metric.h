// Metric: one measure of explanations. It reads a batch of samples together with what one explainer says of
// them and gives one or more numbers a sample. Metrics by name: list_metrics().
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "explain/explainer.h"
#include "layers/init.h"

namespace backlight {

/// What the caller knows about network and data.
struct MetricContext {
    ExplainContext explain;        // of methods, and here: range and normalisation of the data, the seed
    bool multi_label = false;      // an output stands for itself: sigmoid instead of softmax
    bool masks_are_boxes = false;  // masks are bounding boxes: the pointing game is tolerant
    /// Builds the network again, with any weights: for metrics that change them. Empty: not known.
    std::function<std::unique_ptr<Module>()> build_network;
    Init init = Init::pytorch;  // how the network's layers start
};

/// Time spent in the network, explanations included, and how many inputs passed it.
struct NetworkTime {
    double seconds = 0;
    int64_t forwards = 0;
};

/// Units that are measured, each a sample with the class that is explained; a sample may come with several
/// classes.
struct MetricBatch {
    const MetricContext* context = nullptr;
    const ExplainedForward* forward = nullptr;  // of x
    Tensor x;                                   // (U,H,W,C) or (U,D)
    std::vector<int64_t> sample{};              // number in the data set: keys what is drawn
    std::vector<int64_t> target{};              // class, fixed while inputs and weights change
    std::vector<std::vector<uint8_t>> mask{};   // pixels of the object; an empty one: none is known
    std::vector<bool> in_company{};             // the sample shows another class too
    std::vector<double> zoom{};                 // pixels of x a pixel of the original picture
    NetworkTime* time = nullptr;

    [[nodiscard]] size_t size() const { return target.size(); }
    /// Vectors are pictures of one row whose pixels have one channel.
    [[nodiscard]] int64_t height() const { return x.rank() == 4 ? x.dim(1) : 1; }
    [[nodiscard]] int64_t width() const { return x.rank() == 4 ? x.dim(2) : x.dim(1); }
    [[nodiscard]] int64_t channels() const { return x.rank() == 4 ? x.dim(3) : 1; }
    [[nodiscard]] int64_t pixels() const { return height() * width(); }
    [[nodiscard]] ExplainRequest request() const { return {.targets = target, .numbers = sample}; }
    /// Runs `work`, which puts `forwards` inputs through the network, and counts its time.
    template <typename Work>
    auto timed(int64_t forwards, const Work& work) const {
        const auto begin = std::chrono::steady_clock::now();
        auto result = work();
        if (time != nullptr) {
            time->seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
            time->forwards += forwards;
        }
        return result;
    }

    /// Scores of the unchanged units, by name of the score: computed once.
    mutable std::map<std::string, std::vector<double>> base{};
};

/// A batch as one explainer sees it. Computed once and read by all metrics.
struct ExplainedBatch {
    const MetricBatch* batch = nullptr;
    Explainer* explainer = nullptr;
    std::string method;                       // as the user wrote it
    std::string reduce;                       // how channels became a pixel's value
    Tensor relevance;                         // f64, as the method gave it
    std::vector<double> values{};             // the same on the host
    bool coarse = false;                      // values stand for regions
    std::vector<double> expected{};           // what its sums should be; empty: the method does not say
    std::vector<std::vector<double>> maps{};  // (U, H W): upsampled to the input, channels reduced
    std::vector<bool> degenerate{};           // the map is constant

    /// The relevance of one unit with all channels.
    [[nodiscard]] std::span<const double> relevance_of(size_t unit) const {
        const size_t row = values.size() / maps.size();
        return std::span(values).subspan(unit * row, row);
    }

    /// What several metrics of one family read, by a name of their own.
    mutable std::map<std::string, std::vector<std::vector<double>>> shared{};
};

struct MetricColumn {
    std::string name;              // with its fill and options: "deletion[zero]"
    std::string better;            // "low", "high", "0", or "" where there is no direction
    std::vector<double> values;    // one a unit; NaN: not defined for it
    std::vector<double> chance{};  // what a random map is expected to get; empty: not known
};

struct MetricCurve {
    std::string name;
    std::vector<std::string> points;          // what it runs over
    std::vector<std::vector<double>> values;  // (U, points)
};

struct MetricResult {
    std::vector<MetricColumn> columns;
    std::vector<MetricCurve> curves{};
};

class Metric {
public:
    virtual ~Metric() = default;
    /// Throws Error where batch or method do not suit it.
    [[nodiscard]] virtual MetricResult measure(const ExplainedBatch& explained) = 0;
};

struct MetricEntry {
    std::string name;
    std::string description;
    std::string needs;   // map, masks, forwards, explanations or weights
    std::string better;  // low, high or 0
    std::unique_ptr<Metric> (*build)(const Options& options, const MetricContext& context);
};
[[nodiscard]] const std::vector<MetricEntry>& list_metrics();
/// "gini", "deletion(fill=mean, steps=56)". Throws Error on an unknown name or option.
[[nodiscard]] std::unique_ptr<Metric> build_metric(const std::string& text,
                                                   const MetricContext& context = {});

}  // namespace backlight
