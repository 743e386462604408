#include "augment/features/feature_factor.h"

#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/options.h"

namespace backlight {
namespace {

/// A map of one channel (CAM) stands for all of them. Throws Error where it does not fit.
Tensor at_features(const Tensor& map, const Shape& shape, const std::string& who) {
    BACKLIGHT_CHECK(map.shape() == shape || map.shape() == shape.with(shape.rank() - 1, 1), who,
                    ": its explainer gives a map of shape ", map.shape(), " for features of shape ", shape);
    return map.shape() == shape ? map : broadcast_to(Variable(map), shape).data();
}

}  // namespace

void FeatureFactor::begin(const TrainingRun& run) {
    BACKLIGHT_CHECK(!explains() || config_.predicted || !run.data->is_multi_label(), name(),
                    ": explains the label of a sample, the data has several; target=predicted");
    (void)run.model->net->at(config_.layer);  // lists the near names
    Batch batch = blank_batch(run);
    TrainingStep step{.run = run, .batch = batch};
    const ExplainedForward& forward = explained_batch(step);
    check_called_once(forward, config_.layer, name());
    const Shape shape = forward.layers().at(config_.layer).shape();
    BACKLIGHT_CHECK(shape.rank() == 2 || shape.rank() == 4, name(), ": layer ", config_.layer,
                    " has outputs of shape ", shape, ", expected (N,D) or (N,H,W,C)");
    check_features(shape);
    if (explains()) {
        (void)at_features(explained_map(step, config_.explainer, targets_of(step), config_.layer), shape,
                          name());
    }
}

void FeatureFactor::before_forward(TrainingStep& step) {
    relevance_ = explains() && !is_identity()
                     ? explained_map(step, config_.explainer, targets_of(step), config_.layer)
                     : Tensor();
    if (relevance_.defined()) {
        note(kMapsNotFinite, maps_not_finite(step));
    }
}

Variable FeatureFactor::change_features(TrainingStep& step, const std::string& layer,
                                        const Variable& features) {
    if (is_identity()) {
        return features;
    }
    Tensor constant;
    {
        const NoGrad off;
        const DType dtype = features.dtype() == DType::f64 ? DType::f64 : DType::f32;
        const Tensor relevance = relevance_.defined()
                                     ? at_features(relevance_, features.shape(), name() + ", " + layer)
                                     : Tensor();
        constant =
            factor(step, features.data().to(dtype), relevance.defined() ? relevance.to(dtype) : relevance)
                .to(dtype);
    }
    return features * Variable(constant);
}

std::vector<int64_t> FeatureFactor::targets_of(TrainingStep& step) const {
    return config_.predicted ? explained_batch(step).predicted() : labels_of(step.batch, name());
}

RandomStream FeatureFactor::stream_of(const TrainingStep& step, size_t n) const {
    return backlight::stream_of(step, name() + " " + config_.layer, n);
}

FeatureFactor::Config read_feature_options(const Options& options, const std::string& explainer) {
    FeatureFactor::Config config{.layer = options.get("layer", "")};
    BACKLIGHT_CHECK(!config.layer.empty(), options.owner(), ": which features? ", options.owner(),
                    "(layer=L) names the layer whose output is meant");
    if (!explainer.empty()) {
        config.explainer = options.get("explainer", explainer);
        config.predicted = options.choose("target", "label", {"label", "predicted"}) == "predicted";
    }
    return config;
}

}  // namespace backlight
