// Metrics of explanations over a data set, and what is written of them: a table, a summary as JSON, rows as
// CSV.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "explain/metrics/runner.h"
#include "train/trainer.h"

namespace backlight {

struct ExplanationMetricsConfig {
    std::vector<std::string> methods;  // as build_method takes them
    std::vector<std::string> metrics;  // as build_metric takes them
    std::string target = "predicted";  // predicted, argmax or label, see MetricRunConfig
    std::string reduce = "auto";
    bool masks = false;            // the data set's masks show where the object is
    int64_t batch_size = 0;        // samples explained at once; 0: 256, and fewer large ones
    int64_t background_size = 20;  // training samples for methods that compare with them
    uint64_t seed = 0;
};

/// Throws Error on unknown metrics, options of metrics and methods, and when a metric needs masks that are
/// not asked for: before the work.
void check_names(const ExplanationMetricsConfig& config);

/// `limit` sample numbers of 0..size-1, evenly spread; all where limit is 0 or more than there are.
[[nodiscard]] std::vector<int64_t> spread_samples(int64_t size, int64_t limit);

/// Explains those samples of a split and measures. Of single-label data a mask is what the data set gives; of
/// multi-label data each class has its own. Samples that cannot be read are noted in `corrupt`; without it
/// they are an Error. Throws Error when masks are asked for that the data does not have, and where metrics
/// do.
[[nodiscard]] MetricRun measure_explanations(LoadedModel& model, const DataSource& data,
                                             const std::string& split, const std::vector<int64_t>& samples,
                                             const ExplanationMetricsConfig& config,
                                             const std::shared_ptr<CorruptSamples>& corrupt = nullptr);

/// A row for each explainer and metric, differences of explainers with their interval, sums by layer where
/// they were asked for, and how fast it was.
void print_metrics(std::ostream& out, const MetricRun& run);
/// Summary, mean curves, comparisons and speed as a JSON object.
[[nodiscard]] std::string metrics_json(const MetricRun& run);
/// sample,class,explainer,metric,value: a row for each value; a skipped one is "nan". Names that hold a comma
/// or a quote are quoted as RFC 4180 says.
[[nodiscard]] std::string metrics_csv(const MetricRun& run);

}  // namespace backlight
