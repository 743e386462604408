#include "explain/metrics/localisation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/pixel_map.h"

namespace backlight {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

int64_t size_of(const PixelSet& s) { return std::count(s.begin(), s.end(), 1); }

double share_of_top(std::span<const double> r, const PixelSet& s, int64_t k) {
    const std::vector<int64_t> order = ranking(r);
    int64_t inside = 0;
    for (int64_t i = 0; i < k; ++i) {
        inside += s[static_cast<size_t>(order[static_cast<size_t>(i)])];
    }
    return static_cast<double>(inside) / static_cast<double>(k);
}

/// The unit's object; throws Error where the data has none at all. A sample without one is NaN.
const PixelSet& object_of(const ExplainedBatch& explained, size_t unit, const std::string& metric) {
    BACKLIGHT_CHECK(!explained.batch->mask.empty(), metric, ": needs the masks of the data set (--masks)");
    return explained.batch->mask[unit];
}

/// f where the object is known and not empty.
using MapFunction = std::function<double(std::span<const double> map, const PixelSet& object)>;
std::unique_ptr<Metric> mask_metric(const std::string& name, const MapFunction& f, bool has_chance) {
    const auto value = [name, f](const ExplainedBatch& explained, size_t unit) {
        const PixelSet& object = object_of(explained, unit, name);
        return object.empty() ? kNan : f(explained.maps[unit], object);
    };
    const auto chance = [name](const ExplainedBatch& explained, size_t unit) {
        const PixelSet& object = object_of(explained, unit, name);
        return object.empty() || size_of(object) == 0 ? kNan : share_of(object);
    };
    return unit_metric(name, "high", value, has_chance ? UnitFunction(chance) : nullptr);
}

}  // namespace

double share_of(const PixelSet& s) { return static_cast<double>(size_of(s)) / static_cast<double>(s.size()); }

double relevance_mass(std::span<const double> r, const PixelSet& s, const std::string& part) {
    double inside = 0, total = 0;
    for (size_t p = 0; p < r.size(); ++p) {
        const double v = part == "abs" ? std::abs(r[p]) : part == "signed" ? r[p] : std::max(r[p], 0.0);
        inside += s[p] != 0 ? v : 0.0;
        total += v;
    }
    return size_of(s) == 0 || total == 0 ? kNan : inside / total;
}

double relevance_rank(std::span<const double> r, const PixelSet& s) {
    const int64_t k = size_of(s);
    return k == 0 ? kNan : share_of_top(r, s, k);
}

double attribution_localisation(std::span<const double> r, const PixelSet& s) {
    double inside = 0, total = 0;
    for (size_t p = 0; p < r.size(); ++p) {
        inside += s[p] != 0 ? std::abs(r[p]) : 0.0;
        total += std::abs(r[p]);
    }
    return size_of(s) == 0 ? kNan : inside / (total + 1e-9);
}

double top_k_intersection(std::span<const double> r, const PixelSet& s, int64_t k) {
    return size_of(s) == 0 ? kNan : share_of_top(r, s, std::min<int64_t>(k, static_cast<int64_t>(r.size())));
}

double intersection_over_union(const PixelSet& t, const PixelSet& s) {
    int64_t both = 0, either = 0;
    for (size_t p = 0; p < s.size(); ++p) {
        both += t[p] != 0 && s[p] != 0 ? 1 : 0;
        either += t[p] != 0 || s[p] != 0 ? 1 : 0;
    }
    return size_of(s) == 0 ? kNan : static_cast<double>(both) / static_cast<double>(either);
}

std::unique_ptr<Metric> build_relevance_mass(const Options& options, const MetricContext&) {
    const std::string part = options.choose("part", "positive", {"positive", "signed", "abs"});
    return mask_metric(
        tagged("relevance_mass", {part == "positive" ? "" : part}),
        [part](auto r, const PixelSet& s) { return relevance_mass(r, s, part); }, true);
}

std::unique_ptr<Metric> build_relevance_rank(const Options&, const MetricContext&) {
    return mask_metric("relevance_rank", relevance_rank, true);
}

std::unique_ptr<Metric> build_attribution_localisation(const Options&, const MetricContext&) {
    return mask_metric("attribution_localisation", attribution_localisation, true);
}

std::unique_ptr<Metric> build_top_k(const Options& options, const MetricContext&) {
    const int64_t k = options.get_within("k", 1000, 1, int64_t{1} << 24);
    return mask_metric(
        tagged("top_k", {option_tag(options, "k")}),
        [k](auto r, const PixelSet& s) { return top_k_intersection(r, s, k); }, true);
}

std::unique_ptr<Metric> build_iou(const Options& options, const MetricContext&) {
    const double fraction = options.get_within("fraction", 0.15, 0.0, 1.0);
    const double tau = options.get_within("tau", 0.0, 0.0, 1.0);
    BACKLIGHT_CHECK(tau == 0 || !options.has("fraction"),
                    "iou: give fraction (of the pixels) or tau (of the maximum), not both");
    const auto top = [fraction, tau](std::span<const double> r) {
        PixelSet t(r.size(), 0);
        if (tau > 0) {
            const double limit = tau * *std::max_element(r.begin(), r.end());
            for (size_t p = 0; p < r.size(); ++p) {
                t[p] = limit > 0 && r[p] >= limit ? 1 : 0;
            }
            return t;
        }
        const std::vector<int64_t> order = ranking(r);
        for (int64_t i = 0; i < top_count(fraction, static_cast<int64_t>(r.size())); ++i) {
            t[static_cast<size_t>(order[static_cast<size_t>(i)])] = 1;
        }
        return t;
    };
    return mask_metric(
        tagged("iou", {option_tag(options, "fraction"), option_tag(options, "tau")}),
        [top](auto r, const PixelSet& s) { return intersection_over_union(top(r), s); }, false);
}

}  // namespace backlight
