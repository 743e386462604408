// What the tests of pruning share: networks with every value random, and how far two outputs are apart.
#pragma once

#include <algorithm>
#include <cmath>

#include "augment/model/pruner.h"
#include "augment/model/unit_surgery.h"
#include "autograd/functions.h"
#include "core/random.h"
#include "tests/train/support.h"

namespace backlight::prune_testing {

using namespace train_testing;

/// Weights as they start, everything else random: biases, norms and their statistics.
inline Model random_model(const std::string& spec, uint64_t seed = 1, int64_t classes = 0) {
    Model model = build_model(spec, classes, seed);
    RandomStream stream(seed);
    const auto fill = [&](Tensor value, double low, double high) {
        std::vector<float> values(static_cast<size_t>(value.numel()));
        for (float& v : values) {
            v = static_cast<float>(stream.uniform(low, high));
        }
        value.copy_from(Tensor::from(values, value.shape()));
    };
    for (const Parameter& parameter : model.net->parameters()) {
        if (parameter.value.rank() == 1) {
            const bool is_scale = parameter.name.ends_with("weight");
            fill(parameter.value.data(), is_scale ? 0.5 : -0.3, is_scale ? 1.5 : 0.3);
        }
    }
    for (const Buffer& buffer : model.net->buffers()) {
        if (is_floating(buffer.value->dtype())) {
            const bool is_variance = buffer.name.ends_with("running_var");
            fill(*buffer.value, is_variance ? 0.5 : -0.3, is_variance ? 1.5 : 0.3);
        }
    }
    return model;
}

inline Tensor random_input(const Shape& shape, uint64_t seed = 5) {
    std::vector<float> values(static_cast<size_t>(shape.numel()));
    RandomStream(seed).fill_normal(values);
    return Tensor::from(values, shape);
}

inline std::vector<float> values_of(const Tensor& t) { return t.to_vector<float>(); }

/// max |a - b| / max |b|.
inline double apart(const Tensor& a, const Tensor& b) {
    REQUIRE(a.shape() == b.shape());
    const auto x = values_of(a), y = values_of(b);
    double most = 0, scale = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        most = std::max(most, static_cast<double>(std::abs(x[i] - y[i])));
        scale = std::max(scale, static_cast<double>(std::abs(y[i])));
    }
    return most / (scale > 0 ? scale : 1);
}

/// Each unit dead with the given probability, one of each layer alive.
inline LivingUnits random_living(const PrunableUnits& units, double dead, uint64_t seed = 9) {
    RandomStream stream(seed);
    LivingUnits living = units.all_living();
    for (auto& row : living) {
        for (size_t k = 1; k < row.size(); ++k) {
            row[k] = stream.uniform() < dead ? 0 : 1;
        }
    }
    return living;
}

}  // namespace backlight::prune_testing
