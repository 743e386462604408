#include "explain/concepts/eigen.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/clones.h"
#include "core/error.h"

namespace backlight {
namespace {

constexpr size_t kLanes = 8;  // partial sums: the same bits whatever the width of the vector unit

/// One row a of the lower triangle, whose elements 0..size-1 and diagonal a[size] belong to row number
/// `size`:
///   a -= u_i q + q_i u       the reflection that was found last
///   p += v_i a, and returns a·v: both triangles of the product with the next vector v
BACKLIGHT_CLONES double reflect_and_multiply(double* a, size_t size, const double* u, const double* q,
                                             double u_i, double q_i, const double* v, double v_i, double* p) {
    BACKLIGHT_INDEPENDENT
    for (size_t k = 0; k < size; ++k) {
        a[k] -= u_i * q[k] + q_i * u[k];
        p[k] += v_i * a[k];
    }
    std::array<double, kLanes> sums{};
    size_t k = 0;
    for (; k + kLanes <= size; k += kLanes) {
        for (size_t lane = 0; lane < kLanes; ++lane) {
            sums[lane] += a[k + lane] * v[k + lane];
        }
    }
    double sum = std::accumulate(sums.begin(), sums.end(), 0.0);
    for (; k < size; ++k) {
        sum += a[k] * v[k];
    }
    return sum;
}

/// A = Q T Q', Q = H_{n-1} ... H_1, H_i = I - u u' / h with u in row i of the matrix, elements 0..i-1.
struct Tridiagonal {
    std::vector<double> diagonal, below, h;
};

Tridiagonal reduce(std::vector<double>& matrix, size_t n) {
    Tridiagonal t{.diagonal = std::vector<double>(n),
                  .below = std::vector<double>(n > 0 ? n - 1 : 0),
                  .h = std::vector<double>(n, 0.0)};
    std::vector<double> u(n, 0.0), q(n, 0.0), v(n, 0.0), p(n, 0.0);
    for (size_t i = n; i-- > 0;) {
        double* row = matrix.data() + i * n;
        // The reflection (u, q) of the row below has not reached this row yet.
        for (size_t k = 0; k <= i; ++k) {
            row[k] -= u[i] * q[k] + q[i] * u[k];
        }
        t.diagonal[i] = row[i];
        if (i == 0) {
            break;
        }
        double rest = 0;  // what the reflection moves into element i-1
        for (size_t k = 0; k + 1 < i; ++k) {
            rest += row[k] * row[k];
        }
        double h = 0;
        if (rest > 0) {
            const double length = std::sqrt(rest + row[i - 1] * row[i - 1]);
            t.below[i - 1] = row[i - 1] > 0 ? -length : length;
            h = length * length - row[i - 1] * t.below[i - 1];
            row[i - 1] -= t.below[i - 1];
        } else {
            t.below[i - 1] = row[i - 1];
        }
        t.h[i] = h;
        std::fill(v.begin(), v.end(), 0.0);
        std::fill(p.begin(), p.end(), 0.0);
        if (h > 0) {
            std::copy(row, row + i, v.begin());
        }
        for (size_t j = 0; j < i; ++j) {
            double* a = matrix.data() + j * n;
            p[j] += reflect_and_multiply(a, j, u.data(), q.data(), u[j], q[j], v.data(), v[j], p.data());
            a[j] -= 2 * u[j] * q[j];
            p[j] += a[j] * v[j];
        }
        // A <- A - v q' - q v'  with  p = A v / h,  q = p - (v·p / 2h) v
        const double scale = h > 0 ? 1 / h : 0;
        const double along = std::inner_product(v.begin(), v.end(), p.begin(), 0.0) * scale * scale / 2;
        for (size_t k = 0; k < i; ++k) {
            q[k] = p[k] * scale - along * v[k];
        }
        std::fill(q.begin() + static_cast<int64_t>(i), q.end(), 0.0);
        std::swap(u, v);
    }
    return t;
}

/// Rotations of one QL sweep, of the planes (i, i+1) for i = last, last-1, ...
struct Sweep {
    size_t last;
    std::vector<std::array<double, 2>> cosine_sine;
};

/// The eigenvalues replace the diagonal; T = G_1 G_2 ... D (...)'.
std::vector<Sweep> diagonalise(std::vector<double>& d, std::vector<double> e) {
    const size_t n = d.size();
    e.push_back(0);
    double norm = 0;
    for (size_t i = 0; i < n; ++i) {
        BACKLIGHT_CHECK(std::isfinite(d[i]) && std::isfinite(e[i]), "eigenvalues: the matrix is not finite");
        norm = std::max(norm, std::abs(d[i]) + std::abs(e[i]));
    }
    const double negligible = std::numeric_limits<double>::epsilon() * norm;
    std::vector<Sweep> sweeps;
    for (size_t first = 0; first < n; ++first) {
        for (int tries = 0;; ++tries) {
            size_t last = first;
            while (last + 1 < n && std::abs(e[last]) > negligible) {
                ++last;
            }
            if (last == first) {
                break;
            }
            BACKLIGHT_CHECK(tries < 200, "eigenvalues: the iteration does not converge");
            double g = (d[first + 1] - d[first]) / (2 * e[first]);
            double r = std::hypot(g, 1.0);
            g = d[last] - d[first] + e[first] / (g + std::copysign(r, g));
            double s = 1, c = 1, p = 0;
            Sweep sweep{.last = last - 1, .cosine_sine = {}};
            bool broken = false;  // a rotation by zero splits the matrix
            for (size_t i = last; i-- > first;) {
                const double f = s * e[i], b = c * e[i];
                r = std::hypot(f, g);
                e[i + 1] = r;
                if (r == 0) {
                    d[i + 1] -= p;
                    e[last] = 0;
                    broken = true;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                sweep.cosine_sine.push_back({c, s});
            }
            if (!broken) {
                d[first] -= p;
                e[first] = g;
                e[last] = 0;
            }
            sweeps.push_back(std::move(sweep));
        }
    }
    return sweeps;
}

BACKLIGHT_CLONES void rotate(double* x, double* y, size_t size, double c, double s) {
    BACKLIGHT_INDEPENDENT
    for (size_t k = 0; k < size; ++k) {
        const double upper = x[k], lower = y[k];
        x[k] = c * upper + s * lower;
        y[k] = c * lower - s * upper;
    }
}

}  // namespace

Eigenpairs tridiagonal_eigenpairs(std::vector<double> diagonal, std::vector<double> below, int64_t count) {
    const size_t n = diagonal.size(), wanted = static_cast<size_t>(count);
    BACKLIGHT_CHECK(below.size() + 1 == n && count >= 1 && wanted <= n,
                    "eigenvalues: expected n diagonal elements, n - 1 below and 1 <= count <= n, got ", n,
                    ", ", below.size(), " and ", count);
    const std::vector<Sweep> sweeps = diagonalise(diagonal, std::move(below));
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return diagonal[a] < diagonal[b]; });
    Eigenpairs found{.values = {}, .vectors = std::vector<double>(n * wanted, 0.0)};
    for (size_t j = 0; j < wanted; ++j) {
        found.values.push_back(diagonal[order[j]]);
        found.vectors[order[j] * wanted + j] = 1;
    }
    for (auto sweep = sweeps.rbegin(); sweep != sweeps.rend(); ++sweep) {  // G_1 (G_2 (... e_j))
        const size_t rotations = sweep->cosine_sine.size();
        for (size_t k = rotations; k-- > 0;) {
            const auto [c, s] = sweep->cosine_sine[k];
            double* row = found.vectors.data() + (sweep->last - k) * wanted;
            rotate(row, row + wanted, wanted, c, s);
        }
    }
    return found;
}

