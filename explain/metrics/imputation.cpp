// The equations of the removed pixels, each times the sum of its weights, are symmetric and positive
// definite:
//   (A u)_i = d_i u_i - Σ_{j removed} w_ij u_j = Σ_{j known} w_ij x_j,   d_i = Σ_{j in the picture} w_ij
// Conjugate gradients solve them, preconditioned by a V-cycle of multigrid: in large holes plain ones take
// hundreds of steps, these about fifteen. A point of a coarser grid stands at every second one of the finer
// and counts where all its neighbours there are unknown. Then its bilinear hat lies inside the hole, and the
// Galerkin product of the equations has the same weights everywhere: a coarser grid is the same problem with
// other weights. At the picture's border this is an approximation, which a preconditioner may be.
#include "explain/metrics/imputation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/clones.h"
#include "core/error.h"

namespace backlight {
namespace {

/// Rows and columns with a border of zeros around, which keeps every loop over neighbours straight.
struct Plane {
    size_t height, width;  // without the border
    [[nodiscard]] size_t columns() const { return width + 2; }
    [[nodiscard]] size_t size() const { return (height + 2) * columns(); }
    [[nodiscard]] size_t at(size_t row, size_t column) const { return (row + 1) * columns() + column + 1; }
};

/// w_ij of the neighbours beside and across a corner.
struct Weights {
    double beside, across;
};

/// y = A p at the unknowns; `p` may hold known values, whose share of the right side is then in it.
BACKLIGHT_CLONES void product(const Plane& plane, const Weights& w, const double* d, const double* unknown,
                              const double* p, double* y) {
    const size_t step = plane.columns(), n = plane.size();
    BACKLIGHT_INDEPENDENT
    for (size_t i = step + 1; i + step + 1 < n; ++i) {
        const double sum = w.beside * (p[i - step] + p[i - 1] + p[i + 1] + p[i + step]) +
                           w.across * (p[i - step - 1] + p[i - step + 1] + p[i + step - 1] + p[i + step + 1]);
        y[i] = unknown[i] * (d[i] * p[i] - sum);
    }
}

/// r = b - A u at the unknowns. The preconditioner is in float: it need not be exact, and half the bytes
/// move.
BACKLIGHT_CLONES void residual(const Plane& plane, const Weights& weights, const float* d,
                               const float* unknown, const float* b, const float* u, float* r) {
    const size_t step = plane.columns(), n = plane.size();
    const auto beside = static_cast<float>(weights.beside), across = static_cast<float>(weights.across);
    BACKLIGHT_INDEPENDENT
    for (size_t i = step + 1; i + step + 1 < n; ++i) {
        const float sum = beside * (u[i - step] + u[i - 1] + u[i + 1] + u[i + step]) +
                          across * (u[i - step - 1] + u[i - step + 1] + u[i + step - 1] + u[i + step + 1]);
        r[i] = unknown[i] * (b[i] - d[i] * u[i] + sum);
    }
}

/// u = s b, the first step of the damped Jacobi iteration from zero.
BACKLIGHT_CLONES void start(size_t n, const float* s, const float* b, float* u) {
    BACKLIGHT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        u[i] = s[i] * b[i];
    }
}

/// u += s r, a further one.
BACKLIGHT_CLONES void smooth(size_t n, const float* s, const float* r, float* u) {
    BACKLIGHT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        u[i] += s[i] * r[i];
    }
}

/// Summed in eight lanes, so that it runs at the speed of the loads and in the same order on every machine.
template <typename T>
[[gnu::always_inline]] inline double dot_in_lanes(size_t n, const double* a, const T* b) {
    constexpr size_t kLanes = 8;
    std::array<double, kLanes> lanes{};
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        for (size_t l = 0; l < kLanes; ++l) {
            lanes[l] += a[i + l] * static_cast<double>(b[i + l]);
        }
    }
    double total = 0;
    for (; i < n; ++i) {
        total += a[i] * static_cast<double>(b[i]);
    }
    for (const double lane : lanes) {
        total += lane;
    }
    return total;
}
BACKLIGHT_CLONES double dot(size_t n, const double* a, const double* b) { return dot_in_lanes(n, a, b); }
BACKLIGHT_CLONES double dot(size_t n, const double* a, const float* b) { return dot_in_lanes(n, a, b); }

/// u += step p, r -= step y, and r once more in float.
BACKLIGHT_CLONES void advance(size_t n, double step, const double* p, const double* y, double* u, double* r,
                              float* rounded) {
    BACKLIGHT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        u[i] += step * p[i];
        r[i] -= step * y[i];
        rounded[i] = static_cast<float>(r[i]);
    }
}

/// p = z + keep p.
BACKLIGHT_CLONES void turn(size_t n, double keep, const float* z, double* p) {
    BACKLIGHT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        p[i] = static_cast<double>(z[i]) + keep * p[i];
    }
}

/// One grid of the hierarchy.
struct Level {
    Plane plane;
    Weights weights;
    std::vector<float> unknown;  // 1 at unknowns
    std::vector<float> d;
    std::vector<float> damped;   // damping / d at unknowns
    std::vector<float> b, u, r;  // right side, solution, what is left of the right side

