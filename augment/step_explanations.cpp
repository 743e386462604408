#include "augment/step_explanations.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {
namespace {

/// A key that changes with the batch's values.
std::string key_of(const Batch& batch) {
    return std::to_string(batch.input.storage_id()) + "." + std::to_string(batch.input.version());
}

}  // namespace

const ExplainedForward& explained_batch(TrainingStep& step) {
    std::any& known = step.shared["forward " + key_of(step.batch)];
    if (!known.has_value()) {
        known = std::make_shared<ExplainedForward>(step.net(), step.batch.input);
    }
    return *std::any_cast<std::shared_ptr<ExplainedForward>&>(known);
}

Tensor explained_map(TrainingStep& step, const std::string& method, const std::vector<int64_t>& targets) {
    std::string key = "map " + method + " " + key_of(step.batch);
    for (const int64_t target : targets) {
        key += " " + std::to_string(target);
    }
    std::any& known = step.shared[key];
    if (!known.has_value()) {
        const ExplainedForward& forward = explained_batch(step);
        const ExplainContext context{.cam_layer = step.run.model->cam_layer, .seed = step.run.seed};
        const auto explainer = build_method(method, context);
        const NoGrad off;
        const Tensor map = explainer->explain(forward, {.targets = targets}, false).maps[0].data();
        const Variable finite(mask(UnaryOp::is_finite, map));
        std::vector<int> axes;
        for (int axis = 1; axis < map.rank(); ++axis) {
            axes.push_back(axis);
        }
        const Tensor whole = amin(finite, axes, true).data();
        known = where(whole, Variable(map), Variable(Tensor::zeros({1}, map.dtype(), map.device()))).data();
    }
    return std::any_cast<Tensor>(known);
}

std::vector<int64_t> labels_of(const Batch& batch, const std::string& who) {
    BACKLIGHT_CHECK(batch.label.defined(), who, ": needs one label a sample, the data has several");
    return batch.label.to_vector<int64_t>();
}

Tensor minmax_by_sample(const Tensor& map) {
    const NoGrad off;
    std::vector<int> axes;
    for (int axis = 1; axis < map.rank(); ++axis) {
        axes.push_back(axis);
    }
    const Variable low = amin(Variable(map), axes, true);
    const Variable span = amax(Variable(map), axes, true) - low;
    const Tensor varies = compare(BinaryOp::greater, span.data(), Tensor::full({1}, 1e-12, map.dtype(), map.device()));
    const Variable one(Tensor::ones({1}, map.dtype(), map.device()));
    return ((Variable(map) - low) * Variable(varies) / where(varies, span, one)).data();
}

}  // namespace backlight
