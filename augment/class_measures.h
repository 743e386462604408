// What explanations say of each class while a network trains, one number a class: some training samples of
// it, drawn once and never augmented, are explained for their class at the input after each mini-epoch.
//   R_t         the map after mini-epoch t, divided by its largest magnitude
//   R̄_t         the mean of the last five (fewer at first)
//   entropy     E = -Σ a ln a, a = |R̄_t| / Σ |R̄_t|, over all values (an empty map: ln n)
//   histogram   that of the frequencies of a histogram of R̄_t with 100 bins
//   mse         D = mean (R̄_t - R̄_{t-1})², 0 after the first mini-epoch
//   m_c         their mean over the samples that stand for class c
// Weber, "Towards a more refined training process for neural networks", TU Berlin, 2020; Weber et al.,
// "Beyond explaining", 2022, sections 3.1 and 4.2, appendix B.2, which leave the exact form of E, the
// explained class and the inversion of a distribution open: those are choices of this file and of
// data/imbalance.cpp.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "explain/explainer.h"
#include "train/augmentation.h"

namespace backlight {

/// How numbers of classes become shares of classes: softmax of m / T.
struct Shares {
    double temperature = 1;
    bool standardize = false;  // first (m - mean) / deviation over the classes; equal ones become 0
    bool rescale = false;      // else first m / max m; zeros stay

    /// Sums to 1. Classes that are not `present` get 0 and do not count.
    [[nodiscard]] std::vector<double> of(std::vector<double> m, const std::vector<bool>& present) const;
};
/// temperature, standardize and rescale.
[[nodiscard]] Shares read_shares(const Options& options, bool rescale);

class ClassMeasures {
public:
    enum class Measure : uint8_t { entropy, histogram, mse };
    struct Config {
        std::string who;                                    // begins error texts
        std::string explainer = "epsilon_plus(start=one)";  // a method
        bool absolute = false;                              // |R|, for methods whose sign means little
        Measure measure = Measure::entropy;
        bool sum_channels = false;     // measures pixels in place of all values
        bool relative = false;         // an entropy as a share of the largest one
        int64_t representatives = 20;  // of each class
        int64_t history = 5;           // maps in the mean
    };
    explicit ClassMeasures(Config config) : config_(std::move(config)) {}

    /// Draws the representatives by the run's seed: different samples where the class has enough, with
    /// repetitions where it has fewer; samples that cannot be read are passed over. Throws Error on a method
    /// that does not work here.
    void begin(const TrainingRun& run);
    /// Explains and measures, in batches of the run's size: two passes of the network for each
    /// representative, three with LRP. Nothing of the training changes. Returns how many maps had a value
    /// that is not finite: zeros took their place.
    double update(const TrainingRun& run);

    [[nodiscard]] bool is_known() const { return !m_.empty(); }
    /// m_c; empty before the first update.
    [[nodiscard]] const std::vector<double>& values() const { return m_; }
    /// Which classes have samples.
    [[nodiscard]] const std::vector<bool>& present() const { return present_; }
    /// Numbers of the samples in the training set, class after class.
    [[nodiscard]] const std::vector<int64_t>& representatives() const { return indices_; }

    [[nodiscard]] std::map<std::string, Tensor> state() const;
    void restore(const std::map<std::string, Tensor>& state);

private:
    [[nodiscard]] Tensor explained(const TrainingRun& run, int64_t first, int64_t count,
                                   double* replaced = nullptr) const;
    [[nodiscard]] std::vector<float> mean_map() const;
    [[nodiscard]] double measured(std::span<const double> now, std::span<const double> before) const;

    Config config_;
    std::unique_ptr<Explainer> explainer_;
    std::vector<int64_t> indices_, classes_;  // of the representatives
    std::vector<bool> present_;
    Tensor inputs_;             // of the representatives
    std::vector<Tensor> maps_;  // the last ones, the latest at the end
    std::vector<double> m_;
};

/// measure, explainer, absolute, channels, relative, representatives and history.
[[nodiscard]] const std::vector<std::string>& measure_options();
[[nodiscard]] ClassMeasures::Config read_measures(const Options& options);

}  // namespace backlight
