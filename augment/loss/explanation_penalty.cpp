#include "augment/loss/explanation_penalty.h"

#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "train/loss.h"

namespace backlight {

void ExplanationPenalty::begin(const TrainingRun& run) {
    if (!config_.layer.empty()) {
        (void)run.model->net->at(config_.layer.substr(0, config_.layer.find(':')));
    }
    if (config_.explainer != "sum_log_prob") {
        BACKLIGHT_CHECK(!run.data->is_multi_label(), name(),
                        ": multi-label data has no one target to explain; explainer=sum_log_prob");
        explainer_ = build_method(config_.explainer, explain_context(run));
        BACKLIGHT_CHECK(
            explainer_->differentiable(), name(), ": ", config_.explainer,
            " has no derivative, so no loss may contain it; gradients, LRP, CAM and DeepLIFT have one");
    }
    Batch batch = blank_batch(run);
    TrainingStep step{.run = run, .batch = batch};
    const ExplainedForward forward(*run.model->net, batch.input);
    if (!config_.layer.empty()) {
        check_called_once(forward, config_.layer.substr(0, config_.layer.find(':')), name());
    }
    step.input = forward.input();
    step.logits = forward.logits();
    step.layers = &forward.layers();
    (void)penalty(step, relevance(step));
}

Variable ExplanationPenalty::relevance(TrainingStep& step) {
    if (explainer_) {
        const ExplainedForward forward(step.net(), *step.layers, step.input, step.logits);
        ExplainRequest request{.targets = labels_of(step.batch, name()), .numbers = numbers_of(step)};
        if (!config_.layer.empty()) {
            request.layers = {config_.layer};
        }
        return explainer_->explain(forward, request, true).maps[0];
    }
    // d/dz Σ_c log p_c; of several labels each output stands for itself: Σ_c log p_c + log(1 - p_c)
    const std::vector<int64_t> any(static_cast<size_t>(step.logits.dim(0)), 0);
    const Variable start = step.batch.target.defined() ? 1.0 - sigmoid(step.logits) * 2.0
                                                       : start_values(Start::sum_log_prob, step.logits, any);
    const Variable at = config_.layer.empty() ? step.input : step.layers->at(config_.layer);
    return grad(step.logits, start, {at}, {.create_graph = true, .by_sample = true})[0];
}

Variable ExplanationPenalty::loss_term(TrainingStep& step) {
    if (config_.lambda == 0) {
        return {};
    }
    const Variable zeta = penalty(step, relevance(step));
    note("penalty", zeta.item());
    if (!config_.relative) {
        return zeta * config_.lambda;
    }
    if (unit_ == 0 && zeta.item() > 0) {
        const NoGrad off;
        const SummedLoss loss = loss_of(step.logits.detach(), step.batch, 0, {});
        unit_ = loss.weight > 0 ? loss.sum.item() / loss.weight / zeta.item() : 0;
    }
    return zeta * (config_.lambda * unit_);
}

std::map<std::string, Tensor> ExplanationPenalty::state() const {
    return config_.relative
               ? std::map<std::string, Tensor>{{"unit", Tensor::from(std::vector<double>{unit_}, {1})}}
               : std::map<std::string, Tensor>{};
}

void ExplanationPenalty::restore(const std::map<std::string, Tensor>& state) {
    const auto unit = state.find("unit");
    unit_ = unit == state.end() ? 0 : unit->second.to_vector<double>().at(0);
}

ExplanationPenalty::Config read_penalty_options(const Options& options, double lambda,
                                                const char* explainer) {
    return {.lambda = options.get_within("lambda", lambda, 0.0, 1e9),
            .explainer = options.get("explainer", explainer),
            .relative = options.get("relative", false),
            .layer = options.get("layer", "")};
}

namespace {

using Zeta = std::function<Variable(const TrainingStep&, const Variable&)>;

class FunctionPenalty final : public ExplanationPenalty {
public:
    FunctionPenalty(Config config, Zeta zeta)
        : ExplanationPenalty(std::move(config)), zeta_(std::move(zeta)) {}

protected:
    [[nodiscard]] Variable penalty(const TrainingStep& step, const Variable& r) override {
        return zeta_(step, r);
    }

private:
    Zeta zeta_;
};

Variable mean_by_sample(const Variable& v) { return sum(v) / static_cast<double>(v.dim(0)); }

/// -Σ a log a of a = |r| / Σ |r|: low where few inputs carry the decision.
Variable entropy(const TrainingStep&, const Variable& r) {
    const Variable magnitude = abs(flatten(r)) + 1e-12;
    const Variable a = magnitude / sum(magnitude, {1}, true);
    return -mean_by_sample(a * log(a));
}

/// Σ |r_p - r_q| over neighbours p, q below and beside each other: low where maps are smooth.
Variable total_variation(const TrainingStep&, const Variable& r) {
    BACKLIGHT_CHECK(r.shape().rank() == 4, "penalty: total_variation needs maps of pictures, got shape ",
                    r.shape());
    const auto steps = [&](int axis) {
        const int64_t extent = r.dim(axis);
        return extent < 2 ? Variable(Tensor::zeros({1}, r.dtype()))
                          : sum(abs(slice(r, axis, 1, extent - 1) - slice(r, axis, 0, extent - 1)));
    };
    return (steps(1) + steps(2)) / static_cast<double>(r.dim(0));
}

}  // namespace

std::unique_ptr<Augmentation> explanation_penalty(ExplanationPenalty::Config config, Zeta zeta) {
    return std::make_unique<FunctionPenalty>(std::move(config), std::move(zeta));
}

std::unique_ptr<Augmentation> build_penalty(const Options& options) {
    const std::string form = options.choose("form", "l1", {"l1", "l2", "entropy", "total_variation"});
    ExplanationPenalty::Config config = read_penalty_options(options, 1.0, "gradient");
    const Zeta zeta =
        form == "l1" ? Zeta([](const TrainingStep&, const Variable& r) { return mean_by_sample(abs(r)); })
        : form == "l2"
            ? Zeta([](const TrainingStep&, const Variable& r) { return mean_by_sample(square(r)); })
        : form == "entropy" ? Zeta(entropy)
                            : Zeta(total_variation);
    return explanation_penalty(std::move(config), zeta);
}

}  // namespace backlight
