// What tests of a backend's kernels share: random shapes and values from a printed seed, outputs that begin
// as NaN, and the comparison with the reference.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/random.h"

namespace backlight::kernel_test {

/// BACKLIGHT_SEED replays a failure; otherwise a fixed seed.
inline uint64_t seed() {
    const char* text = std::getenv("BACKLIGHT_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : 20261122U;
}

class Draw {
public:
    explicit Draw(uint32_t test) : stream_(RandomKey{.seed = seed(), .step = test}) {}
    int64_t between(int64_t low, int64_t high) { return stream_.between(low, high); }
    bool coin(double probability = 0.5) { return stream_.bernoulli(probability); }
    /// N(0, 1).
    Tensor tensor(const Shape& shape) {
        std::vector<float> values(static_cast<size_t>(shape.numel()));
        stream_.fill_normal(values);
        return Tensor::from(values, shape);
    }
    /// Shape with up to `rank` axes of at most `largest`.
    Shape shape(int rank, int64_t largest) {
        Shape drawn;
        for (int64_t i = between(0, rank); i > 0; --i) {
            drawn.push_back(coin(0.2) ? 1 : between(1, largest));
        }
        return drawn;
    }

private:
    RandomStream stream_;
};

/// Normal values with zeros, infinities, NaN and numbers at the ends of the range among them.
inline Tensor with_specials(Draw& draw, const Shape& shape) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr float kSpecials[] = {0.0f,    -0.0f, kInfinity, -kInfinity, NAN,     1e-40f,
                                   -1e-40f, 1e30f, -1e30f,    100.0f,     -100.0f, 1.0f};
    auto values = draw.tensor(shape).to_vector<float>();
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] *= i % 2 == 0 ? 1.0f : 20.0f;
        if (i % 7 == 3) {
            values[i] = kSpecials[i / 7 % std::size(kSpecials)];
        }
    }
    return Tensor::from(values, shape);
}

inline Tensor absolute(const Tensor& x) {
    Tensor y = Tensor::empty_like(x);
    reference_backend().unary(UnaryOp::absolute, x, 0, y);
    return y;
}

/// run(backend, y) on an output that holds NaN before.
template <typename Run>
Tensor output_of(Backend& backend, const Shape& shape, Run run, DType dtype = DType::f32) {
    Tensor y =
        Tensor::full(shape, is_floating(dtype) ? std::numeric_limits<double>::quiet_NaN() : 77.0, dtype);
    run(backend, y);
    return y;
}

/// |actual - expected| <= relative |expected| + absolute `scale`; NaN equals NaN. `scale` may be a tensor of
/// sums of absolute values, so that a bound holds where terms cancel.
inline void check_close(const Tensor& actual, const Tensor& expected, double relative,
                        double absolute_bound = 0, const Tensor& scale = {}) {
    const auto a = actual.to(DType::f64).to_vector<double>();
    const auto e = expected.to(DType::f64).to_vector<double>();
    const auto s =
        scale.defined() ? scale.to(DType::f64).to_vector<double>() : std::vector<double>(e.size(), 1.0);
    REQUIRE(a.size() == e.size());
    for (size_t i = 0; i < a.size(); ++i) {
        const bool same = a[i] == e[i] || (std::isnan(a[i]) && std::isnan(e[i]));
        const double bound = relative * std::abs(e[i]) + absolute_bound * s[i];
        if (!same && !(std::abs(a[i] - e[i]) <= bound)) {
            FAIL_CHECK("BACKLIGHT_SEED=" << seed() << ": element " << i << " of " << expected.shape()
                                         << ": got " << a[i] << ", expected " << e[i] << " within " << bound);
            return;
        }
    }
}

template <typename Run>
void compare(const Shape& shape, Run run, double relative, double absolute_bound = 0,
             const Tensor& scale = {}) {
    check_close(output_of(cpu_backend(), shape, run), output_of(reference_backend(), shape, run), relative,
                absolute_bound, scale);
}

}  // namespace backlight::kernel_test

namespace doctest {
template <>
struct StringMaker<backlight::Shape> {
    static String convert(const backlight::Shape& shape) {
        std::ostringstream out;
        out << shape;
        return out.str().c_str();
    }
};
}  // namespace doctest
