// What the tests of layers share: tensors from numbers, parameters by name, comparison with expected values.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "layers/layers.h"

namespace backlight::layer_testing {

inline Tensor tensor(const std::vector<double>& values, const Shape& shape, DType dtype = DType::f32) {
    return Tensor::from(values, shape).to(dtype);
}

/// 1, 2, 3, ...
inline Tensor counting(const Shape& shape, DType dtype = DType::f32) {
    std::vector<double> values(static_cast<size_t>(shape.numel()));
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<double>(i + 1);
    }
    return tensor(values, shape, dtype);
}

inline std::vector<double> values_of(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

inline Variable parameter(const Module& module, const std::string& name) {
    for (const Parameter& p : module.parameters()) {
        if (p.name == name) {
            return p.value;
        }
    }
    FAIL("no parameter " << name);
    return {};
}

inline Tensor& buffer(Module& module, const std::string& name) {
    for (const Buffer& b : module.buffers()) {
        if (b.name == name) {
            return *b.value;
        }
    }
    FAIL("no buffer " << name);
    std::abort();
}

inline void set(Tensor target, const std::vector<double>& values) {
    target.copy_from(Tensor::from(values, target.shape()).to(target.dtype()));
}
inline void set(const Module& module, const std::string& name, const std::vector<double>& values) {
    set(parameter(module, name).data(), values);
}

/// Relative to the largest expected value, which f32 rounds to 6e-8.
inline void check_values(const Tensor& got, const Shape& shape, const std::vector<double>& expected,
                         double tolerance = 1e-6) {
    REQUIRE(got.shape() == shape);
    const std::vector<double> values = values_of(got);
    REQUIRE(values.size() == expected.size());
    double scale = 1;
    for (const double e : expected) {
        scale = std::max(scale, std::abs(e));
    }
    for (size_t i = 0; i < values.size(); ++i) {
        INFO("element ", i, ": got ", values[i], ", expected ", expected[i]);
        CHECK(std::abs(values[i] - expected[i]) <= tolerance * scale);
    }
}

/// The same bits.
inline bool equal(const Tensor& a, const Tensor& b) {
    return a.shape() == b.shape() && a.dtype() == b.dtype() && values_of(a) == values_of(b);
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

/// `after` is `before` moved by -lr times the gradients that `before` holds.
inline void check_plain_step(const Module& before, const Module& after, double lr) {
    for (const Parameter& p : before.parameters()) {
        auto moved = values_of(p.value.data());
        const auto gradient = values_of(p.value.grad());
        for (size_t i = 0; i < moved.size(); ++i) {
            moved[i] -= lr * gradient[i];
        }
        check_values(parameter(after, p.name).data(), p.value.shape(), moved);
    }
}

}  // namespace backlight::layer_testing
