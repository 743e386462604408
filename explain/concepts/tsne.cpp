#include "explain/concepts/tsne.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/clones.h"
#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

using Edges = std::vector<std::vector<NeighbourGraph::Edge>>;  // p_ij of each row

double usable_perplexity(double perplexity, int64_t n) {
    return std::max(1.0, std::min(perplexity, static_cast<double>(n - 1) / 3));
}

/// p_{j|i} of the given squared distances, by bisection in the precision 1 / 2σ².
std::vector<double> conditional(const std::vector<double>& squared, double perplexity) {
    const double target = std::log(perplexity);
    const double nearest = *std::min_element(squared.begin(), squared.end());
    double low = 0, high = INFINITY, precision = 1;
    std::vector<double> p(squared.size());
    for (int step = 0; step < 200; ++step) {
        double sum = 0, weighted = 0;
        for (size_t j = 0; j < p.size(); ++j) {
            p[j] = std::exp(-(squared[j] - nearest) * precision);
            sum += p[j];
            weighted += p[j] * (squared[j] - nearest);
        }
        const double entropy = std::log(sum) + precision * weighted / sum;
        for (double& value : p) {
            value /= sum;
        }
        if (std::abs(entropy - target) < 1e-7) {
            break;
        }
        (entropy > target ? low : high) = precision;
        precision = std::isinf(high) ? precision * 2 : (low + high) / 2;
    }
    return p;
}

Edges joint(const Points& points, double perplexity) {
    const auto n = static_cast<size_t>(points.count);
    const size_t near = std::min(n - 1, static_cast<size_t>(3 * perplexity) + 1);
    std::vector<std::map<int64_t, double>> rows(n);
    for (size_t i = 0; i < n; ++i) {
        const std::vector<double> d = squared_distances(points, static_cast<int64_t>(i), 1);
        std::vector<int64_t> order(n);
        std::iota(order.begin(), order.end(), int64_t{0});
        order.erase(order.begin() + static_cast<int64_t>(i));
        std::nth_element(order.begin(), order.begin() + static_cast<int64_t>(near) - 1, order.end(),
                         [&](int64_t a, int64_t b) {
                             const auto u = static_cast<size_t>(a), v = static_cast<size_t>(b);
                             return d[u] != d[v] ? d[u] < d[v] : a < b;
                         });
        order.resize(near);
        std::vector<double> squared;
        for (const int64_t j : order) {
            squared.push_back(d[static_cast<size_t>(j)]);
        }
        const std::vector<double> p = conditional(squared, perplexity);
        for (size_t j = 0; j < near; ++j) {
            const double half = p[j] / (2 * static_cast<double>(n));
            rows[i][order[j]] += half;
            rows[static_cast<size_t>(order[j])][static_cast<int64_t>(i)] += half;
        }
    }
    Edges edges(n);
    for (size_t i = 0; i < n; ++i) {
        for (const auto& [to, p] : rows[i]) {
            edges[i].push_back({to, p});
        }
    }
    return edges;
}

/// Point i against all: sums gets 1 / (1 + d²), and the repulsion Σ_i (1 / (1 + d²))² (y_j - y_i) goes to
/// each j.
BACKLIGHT_CLONES void repel(const double* x, const double* y, double x_i, double y_i, size_t n, double* sums,
                            double* push_x, double* push_y) {
    BACKLIGHT_INDEPENDENT
    for (size_t j = 0; j < n; ++j) {
        const double dx = x[j] - x_i, dy = y[j] - y_i;
        const double near = 1 / (1 + dx * dx + dy * dy);
        sums[j] += near;
        push_x[j] += near * near * dx;
        push_y[j] += near * near * dy;
    }
}

struct Plane {
    std::vector<double> x, y;
};

/// Σ_{i≠j} 1 / (1 + d_ij²) and each point's push.
double repulsion(const Plane& at, Plane& push, std::vector<double>& sums) {
    const size_t n = at.x.size();
    std::fill(push.x.begin(), push.x.end(), 0.0);
    std::fill(push.y.begin(), push.y.end(), 0.0);
    std::fill(sums.begin(), sums.end(), 0.0);
    for (size_t i = 0; i < n; ++i) {
        repel(at.x.data(), at.y.data(), at.x[i], at.y[i], n, sums.data(), push.x.data(), push.y.data());
    }
    return std::accumulate(sums.begin(), sums.end(), 0.0) - static_cast<double>(n);  // less i = j
}

