// What the tests of metrics share: a batch with maps of the test's own, one metric's values, linear networks.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "explain/metrics/runner.h"
#include "tests/explain/support.h"

namespace backlight::metric_testing {

/// Gives the map it was made with, whatever it is asked.
class FixedExplainer final : public Explainer {
public:
    explicit FixedExplainer(Tensor map) : map_(std::move(map)) {}
    [[nodiscard]] std::string name() const override { return "fixed"; }
    [[nodiscard]] Explanation explain(const ExplainedForward&, const ExplainRequest&, bool) override {
        return {.maps = {Variable(map_)}};
    }

private:
    Tensor map_;
};

/// A batch of units with the maps that a test gives.
struct Scene {
    Scene(Module& net, const Tensor& x, std::vector<int64_t> targets, const Tensor& map,
          MetricContext known = {})
        : context(std::move(known)), forward(net, x), explainer(map) {
        batch.context = &context;
        batch.forward = &forward;
        batch.x = x;
        batch.target = std::move(targets);
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            batch.sample.push_back(static_cast<int64_t>(unit));
        }
    }
    [[nodiscard]] MetricResult result(const std::string& metric) {
        return build_metric(metric, context)
            ->measure(read_explanation(batch, explainer, "fixed", "sum",
                                       explainer.explain(forward, batch.request(), false)));
    }
    /// Of the first value, or of the one whose name begins so.
    [[nodiscard]] std::vector<double> values(const std::string& metric, const std::string& name = "") {
        const MetricResult found = result(metric);
        for (const MetricColumn& column : found.columns) {
            if (column.name.starts_with(name)) {
                return column.values;
            }
        }
        FAIL("no value " << name);
        return {};
    }

    MetricContext context;
    ExplainedForward forward;
    FixedExplainer explainer;
    MetricBatch batch;
};

/// Values of one metric for one method, one a unit.
inline std::vector<double> run(Module& net, const MetricSamples& samples, const std::string& method,
                               const std::string& metric, MetricContext context = {},
                               const std::string& name = "") {
    MetricRun measured(net, {.methods = {method}, .metrics = {metric}, .context = std::move(context)});
    measured.add(samples);
    for (const MetricSeries& series : measured.series()) {
        if (series.metric.starts_with(name)) {
            return series.values;
        }
    }
    FAIL("no value " << name);
    return {};
}

/// (N,H,W,C) -> (N,K): logits w x + b, f64. `weight` (K, H W C).
inline std::unique_ptr<Sequential> linear_network(const Tensor& weight, double bias = 0) {
    auto net = std::make_unique<Sequential>();
    net->add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = weight.dim(1), .out = weight.dim(0)}));
    net->to(DType::f64);
    for (const Parameter& parameter : net->parameters()) {
        Tensor value = parameter.value.data();
        parameter.name.ends_with("weight") ? value.copy_from(weight) : value.fill(bias);
    }
    net->eval();
    return net;
}

inline void check_near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
    REQUIRE(a.size() == b.size());
    for (size_t i = 0; i < a.size(); ++i) {
        CAPTURE(i);
        CAPTURE(a[i]);
        CAPTURE(b[i]);
        CHECK(std::abs(a[i] - b[i]) <= tolerance);
    }
}

template <typename Call>
std::string error_of(const Call& call) {
    try {
        call();
    } catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace backlight::metric_testing
