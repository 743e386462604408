#include "train/average_precision.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace backlight {
namespace {

struct Point {
    int64_t found, taken;  // positives among the samples down to some score, and those samples
};

/// One point for each different score, from the largest on.
std::vector<Point> curve(std::span<const double> scores, std::span<const double> targets,
                         std::span<const double> weights) {
    std::vector<size_t> order;
    for (size_t i = 0; i < scores.size(); ++i) {
        if (weights.empty() || weights[i] != 0) {
            BACKLIGHT_CHECK(std::isfinite(scores[i]), "average_precision: expected finite scores, got ",
                            scores[i]);
            order.push_back(i);
        }
    }
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    std::vector<Point> points;
    Point now{};
    for (size_t i = 0; i < order.size(); ++i) {
        ++now.taken;
        now.found += targets[order[i]] > 0.5 ? 1 : 0;
        if (i + 1 == order.size() || scores[order[i + 1]] != scores[order[i]]) {
            points.push_back(now);
        }
    }
    return points;
}

double eleven_points(const std::vector<Point>& points, const std::vector<double>& precision) {
    const int64_t positives = points.back().found;
    double total = 0;
    for (int64_t tenth = 0; tenth <= 10; ++tenth) {
        // In whole numbers: found / positives >= tenth / 10.
        const auto first = std::find_if(points.begin(), points.end(),
                                        [&](const Point& p) { return 10 * p.found >= tenth * positives; });
        total += precision[static_cast<size_t>(first - points.begin())];
    }
    return total / 11;
}

}  // namespace

double average_precision(std::span<const double> scores, std::span<const double> targets,
                         std::span<const double> weights, AveragePrecision kind) {
    BACKLIGHT_CHECK(scores.size() == targets.size() && (weights.empty() || weights.size() == scores.size()),
                    "average_precision: expected as many targets and weights as scores, got ", targets.size(),
                    ", ", weights.size(), " and ", scores.size());
    const std::vector<Point> points = curve(scores, targets, weights);
    if (points.empty() || points.back().found == 0) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    std::vector<double> precision;
    for (const Point& point : points) {
        precision.push_back(static_cast<double>(point.found) / static_cast<double>(point.taken));
    }
    if (kind != AveragePrecision::steps) {  // the best precision at this recall or a higher one
        for (size_t i = precision.size() - 1; i > 0; --i) {
            precision[i - 1] = std::max(precision[i - 1], precision[i]);
        }
    }
    if (kind == AveragePrecision::voc_11_points) {
        return eleven_points(points, precision);
    }
    double area = 0;
    int64_t found = 0;
    for (size_t i = 0; i < points.size(); ++i) {
        area += static_cast<double>(points[i].found - found) * precision[i];
        found = points[i].found;
    }
    return area / static_cast<double>(found);
}

std::vector<double> class_average_precision(const Tensor& scores, const Tensor& targets,
                                            const Tensor& weights, AveragePrecision kind) {
    BACKLIGHT_CHECK(scores.rank() == 2 && scores.shape() == targets.shape() &&
                        (!weights.defined() || weights.shape() == scores.shape()),
                    "average_precision: expected scores, targets and weights (N,K), got ", scores.shape(),
                    " and ", targets.shape());
    const auto rows = static_cast<size_t>(scores.dim(0)), classes = static_cast<size_t>(scores.dim(1));
    const auto column = [&](const Tensor& table, size_t k) {
        const auto all = table.defined() ? table.to(DType::f64).to_vector<double>() : std::vector<double>();
        std::vector<double> values;
        for (size_t i = 0; !all.empty() && i < rows; ++i) {
            values.push_back(all[i * classes + k]);
        }
        return values;
    };
    std::vector<double> precisions;
    for (size_t k = 0; k < classes; ++k) {
        precisions.push_back(
            average_precision(column(scores, k), column(targets, k), column(weights, k), kind));
    }
    return precisions;
}

double mean_average_precision(std::span<const double> of_classes) {
    double total = 0, count = 0;
    for (const double value : of_classes) {
        if (!std::isnan(value)) {
            total += value;
            count += 1;
        }
    }
    return count > 0 ? total / count : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace backlight
