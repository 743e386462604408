#include "explain/concepts/minimise.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

namespace backlight {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

void add_scaled(Vector& to, double factor, const Vector& what) {
    for (size_t i = 0; i < to.size(); ++i) {
        to[i] += factor * what[i];
    }
}

struct Pair {
    Vector step, change;  // of x and of the gradient
    double product = 0;   // of the two, > 0
};

/// -H gradient, H the inverse curvature that the pairs tell.
Vector descent(const std::deque<Pair>& pairs, const Vector& gradient) {
    Vector direction = gradient;
    Vector alphas(pairs.size());
    for (size_t i = pairs.size(); i-- > 0;) {
        alphas[i] = dot(pairs[i].step, direction) / pairs[i].product;
        add_scaled(direction, -alphas[i], pairs[i].change);
    }
    const double scale =
        pairs.empty() ? 1.0 : pairs.back().product / dot(pairs.back().change, pairs.back().change);
    std::transform(direction.begin(), direction.end(), direction.begin(),
                   [&](double d) { return scale * d; });
    for (size_t i = 0; i < pairs.size(); ++i) {
        add_scaled(direction, alphas[i] - dot(pairs[i].change, direction) / pairs[i].product, pairs[i].step);
    }
    std::transform(direction.begin(), direction.end(), direction.begin(), std::negate<>());
    return direction;
}

}  // namespace

std::vector<double> minimise(const SmoothFunction& f, std::vector<double> x, double tolerance, int steps) {
    constexpr size_t kPairs = 10;
    constexpr double kDecrease = 1e-4;  // of what the slope promises, at least
    Vector gradient(x.size());
    double value = f(x, gradient);
    std::deque<Pair> pairs;
    const auto largest = [](const Vector& v) {
        return std::accumulate(v.begin(), v.end(), 0.0,
                               [](double m, double d) { return std::max(m, std::abs(d)); });
    };
    for (int i = 0; i < steps && largest(gradient) > tolerance; ++i) {
        const Vector direction = descent(pairs, gradient);
        const double slope = dot(gradient, direction);
        double size = pairs.empty() ? 1.0 / std::max(1.0, largest(gradient)) : 1.0;
        Vector next, next_gradient(x.size());
        double next_value = value;
        bool smaller = false;
        for (int halvings = 0; halvings < 60 && !smaller; ++halvings, size /= 2) {
            next = x;
            add_scaled(next, size, direction);
            next_value = f(next, next_gradient);
            smaller = next_value <= value + kDecrease * size * slope;
        }
        if (!smaller) {
            break;  // rounding: there is nothing left to gain
        }
        Pair pair{.step = next, .change = next_gradient};
        add_scaled(pair.step, -1, x);
        add_scaled(pair.change, -1, gradient);
        pair.product = dot(pair.step, pair.change);
        if (pair.product > 1e-14 * std::sqrt(dot(pair.step, pair.step) * dot(pair.change, pair.change))) {
            pairs.push_back(std::move(pair));
            if (pairs.size() > kPairs) {
                pairs.pop_front();
            }
        }
        x = std::move(next);
        gradient = std::move(next_gradient);
        value = next_value;
    }
    return x;
}

}  // namespace backlight
