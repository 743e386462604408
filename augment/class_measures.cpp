#include "augment/class_measures.h"

#include <algorithm>
#include <cmath>

#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "datasets/corrupt.h"
#include "explain/methods.h"
#include "explain/metrics/complexity.h"

namespace backlight {
namespace {

/// Mean and deviation (divisor n) of the values that are present, and the largest.
struct Spread {
    double mean = 0, deviation = 0, largest = -INFINITY;
};
Spread spread_of(const std::vector<double>& m, const std::vector<bool>& present) {
    Spread s;
    const auto count = static_cast<double>(std::count(present.begin(), present.end(), true));
    for (size_t k = 0; k < m.size(); ++k) {
        if (present[k]) {
            s.mean += m[k] / count;
            s.largest = std::max(s.largest, m[k]);
        }
    }
    for (size_t k = 0; k < m.size(); ++k) {
        s.deviation += present[k] ? (m[k] - s.mean) * (m[k] - s.mean) / count : 0;
    }
    s.deviation = std::sqrt(s.deviation);
    return s;
}

/// Of a class's samples: `wanted` that can be read, different ones where there are as many.
std::vector<int64_t> choose(const Dataset& data, const std::vector<int64_t>& members, int64_t wanted,
                            RandomStream stream) {
    std::vector<int64_t> chosen;
    for (const int64_t i : stream.permutation(static_cast<int64_t>(members.size()))) {
        const std::vector<int64_t> one = readable(data, {members[static_cast<size_t>(i)]});
        chosen.insert(chosen.end(), one.begin(), one.end());
        if (static_cast<int64_t>(chosen.size()) == wanted) {
            return chosen;
        }
    }
    const std::vector<int64_t> all = chosen;
    chosen.clear();
    while (!all.empty() && static_cast<int64_t>(chosen.size()) < wanted) {
        chosen.push_back(all[static_cast<size_t>(stream.below(static_cast<int64_t>(all.size())))]);
    }
    return chosen;
}

std::vector<double> as_doubles(const std::vector<float>& values) { return {values.begin(), values.end()}; }

}  // namespace

std::vector<double> Shares::of(std::vector<double> m, const std::vector<bool>& present) const {
    const Spread spread = spread_of(m, present);
    for (double& value : m) {
        if (standardize) {
            value = spread.deviation > 0 ? (value - spread.mean) / spread.deviation : 0;
        } else if (rescale && spread.largest > 0) {
            value /= spread.largest;
        }
        value /= temperature;
    }
    const double top = spread_of(m, present).largest;
    double total = 0;
    for (size_t k = 0; k < m.size(); ++k) {
        m[k] = present[k] ? std::exp(m[k] - top) : 0;
        total += m[k];
    }
    for (double& share : m) {
        share /= total;
    }
    return m;
}

Shares read_shares(const Options& options, bool rescale) {
    return {.temperature = options.get_within("temperature", 1.0, 1e-6, 1e300),
            .standardize = options.get("standardize", false),
            .rescale = options.get("rescale", rescale)};
}

void ClassMeasures::begin(const TrainingRun& run) {
    const Dataset& data = *run.data;
    const auto members = data.samples_by_class();
    indices_.clear();
    classes_.clear();
    present_.clear();
    for (size_t k = 0; k < members.size(); ++k) {
        // A step that no training reaches: these numbers meet none of a step's.
        const RandomKey key{.seed = run.seed,
                            .purpose = purpose::kAugmentation,
                            .step = ~uint64_t{0},
                            .sample = static_cast<uint32_t>(k)};
        const auto chosen = choose(data, members[k], config_.representatives, RandomStream(key));
        present_.push_back(!chosen.empty());
        indices_.insert(indices_.end(), chosen.begin(), chosen.end());
        classes_.insert(classes_.end(), chosen.size(), static_cast<int64_t>(k));
    }
    BACKLIGHT_CHECK(!indices_.empty(), config_.who, ": the training set has no samples to explain");
    inputs_ = data.batch(indices_).input;
    explainer_ = build_method(config_.explainer, explain_context(run));
    (void)explained(run, 0, 1);
}

/// (count,H,W,C) or (count,D): R_t of some representatives.
Tensor ClassMeasures::explained(const TrainingRun& run, int64_t first, int64_t count,
                                double* replaced) const {
    const NoGrad off;
    const auto part = [&](const std::vector<int64_t>& of) {
        return std::vector<int64_t>(of.begin() + first, of.begin() + first + count);
    };
    const ExplainedForward forward(*run.model->net, slice(Variable(inputs_), 0, first, count).data());
    const ExplainRequest request{.targets = part(classes_), .numbers = part(indices_)};
    Variable map(finite_or_zero(explainer_->explain(forward, request, false).maps.at(0).data(), replaced));
    if (config_.absolute) {
        map = abs(map);
    }
    if (config_.sum_channels && map.shape().rank() == 4) {
        map = sum(map, {3}, true);
    }
    return maxabs_by_sample(map.data());
}

/// The mean of the maps that are kept.
std::vector<float> ClassMeasures::mean_map() const {
    const NoGrad off;
    Variable total(maps_.at(0));
    for (size_t i = 1; i < maps_.size(); ++i) {
        total = total + Variable(maps_[i]);
    }
    return (total / static_cast<double>(maps_.size())).data().to_vector<float>();
}

/// Of one representative; `before` is empty the first time.
double ClassMeasures::measured(std::span<const double> now, std::span<const double> before) const {
    constexpr int64_t kBins = 100;
    switch (config_.measure) {
        case Measure::entropy:
            return map_entropy(now) / (config_.relative ? std::log(static_cast<double>(now.size())) : 1.0);
        case Measure::histogram:
            return histogram_entropy(now, kBins) /
                   (config_.relative ? std::log(static_cast<double>(kBins)) : 1.0);
        case Measure::mse:
            return before.empty() ? 0.0 : mean_squared_distance(now, before);
    }
    return 0;
}

double ClassMeasures::update(const TrainingRun& run) {
    const NoGrad off;
    const auto samples = static_cast<int64_t>(indices_.size());
    Variables parts;
    double replaced = 0;
    const int64_t step = std::min(run.batch_size, samples_at_once(run.data->sample_shape()));
    for (int64_t first = 0; first < samples; first += step) {
        parts.emplace_back(explained(run, first, std::min(step, samples - first), &replaced));
    }
    const std::vector<double> before = maps_.empty() ? std::vector<double>() : as_doubles(mean_map());
    maps_.push_back(concat(parts, 0).data());
    if (static_cast<int64_t>(maps_.size()) > config_.history) {
        maps_.erase(maps_.begin());
    }
    const std::vector<double> now = as_doubles(mean_map());
    const size_t values = now.size() / indices_.size();
    m_.assign(present_.size(), 0.0);
    for (size_t i = 0; i < indices_.size(); ++i) {
        const auto of = [&](const std::vector<double>& maps) {
            return std::span(maps).subspan(i * values, values);
        };
        const double measure = measured(of(now), before.empty() ? std::span<const double>() : of(before));
        m_[static_cast<size_t>(classes_[i])] += measure / static_cast<double>(config_.representatives);
    }
    return replaced;
}

std::map<std::string, Tensor> ClassMeasures::state() const {
    std::map<std::string, Tensor> state;
    for (size_t i = 0; i < maps_.size(); ++i) {
        state["maps." + std::to_string(i)] = maps_[i];
    }
    if (is_known()) {
        state["measures"] = Tensor::from(m_, {static_cast<int64_t>(m_.size())});
    }
    return state;
}

void ClassMeasures::restore(const std::map<std::string, Tensor>& state) {
    maps_.clear();
    m_.clear();
    for (size_t i = 0; state.contains("maps." + std::to_string(i)); ++i) {
        maps_.push_back(state.at("maps." + std::to_string(i)));
    }
    if (state.contains("measures")) {
        m_ = state.at("measures").to_vector<double>();
    }
}

const std::vector<std::string>& measure_options() {
    static const std::vector<std::string> keys{"measure",  "explainer",       "absolute", "channels",
                                               "relative", "representatives", "history"};
    return keys;
}

ClassMeasures::Config read_measures(const Options& options) {
    ClassMeasures::Config config{.who = options.owner(),
                                 .explainer = options.get("explainer", "epsilon_plus(start=one)")};
    const std::string method = method_spec(config.explainer).name;
    config.absolute =
        options.get("absolute", method == "gradient" || method == "saliency" || method == "guided_backprop" ||
                                    method == "input_x_gradient");
    const std::string measure = options.choose("measure", "entropy", {"entropy", "histogram", "mse"});
    config.measure = measure == "entropy"     ? ClassMeasures::Measure::entropy
                     : measure == "histogram" ? ClassMeasures::Measure::histogram
                                              : ClassMeasures::Measure::mse;
    config.sum_channels = options.choose("channels", "all", {"all", "sum"}) == "sum";
    if (config.measure == ClassMeasures::Measure::mse) {
        options.refuse({"relative"}, "measure=mse is no entropy");
    }
    config.relative = options.get("relative", false);
    config.representatives = options.get_within("representatives", 20, 1, 100'000);
    config.history = options.get_within("history", 5, 1, 1000);
    return config;
}

}  // namespace backlight
