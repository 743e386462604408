#include "augment/model/unit_scores.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "core/random.h"
#include "datasets/loader.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

/// What of the output is explained: the true class, or the loss of the sample.
enum class Explained : uint8_t { true_class, loss };
/// How the values of a unit become one number: |Σ| over positions, then over samples; or signed, to the end.
enum class Sums : uint8_t { absolute_by_sample, absolute_at_end, signed_throughout };

/// dL/dz of the batch's mean cross-entropy, (p - e_y) / n.
Tensor slope_of_loss(const Variable& logits, const std::vector<int64_t>& labels) {
    const NoGrad off;
    const Variable p = softmax(logits.detach());
    const Variable truth = start_values(Start::one, logits.detach(), labels);
    return ((p - truth) / static_cast<double>(logits.dim(0))).data();
}

struct Reading {
    std::string method;
    Explained explained = Explained::true_class;
    Sums sums = Sums::absolute_by_sample;
};

/// Sums a method's values at the units over positions and reference samples.
UnitScores read(const Reading& reading, const ScoreInput& input) {
    const PrecisionScope full(DType::f32);
    const auto explainer = build_method(reading.method, {.background = always(input.reference_input)});
    ExplainRequest request;
    UnitScores scores;
    for (const UnitLayer& layer : input.layers) {
        request.layers.push_back(layer.at);
        scores.emplace_back(static_cast<size_t>(layer.units), 0.0);
    }
    const Dataset& data = *input.references;
    Loader loader(input.references, {.batch_size = std::min(samples_at_once(data.sample_shape()),
                                                            std::max<int64_t>(data.size(), 1)),
                                     .shuffle = false,
                                     .augment = false,
                                     .on_corrupt = OnCorrupt::leave_out});
    const auto keeps = explainer->reads_values() ? Recording::Keeps::values : Recording::Keeps::names;
    while (const auto batch = loader.next()) {
        const ExplainedForward forward(*input.model.net, batch->input, keeps);
        request.targets = batch->label.to_vector<int64_t>();
        const double samples = static_cast<double>(batch->size());
        if (reading.explained == Explained::loss) {
            request.start = slope_of_loss(forward.logits(), request.targets);
        }
        const Variables maps = forward.explain_all(*explainer, request).maps;
        const NoGrad off;
        for (size_t i = 0; i < maps.size(); ++i) {
            Variable by_sample(maps[i].data().to(DType::f64));
            by_sample =
                sum(reshape(by_sample, {by_sample.dim(0), -1, by_sample.dim(-1)}), {1});  // (N, units)
            if (reading.sums == Sums::absolute_by_sample) {
                by_sample = abs(by_sample);
            }
            const double weight =
                reading.explained == Explained::loss ? samples : 1;  // the slope is of a mean
            const auto total = sum(by_sample, {0}).data().to_vector<double>();
            for (size_t k = 0; k < total.size(); ++k) {
                scores[i][k] += weight * total[k];
            }
        }
    }
    if (reading.sums == Sums::absolute_at_end) {
        for (std::vector<double>& row : scores) {
            std::transform(row.begin(), row.end(), row.begin(), [](double s) { return std::abs(s); });
        }
    }
    return scores;
}

/// Convolutions z+ without biases; linear layers ε, or z+ too; R = 1 at the true class.
std::string lrp_method(const ScoreInput& input) {
    return input.zplus_all
               ? "z_plus(zero_bias=true, start=one)"
               : "composite(parts=(conv:zplus(zero_bias=true); linear:epsilon(epsilon=1e-6)), start=one)";
}

UnitScores lrp(const ScoreInput& input) {
    return read({.method = lrp_method(input), .sums = Sums::signed_throughout}, input);
}
UnitScores lrp_abs(const ScoreInput& input) { return read({.method = lrp_method(input)}, input); }
UnitScores gradient(const ScoreInput& input) {
    return read({"gradient", Explained::loss, Sums::absolute_at_end}, input);
}
UnitScores taylor(const ScoreInput& input) {
    return read({"input_x_gradient", Explained::loss, Sums::absolute_at_end}, input);
}
/// DeepSHAP with one reference is DeepLIFT.
UnitScores deeplift(const ScoreInput& input) { return read({.method = "deep_shap"}, input); }
UnitScores deeplift_zero(const ScoreInput& input) { return read({.method = "deep_lift"}, input); }

UnitScores weight(const ScoreInput& input) {
    const NoGrad off;
    UnitScores scores;
    for (const UnitLayer& layer : input.layers) {
        const Variable w(input.model.net->at(layer.name).own_parameters().at(0).value.data().to(DType::f64));
        scores.push_back(sum(abs(reshape(w, {w.dim(0), -1})), {1}).data().to_vector<double>());
    }
    return scores;
}

