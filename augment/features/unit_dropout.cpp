#include "augment/features/unit_dropout.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/options.h"

namespace backlight {

UnitKind read_unit_kind(const Options& options) {
    return options.choose("units", "location", {"location", "channel"}) == "channel" ? UnitKind::channel
                                                                                     : UnitKind::location;
}

int64_t unit_count(const Shape& features, UnitKind kind) {
    return kind == UnitKind::channel ? features[-1] : features.numel() / features[0];
}

std::vector<double> unit_relevance(const Tensor& relevance, UnitKind kind) {
    const NoGrad off;
    const Variable r(relevance.to(DType::f64));
    const bool sums = kind == UnitKind::channel && relevance.rank() == 4;
    return (sums ? sum(r, {1, 2}) : r).data().to_vector<double>();
}

Tensor spread_units(const std::vector<double>& values, const Shape& features, UnitKind kind) {
    const bool by_channel = kind == UnitKind::channel && features.rank() == 4;
    return Tensor::from(values, by_channel ? Shape{features[0], 1, 1, features[3]} : features);
}

int64_t stochastic_count(double share, int64_t units, RandomStream& random) {
    const double wanted = share * static_cast<double>(units);
    const double whole = std::floor(wanted);
    const auto k = static_cast<int64_t>(whole) + (random.bernoulli(wanted - whole) ? 1 : 0);
    return std::min(k, units - 1);
}

std::vector<double> drop_largest(std::span<const double> scores, int64_t k, RandomStream& random) {
    std::vector<int64_t> order = random.permutation(static_cast<int64_t>(scores.size()));
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
    });
    std::vector<double> kept(scores.size(), 1.0);
    for (int64_t i = 0; i < k; ++i) {
        kept[static_cast<size_t>(order[static_cast<size_t>(i)])] = 0;
    }
    return kept;
}

double excitation_drop_probability(double p, double base, int64_t units) {
    const auto n = static_cast<double>(units);
    return base * (n - 1) * p / ((base * n - 1) * p + 1 - base);
}

}  // namespace backlight
