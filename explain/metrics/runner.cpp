#include "explain/metrics/runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "explain/metrics/pixel_map.h"

namespace backlight {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Pixels where the plane exceeds one half.
std::vector<uint8_t> pixels_of(const Tensor& plane) {
    std::vector<uint8_t> set;
    for (const double v : plane.to(DType::f64).to_vector<double>()) {
        set.push_back(v > 0.5 ? 1 : 0);
    }
    return set;
}

bool is_constant(const std::vector<double>& map) {
    const auto [low, high] = std::minmax_element(map.begin(), map.end());
    return *low == *high;
}

}  // namespace

/// Sum of a curve over the units, point by point.
struct MetricRun::CurveSum {
    std::string name;
    std::vector<std::string> points;
    std::vector<double> sum, count;
};

struct MetricRun::Explained {
    std::string method, reduce;
    std::unique_ptr<Explainer> explainer;
    std::vector<std::unique_ptr<Metric>> metrics;  // of its own: they may keep state, a copy of the network
    std::vector<bool> degenerate;
    std::vector<MetricSeries> series;
    std::vector<CurveSum> curves;

    void take(const MetricResult& result, size_t units_before);
};

void MetricRun::Explained::take(const MetricResult& result, size_t units_before) {
    for (const MetricColumn& column : result.columns) {
        auto found = std::find_if(series.begin(), series.end(),
                                  [&](const MetricSeries& s) { return s.metric == column.name; });
        if (found == series.end()) {
            series.push_back(
                {.explainer = method, .reduce = reduce, .metric = column.name, .better = column.better});
            series.back().values.assign(units_before, kNan);
            found = series.end() - 1;
        }
        BACKLIGHT_CHECK(found->values.size() == units_before, "metrics: ", column.name,
                        " is asked for twice");
        found->values.insert(found->values.end(), column.values.begin(), column.values.end());
        found->chance.insert(found->chance.end(), column.chance.begin(), column.chance.end());
    }
    for (const MetricCurve& curve : result.curves) {
        auto found = std::find_if(curves.begin(), curves.end(),
                                  [&](const CurveSum& c) { return c.name == curve.name; });
        if (found == curves.end()) {
            const std::vector<double> zeros(curve.points.size(), 0.0);
            curves.push_back({curve.name, curve.points, zeros, zeros});
            found = curves.end() - 1;
        }
        for (const std::vector<double>& values : curve.values) {
            for (size_t i = 0; i < std::min(values.size(), found->sum.size()); ++i) {
                found->sum[i] += std::isnan(values[i]) ? 0.0 : values[i];
                found->count[i] += std::isnan(values[i]) ? 0 : 1;
            }
        }
    }
}

MetricRun::~MetricRun() = default;
MetricRun::MetricRun(MetricRun&&) noexcept = default;
MetricRun& MetricRun::operator=(MetricRun&&) noexcept = default;

MetricRun::MetricRun(Module& net, MetricRunConfig config) : net_(&net), config_(std::move(config)) {
    const auto& [methods, metrics, target, reduce, context, progress] = config_;
    BACKLIGHT_CHECK(!methods.empty() && !metrics.empty(),
                    "metrics: expected at least one method and one metric, got ", methods.size(), " and ",
                    metrics.size());
    BACKLIGHT_CHECK(target == "predicted" || target == "argmax" || target == "label",
                    "metrics: expected target predicted, argmax or label, got \"", target, "\"");
    const bool known =
        std::find(reduce_names().begin(), reduce_names().end(), reduce) != reduce_names().end();
    if (reduce != "auto" && !known) {
        throw_error(unknown_name("reduce", reduce, reduce_names()));
    }
    for (const std::string& method : methods) {
        BACKLIGHT_CHECK(std::count(methods.begin(), methods.end(), method) == 1, "metrics: method ", method,
                        " is asked for twice");
        auto one = std::make_unique<Explained>();
        one->method = method;
        one->reduce = reduce == "auto" ? default_reduce(method) : reduce;
        one->explainer = build_method(method, context.explain);
        for (const std::string& metric : metrics) {
            one->metrics.push_back(build_metric(metric, context));
        }
        explainers_.push_back(std::move(one));
    }
}

