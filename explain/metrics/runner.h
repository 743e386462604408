// MetricRun: several explainers and several metrics over a stream of samples. Each sample is explained once
// by each method; a value a sample is kept.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "explain/metrics/metric.h"
#include "explain/metrics/statistics.h"

namespace backlight {

/// What metrics read of an explanation: its maps upsampled, with channels reduced (reduce_names()). Throws
/// Error on a map that is not finite, naming the sample, and on masks or maps that do not fit the input.
[[nodiscard]] ExplainedBatch read_explanation(const MetricBatch& batch, Explainer& explainer,
                                              const std::string& method, const std::string& reduce,
                                              Explanation found);

/// A batch of samples with what is known of them.
struct MetricSamples {
    Tensor x;                                     // (N,H,W,C) or (N,D)
    std::vector<int64_t> number;                  // in the data set; empty: 0, 1, ... of all that was added
    std::vector<std::vector<int64_t>> classes{};  // what each shows; empty: not known
    /// (N,H,W) or (N,D): where the object is, or undefined. A pixel belongs to it where the value exceeds one
    /// half.
    Tensor mask{};
    /// Where class `k` is in row `n`, (H,W): instead of `mask`, for samples of several classes.
    std::function<Tensor(size_t n, int64_t k)> class_mask{};
    std::vector<double> zoom{};  // pixels of x a pixel of the original picture; empty: 1
};

struct MetricRunConfig {
    std::vector<std::string> methods;  // as build_method takes them
    std::vector<std::string> metrics;  // as build_metric takes them
    /// Which classes are explained: predicted (multi-label: each whose sigmoid exceeds one half), argmax, or
    /// label (what the sample shows).
    std::string target = "predicted";
    std::string reduce = "auto";  // channels to a pixel: auto (default_reduce), or one of reduce_names()
    MetricContext context{};
    std::function<void(int64_t samples)> progress{};  // after each batch: how many samples were measured
};

/// The values of one metric for one explainer, one a unit of the run.
struct MetricSeries {
    std::string explainer, reduce, metric, better;
    std::vector<double> values, chance;  // NaN: skipped; chance empty where not known
    Summary summary;
    double class_mean = 0;   // mean over classes of the mean of their units
    double mean_chance = 0;  // NaN where not known
    int64_t degenerate = 0;  // units whose map was constant
};

struct MeanCurve {
    std::string explainer, name;
    std::vector<std::string> points;
    std::vector<double> mean;  // over the units, without NaN
};

/// Explainer `a` minus explainer `b` on the same units.
struct MetricComparison {
    std::string metric, better, a, b;
    PairedDifference result;
};

class MetricRun {
public:
    struct Unit {
        int64_t sample, target;
    };

    /// Throws Error on unknown names and options before anything is measured. `net` must outlive the run and
    /// is never changed.
    MetricRun(Module& net, MetricRunConfig config);
    ~MetricRun();
    MetricRun(MetricRun&&) noexcept;
    MetricRun& operator=(MetricRun&&) noexcept;

    /// Measures a batch; results do not depend on how samples are cut into batches beyond rounding. Throws
    /// Error on a map that is not finite, naming the sample and the op it comes from.
    void add(const MetricSamples& samples);

    [[nodiscard]] const std::vector<Unit>& units() const { return units_; }
    [[nodiscard]] int64_t samples() const { return samples_; }
    /// By explainer, then by metric, in the order asked for; summaries are up to date.
    [[nodiscard]] std::vector<MetricSeries> series() const;
    [[nodiscard]] std::vector<MeanCurve> curves() const;
    /// Every pair of explainers, every metric.
    [[nodiscard]] std::vector<MetricComparison> comparisons() const;

    /// Seconds in `add`, and of these in the network (explanations included).
    [[nodiscard]] double seconds() const { return seconds_; }
    [[nodiscard]] const NetworkTime& network() const { return network_; }

private:
    struct Explained;
    struct CurveSum;
    void measure(const ExplainedForward& forward, MetricBatch& batch);
    [[nodiscard]] std::vector<std::pair<size_t, int64_t>> rows_and_targets(const MetricSamples& samples,
                                                                           const Tensor& logits) const;

    Module* net_;
    MetricRunConfig config_;
    std::vector<std::unique_ptr<Explained>> explainers_;
    std::vector<Unit> units_;
    int64_t samples_ = 0;
    double seconds_ = 0;
    NetworkTime network_;
};

}  // namespace backlight