UnitScores random(const ScoreInput& input) {
    constexpr uint32_t kApart = 1U << 31;  // from the keys of the reference samples, which are classes
    RandomStream stream(RandomKey{.seed = input.seed,
                                  .purpose = purpose::kAugmentation,
                                  .step = static_cast<uint64_t>(input.step),
                                  .sample = kApart});
    UnitScores scores;
    for (const UnitLayer& layer : input.layers) {
        std::vector<double>& row = scores.emplace_back();
        for (int64_t k = 0; k < layer.units; ++k) {
            row.push_back(stream.uniform());
        }
    }
    return scores;
}

using Scale = PruningCriterion::Scale;

/// Of the living units; 1 where all scores are 0.
double scale_of(Scale kind, const std::vector<double>& row, const std::vector<uint8_t>& living) {
    double sum = 0, squares = 0;
    for (size_t k = 0; k < row.size(); ++k) {
        const double s = living[k] != 0 ? row[k] : 0;
        sum += s;
        squares += s * s;
    }
    const double scale = kind == Scale::sum               ? std::abs(sum)
                         : kind == Scale::root_of_squares ? std::sqrt(squares)
                                                          : 1;
    return scale > 0 ? scale : 1;
}

}  // namespace

const std::vector<PruningCriterion>& list_pruning_criteria() {
    static const std::vector<PruningCriterion> criteria = {
        {"lrp", "sum of the relevance for the true class", Scale::sum, true, false, false, lrp},
        {"lrp_abs", "sum over samples of |relevance for the true class|", Scale::sum, true, false, false,
         lrp_abs},
        {"weight", "sum of |incoming weights|", Scale::sum, false, false, false, weight},
        {"gradient", "|mean of dL/dz|, z before the activation", Scale::root_of_squares, true, false, false,
         gradient},
        {"taylor", "|mean of z dL/dz|: absolute after averaging", Scale::root_of_squares, true, false, false,
         taylor},
        {"deeplift", "mean of |DeepLIFT contribution| against the mean training input", Scale::sum, true,
         true, true, deeplift},
        {"deeplift_zero", "mean of |DeepLIFT contribution| against zeros", Scale::sum, true, false, true,
         deeplift_zero},
        {"random", "uniform (control)", Scale::none, false, false, false, random},
    };
    return criteria;
}

const PruningCriterion& find_pruning_criterion(const std::string& name) {
    std::vector<std::string> known;
    for (const PruningCriterion& criterion : list_pruning_criteria()) {
        known.push_back(criterion.name);
        if (criterion.name == name) {
            return criterion;
        }
    }
    throw_error(unknown_name("criterion", name, known));
}

UnitScores scaled_scores(const PruningCriterion& criterion, const ScoreInput& input) {
    UnitScores scores = criterion.scores(input);
    for (size_t i = 0; i < scores.size(); ++i) {
        const double scale = scale_of(criterion.scale, scores[i], input.living[i]);
        for (double& s : scores[i]) {
            s /= scale;
        }
    }
    return scores;
}

std::shared_ptr<const Dataset> draw_references(const std::shared_ptr<const Dataset>& data, int64_t per_class,
                                               uint64_t seed) {
    BACKLIGHT_CHECK(!data->is_multi_label(),
                    "prune: this criterion needs one label a sample, the data is multi-label; "
                    "criterion=weight or random reads none");
    if (per_class == 0) {
        return data;
    }
    std::vector<int64_t> drawn;
    const auto classes = data->samples_by_class();
    for (size_t c = 0; c < classes.size(); ++c) {
        const auto size = static_cast<int64_t>(classes[c].size());
        const RandomKey key{
            .seed = seed, .purpose = purpose::kAugmentation, .sample = static_cast<uint32_t>(c)};
        for (const int64_t i : RandomStream(key).sample(size, std::min(per_class, size))) {
            drawn.push_back(classes[c][static_cast<size_t>(i)]);
        }
    }
    return subset(data, drawn);
}

Tensor mean_input(const std::shared_ptr<const Dataset>& data) {
    constexpr int64_t kMost = 10'000;
    const NoGrad off;
    std::vector<int64_t> read;
    const int64_t count = std::min(data->size(), kMost);
    for (int64_t i = 0; i < count; ++i) {
        read.push_back(i * data->size() / count);
    }
    Loader loader(subset(data, read),
                  {.batch_size = std::min<int64_t>(samples_at_once(data->sample_shape()), count),
                   .shuffle = false,
                   .augment = false,
                   .on_corrupt = OnCorrupt::leave_out});
    Variable total;
    int64_t samples = 0;
    while (const auto batch = loader.next()) {
        const Variable part = sum(Variable(batch->input.to(DType::f64)), {0}, true);
        total = total.defined() ? total + part : part;
        samples += batch->size();
    }
    BACKLIGHT_CHECK(samples > 0, "prune: none of the training samples can be read");
    return (total / static_cast<double>(samples)).data().to(DType::f32);
}

}  // namespace backlight
