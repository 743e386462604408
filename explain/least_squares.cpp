#include "explain/least_squares.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace backlight {
namespace {

/// Solves m b = v for a symmetric positive definite m (n x n) by Cholesky: m = l lᵀ, the lower half
/// overwritten.
std::vector<double> solve_positive(std::vector<double> m, std::vector<double> v, const std::string& who) {
    const size_t n = v.size();
    const auto at = [&](size_t i, size_t j) -> double& { return m[i * n + j]; };
    double largest = 0;
    for (size_t i = 0; i < n; ++i) {
        largest = std::max(largest, at(i, i));
    }
    for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j <= i; ++j) {
            double rest = at(i, j);
            for (size_t k = 0; k < j; ++k) {
                rest -= at(i, k) * at(j, k);
            }
            if (i != j) {
                at(i, j) = rest / at(j, j);
                continue;
            }
            BACKLIGHT_CHECK(rest > 1e-12 * largest, who,
                            ": the samples do not determine the coefficients; draw more (n)");
            at(i, i) = std::sqrt(rest);
        }
    }
    for (size_t i = 0; i < n; ++i) {
        for (size_t k = 0; k < i; ++k) {
            v[i] -= at(i, k) * v[k];
        }
        v[i] /= at(i, i);
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; ++k) {
            v[i] -= at(k, i) * v[k];
        }
        v[i] /= at(i, i);
    }
    return v;
}

}  // namespace

std::vector<double> least_squares(const Regression& rows, double lambda, const std::string& who) {
    const size_t n = rows.columns;
    std::vector<double> products(n * n, 0.0), right(n, 0.0);
    for (size_t r = 0; r < rows.y.size(); ++r) {
        const double* a = &rows.a[r * n];
        for (size_t i = 0; i < n; ++i) {
            const double scaled = rows.weight[r] * a[i];
            if (scaled == 0) {
                continue;
            }
            right[i] += scaled * rows.y[r];
            for (size_t j = 0; j <= i; ++j) {
                products[i * n + j] += scaled * a[j];
            }
        }
    }
    for (size_t i = 0; i < n; ++i) {
        products[i * n + i] += lambda;
    }
    return solve_positive(std::move(products), std::move(right), who);
}

LinearFit fit_linear(Regression rows, double lambda, const std::string& who) {
    const size_t n = rows.columns;
    double total = 0, mean_y = 0;
    std::vector<double> mean_a(n, 0.0);
    for (size_t r = 0; r < rows.y.size(); ++r) {
        total += rows.weight[r];
        mean_y += rows.weight[r] * rows.y[r];
        for (size_t i = 0; i < n; ++i) {
            mean_a[i] += rows.weight[r] * rows.a[r * n + i];
        }
    }
    mean_y /= total;
    for (double& mean : mean_a) {
        mean /= total;
    }
    // Around its means the model has no intercept.
    for (size_t r = 0; r < rows.y.size(); ++r) {
        rows.y[r] -= mean_y;
        for (size_t i = 0; i < n; ++i) {
            rows.a[r * n + i] -= mean_a[i];
        }
    }
    LinearFit fit{.coefficients = least_squares(rows, lambda, who), .intercept = mean_y};
    for (size_t i = 0; i < n; ++i) {
        fit.intercept -= mean_a[i] * fit.coefficients[i];
    }
    double left = 0, spread = 0;
    for (size_t r = 0; r < rows.y.size(); ++r) {
        double error = rows.y[r];
        for (size_t i = 0; i < n; ++i) {
            error -= rows.a[r * n + i] * fit.coefficients[i];
        }
        left += rows.weight[r] * error * error;
        spread += rows.weight[r] * rows.y[r] * rows.y[r];
    }
    fit.r_squared = spread > 0 ? 1 - left / spread : 1;
    return fit;
}

}  // namespace backlight