void centre(std::vector<double>& values) {
    const double mean =
        std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
    std::transform(values.begin(), values.end(), values.begin(), [&](double v) { return v - mean; });
}

}  // namespace

Points tsne(const Points& points, const TsneOptions& options) {
    BACKLIGHT_CHECK(points.count >= 2, "t-SNE: expected two points or more, got ", points.count);
    BACKLIGHT_CHECK(options.perplexity > 0 && options.iterations >= 0,
                    "t-SNE: expected a perplexity > 0, got ", options.perplexity);
    const auto n = static_cast<size_t>(points.count);
    const Edges p = joint(points, usable_perplexity(options.perplexity, points.count));
    Plane at{std::vector<double>(n), std::vector<double>(n)};
    for (size_t i = 0; i < n; ++i) {
        RandomStream random(RandomKey{.seed = options.seed,
                                      .purpose = purpose::kExplainer,
                                      .step = 5,
                                      .sample = static_cast<uint32_t>(i)});
        at.x[i] = 1e-4 * random.normal();
        at.y[i] = 1e-4 * random.normal();
    }
    Plane push = at, speed{std::vector<double>(n, 0.0), std::vector<double>(n, 0.0)};
    Plane gain{std::vector<double>(n, 1.0), std::vector<double>(n, 1.0)};
    std::vector<double> sums(n);
    const double rate = std::max(static_cast<double>(n) / (4 * options.exaggeration), 50.0);
    const int64_t early = std::min<int64_t>(options.iterations / 4, 250);
    for (int64_t t = 0; t < options.iterations; ++t) {
        const double exaggeration = t < early ? options.exaggeration : 1;
        const double momentum = t < early ? 0.5 : 0.8;
        const double total = repulsion(at, push, sums);
        const Plane before = at;
        const auto move = [&](double& to, double& v, double& g, double gradient) {
            g = std::max(0.01, (gradient > 0) == (v > 0) ? g * 0.8 : g + 0.2);
            v = momentum * v - rate * g * gradient;
            to += v;
        };
        for (size_t i = 0; i < n; ++i) {
            double pull_x = 0, pull_y = 0;
            for (const auto& [to, weight] : p[i]) {
                const auto j = static_cast<size_t>(to);
                const double dx = before.x[i] - before.x[j], dy = before.y[i] - before.y[j];
                const double near = weight / (1 + dx * dx + dy * dy);
                pull_x += near * dx;
                pull_y += near * dy;
            }
            move(at.x[i], speed.x[i], gain.x[i], 4 * (exaggeration * pull_x - push.x[i] / total));
            move(at.y[i], speed.y[i], gain.y[i], 4 * (exaggeration * pull_y - push.y[i] / total));
        }
        centre(at.x);
        centre(at.y);
    }
    Points coordinates{.values = {}, .count = points.count, .width = 2};
    for (size_t i = 0; i < n; ++i) {
        coordinates.values.insert(coordinates.values.end(), {at.x[i], at.y[i]});
    }
    return coordinates;
}

double tsne_divergence(const Points& points, const Points& coordinates, double perplexity) {
    BACKLIGHT_CHECK(points.count == coordinates.count && coordinates.width == 2, "t-SNE: expected ",
                    points.count, " coordinates in the plane");
    const Edges p = joint(points, usable_perplexity(perplexity, points.count));
    const auto near = [&](int64_t i, int64_t j) {
        const auto a = coordinates.row(i), b = coordinates.row(j);
        return 1 / (1 + (a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]));
    };
    double total = 0, divergence = 0;
    for (int64_t i = 0; i < points.count; ++i) {
        for (int64_t j = 0; j < points.count; ++j) {
            total += i == j ? 0 : near(i, j);
        }
    }
    for (int64_t i = 0; i < points.count; ++i) {
        for (const auto& [j, weight] : p[static_cast<size_t>(i)]) {
            divergence += weight > 0 ? weight * std::log(weight * total / near(i, j)) : 0;
        }
    }
    return divergence;
}

}  // namespace backlight
