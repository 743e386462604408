// Concept relevance propagation over a data set: which channels of a layer matter, and what each of them
// stands for.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "datasets/dataset.h"
#include "explain/concepts/reference_samples.h"
#include "explain/explainer.h"
#include "models/model.h"

namespace backlight {

struct CrpRun {
    const Model& model;
    std::shared_ptr<const Dataset> data;
    std::string data_name;  // for the reader of the page
    std::string layer;
    std::string composite = "epsilon_plus_flat";
    ExplainContext context;
    bool by_activation = false;  // reference samples by activation instead of relevance
    PositionPooling pooling = PositionPooling::max;
    bool of_label = false;            // relevance for the sample's label instead of the predicted class
    int64_t keep = 40;                // reference samples a channel
    int64_t limit = 0;                // look at so many samples, evenly spread; 0: all
    std::vector<int64_t> channels{};  // on the page; empty: the `shown_channels` most relevant ones
    int64_t shown_channels = 8, shown_samples = 6;
    std::vector<int64_t> explained{};  // samples whose decision the page takes apart
    int64_t batch_size = 0;
};

/// What one pass over the data set gives.
struct ChannelSurvey {
    std::vector<double>
        mean_abs;     // (C): mean over samples of |share|, share as channel_relevance normalises it
    Tensor by_class;  // (K,C): mean share over the samples explained for class k; 0 where there are none
    std::vector<int64_t> class_counts;
    ReferenceSamples references;
    std::vector<int64_t> targets;  // explained class of each sample looked at
    std::vector<int64_t> samples;  // their numbers in the data set

    /// Channels, most relevant first.
    [[nodiscard]] std::vector<int64_t> ranking() const;
};
/// Throws Error when the layer is unknown or has no activations, or a channel or sample of the run does not
/// exist.
[[nodiscard]] ChannelSurvey survey_channels(const CrpRun& run);

/// The class that is explained for each sample of the forward pass: the predicted one, or its label.
[[nodiscard]] std::vector<int64_t> explained_classes(const CrpRun& run, const ExplainedForward& forward,
                                                     std::span<const int64_t> samples);

/// channel_relevance.npy (C), class_relevance.npy (K,C), reference_samples.npy (C,keep),
/// reference_values.npy, reference_positions.npy (C,keep,2), index.json and report.html. Where a channel has
/// fewer samples the rest is -1 and NaN.
void write_crp_report(const CrpRun& run, const ChannelSurvey& survey, const std::filesystem::path& folder);

}  // namespace backlight
