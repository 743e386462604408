// The network and image of the golden numbers: two 3x3 convolutions with batch norm, pooling, global average,
// linear.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "layers/layers.h"

namespace backlight::golden {

/// Parameter values by a formula of their indices; f64.
inline Tensor fill(const Shape& shape, const std::function<double(const std::vector<int64_t>&)>& f) {
    std::vector<double> values;
    std::vector<int64_t> index(static_cast<size_t>(shape.rank()), 0);
    for (int64_t i = 0; i < shape.numel(); ++i) {
        values.push_back(f(index));
        for (int axis = shape.rank() - 1; axis >= 0; --axis) {
            if (++index[static_cast<size_t>(axis)] < shape[axis]) {
                break;
            }
            index[static_cast<size_t>(axis)] = 0;
        }
    }
    return Tensor::from(values, shape);
}

using Index = std::vector<int64_t>;
inline double d(int64_t i) { return static_cast<double>(i); }

/// X[h,w,c] = sin(1 + 0.9h + 1.7w + 2.3c), (1,6,6,2).
inline Tensor image() {
    return fill({1, 6, 6, 2},
                [](const Index& i) { return std::sin(1 + 0.9 * d(i[1]) + 1.7 * d(i[2]) + 2.3 * d(i[3])); });
}

/// Modules: 0 conv1, 1 BN1, 2 ReLU, 3 max pool, 4 conv2, 5 BN2, 6 ReLU, 7 average, 8 flatten, 9 fc.
inline std::unique_ptr<Sequential> network(DType dtype = DType::f64) {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 3, .attrs = {.padding = {1, 1}}}));
    net->add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 3}));
    net->add(make_relu()).add(make_max_pool(2));
    net->add(std::make_unique<Conv2d>(
        Conv2d::Config{.in = 3, .out = 4, .attrs = {.padding = {1, 1}}, .bias = false}));
    net->add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = 4}));
    net->add(make_relu()).add(make_global_avg_pool()).add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = 4, .out = 3}));
    net->to(DType::f64);
    const auto kernel = [](double scale, double phase) {
        return [=](const Index& i) {
            return scale * std::sin(phase + 3.1 * d(i[0]) + 1.3 * d(i[1]) + 0.7 * d(i[2]) + 2.9 * d(i[3]));
        };
    };
    const std::map<std::string, std::function<double(const Index&)>> formulas = {
        {"0.weight", kernel(0.4, 1)},
        {"0.bias", [](const Index& i) { return 0.1 * std::cos(1 + d(i[0])); }},
        {"1.weight", [](const Index& i) { return 1 + 0.2 * std::sin(d(i[0])); }},
        {"1.bias", [](const Index& i) { return 0.1 * std::cos(2 * d(i[0])); }},
        {"1.running_mean", [](const Index& i) { return 0.05 * std::sin(3 * d(i[0])); }},
        {"1.running_var", [](const Index& i) { return 0.5 + 0.1 * d(i[0]); }},
        {"4.weight", kernel(0.3, 2)},
        {"5.weight", [](const Index& i) { return 1 + 0.2 * std::cos(d(i[0])); }},
        {"5.bias", [](const Index& i) { return 0.1 * std::sin(2 * d(i[0])); }},
        {"5.running_mean", [](const Index& i) { return 0.05 * std::cos(3 * d(i[0])); }},
        {"5.running_var", [](const Index& i) { return 0.6 + 0.1 * d(i[0]); }},
        {"9.weight", [](const Index& i) { return 0.8 * std::sin(0.5 + 2.1 * d(i[0]) + 1.1 * d(i[1])); }},
        {"9.bias", [](const Index& i) { return 0.1 * (d(i[0]) - 1); }},
    };
    for (const Parameter& parameter : net->parameters()) {
        Tensor value = parameter.value.data();
        value.copy_from(fill(value.shape(), formulas.at(parameter.name)));
    }
    for (const Buffer& buffer : net->buffers()) {
        const auto formula = formulas.find(buffer.name);
        if (formula != formulas.end()) {
            buffer.value->copy_from(fill(buffer.value->shape(), formula->second));
        }
    }
    net->to(dtype);
    net->eval();
    return net;
}

inline Variable parameter(const Module& net, const std::string& name) {
    for (const Parameter& p : net.parameters()) {
        if (p.name == name) {
            return p.value;
        }
    }
    return {};
}

}  // namespace backlight::golden