std::vector<std::pair<size_t, int64_t>> MetricRun::rows_and_targets(const MetricSamples& samples,
                                                                    const Tensor& logits) const {
    std::vector<std::pair<size_t, int64_t>> units;
    const auto rows = static_cast<size_t>(logits.dim(0));
    const int64_t classes = logits.dim(1);
    if (config_.target == "label") {
        BACKLIGHT_CHECK(samples.classes.size() == rows,
                        "metrics: target=label needs the classes of the samples, which are not known");
        for (size_t n = 0; n < rows; ++n) {
            for (const int64_t k : samples.classes[n]) {
                BACKLIGHT_CHECK(k >= 0 && k < classes, "metrics: label ", k, " of sample ", samples.number[n],
                                " is not in 0..", classes - 1);
                units.emplace_back(n, k);
            }
        }
        return units;
    }
    if (config_.context.multi_label && config_.target == "predicted") {
        const std::vector<double> values = logits.to(DType::f64).to_vector<double>();
        for (size_t i = 0; i < values.size(); ++i) {
            if (values[i] > 0) {  // sigmoid above one half
                units.emplace_back(i / static_cast<size_t>(classes), static_cast<int64_t>(i) % classes);
            }
        }
        return units;
    }
    const auto predicted = argmax(logits, 1).to_vector<int64_t>();
    for (size_t n = 0; n < rows; ++n) {
        units.emplace_back(n, predicted[n]);
    }
    return units;
}

void MetricRun::add(const MetricSamples& given) {
    const auto begin = std::chrono::steady_clock::now();
    MetricSamples samples = given;
    const auto rows = static_cast<size_t>(samples.x.dim(0));
    BACKLIGHT_CHECK(rows > 0, "metrics: expected at least one sample, got ", samples.x.shape());
    for (size_t n = samples.number.size(); given.number.empty() && n < rows; ++n) {
        samples.number.push_back(samples_ + static_cast<int64_t>(n));
    }
    BACKLIGHT_CHECK(samples.number.size() == rows, "metrics: expected ", rows, " sample numbers, got ",
                    samples.number.size());
    const MetricBatch clock{.x = samples.x, .time = &network_};
    const auto forward_of = [&](const Tensor& x) {
        return clock.timed(x.dim(0), [&] { return std::make_unique<ExplainedForward>(*net_, x); });
    };
    auto forward = forward_of(samples.x);
    const auto units = rows_and_targets(samples, forward->logits().data());
    bool one_each = units.size() == rows;
    for (size_t i = 0; one_each && i < rows; ++i) {
        one_each = units[i].first == i;
    }
    const bool has_masks = samples.mask.defined() || samples.class_mask;
    const std::vector<uint8_t> planes =
        samples.mask.defined() ? pixels_of(samples.mask) : std::vector<uint8_t>();
    for (size_t first = 0; first < units.size(); first += rows) {  // of the size that the caller chose
        const size_t count = std::min(rows, units.size() - first);
        MetricBatch batch{.context = &config_.context, .time = &network_};
        std::vector<int64_t> index;
        for (size_t i = first; i < first + count; ++i) {
            const auto [row, target] = units[i];
            index.push_back(static_cast<int64_t>(row));
            batch.sample.push_back(samples.number[row]);
            batch.target.push_back(target);
            if (samples.class_mask) {
                batch.mask.push_back(pixels_of(samples.class_mask(row, target)));
            } else if (has_masks) {
                const auto plane = planes.begin() + static_cast<std::ptrdiff_t>(row * (planes.size() / rows));
                batch.mask.emplace_back(plane, plane + static_cast<std::ptrdiff_t>(planes.size() / rows));
            }
            if (!samples.classes.empty()) {
                const auto& shown = samples.classes[row];
                batch.in_company.push_back(
                    std::any_of(shown.begin(), shown.end(), [&](int64_t k) { return k != target; }));
            }
            if (!samples.zoom.empty()) {
                batch.zoom.push_back(samples.zoom[row]);
            }
        }
        batch.x = samples.x;
        if (!one_each) {
            const NoGrad off;
            const Tensor rows_index =
                Tensor::from(index, {static_cast<int64_t>(count)}).to(samples.x.device());
            batch.x = gather_rows(Variable(samples.x), rows_index).data();
            forward = forward_of(batch.x);
        }
        measure(*forward, batch);
    }
    samples_ += static_cast<int64_t>(rows);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (config_.progress) {
        config_.progress(samples_);
    }
}

