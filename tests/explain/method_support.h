// What the tests of methods share: maps by name, sums and logits, and small networks.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/explain/support.h"

namespace backlight::method_testing {

using namespace test;

inline Explanation found(const ExplainedForward& forward, const std::string& method,
                         const ExplainRequest& request, const ExplainContext& context = {}) {
    return forward.explain_all(*build_method(method, context), request);
}

inline Tensor map_of(const ExplainedForward& forward, const std::string& method,
                     const std::vector<int64_t>& targets, const ExplainContext& context = {}) {
    return found(forward, method, {.targets = targets}, context).maps[0].data();
}

inline std::vector<double> values_of(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

/// Σ of each sample's map.
inline std::vector<double> sums(const Tensor& map) {
    const NoGrad off;
    return sum(flatten(Variable(map)), {1}).data().to_vector<double>();
}

inline std::vector<double> logits_at(const ExplainedForward& forward, const std::vector<int64_t>& targets) {
    return gather_last(forward.logits(), Tensor::from(targets, {static_cast<int64_t>(targets.size())}))
        .data()
        .to_vector<double>();
}

inline void check_near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
    REQUIRE(a.size() == b.size());
    double scale = 1e-300;
    for (const double v : b) {
        scale = std::max(scale, std::abs(v));
    }
    for (size_t i = 0; i < a.size(); ++i) {
        CAPTURE(i);
        CHECK(std::abs(a[i] - b[i]) <= tolerance * scale);
    }
}

/// Flatten and one linear layer.
inline std::unique_ptr<Sequential> linear_network(int64_t inputs, uint64_t seed, bool constant = false) {
    auto net = std::make_unique<Sequential>();
    net->add(make_flatten()).add(std::make_unique<Linear>(Linear::Config{.in = inputs, .out = 3}));
    randomize(*net, seed);
    if (constant) {
        Tensor weight = net->parameters()[0].value.data();
        weight.fill(0);
    }
    return net;
}

inline std::unique_ptr<Sequential> mlp(int64_t inputs, uint64_t seed) {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Linear>(Linear::Config{.in = inputs, .out = 6})).add(make_relu());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 6, .out = 3}));
    randomize(*net, seed);
    return net;
}

inline Tensor sample_of(const Tensor& x, int64_t n) {
    const NoGrad off;
    return slice(Variable(x), 0, n, 1).data();
}

/// f(x) of one sample whose segments are set to zero unless their bit of `present` is set.
inline double score_without(Module& net, const Tensor& x, const std::vector<int64_t>& ids, uint64_t present,
                            int64_t target) {
    auto values = values_of(x);
    const size_t channels = values.size() / ids.size();
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = (present >> ids[i / channels] & 1U) != 0 ? values[i] : 0;
    }
    const ExplainedForward forward(net, Tensor::from(values, x.shape()));
    return values_of(forward.logits().data())[static_cast<size_t>(target)];
}

}  // namespace backlight::method_testing
