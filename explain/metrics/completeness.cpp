// Does the sum of the map come out? gap = Σ R - target, relative gap = |gap| / max(|target|, 1e-8).
// completeness: the target is what the method promises, f(x) - f(x') of integrated gradients, DeepLIFT and
// their kin. conservation: the target is what started at the output: the logit with start=logit, 1 with
// start=one.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "autograd/functions.h"
#include "core/error.h"
#include "explain/methods.h"
#include "explain/metrics/builders.h"

namespace backlight {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Per sample, in double.
std::vector<double> sums_of(const Tensor& relevance) {
    const NoGrad off;
    return sum(flatten(Variable(relevance.to(DType::f64))), {1}).data().to_vector<double>();
}

/// Below which a relative gap is rounding and quadrature alone; nothing where the gap is the method's own
/// (biases).
std::optional<double> usual_tolerance(const std::string& method, DType dtype) {
    const Spec spec = method_spec(method);
    if (spec.name == "deep_lift" || spec.name == "deep_shap") {
        return dtype == DType::f64 ? 1e-10 : 1e-4;
    }
    if (spec.name == "integrated_gradients") {
        return 2e-2;
    }
    const auto zero_bias = spec.values.find("zero_bias");
    if (zero_bias != spec.values.end() && zero_bias->second == "true") {
        return 1e-3;
    }
    return {};
}

class SumMetric : public Metric {
public:
    explicit SumMetric(const Options& options) : name_(options.owner()) {
        if (options.has("tolerance")) {
            tolerance_ = options.get_within("tolerance", 0.0, 0.0, 1e6);
        }
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const std::vector<double> sums = sums_of(explained.relevance), targets = targets_of(explained);
        const auto tolerance =
            tolerance_ ? tolerance_ : usual_tolerance(explained.method, explained.batch->x.dtype());
        MetricColumn relative{.name = name_, .better = "0"},
            gap{.name = tagged(name_, {"gap"}), .better = "0"};
        MetricColumn pass{.name = tagged(name_, {"pass"}), .better = "high"};
        for (size_t unit = 0; unit < sums.size(); ++unit) {
            const double target = targets[unit];
            const double difference = sums[unit] - target;
            const double rel =
                std::isnan(target) ? kNan : std::abs(difference) / std::max(std::abs(target), 1e-8);
            relative.values.push_back(rel);
            gap.values.push_back(difference);
            pass.values.push_back(std::isnan(rel) ? kNan : rel < tolerance.value_or(0) ? 1 : 0);
        }
        MetricResult result{.columns = {std::move(relative), std::move(gap)}, .curves = layers(explained)};
        if (tolerance) {
            result.columns.push_back(std::move(pass));
        }
        return result;
    }

protected:
    [[nodiscard]] virtual std::vector<double> targets_of(const ExplainedBatch& explained) const = 0;
    [[nodiscard]] virtual std::vector<MetricCurve> layers(const ExplainedBatch&) const { return {}; }

private:
    std::string name_;
    std::optional<double> tolerance_;
};

class Completeness final : public SumMetric {
public:
    using SumMetric::SumMetric;

protected:
    [[nodiscard]] std::vector<double> targets_of(const ExplainedBatch& explained) const override {
        return explained.expected.empty() ? std::vector<double>(explained.maps.size(), kNan)
                                          : explained.expected;
    }
};

class Conservation final : public SumMetric {
public:
    explicit Conservation(const Options& options)
        : SumMetric(options), by_layer_(options.get("layers", false)) {}

protected:
    [[nodiscard]] std::vector<double> targets_of(const ExplainedBatch& explained) const override {
        const MetricBatch& batch = *explained.batch;
        return sums_of(
            batch.forward->begin(batch.request(), explained.explainer->start(), false).start.data());
    }

    /// Σ R at the input of every layer with weights, from the output down: what is missing between two of
    /// them went to biases and stabilisers in between. In a network with parallel paths a layer on one of
    /// them sees its share only. Inputs are asked for because asking between a layer and its norm would keep
    /// the two from being merged.
    [[nodiscard]] std::vector<MetricCurve> layers(const ExplainedBatch& explained) const override {
        if (!by_layer_ || explained.coarse) {  // a coarse map is of one layer only
            return {};
        }
        const MetricBatch& batch = *explained.batch;
        MetricCurve curve{.name = "conservation[layers]", .points = {"start"}};
        ExplainRequest request = batch.request();
        for (const auto& [path, module] : batch.forward->net().modules()) {
            const auto& own = module->own_parameters();
            const bool has_weights =
                std::any_of(own.begin(), own.end(), [](const Parameter& p) { return p.value.rank() >= 2; });
            const auto& called = batch.forward->layers().names();
            if (has_weights && std::find(called.begin(), called.end(), path) != called.end()) {
                request.layers.insert(request.layers.begin(), path + ":in");
            }
        }
        curve.points.insert(curve.points.end(), request.layers.begin(), request.layers.end());
        const Explanation found = batch.timed(static_cast<int64_t>(batch.size()), [&] {
            return batch.forward->explain_all(*explained.explainer, request);
        });
        for (const double target : targets_of(explained)) {
            curve.values.push_back({target});
        }
        for (const Variable& map : found.maps) {
            const std::vector<double> sums = sums_of(map.data());
            for (size_t unit = 0; unit < sums.size(); ++unit) {
                curve.values[unit].push_back(sums[unit]);
            }
        }
        return {std::move(curve)};
    }

private:
    bool by_layer_;
};

}  // namespace

std::unique_ptr<Metric> build_completeness(const Options& options, const MetricContext&) {
    return std::make_unique<Completeness>(options);
}
std::unique_ptr<Metric> build_conservation(const Options& options, const MetricContext&) {
    return std::make_unique<Conservation>(options);
}

}  // namespace backlight
