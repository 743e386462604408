#include "explain/metrics/imputation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"

namespace backlight {
namespace {

struct Neighbour {
    int64_t row, column;
    double weight;
};
constexpr double kBeside = 1.0 / 6, kCorner = 1.0 / 12;
constexpr std::array<Neighbour, 8> kNeighbours{{{-1, -1, kCorner},
                                                {-1, 0, kBeside},
                                                {-1, 1, kCorner},
                                                {0, -1, kBeside},
                                                {0, 1, kBeside},
                                                {1, -1, kCorner},
                                                {1, 0, kBeside},
                                                {1, 1, kCorner}}};

/// The equations of the removed pixels, each times the sum of its weights: symmetric and positive definite.
///   A_ii = Σ_j w_ij,  A_ij = -w_ij for removed j;   b_i = Σ_j w_ij x_j over the known j
class System {
public:
    System(std::span<const double> picture, const std::vector<uint8_t>& removed, const PixelGrid& grid)
        : channels_(static_cast<size_t>(grid.channels)) {
        std::vector<int64_t> number(removed.size(), -1);
        for (size_t p = 0; p < removed.size(); ++p) {
            if (removed[p] != 0) {
                number[p] = static_cast<int64_t>(pixel.size());
                pixel.push_back(p);
            }
        }
        b.assign(pixel.size() * channels_, 0.0);
        for (size_t i = 0; i < pixel.size(); ++i) {
            first_.push_back(unknown_.size());
            double total = 0;
            const auto row = static_cast<int64_t>(pixel[i]) / grid.width;
            const auto column = static_cast<int64_t>(pixel[i]) % grid.width;
            for (const Neighbour& near : kNeighbours) {
                const int64_t r = row + near.row, c = column + near.column;
                if (r < 0 || r >= grid.height || c < 0 || c >= grid.width) {
                    continue;
                }
                total += near.weight;
                const auto at = static_cast<size_t>(r * grid.width + c);
                if (number[at] >= 0) {
                    unknown_.push_back({static_cast<size_t>(number[at]), near.weight});
                    continue;
                }
                for (size_t k = 0; k < channels_; ++k) {
                    b[i * channels_ + k] += near.weight * picture[at * channels_ + k];
                }
            }
            diagonal.push_back(total);
        }
        first_.push_back(unknown_.size());
    }

    [[nodiscard]] size_t channels() const { return channels_; }
    /// y = A u, channel by channel.
    void multiply(const std::vector<double>& u, std::vector<double>& y) const {
        for (size_t i = 0; i < pixel.size(); ++i) {
            for (size_t k = 0; k < channels_; ++k) {
                y[i * channels_ + k] = diagonal[i] * u[i * channels_ + k];
            }
            for (size_t e = first_[i]; e < first_[i + 1]; ++e) {
                for (size_t k = 0; k < channels_; ++k) {
                    y[i * channels_ + k] -= unknown_[e].weight * u[unknown_[e].number * channels_ + k];
                }
            }
        }
    }

    std::vector<size_t> pixel;     // of each unknown
    std::vector<double> diagonal;  // likewise
    std::vector<double> b;         // (unknowns, C)

private:
    struct Entry {
        size_t number;
        double weight;
    };
    size_t channels_;
    std::vector<Entry> unknown_;
    std::vector<size_t> first_;  // where the entries of each unknown begin
};

/// Conjugate gradients with the diagonal as preconditioner, on all channels at once.
void solve(const System& system, std::vector<double>& u, double tolerance) {
    const size_t channels = system.channels(), unknowns = system.pixel.size();
    std::vector<double> residual(u.size()), direction(u.size()), image(u.size());
    std::vector<double> rz(channels, 0.0);
    system.multiply(u, image);
    for (size_t i = 0; i < u.size(); ++i) {
        residual[i] = system.b[i] - image[i];
        direction[i] = residual[i] / system.diagonal[i / channels];
        rz[i % channels] += residual[i] * direction[i];
    }
    for (size_t iteration = 0; iteration < 10 * unknowns + 10; ++iteration) {
        double worst = 0;
        for (const double r : residual) {
            worst = std::max(worst, std::abs(r));
        }
        if (worst <= tolerance) {
            return;
        }
        system.multiply(direction, image);
        std::vector<double> step(channels, 0.0), next(channels, 0.0);
        for (size_t i = 0; i < u.size(); ++i) {
            step[i % channels] += direction[i] * image[i];
        }
        for (size_t k = 0; k < channels; ++k) {
            step[k] = step[k] > 0 ? rz[k] / step[k] : 0.0;
        }
        for (size_t i = 0; i < u.size(); ++i) {
            u[i] += step[i % channels] * direction[i];
            residual[i] -= step[i % channels] * image[i];
            next[i % channels] += residual[i] * residual[i] / system.diagonal[i / channels];
        }
        for (size_t i = 0; i < u.size(); ++i) {
            const size_t k = i % channels;
            const double keep = rz[k] > 0 ? next[k] / rz[k] : 0.0;
            direction[i] = residual[i] / system.diagonal[i / channels] + keep * direction[i];
        }
        rz = next;
    }
}

}  // namespace

void impute_linear(std::span<double> picture, const std::vector<uint8_t>& removed, const PixelGrid& grid) {
    BACKLIGHT_CHECK(std::find(removed.begin(), removed.end(), 0) != removed.end(),
                    "imputation: every pixel is removed, nothing is left to fill in from");
    const System system(picture, removed, grid);
    std::vector<double> u;
    double largest = 0;
    for (const size_t p : system.pixel) {
        for (size_t k = 0; k < system.channels(); ++k) {
            u.push_back(picture[p * system.channels() + k]);
        }
    }
    for (const double v : picture) {
        largest = std::max(largest, std::abs(v));
    }
    solve(system, u, 1e-9 * std::max(largest, 1e-300));
    for (size_t i = 0; i < u.size(); ++i) {
        picture[system.pixel[i / system.channels()] * system.channels() + i % system.channels()] = u[i];
    }
}

}  // namespace backlight
