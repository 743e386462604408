// SpRAy over a data set: attributions of every sample of a class, their clusters as files, and pages that
// show them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "datasets/dataset.h"
#include "explain/concepts/spray.h"
#include "explain/explainer.h"
#include "models/model.h"

namespace backlight {

struct SprayRun {
    const Model& model;
    std::shared_ptr<const Dataset> data;
    std::string data_name;                     // for the reader of the page
    std::string method = "epsilon_plus_flat";  // explains the class's own logit
    std::string layer;                         // empty: the input
    ExplainContext context;
    SprayOptions options;
    int64_t batch_size = 0;  // 0: as explained_at_once
};

/// What was found for one class.
struct ClassClusters {
    int64_t class_number = 0;
    std::string name;
    std::vector<int64_t> samples;    // numbers in the data set
    std::vector<int64_t> predicted;  // class of the largest logit
    Tensor attributions;             // (N,H,W), or (N,D): summed over channels
    SprayResult result;

    /// Share of a cluster's samples that the network takes for the class.
    [[nodiscard]] double share_right(int64_t label) const;
};

/// All samples labelled so. Throws Error when there are too few.
[[nodiscard]] ClassClusters cluster_class(const SprayRun& run, int64_t class_number);

/// attributions.npy, embedding.npy (n, eigenvectors), eigenvalues.npy, labels.npy, coordinates.npy (n, 2),
/// samples.npy, index.json and report.html.
void write_clusters(const SprayRun& run, const ClassClusters& found, const std::filesystem::path& folder);

/// ranking.json and report.html over several classes, those whose explanations fall apart most clearly first:
/// by the eigengap, or by Fisher's score.
void write_ranking(const SprayRun& run, std::vector<ClassClusters> found, const std::string& sort,
                   const std::filesystem::path& folder);
/// The order in which write_ranking shows the classes.
[[nodiscard]] std::vector<size_t> ranking(const std::vector<ClassClusters>& found, const std::string& sort);

}  // namespace backlight
