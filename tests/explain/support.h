// Random networks and tensors for the tests of rules, f64.
#pragma once

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "autograd/functions.h"
#include "core/random.h"
#include "explain/composite.h"
#include "explain/explainer.h"
#include "layers/layers.h"

namespace backlight::test {

/// Uniform in [low, high], f64.
inline Tensor random_tensor(const Shape& shape, uint64_t seed, double low = -1, double high = 1) {
    RandomStream stream(seed);
    std::vector<double> values(static_cast<size_t>(shape.numel()));
    for (double& v : values) {
        v = stream.uniform(low, high);
    }
    return Tensor::from(values, shape);
}

/// Every parameter random, running statistics too; f64; evaluation mode.
inline void randomize(Module& net, uint64_t seed) {
    net.to(DType::f64);
    for (const Parameter& parameter : net.parameters()) {
        Tensor value = parameter.value.data();
        value.copy_from(random_tensor(value.shape(), ++seed, -0.7, 0.7));
    }
    for (const Buffer& buffer : net.buffers()) {
        if (is_floating(buffer.value->dtype())) {
            const bool variance = buffer.name.ends_with("running_var");
            buffer.value->copy_from(
                random_tensor(buffer.value->shape(), ++seed, variance ? 0.3 : -0.3, variance ? 1.5 : 0.3));
        }
    }
    net.eval();
}

inline double max_abs(const Tensor& t) {
    double m = 0;
    for (const double v : t.to(DType::f64).to_vector<double>()) {
        m = std::max(m, std::abs(v));
    }
    return m;
}

/// max |a - b| / max |b|.
inline double difference(const Tensor& a, const Tensor& b) {
    const NoGrad off;
    const double scale = max_abs(b);
    return max_abs((Variable(a) - Variable(b)).data()) / (scale > 0 ? scale : 1);
}

inline double total(const Tensor& t) {
    const NoGrad off;
    return sum(Variable(t)).item();
}

inline Composite everywhere(const Rule& rule, const Stabilizer& sums = {}) {
    return {.name = "everywhere",
            .parts = {{.kinds = {}, .layer = {}, .rule = rule}},
            .sum_rule = rules::norm(sums)};
}

/// Relevance of `x` from `r_y` at y under one rule for all linear ops.
inline Variable relevance(const Variable& y, const Variable& r_y, const Variable& x,
                          const Composite& composite, bool create_graph = false) {
    LrpRules rules(composite);
    return grad(y, r_y, {x}, {.create_graph = create_graph, .rules = &rules})[0];
}

/// conv BN ReLU pool, residual block with its own BNs, average pool, linear ReLU linear.
inline std::unique_ptr<Sequential> random_network(uint64_t seed) {
    auto net = std::make_unique<Sequential>();
    const auto conv = [](int64_t in, int64_t out, int64_t stride = 1, bool bias = true) {
        return std::make_unique<Conv2d>(Conv2d::Config{
            .in = in, .out = out, .attrs = {.stride = {stride, stride}, .padding = {1, 1}}, .bias = bias});
    };
    const auto norm = [](int64_t channels) {
        return std::make_unique<BatchNorm>(BatchNorm::Config{.channels = channels});
    };
    net->add(conv(2, 4)).add(norm(4)).add(make_relu()).add(make_max_pool(2));
    auto body = std::make_unique<Sequential>();
    body->add(conv(4, 5, 2, false)).add(norm(5)).add(make_relu()).add(conv(5, 6)).add(norm(6));
    auto shortcut = std::make_unique<Sequential>();
    shortcut->add(std::make_unique<Conv2d>(
        Conv2d::Config{.in = 4, .out = 6, .kernel = {1, 1}, .attrs = {.stride = {2, 2}}, .bias = false}));
    shortcut->add(norm(6));
    net->add(std::make_unique<Residual>(std::move(body), std::move(shortcut)));
    net->add(make_relu()).add(make_avg_pool({.kernel = {2, 2}, .stride = {1, 1}})).add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 6, .out = 5})).add(make_relu());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 5, .out = 3}));
    randomize(*net, seed);
    return net;
}

inline Tensor random_images(uint64_t seed, int64_t count = 2) {
    return random_tensor({count, 8, 8, 2}, seed);
}

}  // namespace backlight::test
