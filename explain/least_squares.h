// Weighted least squares by the normal equations, in f64: the surrogate models of LIME and KernelSHAP.
#pragma once

#include <string>
#include <vector>

namespace backlight {

/// Rows of a linear model: y_i is predicted from a_i, with weight w_i.
struct Regression {
    size_t columns = 0;
    std::vector<double> a;  // row-major
    std::vector<double> y, weight;
};

/// argmin_b Σ_i w_i (y_i - a_i b)² + lambda |b|². Throws Error beginning with `who` when the rows do not
/// determine b (only with lambda = 0).
[[nodiscard]] std::vector<double> least_squares(const Regression& rows, double lambda,
                                                const std::string& who);

struct LinearFit {
    std::vector<double> coefficients;
    double intercept = 0;
    /// 1 - Σ w (y - fit)² / Σ w (y - mean)²; 1 when y is constant and fitted as such.
    double r_squared = 0;
};
/// The same with an intercept, which is not penalised.
[[nodiscard]] LinearFit fit_linear(Regression rows, double lambda, const std::string& who);

}  // namespace backlight