Eigenpairs smallest_eigenpairs(std::vector<double> matrix, int64_t n, int64_t count) {
    BACKLIGHT_CHECK(n >= 1 && static_cast<int64_t>(matrix.size()) == n * n && count >= 1 && count <= n,
                    "eigenvalues: expected an n x n matrix and 1 <= count <= n, got ", matrix.size(),
                    " elements, n = ", n, ", count = ", count);
    const auto size = static_cast<size_t>(n), wanted = static_cast<size_t>(count);
    Tridiagonal t = reduce(matrix, size);
    Eigenpairs found = tridiagonal_eigenpairs(std::move(t.diagonal), std::move(t.below), count);
    std::vector<double> along(wanted);
    for (size_t i = 1; i < size; ++i) {  // x <- H_i x
        if (t.h[i] == 0) {
            continue;
        }
        const double* u = matrix.data() + i * size;
        std::fill(along.begin(), along.end(), 0.0);
        for (size_t k = 0; k < i; ++k) {
            for (size_t j = 0; j < wanted; ++j) {
                along[j] += u[k] * found.vectors[k * wanted + j];
            }
        }
        for (size_t k = 0; k < i; ++k) {
            const double factor = u[k] / t.h[i];
            for (size_t j = 0; j < wanted; ++j) {
                found.vectors[k * wanted + j] -= factor * along[j];
            }
        }
    }
    return found;
}

}  // namespace backlight
