// The graph of nearest neighbours and its Laplacian.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace backlight {

/// Points (n,d) in rows, f64.
struct Points {
    std::vector<double> values;
    int64_t count = 0, width = 0;
    [[nodiscard]] std::span<const double> row(int64_t i) const {
        return {values.data() + i * width, static_cast<size_t>(width)};
    }
};

enum class EdgeWeight : uint8_t { binary, gaussian };  // 1, or exp(-d²) of the Euclidean distance d

/// A symmetric matrix with few elements in each row, none on the diagonal.
class NeighbourGraph {
public:
    struct Edge {
        int64_t to;
        double weight;
    };
    /// Each point is joined to its `neighbours` nearest others (itself is excluded by number, so duplicates
    /// count as neighbours; of equally near ones the first), then A <- (A + A') / 2. Throws Error unless
    /// neighbours >= 1 and there are more points than that, and on values that are not finite.
    NeighbourGraph(const Points& points, int64_t neighbours, EdgeWeight weight = EdgeWeight::binary);

    [[nodiscard]] int64_t size() const { return static_cast<int64_t>(edges_.size()); }
    [[nodiscard]] const std::vector<Edge>& edges(int64_t node) const {
        return edges_[static_cast<size_t>(node)];
    }

    /// L = D^-½ (D - A) D^-½, D the row sums of A. A node without edges has a row of zeros: an own component.
    [[nodiscard]] std::vector<double> dense_laplacian() const;
    /// y = L x.
    void apply_laplacian(std::span<const double> x, std::span<double> y) const;

private:
    std::vector<std::vector<Edge>> edges_;  // sorted by `to`
    std::vector<double> scale_;             // D^-½, 0 where D is 0
};

/// Squared Euclidean distances of rows first..first+rows-1 to all points: (rows, n).
[[nodiscard]] std::vector<double> squared_distances(const Points& points, int64_t first, int64_t rows);

}  // namespace backlight
