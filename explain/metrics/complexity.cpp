#include "explain/metrics/complexity.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/statistics.h"

namespace backlight {
namespace {

double sum_of(const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
}

/// f of the unit's map, or of its relevance with all channels.
using MapFunction = std::function<double(std::span<const double> values)>;
UnitFunction on_map(const Options& options, const MapFunction& f) {
    const bool all = options.choose("channels", "reduced", {"reduced", "all"}) == "all";
    return [all, f](const ExplainedBatch& explained, size_t unit) {
        return all ? f(explained.relevance_of(unit)) : f(explained.maps[unit]);
    };
}

std::string channels_tag(const Options& options) {
    return options.get("channels", "reduced") == "all" ? "channels=all" : "";
}

}  // namespace

double gini(std::span<const double> values) {
    std::vector<double> a = over_max_abs(absolute(values));
    for (double& v : a) {
        v += 1e-7;
    }
    std::sort(a.begin(), a.end());
    const auto n = static_cast<double>(a.size());
    double weighted = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        weighted += (2 * static_cast<double>(i + 1) - n - 1) * a[i];
    }
    return weighted / (n * sum_of(a));
}

double complexity_entropy(std::span<const double> values) {
    const std::vector<double> a = absolute(values);
    const double total = sum_of(a);
    if (total == 0) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    double entropy = 0;
    for (const double v : a) {
        entropy -= v / total * std::log(v / total + 1e-12);
    }
    return entropy;
}

int64_t effective_complexity(std::span<const double> values, double eps) {
    const std::vector<double> a = over_max_abs(absolute(values));
    return std::count_if(a.begin(), a.end(), [eps](double v) { return v > eps; });
}

int64_t count_for_mass(std::span<const double> values, double mass) {
    std::vector<double> a = absolute(values);
    std::sort(a.begin(), a.end(), std::greater<>());
    constexpr double kRounding = 1e-12;  // of a sum
    const double enough = (mass - kRounding) * sum_of(a);
    double carried = 0;
    int64_t count = 0;
    while (carried < enough && count < static_cast<int64_t>(a.size())) {
        carried += a[static_cast<size_t>(count++)];
    }
    return count;
}

double map_entropy(std::span<const double> values) {
    const std::vector<double> a = absolute(values);
    const double total = sum_of(a);
    if (total == 0) {
        return std::log(static_cast<double>(a.size()));
    }
    double entropy = 0;
    for (const double v : a) {
        entropy -= v > 0 ? v / total * std::log(v / total) : 0.0;
    }
    return entropy;
}

double histogram_entropy(std::span<const double> values, int64_t bins) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    if (values.empty() || *low == *high) {
        return 0;
    }
    std::vector<int64_t> counts(static_cast<size_t>(bins), 0);
    for (const double v : values) {
        const auto bin = static_cast<int64_t>((v - *low) / (*high - *low) * static_cast<double>(bins));
        ++counts[static_cast<size_t>(std::min(bin, bins - 1))];
    }
    double entropy = 0;
    for (const int64_t count : counts) {
        const double f = static_cast<double>(count) / static_cast<double>(values.size());
        entropy -= count > 0 ? f * std::log(f) : 0.0;
    }
    return entropy;
}

double mean_squared_distance(std::span<const double> a, std::span<const double> b) {
    BACKLIGHT_CHECK(a.size() == b.size() && !a.empty(),
                    "distance: expected as many values on both sides, got ", a.size(), " and ", b.size());
    double total = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        total += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return total / static_cast<double>(a.size());
}

std::unique_ptr<Metric> build_gini(const Options& options, const MetricContext&) {
    return unit_metric(tagged("gini", {channels_tag(options)}), "high", on_map(options, gini));
}

std::unique_ptr<Metric> build_entropy(const Options& options, const MetricContext&) {
    const bool relative = options.get("relative", false);
    const auto entropy = [relative](std::span<const double> values) {
        return complexity_entropy(values) / (relative ? std::log(static_cast<double>(values.size())) : 1.0);
    };
    return unit_metric(tagged("entropy", {relative ? "relative" : "", channels_tag(options)}), "low",
                       on_map(options, entropy));
}

std::unique_ptr<Metric> build_effective_complexity(const Options& options, const MetricContext&) {
    const double eps = options.get_within("eps", 1e-5, 0.0, 1.0);
    const auto count = [eps](std::span<const double> values) {
        return static_cast<double>(effective_complexity(values, eps));
    };
    return unit_metric(tagged("effective_complexity", {option_tag(options, "eps"), channels_tag(options)}),
                       "low", on_map(options, count));
}

namespace {

/// The count, and its share of all pixels.
class Mass90 final : public Metric {
public:
    explicit Mass90(const Options& options) : mass_(options.get_within("mass", 0.9, 0.0, 1.0)) {
        const std::string tag = option_tag(options, "mass");
        name_ = tagged("mass90", {tag});
        share_name_ = tagged("mass90", {"share", tag});
    }
    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        MetricColumn count{.name = name_, .better = "low"}, share{.name = share_name_, .better = "low"};
        for (const auto& map : explained.maps) {
            count.values.push_back(static_cast<double>(count_for_mass(map, mass_)));
            share.values.push_back(count.values.back() / static_cast<double>(map.size()));
        }
        return {.columns = {std::move(count), std::move(share)}};
    }

private:
    double mass_;
    std::string name_, share_name_;
};

}  // namespace

std::unique_ptr<Metric> build_mass90(const Options& options, const MetricContext&) {
    return std::make_unique<Mass90>(options);
}

}  // namespace backlight
