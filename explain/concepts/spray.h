// Spectral relevance analysis (SpRAy): how many ways there are in which a network decides for a class. The
// attributions of all samples of the class are normalised, made smaller, joined to their nearest neighbours,
// and clustered by the eigenvectors of the graph's Laplacian; a small cluster whose heat maps agree on
// something outside the object is a Clever Hans. Source: Lapuschkin et al., "Unmasking Clever Hans predictors
// and assessing what machines really learn", Nature Communications, 2019.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"
#include "explain/concepts/clusters.h"
#include "explain/concepts/tsne.h"

namespace backlight {

struct SprayOptions {
    std::string normalize = "sum";  // each map by its sum; or max-abs
    int64_t size = 20;              // maps are averaged down to size x size; 0: as they are
    int64_t neighbours = 10;        // fewer where there are few samples
    EdgeWeight weight = EdgeWeight::binary;
    int64_t eigenvectors = 32;  // fewer where there are few samples
    int64_t dense_limit =
        1000;  // samples; above, Lanczos: the same to 1e-14, at 4000 in 0.1 s instead of 12 s
    std::string clustering = "kmeans";  // or dbscan
    int64_t clusters = 0;               // of k-means; 0: as many as eigenvalues before the largest gap
    double radius = 0.5;                // of dbscan
    int64_t fewest = 5;                 // of dbscan
    TsneOptions tsne;
    uint64_t seed = 0;  // of k-means, t-SNE and Lanczos
};

struct SprayResult {
    Points features;                  // the normalised, smaller maps in rows
    std::vector<double> eigenvalues;  // ascending
    Points embedding;                 // (n, eigenvectors), rows of unit length
    EigenGap gap;
    std::vector<int64_t> labels;  // by size; -1: in no cluster (dbscan)
    Points coordinates;           // (n, 2)
    double fisher = 0;            // of the features, between the clusters

    [[nodiscard]] int64_t clusters() const;
    [[nodiscard]] int64_t size_of(int64_t label) const;
    /// Members of a cluster, nearest to the mean of its features first.
    [[nodiscard]] std::vector<int64_t> members(int64_t label) const;
};

/// Attributions (N,H,W), (N,H,W,C) or (N,D); channels are summed. Clusters are found in the first
/// eigenvectors, as many as there are to be clusters, each sample's row scaled to unit length. Throws Error
/// when there are fewer than 4 samples, a value is not finite, or an option is out of range.
[[nodiscard]] SprayResult spray(const Tensor& attributions, const SprayOptions& options = {});

/// Each sample's row of `attributions` as spray compares them: summed over channels, averaged down,
/// normalised (a map whose sum is 0 stays as it is).
[[nodiscard]] Points spray_features(const Tensor& attributions, const SprayOptions& options);

}  // namespace backlight
