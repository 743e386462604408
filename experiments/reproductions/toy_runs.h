// What toy experiments 1 and 2 share: runs that are watched at every iteration, and the pictures of them.
#pragma once

#include "experiments/reproduction.h"

namespace backlight {

/// A run, and what was measured after each of its iterations, always by plain forward passes.
struct WatchedRun {
    TrainResult result;
    std::vector<double> train_loss, test_loss, test_accuracy;
    /// [feature][iteration]: mean |r'| over the test set, r' = r / max |r| of each sample, r the relevance of
    /// the input for the true class (LRP-epsilon, start=one).
    std::vector<std::vector<double>> relevance;

    /// The iteration of the lowest test loss, from 1.
    [[nodiscard]] int64_t turning_point() const;
};

/// Trains with the augmentations of the registry; an epoch of the configuration is an iteration.
[[nodiscard]] WatchedRun watch_training(const TrainConfig& config);

/// The iteration, from 1, at which a curve is lowest.
[[nodiscard]] int64_t lowest_at(const std::vector<double>& curve);
/// value t is the mean of values 0 to t.
[[nodiscard]] std::vector<double> running_mean(const std::vector<double>& values);

/// Accuracy when the system's feature hook acts on a test set too, with its true labels: how well the network
/// reads the label from the mask.
[[nodiscard]] double accuracy_with_system(Model& model, const std::shared_ptr<const Dataset>& data,
                                          const std::string& system);

/// Mean ± deviation of every measurement over seeds 0 to `seeds` - 1.
[[nodiscard]] report::Table first_seeds(const Measurements& measured, int64_t seeds,
                                        const std::string& caption);

/// "|r'| of 0": the metric of a feature's relevance, its mean over test samples and iterations.
[[nodiscard]] std::string relevance_metric(int64_t feature);

/// A bar a feature and arm.
[[nodiscard]] report::Figure relevance_bars(const Measurements& measured,
                                            const std::vector<std::string>& arms, int64_t features);

/// A line an arm, its mean and deviation over the seeds.
[[nodiscard]] report::Figure curves_figure(const Curves& curves, const std::vector<std::string>& arms,
                                           const std::string& title, const std::string& y_label,
                                           const std::string& caption);

}  // namespace backlight
