#include "explain/metrics/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double mean_of(std::span<const double> values) {
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Sums over every rectangle of a picture from four table entries.
class SummedArea {
public:
    template <typename Value>
    SummedArea(int64_t height, int64_t width, const Value& value) : width_(width + 1) {
        sums_.assign(static_cast<size_t>((height + 1) * width_), 0.0);
        for (int64_t i = 0; i < height; ++i) {
            double row = 0;
            for (int64_t j = 0; j < width; ++j) {
                row += value(static_cast<size_t>(i * width + j));
                sums_[at(i + 1, j + 1)] = sums_[at(i, j + 1)] + row;
            }
        }
    }
    /// Of the `side` x `side` window whose first pixel is (i, j).
    [[nodiscard]] double window(int64_t i, int64_t j, int64_t side) const {
        return sums_[at(i + side, j + side)] - sums_[at(i, j + side)] - sums_[at(i + side, j)] +
               sums_[at(i, j)];
    }

private:
    [[nodiscard]] size_t at(int64_t i, int64_t j) const { return static_cast<size_t>(i * width_ + j); }
    int64_t width_;
    std::vector<double> sums_;
};

/// Linear between order statistics, as numpy's default.
double quantile(const std::vector<double>& sorted, double q) {
    const double place = q * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, sorted.size() - 1);
    return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

double pearson(std::span<const double> a, std::span<const double> b) {
    BACKLIGHT_CHECK(a.size() == b.size(), "correlation: expected as many values on both sides, got ",
                    a.size(), " and ", b.size());
    if (a.size() < 2) {
        return kNan;
    }
    const double mean_a = mean_of(a), mean_b = mean_of(b);
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        const double da = a[i] - mean_a, db = b[i] - mean_b;
        ab += da * db;
        aa += da * da;
        bb += db * db;
    }
    const auto [low_a, high_a] = std::minmax_element(a.begin(), a.end());
    const auto [low_b, high_b] = std::minmax_element(b.begin(), b.end());
    // Of a constant the deviations from its rounded mean may be tiny instead of 0.
    const bool constant = *low_a == *high_a || *low_b == *high_b;
    return constant || aa == 0 || bb == 0 ? kNan : std::clamp(ab / std::sqrt(aa) / std::sqrt(bb), -1.0, 1.0);
}

std::vector<double> mean_ranks(std::span<const double> values) {
    std::vector<std::pair<double, size_t>> sorted;
    sorted.reserve(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
        sorted.emplace_back(values[i], i);
    }
    std::sort(sorted.begin(), sorted.end());
    std::vector<double> ranks(values.size());
    for (size_t first = 0; first < sorted.size();) {
        size_t end = first + 1;
        while (end < sorted.size() && sorted[end].first == sorted[first].first) {
            ++end;
        }
        for (size_t i = first; i < end; ++i) {
            ranks[sorted[i].second] = static_cast<double>(first + end - 1) / 2;
        }
        first = end;
    }
    return ranks;
}

double spearman(std::span<const double> a, std::span<const double> b) {
    return pearson(mean_ranks(a), mean_ranks(b));
}

double ssim(std::span<const double> a, std::span<const double> b, int64_t height, int64_t width,
            int64_t window, double range) {
    int64_t side = std::min({window, height, width});
    side -= side % 2 == 0 ? 1 : 0;
    if (side < 3) {
        return kNan;
    }
    const SummedArea sum_a(height, width, [&](size_t i) { return a[i]; });
    const SummedArea sum_b(height, width, [&](size_t i) { return b[i]; });
    const SummedArea sum_aa(height, width, [&](size_t i) { return a[i] * a[i]; });
    const SummedArea sum_bb(height, width, [&](size_t i) { return b[i] * b[i]; });
    const SummedArea sum_ab(height, width, [&](size_t i) { return a[i] * b[i]; });
    const auto n = static_cast<double>(side * side);
    const double c1 = std::pow(0.01 * range, 2), c2 = std::pow(0.03 * range, 2);
    double total = 0;
    for (int64_t i = 0; i + side <= height; ++i) {
        for (int64_t j = 0; j + side <= width; ++j) {
            const double ma = sum_a.window(i, j, side) / n, mb = sum_b.window(i, j, side) / n;
            const double va = (sum_aa.window(i, j, side) - n * ma * ma) / (n - 1);
            const double vb = (sum_bb.window(i, j, side) - n * mb * mb) / (n - 1);
            const double cov = (sum_ab.window(i, j, side) - n * ma * mb) / (n - 1);
            total += (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
        }
    }
    return total / static_cast<double>((height - side + 1) * (width - side + 1));
}

std::vector<double> absolute(std::span<const double> values) {
    std::vector<double> result;
    result.reserve(values.size());
    for (const double v : values) {
        result.push_back(std::abs(v));
    }
    return result;
}

std::vector<double> over_max_abs(std::span<const double> values) {
    double largest = 0;
    for (const double v : values) {
        largest = std::max(largest, std::abs(v));
    }
    std::vector<double> result(values.begin(), values.end());
    for (double& v : result) {
        v = largest > 0 ? v / largest : v;
    }
    return result;
}

double area(std::span<const double> curve) {
    if (curve.size() == 1) {
        return curve[0];
    }
    const double sum = std::accumulate(curve.begin(), curve.end(), 0.0);
    return (sum - (curve.front() + curve.back()) / 2) / static_cast<double>(curve.size() - 1);
}

Summary summarize(std::span<const double> values) {
    std::vector<double> known;
    for (const double v : values) {
        if (!std::isnan(v)) {
            known.push_back(v);
        }
    }
    Summary summary{.valid = static_cast<int64_t>(known.size()),
                    .skipped = static_cast<int64_t>(values.size() - known.size())};
    if (known.empty()) {
        summary.mean = summary.std = summary.median = kNan;
        return summary;
    }
    summary.mean = mean_of(known);
    double square = 0;
    for (const double v : known) {
        square += (v - summary.mean) * (v - summary.mean);
    }
    summary.std = known.size() > 1 ? std::sqrt(square / static_cast<double>(known.size() - 1)) : 0.0;
    std::sort(known.begin(), known.end());
    summary.median = quantile(known, 0.5);
    return summary;
}

PairedDifference paired_difference(std::span<const double> a, std::span<const double> b, uint64_t seed,
                                   int64_t resamples) {
    BACKLIGHT_CHECK(a.size() == b.size(), "paired difference: expected the same samples on both sides, got ",
                    a.size(), " and ", b.size());
    std::vector<double> differences;
    for (size_t i = 0; i < a.size(); ++i) {
        if (!std::isnan(a[i]) && !std::isnan(b[i])) {
            differences.push_back(a[i] - b[i]);
        }
    }
    const auto n = static_cast<int64_t>(differences.size());
    if (n == 0) {
        return {.difference = kNan, .low = kNan, .high = kNan};
    }
    RandomStream random({.seed = seed, .purpose = purpose::kMetric});
    std::vector<double> means;
    for (int64_t k = 0; k < resamples; ++k) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) {
            sum += differences[static_cast<size_t>(random.below(n))];
        }
        means.push_back(sum / static_cast<double>(n));
    }
    std::sort(means.begin(), means.end());
    return {.difference = mean_of(differences),
            .low = quantile(means, 0.025),
            .high = quantile(means, 0.975),
            .pairs = n};
}

}  // namespace backlight