ExplainedBatch read_explanation(const MetricBatch& batch, Explainer& explainer, const std::string& method,
                                const std::string& reduce, Explanation found) {
    ExplainedBatch explained{.batch = &batch,
                             .explainer = &explainer,
                             .method = method,
                             .reduce = reduce,
                             .relevance = found.maps.at(0).data().to(DType::f64),
                             .coarse = found.coarse,
                             .expected = std::move(found.expected)};
    explained.values = explained.relevance.to_vector<double>();
    const size_t row = explained.values.size() / batch.size();
    for (size_t i = 0; i < explained.values.size(); ++i) {
        BACKLIGHT_CHECK(std::isfinite(explained.values[i]), method, ": the map of sample ",
                        batch.sample[i / row], " for class ", batch.target[i / row], " is not finite");
    }
    explained.maps = pixel_maps(explained.relevance, reduce, batch.height(), batch.width());
    for (const auto& map : explained.maps) {
        explained.degenerate.push_back(is_constant(map));
    }
    for (const auto& object : batch.mask) {
        BACKLIGHT_CHECK(object.empty() || static_cast<int64_t>(object.size()) == batch.pixels(),
                        "metrics: the masks have ", object.size(), " pixels, the input has ", batch.pixels());
    }
    return explained;
}

void MetricRun::measure(const ExplainedForward& forward, MetricBatch& batch) {
    batch.forward = &forward;
    for (const auto& one : explainers_) {
        Explanation found = batch.timed(static_cast<int64_t>(batch.size()), [&] {
            return forward.explain_all(*one->explainer, batch.request());
        });
        const ExplainedBatch explained =
            read_explanation(batch, *one->explainer, one->method, one->reduce, std::move(found));
        for (const auto& metric : one->metrics) {
            one->take(metric->measure(explained), units_.size());
        }
        one->degenerate.insert(one->degenerate.end(), explained.degenerate.begin(),
                               explained.degenerate.end());
    }
    for (size_t unit = 0; unit < batch.size(); ++unit) {
        units_.push_back({batch.sample[unit], batch.target[unit]});
    }
}

std::vector<MetricSeries> MetricRun::series() const {
    std::vector<MetricSeries> all;
    for (const auto& one : explainers_) {
        for (MetricSeries series : one->series) {
            series.summary = summarize(series.values);
            series.mean_chance = series.chance.empty() ? kNan : summarize(series.chance).mean;
            std::map<int64_t, std::vector<double>> by_class;
            for (size_t unit = 0; unit < units_.size(); ++unit) {
                by_class[units_[unit].target].push_back(series.values[unit]);
                series.degenerate += one->degenerate[unit] ? 1 : 0;
            }
            std::vector<double> means;
            for (const auto& [k, values] : by_class) {
                means.push_back(summarize(values).mean);
            }
            series.class_mean = summarize(means).mean;
            all.push_back(std::move(series));
        }
    }
    return all;
}

std::vector<MeanCurve> MetricRun::curves() const {
    std::vector<MeanCurve> all;
    for (const auto& one : explainers_) {
        for (const CurveSum& curve : one->curves) {
            MeanCurve mean{.explainer = one->method, .name = curve.name, .points = curve.points};
            for (size_t i = 0; i < curve.sum.size(); ++i) {
                mean.mean.push_back(curve.count[i] > 0 ? curve.sum[i] / curve.count[i] : kNan);
            }
            all.push_back(std::move(mean));
        }
    }
    return all;
}

std::vector<MetricComparison> MetricRun::comparisons() const {
    std::vector<MetricComparison> all;
    for (size_t a = 0; a < explainers_.size(); ++a) {
        for (size_t b = a + 1; b < explainers_.size(); ++b) {
            for (const MetricSeries& first : explainers_[a]->series) {
                for (const MetricSeries& second : explainers_[b]->series) {
                    if (first.metric == second.metric) {
                        all.push_back(
                            {first.metric, first.better, first.explainer, second.explainer,
                             paired_difference(first.values, second.values, config_.context.explain.seed)});
                    }
                }
            }
        }
    }
    return all;
}

}  // namespace backlight
