// The equations of the removed pixels, each times the sum of its weights, are symmetric and positive
// definite:
//   (A u)_i = d_i u_i - Σ_{j removed} w_ij u_j = Σ_{j known} w_ij x_j,   d_i = Σ_{j in the picture} w_ij
// Planes of the picture's size with a border of zeros, 0 at known pixels, keep every loop over neighbours
// straight.
#include "explain/metrics/imputation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/clones.h"
#include "core/error.h"

namespace backlight {
namespace {

/// Rows and columns with the border around.
struct Plane {
    size_t rows, columns;
    [[nodiscard]] size_t size() const { return rows * columns; }
};

/// Σ_j w_ij p_j over the eight neighbours. The weights 1 2 1 / 2 . 2 / 1 2 1, over 12, are the product of (1
/// 2 1) down and across, less the centre.
BACKLIGHT_CLONES void neighbours(const Plane& plane, const double* p, double* across, double* sum) {
    const size_t n = plane.size(), step = plane.columns;
    BACKLIGHT_INDEPENDENT
    for (size_t i = 1; i + 1 < n; ++i) {
        across[i] = p[i - 1] + 2 * p[i] + p[i + 1];
    }
    BACKLIGHT_INDEPENDENT
    for (size_t i = step; i + step < n; ++i) {
        sum[i] = (across[i - step] + 2 * across[i] + across[i + step] - 4 * p[i]) * (1.0 / 12);
    }
}

/// Summed in eight lanes, so that it runs at the speed of the loads and in the same order on every machine.
BACKLIGHT_CLONES double dot(size_t n, const double* a, const double* b) {
    constexpr size_t kLanes = 8;
    std::array<double, kLanes> lanes{};
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        for (size_t l = 0; l < kLanes; ++l) {
            lanes[l] += a[i + l] * b[i + l];
        }
    }
    double total = 0;
    for (; i < n; ++i) {
        total += a[i] * b[i];
    }
    for (const double lane : lanes) {
        total += lane;
    }
    return total;
}

/// y = A p, from the sum over neighbours in y.
BACKLIGHT_CLONES void finish_product(size_t n, const double* d, const double* unknown, const double* p,
                                     double* y) {
    BACKLIGHT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        y[i] = unknown[i] * (d[i] * p[i] - y[i]);
    }
}

/// u += step p, r -= step y.
BACKLIGHT_CLONES void advance(size_t n, double step, const double* p, const double* y, double* u, double* r) {
    BACKLIGHT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        u[i] += step * p[i];
        r[i] -= step * y[i];
    }
}

/// p = r + keep p.
BACKLIGHT_CLONES void turn(size_t n, double keep, const double* r, double* p) {
    BACKLIGHT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        p[i] = r[i] + keep * p[i];
    }
}

class Solver {
public:
    Solver(const std::vector<uint8_t>& removed, const PixelGrid& grid)
        : grid_(grid),
          plane_{static_cast<size_t>(grid.height) + 2, static_cast<size_t>(grid.width) + 2},
          unknown_(plane_.size(), 0.0),
          weights_(plane_.size(), 0.0),
          across_(plane_.size(), 0.0) {
        std::vector<double> inside(plane_.size(), 0.0);
        for (size_t p = 0; p < removed.size(); ++p) {
            inside[place(p)] = 1;
            unknown_[place(p)] = removed[p] != 0 ? 1 : 0;
        }
        neighbours(plane_, inside.data(), across_.data(), weights_.data());
    }

    /// One channel by conjugate gradients; the root mean square of the residual ends below `tolerance`.
    void solve(std::span<double> picture, size_t channel, double tolerance) {
        const size_t n = plane_.size(), channels = static_cast<size_t>(grid_.channels);
        std::vector<double> u(n, 0.0), r(n, 0.0), image(n, 0.0);
        for (size_t p = 0; p < picture.size() / channels; ++p) {
            u[place(p)] = picture[p * channels + channel];
        }
        // With the known pixels in their places the residual is that of all equations at once.
        neighbours(plane_, u.data(), across_.data(), image.data());
        double unknowns = 0;
        for (size_t i = 0; i < n; ++i) {
            r[i] = unknown_[i] * (image[i] - weights_[i] * u[i]);
            unknowns += unknown_[i];
        }
        std::vector<double> direction = r;
        double norm = dot(n, r.data(), r.data());
        for (int64_t left = 10 * static_cast<int64_t>(unknowns);
             norm > unknowns * tolerance * tolerance && left > 0; --left) {
            neighbours(plane_, direction.data(), across_.data(), image.data());
            finish_product(n, weights_.data(), unknown_.data(), direction.data(), image.data());
            const double step = norm / dot(n, direction.data(), image.data());
            advance(n, step, direction.data(), image.data(), u.data(), r.data());
            const double next = dot(n, r.data(), r.data());
            turn(n, next / norm, r.data(), direction.data());
            norm = next;
        }
        for (size_t p = 0; p < picture.size() / channels; ++p) {
            picture[p * channels + channel] = u[place(p)];
        }
    }

private:
    /// Where pixel p lies in a plane.
    [[nodiscard]] size_t place(size_t p) const {
        const auto width = static_cast<size_t>(grid_.width);
        return (p / width + 1) * plane_.columns + p % width + 1;
    }

    PixelGrid grid_;
    Plane plane_;
    std::vector<double> unknown_, weights_;  // 1 at removed pixels; d
    std::vector<double> across_;             // of `neighbours`
};

}  // namespace

void impute_linear(std::span<double> picture, const std::vector<uint8_t>& removed, const PixelGrid& grid) {
    BACKLIGHT_CHECK(std::find(removed.begin(), removed.end(), 0) != removed.end(),
                    "imputation: every pixel is removed, nothing is left to fill in from");
    double largest = 0;
    for (const double v : picture) {
        largest = std::max(largest, std::abs(v));
    }
    constexpr double kResidual = 1e-8;
    Solver solver(removed, grid);
    for (size_t channel = 0; channel < static_cast<size_t>(grid.channels); ++channel) {
        solver.solve(picture, channel, kResidual * largest);
    }
}

}  // namespace backlight
