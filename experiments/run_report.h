// The report of a training run: curves, confusion matrix, accuracy per class, and explanations of test
// samples.
#pragma once

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "report/page.h"
#include "train/trainer.h"

namespace backlight {

/// A table of right answers per class, and the total; of a multi-label set the average precision of each
/// class that occurs, and its mean.
void print_evaluation(std::ostream& out, const Evaluation& evaluation,
                      const std::vector<std::string>& classes);

/// "97.8 %".
[[nodiscard]] std::string percent_text(double share);

/// Curves of loss and accuracy from a run's metrics.jsonl; nothing when it has no lines.
void add_curves(report::Page& page, const std::filesystem::path& metrics);
/// Confusion matrix and accuracy per class; of a multi-label set the average precision per class.
void add_class_scores(report::Page& page, const Evaluation& evaluation,
                      const std::vector<std::string>& classes);

/// A grid "input | gradient | Grad-CAM | LRP", a row a sample, explained for the predicted class; for data
/// sets of vectors the mean |relevance| of each feature instead. Writes each map as two PNGs, raw and
/// overlay, into `folder`.
void add_explanations(report::Page& page, const Model& model, const Dataset& data,
                      const std::vector<int64_t>& indices, const std::filesystem::path& folder,
                      const std::string& caption);

/// The first sample of each class, then the second, up to `count`: a fixed choice that shows every class.
[[nodiscard]] std::vector<int64_t> samples_of_each_class(const Dataset& data, int64_t count);

/// Writes RUN/report.html and RUN/explanations/.
void write_run_report(const std::filesystem::path& run, const TrainResult& result);

}  // namespace backlight
