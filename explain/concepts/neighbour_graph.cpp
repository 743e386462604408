#include "explain/concepts/neighbour_graph.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/clones.h"
#include "core/error.h"

namespace backlight {
namespace {

BACKLIGHT_CLONES void add_squares(double* sums, const double* column, double from, size_t size) {
    BACKLIGHT_INDEPENDENT
    for (size_t j = 0; j < size; ++j) {
        const double difference = column[j] - from;
        sums[j] += difference * difference;
    }
}

}  // namespace

std::vector<double> squared_distances(const Points& points, int64_t first, int64_t rows) {
    const auto n = static_cast<size_t>(points.count);
    std::vector<double> distances(static_cast<size_t>(rows) * n, 0.0);
    std::vector<double> column(n);
    for (int64_t k = 0; k < points.width;
         ++k) {  // elements of one column lie side by side: plain vector code
        for (size_t j = 0; j < n; ++j) {
            column[j] = points.values[j * static_cast<size_t>(points.width) + static_cast<size_t>(k)];
        }
        for (int64_t i = 0; i < rows; ++i) {
            add_squares(distances.data() + static_cast<size_t>(i) * n, column.data(),
                        column[static_cast<size_t>(first + i)], n);
        }
    }
    return distances;
}

NeighbourGraph::NeighbourGraph(const Points& points, int64_t neighbours, EdgeWeight weight) {
    BACKLIGHT_CHECK(neighbours >= 1 && points.count > neighbours, "neighbours: a graph of ", neighbours,
                    " neighbours needs at least ", neighbours + 1, " points, got ", points.count);
    BACKLIGHT_CHECK(
        std::all_of(points.values.begin(), points.values.end(), [](double v) { return std::isfinite(v); }),
        "neighbours: the points are not finite");
    const auto n = static_cast<size_t>(points.count), k = static_cast<size_t>(neighbours);
    std::vector<std::map<int64_t, double>> rows(n);
    constexpr int64_t kAtOnce = 32;
    std::vector<int64_t> order(n);
    for (int64_t first = 0; first < points.count; first += kAtOnce) {
        const int64_t count = std::min(kAtOnce, points.count - first);
        const std::vector<double> distances = squared_distances(points, first, count);
        for (int64_t r = 0; r < count; ++r) {
            const double* d = distances.data() + static_cast<size_t>(r) * n;
            const int64_t i = first + r;
            order.clear();
            for (int64_t j = 0; j < points.count; ++j) {
                if (j != i) {
                    order.push_back(j);
                }
            }
            const auto nearer = [&](int64_t a, int64_t b) { return d[a] != d[b] ? d[a] < d[b] : a < b; };
            std::nth_element(order.begin(), order.begin() + static_cast<int64_t>(k) - 1, order.end(), nearer);
            for (size_t j = 0; j < k; ++j) {
                const double w = weight == EdgeWeight::binary ? 1.0 : std::exp(-d[order[j]]);
                rows[static_cast<size_t>(i)][order[j]] += w / 2;
                rows[static_cast<size_t>(order[j])][i] += w / 2;
            }
        }
    }
    for (const auto& row : rows) {
        double degree = 0;
        edges_.emplace_back();
        for (const auto& [to, w] : row) {
            edges_.back().push_back({to, w});
            degree += w;
        }
        scale_.push_back(degree > 0 ? 1 / std::sqrt(degree) : 0.0);
    }
}

std::vector<double> NeighbourGraph::dense_laplacian() const {
    const size_t n = edges_.size();
    std::vector<double> matrix(n * n, 0.0);
    for (size_t i = 0; i < n; ++i) {
        matrix[i * n + i] = scale_[i] > 0 ? 1 : 0;
        for (const Edge& edge : edges_[i]) {
            const auto j = static_cast<size_t>(edge.to);
            matrix[i * n + j] = -scale_[i] * edge.weight * scale_[j];
        }
    }
    return matrix;
}

void NeighbourGraph::apply_laplacian(std::span<const double> x, std::span<double> y) const {
    for (size_t i = 0; i < edges_.size(); ++i) {
        double sum = 0;
        for (const Edge& edge : edges_[i]) {
            const auto j = static_cast<size_t>(edge.to);
            sum += edge.weight * scale_[j] * x[j];
        }
        y[i] = scale_[i] > 0 ? x[i] - scale_[i] * sum : 0.0;
    }
}

}  // namespace backlight
