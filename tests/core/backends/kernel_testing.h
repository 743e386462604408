// What the kernel tests share: tensors with random or given values, outputs full of NaN, and comparisons that
// name the element that is wrong.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/backend.h"

namespace backlight::kernel_testing {

/// BACKLIGHT_SEED, or 1.
inline uint64_t seed() {
    const char* text = std::getenv("BACKLIGHT_SEED");
    return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}
#define BACKLIGHT_CAPTURE_SEED() INFO("BACKLIGHT_SEED=", ::backlight::kernel_testing::seed())

template <typename T>
inline constexpr DType kType = DTypeOf<T>::value;

/// Relative error that a correctly rounded result of type T stays below.
template <typename T>
inline constexpr double kTolerance = sizeof(T) == 4 ? 1e-6 : 1e-13;

template <typename T>
Tensor tensor(const std::vector<double>& values, const Shape& shape) {
    return Tensor::from(values, shape).to(kType<T>);
}

/// Uniform in [-1, 1); `salt` tells tensors of one test apart.
template <typename T>
Tensor random_tensor(const Shape& shape, uint64_t salt) {
    std::mt19937_64 generator(seed() * 1000003 + salt);
    std::uniform_real_distribution<double> uniform(-1.0, 1.0);
    std::vector<double> values(static_cast<size_t>(shape.numel()));
    for (double& value : values) {
        value = uniform(generator);
    }
    return tensor<T>(values, shape);
}

/// An output to be written: NaN (or the largest integer) everywhere, so that what a kernel leaves out is
/// seen.
inline Tensor output(const Shape& shape, DType dtype) {
    return Tensor::full(shape, is_floating(dtype) ? std::numeric_limits<double>::quiet_NaN() : 1e30, dtype);
}
template <typename T>
Tensor output(const Shape& shape) {
    return output(shape, kType<T>);
}

inline std::vector<double> values_of(const Tensor& t) { return t.to(DType::f64).to_vector<double>(); }

inline double dot(const Tensor& a, const Tensor& b) {
    const auto left = values_of(a);
    const auto right = values_of(b);
    REQUIRE(left.size() == right.size());
    double sum = 0;
    for (size_t i = 0; i < left.size(); ++i) {
        sum += left[i] * right[i];
    }
    return sum;
}

inline bool is_close(double got, double expected, double tolerance) {
    if (std::isnan(expected) || std::isinf(expected)) {
        return std::isnan(expected) ? std::isnan(got) : got == expected;
    }
    return std::abs(got - expected) <= tolerance * std::max(1.0, std::abs(expected));
}

inline void check_values(const Tensor& got, const std::vector<double>& expected, double tolerance = 0) {
    const auto values = values_of(got);
    REQUIRE(values.size() == expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
        INFO("element ", i, " of ", got.shape(), ": got ", values[i], ", expected ", expected[i]);
        CHECK(is_close(values[i], expected[i], tolerance));
    }
}

/// <f(x), s> = <x, adjoint(s)>: what makes a backward kernel the adjoint of its forward.
inline void check_adjoint(const Tensor& f_x, const Tensor& s, const Tensor& x, const Tensor& adjoint_s,
                          double tolerance) {
    const double forward = dot(f_x, s);
    const double backward = dot(x, adjoint_s);
    INFO("<f(x), s> = ", forward, ", <x, adjoint(s)> = ", backward);
    CHECK(std::abs(forward - backward) <= tolerance * (1 + std::abs(forward)));
}

template <typename Call>
std::string error_text(Call&& call) {
    try {
        call();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "nothing was thrown";
}

}  // namespace backlight::kernel_testing
