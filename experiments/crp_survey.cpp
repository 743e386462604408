// One pass over a data set: the relevance of every channel, and its best samples.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/error.h"
#include "experiments/concept_data.h"
#include "experiments/crp_report.h"
#include "explain/concepts/crp.h"

namespace backlight {
namespace {

SampleSet looked_at(const CrpRun& run) {
    SampleSet set{.name = "data", .files = {}, .data = run.data};
    const int64_t n = run.data->size(), take = run.limit > 0 ? std::min(run.limit, n) : n;
    for (int64_t i = 0; i < take; ++i) {
        set.indices.push_back(i * n / take);
    }
    return set;
}

void check_channels(const CrpRun& run, int64_t count) {
    for (const int64_t channel : run.channels) {
        BACKLIGHT_CHECK(channel >= 0 && channel < count, "crp: layer ", run.layer, " has no channel ",
                        channel, ", it has channels 0..", count - 1);
    }
}

}  // namespace

std::vector<int64_t> explained_classes(const CrpRun& run, const ExplainedForward& forward,
                                       std::span<const int64_t> samples) {
    if (!run.of_label) {
        return forward.predicted();
    }
    std::vector<int64_t> labels;
    for (const int64_t sample : samples) {
        labels.push_back(run.data->label(sample));
        BACKLIGHT_CHECK(labels.back() < forward.logits().dim(1), "crp: label ", labels.back(),
                        " has no output, the model has ", forward.logits().dim(1));
    }
    return labels;
}

std::vector<int64_t> ChannelSurvey::ranking() const {
    std::vector<int64_t> order(mean_abs.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return mean_abs[static_cast<size_t>(a)] > mean_abs[static_cast<size_t>(b)];
    });
    return order;
}

ChannelSurvey survey_channels(const CrpRun& run) {
    for (const int64_t sample : run.explained) {
        BACKLIGHT_CHECK(sample >= 0 && sample < run.data->size(), "crp: there is no sample ", sample,
                        ", the data has 0..", run.data->size() - 1);
    }
    const SampleSet set = looked_at(run);
    const auto method = build_method(run.composite, run.context);
    std::optional<ReferenceSamples> references;
    std::vector<double> mean_abs, by_class;
    std::vector<int64_t> counts, targets_seen;
    for_each_forward(run.model, set, run.batch_size, [&](const ExplainedForward& forward, int64_t first) {
        const Variable output = forward.layers().at(run.layer);
        BACKLIGHT_CHECK(output.requires_grad() && (output.rank() == 2 || output.rank() == 4), "crp: layer ",
                        run.layer, " has no activations (N,h,w,C) or (N,C) that depend on the input");
        const auto channels = static_cast<size_t>(output.dim(-1));
        if (!references) {
            check_channels(run, output.dim(-1));
            references.emplace(static_cast<int64_t>(channels), run.keep, run.pooling);
            mean_abs.assign(channels, 0.0);
            counts.assign(static_cast<size_t>(forward.logits().dim(1)), 0);
            by_class.assign(counts.size() * channels, 0.0);
        }
        const auto rows = static_cast<size_t>(output.dim(0));
        const std::span<const int64_t> samples =
            std::span(set.indices).subspan(static_cast<size_t>(first), rows);
        const auto targets = explained_classes(run, forward, samples);
        const Tensor relevance = forward.explain(
            *method,
            {.targets = targets, .layers = {run.layer}, .numbers = {samples.begin(), samples.end()}});
        references->add(run.by_activation ? output.data() : relevance, samples);
        const auto shares = channel_relevance(relevance).to_vector<double>();
        for (size_t n = 0; n < rows; ++n) {
            const auto k = static_cast<size_t>(targets[n]);
            ++counts[k];
            for (size_t c = 0; c < channels; ++c) {
                const double share = shares[n * channels + c];
                mean_abs[c] += std::abs(share) / static_cast<double>(set.size());
                by_class[k * channels + c] += share;
            }
        }
        targets_seen.insert(targets_seen.end(), targets.begin(), targets.end());
    });
    const size_t channels = mean_abs.size();
    for (size_t i = 0; i < by_class.size(); ++i) {
        by_class[i] /= static_cast<double>(std::max<int64_t>(counts[i / channels], 1));
    }
    return {.mean_abs = mean_abs,
            .by_class =
                Tensor::from(by_class, {static_cast<int64_t>(counts.size()), static_cast<int64_t>(channels)}),
            .class_counts = counts,
            .references = std::move(*references),
            .targets = targets_seen,
            .samples = set.indices};
}

}  // namespace backlight
