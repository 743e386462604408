#include "explain/perturbation.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/replay.h"
#include "explain/rows.h"

namespace backlight {
namespace {

/// Names as in the option, by the value of Score.
constexpr std::array<std::string_view, 4> kScores = {"logit", "probability", "log_probability", "sigmoid"};

Shape rows_of_grain(int64_t rows, const Shape& grain) {
    Shape shape{rows};
    for (const int64_t extent : grain) {
        shape.push_back(extent);
    }
    return shape;
}

}  // namespace

Explanation PerturbationExplainer::explain(const ExplainedForward& forward, const ExplainRequest& request,
                                           bool create_graph) {
    BACKLIGHT_CHECK(
        !create_graph, name_,
        ": has no derivative: it compares scores of changed inputs, a loss cannot contain its map");
    for (const std::string& layer : request.layers) {
        BACKLIGHT_CHECK(layer.empty(), name_, ": explains the input, not layer ", layer,
                        name_ == "ablation" || name_ == "representation_erasure"
                            ? concat_text("; to take a layer's values away: ", name_, "(layer=", layer, ")")
                            : "");
    }
    BACKLIGHT_CHECK(!request.parameters, name_, ": parameters have a relevance in LRP methods only");
    Explanation found = measure(forward, request);
    found.maps.resize(std::max<size_t>(1, request.layers.size()), found.maps[0]);
    return found;
}

RandomKey PerturbationExplainer::key(const ExplainRequest& request, int64_t n, uint64_t step) const {
    return {.seed = context_.seed,
            .purpose = purpose::kExplainer,
            .step = step,
            .sample = static_cast<uint32_t>(request.number(n))};
}

std::vector<int64_t> PerturbationExplainer::numbers_of(const ExplainRequest& request, int64_t samples) {
    std::vector<int64_t> numbers;
    for (int64_t n = 0; n < samples; ++n) {
        numbers.push_back(request.number(n));
    }
    return numbers;
}

Score read_score(const Options& options, const std::string& fallback) {
    const std::string name = options.choose("score", fallback, {"logit", "probability", "sigmoid"});
    return static_cast<Score>(std::find(kScores.begin(), kScores.end(), name) - kScores.begin());
}

std::string_view name_of(Score score) { return kScores[static_cast<size_t>(score)]; }

ChangedCopies::ChangedCopies(const ExplainedForward& forward, const ExplainRequest& request, Tensor fill,
                             const Shape& grain, Config config)
    : forward_(forward),
      request_(request),
      fill_(std::move(fill)),
      grain_(grain),
      config_(std::move(config)) {}

std::vector<double> ChangedCopies::scores(const std::vector<int64_t>& sample, const Keep& keep) {
    const NoGrad off;
    const Tensor& x = forward_.input().data();
    const int64_t copies = static_cast<int64_t>(sample.size());
    const int64_t step = copies_at_once(x.shape().with(0, 1));
    const auto positions = static_cast<size_t>(grain_.numel());
    std::vector<double> found;
    for (int64_t first = 0; first < copies; first += step) {
        const int64_t count = std::min(step, copies - first);
        std::vector<double> kept(static_cast<size_t>(count) * positions, 1.0);
        for (int64_t i = 0; i < count; ++i) {
            keep(first + i, std::span(kept).subspan(static_cast<size_t>(i) * positions, positions));
        }
        const std::vector<int64_t> of(sample.begin() + first, sample.begin() + first + count);
        const Tensor m = Tensor::from(kept, rows_of_grain(count, grain_), x.device()).to(x.dtype());
        const std::vector<double> scores = pass(of, m);
        found.insert(found.end(), scores.begin(), scores.end());
        done_ += count;
        if (config_.progress) {
            config_.progress(done_, config_.total);
        }
    }
    return found;
}

std::vector<double> ChangedCopies::pass(const std::vector<int64_t>& sample, const Tensor& kept) {
    const Tensor index =
        Tensor::from(sample, {static_cast<int64_t>(sample.size())}, forward_.input().data().device());
    const Variable m(kept);
    const auto mixed = [&](const Variable& values) {
        return (values * m + gather_rows(Variable(fill_), index) * (1.0 - m)).data();
    };
    const Variable x = gather_rows(forward_.input().detach(), index);
    if (config_.layer.empty()) {
        return forward_.scores(mixed(x), sample, request_, config_.score);
    }
    if (!recorded_ || recorded_of_ != sample) {
        recorded_ = std::make_unique<ExplainedForward>(forward_.at(x.data()));
        recorded_of_ = sample;
    }
    const Variable values = recorded_->points({.layers = {config_.layer}})[0];
    const Variable output = request_.neuron.empty()
                                ? recorded_->logits()
                                : recorded_->layers().at(parse_neuron(request_.neuron).layer);
    const Variable changed = replay(output, {{values, Variable(mixed(values.detach()))}});
    return read_scores(changed.data(), sample, request_, config_.score);
}

RemovalEffects removal_effects(
    ChangedCopies& copies, const std::vector<int64_t>& parts,
    const std::function<void(size_t n, int64_t k, std::span<double> kept)>& remove) {
    std::vector<int64_t> sample, part;  // the first copy of each sample is whole: part -1
    for (size_t n = 0; n < parts.size(); ++n) {
        for (int64_t k = -1; k < parts[n]; ++k) {
            sample.push_back(static_cast<int64_t>(n));
            part.push_back(k);
        }
    }
    const std::vector<double> scores = copies.scores(sample, [&](int64_t copy, std::span<double> kept) {
        const auto i = static_cast<size_t>(copy);
        if (part[i] >= 0) {
            remove(static_cast<size_t>(sample[i]), part[i], kept);
        }
    });
    RemovalEffects found{.score = {}, .effect = std::vector<std::vector<double>>(parts.size())};
    for (size_t i = 0; i < scores.size(); ++i) {
        const auto n = static_cast<size_t>(sample[i]);
        if (part[i] < 0) {
            found.score.push_back(scores[i]);
        } else {
            found.effect[n].push_back(found.score[n] - scores[i]);
        }
    }
    return found;
}

int64_t removal_copies(const std::vector<int64_t>& parts) {
    return std::accumulate(parts.begin(), parts.end(), static_cast<int64_t>(parts.size()));
}

}  // namespace backlight
