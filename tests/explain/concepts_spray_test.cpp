// SpRAy and its parts: planted kinds of maps are found, in whatever order the samples come.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "explain/concepts/spray.h"
#include "tests/datasets/support.h"

using namespace backlight;
using testing::contains;
using testing::error_of;

namespace {

struct Planted {
    Tensor maps;  // (n, 12, 12)
    std::vector<int64_t> kind;
};

/// A bump in the middle, or (every third) in a corner, and noise.
Planted planted(int64_t n, const std::vector<int64_t>& order = {}) {
    std::vector<double> values;
    Planted made;
    for (int64_t k = 0; k < n; ++k) {
        const int64_t i = order.empty() ? k : order[static_cast<size_t>(k)];
        RandomStream random(RandomKey{.seed = 5, .sample = static_cast<uint32_t>(i)});
        const int64_t kind = i % 3 == 0 ? 1 : 0;
        for (int64_t h = 0; h < 12; ++h) {
            for (int64_t w = 0; w < 12; ++w) {
                const double at = kind == 1 ? 1.5 : 6;
                const double d2 =
                    std::pow(static_cast<double>(h) - at, 2) + std::pow(static_cast<double>(w) - at, 2);
                values.push_back(std::exp(-d2 / 4) + 0.05 * random.uniform());
            }
        }
        made.kind.push_back(kind);
    }
    made.maps = Tensor::from(values, {n, 12, 12});
    return made;
}

double accuracy(const std::vector<int64_t>& labels, const std::vector<int64_t>& kind) {
    int64_t right = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
        right += labels[i] == kind[i] ? 1 : 0;
    }
    const double share = static_cast<double>(right) / static_cast<double>(labels.size());
    return std::max(share, 1 - share);
}

Points points_of(std::vector<double> values, int64_t width) {
    const auto count = static_cast<int64_t>(values.size()) / width;
    return {.values = std::move(values), .count = count, .width = width};
}

/// Three round heaps of 30, 20 and 10 points in the plane.
Points heaps() {
    std::vector<double> values;
    RandomStream random(8);
    for (int64_t i = 0; i < 60; ++i) {
        const double x = i < 30 ? 0 : i < 50 ? 10 : 0, y = i < 50 ? 0 : 10;
        values.push_back(x + random.normal(0, 0.5));
        values.push_back(y + random.normal(0, 0.5));
    }
    return points_of(std::move(values), 2);
}

std::vector<int64_t> heap_labels() {
    std::vector<int64_t> labels(60, 0);
    std::fill(labels.begin() + 30, labels.begin() + 50, 1);
    std::fill(labels.begin() + 50, labels.end(), 2);
    return labels;
}

}  // namespace

