#include "explain/concepts/student_t.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"

namespace backlight {
namespace {

/// 1 / (1 + d_1 / (1 + d_2 / (1 + ...))), which converges fast for x < (a + 1) / (a + b + 2):
///   d_{2m+1} = -(a+m)(a+b+m) x / ((a+2m)(a+2m+1)),   d_{2m} = m (b-m) x / ((a+2m-1)(a+2m))
double continued_fraction(double a, double b, double x) {
    constexpr double kTiny = 1e-300;  // stands for a denominator of zero
    constexpr int kTerms = 10'000;
    const auto away_from_zero = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
    double c = 1, d = 0, fraction = 1;
    for (int i = 1; i <= kTerms; ++i) {
        const double m = i / 2;
        const double term = i % 2 == 1 ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
                                       : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / away_from_zero(1 + term * d);
        c = away_from_zero(1 + term / c);
        fraction *= c * d;
        if (std::abs(c * d - 1) < std::numeric_limits<double>::epsilon()) {
            break;
        }
    }
    return 1 / fraction;
}

struct Moments {
    double mean = 0, variance = 0;  // unbiased
};
Moments moments(std::span<const double> values) {
    const auto n = static_cast<double>(values.size());
    Moments m{.mean = std::accumulate(values.begin(), values.end(), 0.0) / n};
    for (const double v : values) {
        m.variance += (v - m.mean) * (v - m.mean) / (n - 1);
    }
    return m;
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
    BACKLIGHT_CHECK(a > 0 && b > 0 && x >= 0 && x <= 1,
                    "incomplete_beta: expected a, b > 0 and x in [0, 1], got ", a, ", ", b, ", ", x);
    if (x == 0 || x == 1) {
        return x;
    }
    if (x > (a + 1) / (a + b + 2)) {
        return 1 - incomplete_beta(b, a, 1 - x);
    }
    const double log_front =
        std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x);
    return std::exp(log_front) / a * continued_fraction(a, b, x);
}

double student_t_two_sided(double t, double degrees) {
    BACKLIGHT_CHECK(degrees > 0, "student_t: expected degrees of freedom > 0, got ", degrees);
    return std::isinf(t) ? 0.0 : incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t));
}

TTest welch_t_test(std::span<const double> a, std::span<const double> b) {
    BACKLIGHT_CHECK(a.size() >= 2 && b.size() >= 2,
                    "t-test: expected two numbers or more in each sample, got ", a.size(), " and ", b.size());
    const Moments x = moments(a), y = moments(b);
    const auto n = static_cast<double>(a.size()), m = static_cast<double>(b.size());
    const double vx = x.variance / n, vy = y.variance / m;
    const double difference = x.mean - y.mean;
    if (vx + vy == 0) {
        const double t = difference == 0 ? 0.0 : std::copysign(INFINITY, difference);
        return {.t = t, .degrees = n + m - 2, .p = difference == 0 ? 1.0 : 0.0};
    }
    TTest test{.t = difference / std::sqrt(vx + vy),
               .degrees = (vx + vy) * (vx + vy) / (vx * vx / (n - 1) + vy * vy / (m - 1))};
    test.p = student_t_two_sided(test.t, test.degrees);
    return test;
}

}  // namespace backlight
