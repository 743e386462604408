// Groups of points: k-means, DBSCAN, how many there are, and how far apart they lie.
#pragma once

#include <cstdint>
#include <vector>

#include "explain/concepts/neighbour_graph.h"

namespace backlight {

struct KMeans {
    std::vector<int64_t> labels;  // by size, the largest cluster is 0
    std::vector<double> centres;  // (clusters, width)
    double inertia = 0;           // Σ squared distances to the own centre
};
/// Lloyd's iteration from a k-means++ start, the best of `restarts`. Throws Error unless 1 <= clusters <=
/// points. Source: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
[[nodiscard]] KMeans k_means(const Points& points, int64_t clusters, uint64_t seed = 0,
                             int64_t restarts = 10);

/// Dense regions: a core point has `fewest` points (itself included) within `radius`, a cluster is core
/// points in reach of each other with what is in their reach. Label -1: in no cluster; clusters are numbered
/// by size. Source: Ester et al., "A density-based algorithm for discovering clusters ...", KDD 1996.
[[nodiscard]] std::vector<int64_t> dbscan(const Points& points, double radius, int64_t fewest = 5);

/// Labels renamed by the size of their cluster, largest first, equal ones by their first member; -1 stays.
[[nodiscard]] std::vector<int64_t> by_size(const std::vector<int64_t>& labels);

struct EigenGap {
    int64_t clusters = 1;  // how many eigenvalues lie before the largest gap between neighbours
    double gap = 0;        // λ_{clusters+1} - λ_clusters
};
/// Of the ascending eigenvalues of a Laplacian, of which those that count components are near 0. With
/// `fewest` gaps before that many eigenvalues are not looked at.
[[nodiscard]] EigenGap eigen_gap(const std::vector<double>& values, int64_t fewest = 1);

/// Fisher's criterion tr(S_B) / tr(S_W): scatter of the cluster means, weighted by size, over the scatter
/// within. Points of label -1 do not count; 0 where there are less than two clusters.
[[nodiscard]] double fisher_score(const Points& points, const std::vector<int64_t>& labels);

}  // namespace backlight
