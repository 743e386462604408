// How concentrated a map is: functions of its values.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace backlight {

/// Gini index of a = |values| / max |values| + 1e-7, sorted ascending: Σ_i (2i - n - 1) a_i / (n Σ a_i), from
/// 0 (uniform; also all zero) to (n - 1) / n (one value). Source: Chalasani et al., "Concise explanations of
/// neural networks using adversarial training", 2020.
[[nodiscard]] double gini(std::span<const double> values);

/// -Σ q ln(q + 1e-12) with q = |values| / Σ |values|; at most ln n. NaN where all are zero.
/// Source: Bhatt et al., "Evaluating and aggregating feature-based model explanations", 2020.
[[nodiscard]] double complexity_entropy(std::span<const double> values);

/// How many |values| / max |values| exceed `eps`; 0 where all are zero.
/// Source: Nguyen and Martinez, "On quantitative aspects of model interpretability", 2020.
[[nodiscard]] int64_t effective_complexity(std::span<const double> values, double eps = 1e-5);

/// The smallest k such that the k largest |values| carry `mass` of their sum; 0 where all are zero.
[[nodiscard]] int64_t count_for_mass(std::span<const double> values, double mass = 0.9);

/// -Σ q ln q, 0 ln 0 = 0, with q as above; ln n where all are zero, as nothing is known then.
[[nodiscard]] double map_entropy(std::span<const double> values);

/// -Σ f ln f of the frequencies f in `bins` equal bins between the smallest and the largest value, the last
/// bin closed on both sides as in numpy; 0 where all are equal.
[[nodiscard]] double histogram_entropy(std::span<const double> values, int64_t bins = 100);

/// mean (a - b)². Throws Error when the lengths differ.
[[nodiscard]] double mean_squared_distance(std::span<const double> a, std::span<const double> b);

}  // namespace backlight
