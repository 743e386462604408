#include "train/loss.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/options.h"

namespace backlight {
namespace {

/// Of the positives of a multi-label set: negatives / positives, 1 for a class without positives.
std::vector<double> balance_of_positives(const Dataset& data, int64_t classes) {
    std::vector<double> positives(static_cast<size_t>(classes)), negatives(positives);
    for (int64_t i = 0; i < data.size(); ++i) {
        const std::vector<Presence> presence = data.presence(i);
        for (size_t k = 0; k < presence.size(); ++k) {
            positives[k] += presence[k] == Presence::present ? 1 : 0;
            negatives[k] += presence[k] == Presence::absent ? 1 : 0;
        }
    }
    std::vector<double> weights(positives.size(), 1.0);
    for (size_t k = 0; k < weights.size(); ++k) {
        weights[k] = positives[k] > 0 ? negatives[k] / positives[k] : 1.0;
    }
    return weights;
}

}  // namespace

Tensor class_weights(const std::string& text, const Dataset& data, int64_t classes) {
    if (text.empty()) {
        return {};
    }
    std::vector<double> weights;
    if (text == "balanced" && data.is_multi_label()) {
        weights = balance_of_positives(data, classes);
    } else if (text == "balanced") {
        const std::vector<int64_t> counts = data.class_counts();
        const auto present = static_cast<double>(
            std::count_if(counts.begin(), counts.end(), [](int64_t count) { return count > 0; }));
        weights.assign(static_cast<size_t>(classes), 0.0);
        for (size_t k = 0; k < counts.size(); ++k) {
            if (counts[k] > 0) {
                weights[k] = static_cast<double>(data.size()) / (present * static_cast<double>(counts[k]));
            }
        }
    } else {
        weights = Options("class-weights", {{"weights", text}}).get("weights", std::vector<double>{});
        BACKLIGHT_CHECK(static_cast<int64_t>(weights.size()) == classes,
                        "class-weights: expected balanced or ", classes, " numbers, got ", text);
        for (const double weight : weights) {
            BACKLIGHT_CHECK(std::isfinite(weight) && weight >= 0,
                            "class-weights: expected numbers >= 0, got ", text);
        }
    }
    return Tensor::from(weights, {classes}).to(DType::f32);
}

namespace {

/// Σ_n w_n Σ_k t_nk c_k (-log p_nk) and Σ_n Σ_k t_nk c_k: of one-hot targets what cross_entropy_sum gives.
/// The weights of samples do not enter the divisor: twice the weight is twice the gradient.
SummedLoss weighted_cross_entropy(const Variable& logits, const Batch& batch, double smoothing,
                                  const Tensor& class_weight) {
    const int64_t samples = logits.dim(0), classes = logits.dim(1);
    Variable target =
        batch.soft_label.defined()
            ? Variable(batch.soft_label)
            : scatter_last(Variable(Tensor::ones({samples}, logits.dtype(), logits.data().device())),
                           batch.label, classes);
    target = class_weight.defined() ? target * Variable(class_weight) : target;
    const double total = sum(target).item();
    const Variable sample_weight =
        batch.sample_weight.defined()
            ? reshape(Variable(batch.sample_weight), {samples, 1})
            : Variable(Tensor::ones({1, 1}, logits.dtype(), logits.data().device()));
    const Variable log_p = log_softmax(logits);
    const Variable loss = -sum(sample_weight * target * log_p);
    if (smoothing == 0) {
        return {loss, total};
    }
    const Variable spread = sample_weight * (class_weight.defined() ? log_p * Variable(class_weight) : log_p);
    return {loss * (1.0 - smoothing) - sum(spread) * (smoothing / static_cast<double>(classes)), total};
}

}  // namespace

SummedLoss loss_of(const Variable& logits, const Batch& batch, double smoothing, const Tensor& class_weight) {
    if (!batch.target.defined() && (batch.soft_label.defined() || batch.sample_weight.defined())) {
        return weighted_cross_entropy(logits, batch, smoothing, class_weight);
    }
    if (!batch.target.defined()) {
        return {cross_entropy_sum(logits, batch.label, smoothing, class_weight),
                class_weight.defined() ? sum(gather_rows(Variable(class_weight), batch.label)).item()
                                       : static_cast<double>(batch.size())};
    }
    const Variable target(batch.target);
    Variable weight(batch.target_weight);
    if (class_weight.defined()) {  // of the positives
        weight = weight * (1.0 + target * (Variable(class_weight) - 1.0));
    }
    const double total = sum(weight).item();
    if (batch.sample_weight.defined()) {
        weight = weight * reshape(Variable(batch.sample_weight), {batch.size(), 1});
    }
    const double counted = sum(weight).item();  // what the mean below divides by
    return {
        binary_cross_entropy_with_logits(logits, target * (1.0 - smoothing) + smoothing / 2, weight.data()) *
            counted,
        total};
}

}  // namespace backlight