    Level(const Plane& shape, const Weights& stencil) : plane(shape), weights(stencil) {
        for (std::vector<float>* values : {&unknown, &d, &damped, &b, &u, &r}) {
            values->assign(plane.size(), 0.0f);
        }
    }

    /// Once `unknown` is known.
    void finish(double damping) {
        for (size_t h = 0; h < plane.height; ++h) {
            for (size_t w = 0; w < plane.width; ++w) {
                const size_t rows = static_cast<size_t>(h > 0) + static_cast<size_t>(h + 1 < plane.height);
                const size_t columns = static_cast<size_t>(w > 0) + static_cast<size_t>(w + 1 < plane.width);
                const double sum = weights.beside * static_cast<double>(rows + columns) +
                                   weights.across * static_cast<double>(rows * columns);
                const size_t i = plane.at(h, w);
                d[i] = static_cast<float>(sum);
                damped[i] = sum > 0 ? static_cast<float>(damping / sum) * unknown[i] : 0.0f;
            }
        }
    }
};

/// Weight of the finer point behind coarse point `i`: half of it is the next coarse point's, if there is one.
float behind(size_t i, size_t coarse, size_t fine) { return i + 1 == coarse && fine % 2 == 0 ? 1.0f : 0.5f; }

/// The coarse right side: what is left of the fine one, weighted by the hats.
void restrict_residual(const Level& fine, Level& coarse) {
    const Plane &f = fine.plane, &c = coarse.plane;
    std::vector<float> row(f.columns());
    for (size_t h = 0; h < c.height; ++h) {
        const float below = behind(h, c.height, f.height);
        const float* middle = fine.r.data() + f.at(2 * h, 0) - 1;
        for (size_t w = 0; w < row.size(); ++w) {
            row[w] = middle[w] + 0.5f * middle[w - f.columns()] + below * middle[w + f.columns()];
        }
        float* b = coarse.b.data() + c.at(h, 0);
        const float* unknown = coarse.unknown.data() + c.at(h, 0);
        for (size_t w = 0; w < c.width; ++w) {
            const float right = behind(w, c.width, f.width);
            b[w] = unknown[w] * (row[2 * w + 1] + 0.5f * row[2 * w] + right * row[2 * w + 2]);
        }
    }
}

/// u[2w] += row[w], u[2w+1] += the mean of row[w] and row[w+1].
BACKLIGHT_CLONES void add_between(size_t pairs, const float* row, float* u) {
    BACKLIGHT_INDEPENDENT
    for (size_t w = 0; w < pairs; ++w) {
        u[2 * w] += row[w];
        u[2 * w + 1] += 0.5f * (row[w] + row[w + 1]);
    }
}

/// Adds the coarse solution, bilinear in between.
void interpolate(const Level& coarse, Level& fine) {
    const Plane &f = fine.plane, &c = coarse.plane;
    std::vector<float> row(c.columns());
    for (size_t h = 0; h < f.height; ++h) {
        const float* upper = coarse.u.data() + c.at(h / 2, 0);
        const float share = h % 2 == 0 ? 1.0f : behind(h / 2, c.height, f.height);
        for (size_t w = 0; w < c.width; ++w) {
            row[w] = share * upper[w] + (1 - share) * upper[w + c.columns()];
        }
        row[c.width] = row[c.width - 1];
        float* u = fine.u.data() + f.at(h, 0);
        add_between(f.width / 2, row.data(), u);
        if (f.width % 2 != 0) {
            u[f.width - 1] += row[c.width - 1];
        }
    }
}

/// H' A H of the hats H, one point every second one.
Weights coarser(const Weights& fine) {
    const std::array<double, 3> hat{0.5, 1, 0.5};
    std::array<double, 5> overlap{};  // of two hats, by how far apart they are, from -2
    for (size_t i = 0; i < 3; ++i) {
        for (size_t j = 0; j < 3; ++j) {
            overlap[i + j] += hat[i] * hat[j];
        }
    }
    const auto between = [&](int down, int right) {  // coarse points this far apart
        double sum = 0;
        for (int y = -1; y <= 1; ++y) {
            for (int x = -1; x <= 1; ++x) {
                const double a = y == 0 && x == 0   ? 4 * (fine.beside + fine.across)
                                 : y == 0 || x == 0 ? -fine.beside
                                                    : -fine.across;
                const int rows = 2 * down - y, columns = 2 * right - x;
                sum += std::abs(rows) <= 2 && std::abs(columns) <= 2
                           ? a * overlap[static_cast<size_t>(rows + 2)] *
                                 overlap[static_cast<size_t>(columns + 2)]
                           : 0.0;
            }
        }
        return sum;
    };
    return {-between(0, 1), -between(1, 1)};
}