TEST_SUITE("explain") {
    TEST_CASE("spray: two planted kinds of maps make a second eigenvalue of 0 and two clusters") {
        const Planted made = planted(150);
        for (const EdgeWeight weight : {EdgeWeight::binary, EdgeWeight::gaussian}) {
            for (const char* clustering : {"kmeans", "dbscan"}) {
                CAPTURE(clustering);
                const SprayResult found = spray(made.maps, {.weight = weight, .clustering = clustering});
                CHECK(std::abs(found.eigenvalues[0]) < 1e-12);
                CHECK(std::abs(found.eigenvalues[1]) < 1e-12);
                CHECK(found.eigenvalues[2] > 0.05);
                CHECK(found.gap.clusters == 2);
                CHECK(found.clusters() == 2);
                CHECK(accuracy(found.labels, made.kind) > 0.98);
                CHECK(found.size_of(0) == 100);
                CHECK(found.members(1).size() == 50);
                CHECK(found.fisher > 1);
                CHECK(found.coordinates.count == 150);
            }
        }
    }

    TEST_CASE("spray: the order of the samples does not matter") {
        const Planted made = planted(90);
        const auto order = RandomStream(4).permutation(90);
        const Planted shuffled = planted(90, order);
        const SprayResult a = spray(made.maps), b = spray(shuffled.maps);
        for (size_t j = 0; j < a.eigenvalues.size(); ++j) {
            CHECK(std::abs(a.eigenvalues[j] - b.eigenvalues[j]) < 1e-10);
        }
        CHECK(a.fisher == doctest::Approx(b.fisher).epsilon(1e-10));
        for (size_t i = 0; i < order.size(); ++i) {
            CHECK(b.labels[i] == a.labels[static_cast<size_t>(order[i])]);
        }
    }

    TEST_CASE("spray: Lanczos gives what the dense solver gives; the seed alone decides") {
        const Planted made = planted(120);
        SprayOptions options{.eigenvectors = 8};
        const SprayResult dense = spray(made.maps, options);
        options.dense_limit = 10;
        const SprayResult sparse = spray(made.maps, options);
        for (size_t j = 0; j < 8; ++j) {
            CHECK(std::abs(dense.eigenvalues[j] - sparse.eigenvalues[j]) < 1e-8);
        }
        CHECK(dense.labels == sparse.labels);
        const SprayResult again = spray(made.maps, options);
        CHECK(again.coordinates.values == sparse.coordinates.values);
        CHECK(again.embedding.values == sparse.embedding.values);
        options.seed = 1;
        CHECK(spray(made.maps, options).coordinates.values != sparse.coordinates.values);
    }

    TEST_CASE("spray: features are summed over channels, averaged down and normalised") {
        const Tensor maps =
            Tensor::from({1.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 3.0}, {1, 2, 2, 2});  // channels add: 3 7 2 4
        const Points by_sum = spray_features(maps, {});
        CHECK(by_sum.values == std::vector<double>{3.0 / 16, 7.0 / 16, 2.0 / 16, 4.0 / 16});
        CHECK(spray_features(maps, {.normalize = "max-abs"}).values ==
              std::vector<double>{3.0 / 7, 1.0, 2.0 / 7, 4.0 / 7});
        CHECK(spray_features(maps, {.size = 1}).values == std::vector<double>{1.0});
        CHECK(spray_features(Tensor::zeros({1, 3}, DType::f64), {}).values == std::vector<double>(3, 0.0));
        CHECK(spray_features(Tensor::from({-2.0, -2.0}, {1, 2}), {}).values == std::vector<double>{0.5, 0.5});
    }

    TEST_CASE("spray: degenerate samples: all alike, and duplicates") {
        const SprayResult same = spray(Tensor::ones({12, 3, 3}), {.neighbours = 4});
        CHECK(same.labels.size() == 12);
        for (const double value : same.coordinates.values) {
            CHECK(std::isfinite(value));
        }
        // A duplicate is a neighbour; a sample is not its own.
        const NeighbourGraph graph(points_of({0, 0, 0, 5, 5, 5}, 1), 2);
        for (int64_t i = 0; i < 6; ++i) {
            CHECK(graph.edges(i).size() == 2);
            for (const auto& edge : graph.edges(i)) {
                CHECK(edge.to != i);
                CHECK(edge.to / 3 == i / 3);
                CHECK(edge.weight == 1);
            }
        }
    }

    TEST_CASE("neighbours: a node whose edges weigh nothing is a component of its own") {
        // exp(-d²) of 100 is 0 in double precision.
        const NeighbourGraph graph(points_of({0, 0.1, 0.2, 100}, 1), 1, EdgeWeight::gaussian);
        const auto laplacian = graph.dense_laplacian();
        for (size_t k = 0; k < 4; ++k) {
            CHECK(laplacian[3 * 4 + k] == 0);
        }
        std::vector<double> x{1, 2, 3, 4}, y(4), expected(4, 0.0);
        graph.apply_laplacian(x, y);
        for (size_t i = 0; i < 4; ++i) {
            for (size_t k = 0; k < 4; ++k) {
                expected[i] += laplacian[i * 4 + k] * x[k];
            }
            CHECK(y[i] == doctest::Approx(expected[i]));
        }
    }

    TEST_CASE("clusters: k-means and DBSCAN find three heaps; labels go by size") {
        const Points points = heaps();
        const KMeans found = k_means(points, 3);
        CHECK(found.labels == heap_labels());
        CHECK(std::abs(found.centres[2] - 10) < 0.5);
        CHECK(found.inertia < 60);
        CHECK(dbscan(points, 2, 4) == heap_labels());
        CHECK(k_means(points, 1).inertia > found.inertia);
        CHECK(k_means(points_of({1, 1, 1, 1}, 1), 3).inertia == 0);
        std::vector<double> with_outlier = points.values;
        with_outlier.insert(with_outlier.end(), {100, 100});
        CHECK(dbscan(points_of(with_outlier, 2), 2, 4).back() == -1);
        CHECK(by_size({7, 3, 3, -1, 3, 7}) == std::vector<int64_t>{1, 0, 0, -1, 0, 1});
    }

    TEST_CASE("clusters: the eigengap and Fisher's score by hand") {
        CHECK(eigen_gap({0, 0, 0.01, 0.5, 0.6}).clusters == 3);
        CHECK(eigen_gap({0, 0, 0.01, 0.5, 0.6}).gap == doctest::Approx(0.49));
        CHECK(eigen_gap({0, 0.9, 1, 1.1}).clusters == 1);
        CHECK(eigen_gap({0, 0.9, 1, 1.2}, 2).clusters == 3);
        CHECK(eigen_gap({0.3}).clusters == 1);
        // Means 1 and 5, total mean 3: between 2·4 + 2·4 = 16; within 4 · 1.
        CHECK(fisher_score(points_of({0, 2, 4, 6}, 1), {0, 0, 1, 1}) == doctest::Approx(4));
        CHECK(fisher_score(points_of({0, 2, 4, 6, 99}, 1), {0, 0, 1, 1, -1}) == doctest::Approx(4));
        CHECK(fisher_score(points_of({0, 2}, 1), {0, 0}) == 0);
    }

    TEST_CASE("t-SNE: heaps stay apart, the divergence falls, and few points do no harm") {
        const Points points = heaps();
        const Points at = tsne(points);
        const auto labels = heap_labels();
        CHECK(fisher_score(at, labels) > 5);
        CHECK(std::abs(at.values[0]) < 1e6);
        const Points start = tsne(points, {.iterations = 0});
        CHECK(tsne_divergence(points, at) < 0.5 * tsne_divergence(points, start));
        for (const int64_t n : {2, 3, 5}) {
            std::vector<double> few(points.values.begin(), points.values.begin() + 2 * n);
            for (const double value : tsne(points_of(few, 2)).values) {
                CHECK(std::isfinite(value));
            }
        }
    }

    TEST_CASE("spray: wrong options and too few samples are refused by name") {
        const Tensor maps = planted(9).maps;
        const auto refused = [&](const Tensor& x, const SprayOptions& options) {
            return error_of([&] { (void)spray(x, options); });
        };
        CHECK(contains(refused(planted(3).maps, {}), "at least 4 samples, got 3"));
        CHECK(contains(refused(maps, {.normalize = "sun"}), "did you mean sum?"));
        CHECK(contains(refused(maps, {.clustering = "optics"}), "kmeans"));
        CHECK(contains(refused(maps, {.neighbours = 0}), "neighbours >= 1"));
        CHECK(contains(refused(maps, {.clusters = 10}), "9 samples cannot make 10 clusters"));
        CHECK(contains(refused(maps, {.clustering = "dbscan", .radius = 0}), "radius > 0"));
        CHECK(contains(refused(Tensor::full({9, 4}, NAN), {}), "sample 0 is not finite"));
        CHECK(contains(refused(Tensor::ones({9}), {}), "(N,D)"));
    }
}
