#include "explain/concepts/spray.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "explain/concepts/eigen.h"

namespace backlight {
namespace {

void check(const SprayOptions& o) {
    BACKLIGHT_CHECK(o.normalize == "sum" || o.normalize == "max-abs",
                    unknown_name("normalisation", o.normalize, {"sum", "max-abs"}));
    BACKLIGHT_CHECK(o.clustering == "kmeans" || o.clustering == "dbscan",
                    unknown_name("clustering", o.clustering, {"kmeans", "dbscan"}));
    BACKLIGHT_CHECK(o.neighbours >= 1 && o.eigenvectors >= 2 && o.size >= 0 && o.clusters >= 0,
                    "spray: expected neighbours >= 1, eigenvectors >= 2, size >= 0 and clusters >= 0, got ",
                    o.neighbours, ", ", o.eigenvectors, ", ", o.size, " and ", o.clusters);
}

Eigenpairs decompose(const NeighbourGraph& graph, int64_t count, const SprayOptions& options) {
    if (graph.size() <= options.dense_limit) {
        return smallest_eigenpairs(graph.dense_laplacian(), graph.size(), count);
    }
    return lanczos_smallest(
        [&](std::span<const double> x, std::span<double> y) { graph.apply_laplacian(x, y); }, graph.size(),
        count, options.seed);
}

/// The first `width` columns, rows scaled to unit length.
Points embedded(const Eigenpairs& pairs, int64_t n, int64_t width) {
    const auto columns = static_cast<int64_t>(pairs.values.size());
    Points points{.values = {}, .count = n, .width = width};
    for (int64_t i = 0; i < n; ++i) {
        const auto row = pairs.vectors.begin() + i * columns;
        const double length = std::sqrt(std::inner_product(row, row + width, row, 0.0));
        std::transform(row, row + width, std::back_inserter(points.values),
                       [&](double v) { return length > 0 ? v / length : 0.0; });
    }
    return points;
}

}  // namespace

Points spray_features(const Tensor& attributions, const SprayOptions& options) {
    const NoGrad off;
    BACKLIGHT_CHECK(attributions.rank() >= 2 && attributions.rank() <= 4,
                    "spray: expected attributions (N,H,W), (N,H,W,C) or (N,D), got ", attributions.shape());
    Variable maps(attributions.to(DType::f64));
    if (maps.rank() == 4) {
        maps = sum(maps, {3});
    }
    if (maps.rank() == 3 && options.size > 0 && (maps.dim(1) > options.size || maps.dim(2) > options.size)) {
        maps = adaptive_avg_pool2d(reshape(maps, {maps.dim(0), maps.dim(1), maps.dim(2), 1}),
                                   std::min(options.size, maps.dim(1)), std::min(options.size, maps.dim(2)));
    }
    maps = flatten(maps);
    Points points{.values = maps.data().to_vector<double>(), .count = maps.dim(0), .width = maps.dim(1)};
    const auto width = static_cast<size_t>(points.width);
    for (size_t i = 0; i < static_cast<size_t>(points.count); ++i) {
        double* row = points.values.data() + i * width;
        BACKLIGHT_CHECK(std::all_of(row, row + width, [](double v) { return std::isfinite(v); }),
                        "spray: the attribution of sample ", i, " is not finite");
        const double scale = options.normalize == "sum"
                                 ? std::accumulate(row, row + width, 0.0)
                                 : std::accumulate(row, row + width, 0.0, [](double m, double v) {
                                       return std::max(m, std::abs(v));
                                   });
        if (scale != 0) {
            std::transform(row, row + width, row, [&](double v) { return v / scale; });
        }
    }
    return points;
}

SprayResult spray(const Tensor& attributions, const SprayOptions& options) {
    check(options);
    constexpr int64_t kFewest = 4;
    BACKLIGHT_CHECK(attributions.dim(0) >= kFewest, "spray: expected at least ", kFewest, " samples, got ",
                    attributions.dim(0));
    SprayResult result{.features = spray_features(attributions, options)};
    const int64_t n = result.features.count;
    BACKLIGHT_CHECK(options.clusters <= n, "spray: ", n, " samples cannot make ", options.clusters,
                    " clusters");
    const NeighbourGraph graph(result.features, std::min(options.neighbours, n - 1), options.weight);
    const int64_t count = std::min(n, std::max(options.eigenvectors, options.clusters));
    const Eigenpairs pairs = decompose(graph, count, options);
    result.eigenvalues = pairs.values;
    result.embedding = embedded(pairs, n, count);
    result.gap = eigen_gap(pairs.values);
    const int64_t clusters = options.clusters > 0 ? options.clusters : result.gap.clusters;
    const Points space = embedded(pairs, n, clusters);
    result.labels = options.clustering == "kmeans" ? k_means(space, clusters, options.seed).labels
                                                   : dbscan(space, options.radius, options.fewest);
    TsneOptions tsne_options = options.tsne;
    tsne_options.seed = options.seed;
    result.coordinates = tsne(result.embedding, tsne_options);
    result.fisher = fisher_score(result.features, result.labels);
    return result;
}

int64_t SprayResult::clusters() const {
    return labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end()) + 1;
}

int64_t SprayResult::size_of(int64_t label) const { return std::count(labels.begin(), labels.end(), label); }

std::vector<int64_t> SprayResult::members(int64_t label) const {
    std::vector<int64_t> found;
    std::vector<double> mean(static_cast<size_t>(features.width), 0.0);
    for (size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] == label) {
            found.push_back(static_cast<int64_t>(i));
            const auto row = features.row(static_cast<int64_t>(i));
            std::transform(mean.begin(), mean.end(), row.begin(), mean.begin(), std::plus<>());
        }
    }
    std::vector<double> distance(labels.size(), 0.0);
    for (const int64_t i : found) {
        const auto row = features.row(i);
        for (size_t k = 0; k < mean.size(); ++k) {
            const double difference = row[k] - mean[k] / static_cast<double>(found.size());
            distance[static_cast<size_t>(i)] += difference * difference;
        }
    }
    std::stable_sort(found.begin(), found.end(), [&](int64_t a, int64_t b) {
        return distance[static_cast<size_t>(a)] < distance[static_cast<size_t>(b)];
    });
    return found;
}

}  // namespace backlight
