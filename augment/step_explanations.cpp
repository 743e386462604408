#include "augment/step_explanations.h"

#include "autograd/functions.h"
#include "autograd/precision.h"
#include "core/error.h"

namespace backlight {
namespace {

/// A key that changes with the batch's values.
std::string key_of(const Batch& batch) {
    return std::to_string(batch.input.storage_id()) + "." + std::to_string(batch.input.version());
}

std::vector<int> axes_of_sample(const Tensor& map) {
    std::vector<int> axes;
    for (int axis = 1; axis < map.rank(); ++axis) {
        axes.push_back(axis);
    }
    return axes;
}

Variable zero_of(const Tensor& like) { return Variable(Tensor::zeros({1}, like.dtype(), like.device())); }

}  // namespace

ExplainContext explain_context(const TrainingRun& run) {
    const InputRange range = run.data->input_range();
    const Normalization& scale = run.data->normalization();
    return {.cam_layer = run.model->cam_layer,
            .low = {range.low.begin(), range.low.end()},
            .high = {range.high.begin(), range.high.end()},
            .mean = {scale.mean.begin(), scale.mean.end()},
            .std = {scale.std.begin(), scale.std.end()},
            .seed = run.seed};
}

Tensor finite_or_zero(const Tensor& map) {
    const NoGrad off;
    const Variable finite(mask(UnaryOp::is_finite, map));
    const Tensor whole = amin(finite, axes_of_sample(map), true).data();
    return where(whole, Variable(map), zero_of(map)).data();
}

const ExplainedForward& explained_batch(TrainingStep& step, const std::string& method,
                                        const std::vector<std::string>& layers) {
    const std::string key = "forward " + key_of(step.batch);
    std::string from;
    if (!method.empty() && !step.shared[key].has_value()) {
        from = build_method(method, explain_context(step.run))->reads_from({.layers = layers});
    }
    std::any& known = step.shared[from.empty() ? key : key + " from " + from];
    if (!known.has_value()) {
        const PrecisionScope full(DType::f32);  // of a step in mixed precision too
        known =
            std::make_shared<ExplainedForward>(step.net(), step.batch.input, Recording::Keeps::values, from);
    }
    return *std::any_cast<std::shared_ptr<ExplainedForward>&>(known);
}

std::vector<Tensor> explained_maps(TrainingStep& step, const std::string& method,
                                   const std::vector<int64_t>& targets,
                                   const std::vector<std::string>& layers) {
    std::string key = "maps " + method + " " + key_of(step.batch);
    for (const int64_t target : targets) {
        key += " " + std::to_string(target);
    }
    for (const std::string& layer : layers) {
        key += " " + layer;
    }
    std::any& known = step.shared[key];
    if (!known.has_value()) {
        const ExplainedForward& forward = explained_batch(step, method, layers);
        const auto explainer = build_method(method, explain_context(step.run));
        const NoGrad off;
        std::vector<Tensor> maps;
        for (const Variable& map :
             explainer->explain(forward, {.targets = targets, .layers = layers}, false).maps) {
            maps.push_back(finite_or_zero(map.data()));
        }
        known = std::move(maps);
    }
    return std::any_cast<std::vector<Tensor>>(known);
}

Tensor explained_map(TrainingStep& step, const std::string& method, const std::vector<int64_t>& targets,
                     const std::string& layer) {
    return explained_maps(step, method, targets,
                          layer.empty() ? std::vector<std::string>{} : std::vector<std::string>{layer})[0];
}

std::vector<int64_t> labels_of(const Batch& batch, const std::string& who) {
    BACKLIGHT_CHECK(batch.label.defined(), who, ": needs one label a sample, the data has several");
    return batch.soft_label.defined() ? argmax(batch.soft_label, 1).to_vector<int64_t>()
                                      : batch.label.to_vector<int64_t>();
}

ExplainRequest label_request(const Batch& batch) {
    const Tensor several = batch.target.defined() ? batch.target : batch.soft_label;
    return several.defined() ? ExplainRequest{.start = several}
                             : ExplainRequest{.targets = batch.label.to_vector<int64_t>()};
}

Tensor maxabs_by_sample(const Tensor& map) {
    const NoGrad off;
    const Variable largest = amax(abs(Variable(map)), axes_of_sample(map), true);
    return divide_or_zero(Variable(map), largest).data();
}

Tensor minmax_by_sample(const Tensor& map) {
    const NoGrad off;
    const std::vector<int> axes = axes_of_sample(map);
    const Variable low = amin(Variable(map), axes, true);
    const Variable span = amax(Variable(map), axes, true) - low;
    const Tensor varies =
        compare(BinaryOp::greater, span.data(), Tensor::full({1}, 1e-12, map.dtype(), map.device()));
    const Variable one(Tensor::ones({1}, map.dtype(), map.device()));
    return ((Variable(map) - low) * Variable(varies) / where(varies, span, one)).data();
}

}  // namespace backlight