/// The grid of half as many rows and columns; its unknowns are those whose neighbours in `fine` all are.
Level coarser(const Level& fine) {
    const Plane& f = fine.plane;
    Level coarse({(f.height + 1) / 2, (f.width + 1) / 2}, coarser(fine.weights));
    for (size_t h = 0; h < coarse.plane.height; ++h) {
        for (size_t w = 0; w < coarse.plane.width; ++w) {
            bool all = true;
            for (size_t y = h > 0 ? 2 * h - 1 : 0; y <= std::min(2 * h + 1, f.height - 1); ++y) {
                for (size_t x = w > 0 ? 2 * w - 1 : 0; x <= std::min(2 * w + 1, f.width - 1); ++x) {
                    all = all && fine.unknown[f.at(y, x)] != 0;
                }
            }
            coarse.unknown[coarse.plane.at(h, w)] = all ? 1.0f : 0.0f;
        }
    }
    return coarse;
}

class Solver {
public:
    Solver(const std::vector<uint8_t>& removed, const PixelGrid& grid)
        : channels_(static_cast<size_t>(grid.channels)) {
        levels_.emplace_back(Plane{static_cast<size_t>(grid.height), static_cast<size_t>(grid.width)},
                             Weights{1.0 / 6, 1.0 / 12});
        for (size_t p = 0; p < removed.size(); ++p) {
            levels_[0].unknown[place(p)] = removed[p] != 0 ? 1.0f : 0.0f;
        }
        // Of the half of the frequencies that a coarser grid cannot see, one step leaves a third: the
        // spectrum of A / d is [2/3, 4/3] there, on all coarser grids [0.73, 1.45].
        levels_[0].finish(1.0);
        for (Level next = coarser(levels_[0]);
             std::find(next.unknown.begin(), next.unknown.end(), 1.0f) != next.unknown.end();
             next = coarser(levels_.back())) {
            next.finish(0.917);
            levels_.push_back(std::move(next));
        }
        unknown_.assign(levels_[0].unknown.begin(), levels_[0].unknown.end());
        std::vector<double> inside(unknown_.size(), 0.0), none(unknown_.size(), 0.0),
            all(unknown_.size(), 1.0);
        for (size_t p = 0; p < removed.size(); ++p) {
            inside[place(p)] = 1;
        }
        d_.assign(unknown_.size(), 0.0);
        product(levels_[0].plane, levels_[0].weights, none.data(), all.data(), inside.data(), d_.data());
        for (double& value : d_) {
            value = -value;
        }
    }

    /// One channel; the root mean square of the residual ends below `tolerance`.
    void solve(std::span<double> picture, size_t channel, double tolerance) {
        Level& finest = levels_[0];
        const size_t n = finest.plane.size();
        std::vector<double> u(n, 0.0), r(n, 0.0), direction(n, 0.0), image(n, 0.0);
        for (size_t p = 0; p < picture.size() / channels_; ++p) {
            u[place(p)] = picture[p * channels_ + channel];
        }
        const auto multiply = [&](const std::vector<double>& by, std::vector<double>& result) {
            product(finest.plane, finest.weights, d_.data(), unknown_.data(), by.data(), result.data());
        };
        // With the known pixels in their places the residual is that of all equations at once.
        multiply(u, image);
        advance(n, 1, direction.data(), image.data(), u.data(), r.data(), finest.b.data());
        const double unknowns = dot(n, unknown_.data(), unknown_.data());
        double before = 0;
        for (int64_t left = 10 * static_cast<int64_t>(unknowns);
             dot(n, r.data(), r.data()) > unknowns * tolerance * tolerance && left > 0; --left) {
            cycle(0);
            const double now = dot(n, r.data(), finest.u.data());
            turn(n, before > 0 ? now / before : 0.0, finest.u.data(), direction.data());
            before = now;
            multiply(direction, image);
            const double step = now / dot(n, direction.data(), image.data());
            advance(n, step, direction.data(), image.data(), u.data(), r.data(), finest.b.data());
        }
        for (size_t p = 0; p < picture.size() / channels_; ++p) {
            picture[p * channels_ + channel] = u[place(p)];
        }
    }

private:
    /// u of the level, about A^-1 b: symmetric in b, as conjugate gradients need.
    void cycle(size_t number) {
        Level& level = levels_[number];
        const auto leave = [&] {
            residual(level.plane, level.weights, level.d.data(), level.unknown.data(), level.b.data(),
                     level.u.data(), level.r.data());
        };
        start(level.plane.size(), level.damped.data(), level.b.data(), level.u.data());
        if (number + 1 < levels_.size()) {
            leave();
            restrict_residual(level, levels_[number + 1]);
            cycle(number + 1);
            interpolate(levels_[number + 1], level);
        }
        leave();
        smooth(level.plane.size(), level.damped.data(), level.r.data(), level.u.data());
    }

    /// Where pixel p lies in the finest plane.
    [[nodiscard]] size_t place(size_t p) const {
        const Plane& plane = levels_[0].plane;
        return plane.at(p / plane.width, p % plane.width);
    }

    size_t channels_;
    std::vector<Level> levels_;  // the finest first
    std::vector<double> unknown_, d_;
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
