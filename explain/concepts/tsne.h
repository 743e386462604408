// t-SNE: points in the plane whose neighbours are those of the points given.
//   p_ij = (p_{j|i} + p_{i|j}) / 2n,  p_{j|i} ∝ exp(-d_ij² / 2σ_i²), σ_i such that 2^entropy is the
//   perplexity q_ij ∝ 1 / (1 + ‖y_i - y_j‖²),    y minimises Σ p log p/q
// Source: van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008.
#pragma once

#include "explain/concepts/neighbour_graph.h"

namespace backlight {

struct TsneOptions {
    double perplexity = 30;  // smaller where there are few points: at most (n - 1) / 3
    int64_t iterations = 1000;
    double exaggeration = 12;  // of p in the first quarter of the iterations, at most 250
    uint64_t seed = 0;
};

/// (n, 2) coordinates with mean 0. Exact gradients: n² per iteration, a second for 1000 points. Gradient
/// descent with momentum 0.5, then 0.8, and gains, at the rate max(n / 4 exaggeration, 50). p beyond the 3 ·
/// perplexity nearest neighbours count as 0.
[[nodiscard]] Points tsne(const Points& points, const TsneOptions& options = {});

/// KL(p‖q) of coordinates, as tsne minimises it.
[[nodiscard]] double tsne_divergence(const Points& points, const Points& coordinates, double perplexity = 30);

}  // namespace backlight
