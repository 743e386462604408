// The smallest value of a smooth convex function of many numbers.
#pragma once

#include <functional>
#include <span>
#include <vector>

namespace backlight {

/// Returns f(x) and writes its gradient.
using SmoothFunction = std::function<double(std::span<const double> x, std::span<double> gradient)>;

/// L-BFGS with ten pairs and backtracking, until no element of the gradient exceeds `tolerance`, nothing gets
/// smaller, or after `steps`. Source: Nocedal and Wright, "Numerical optimization", 2006, algorithms 7.4
/// and 3.1.
[[nodiscard]] std::vector<double> minimise(const SmoothFunction& f, std::vector<double> start,
                                           double tolerance = 1e-8, int steps = 2000);

}  // namespace backlight
