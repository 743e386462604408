// Feature-gradient masking: the gradient g that arrives at the output of a layer becomes g ⊙ Ψ(M) before it
// flows on.
//   add:      g + λ g ⊙ M      (the generator's gradient of xAI-GAN)
//   multiply: g ⊙ M
// M in [0,1]: an explanation at that layer, moved to [0,1] sample by sample, or ground truth. It is a
// constant, and no factor is negative: a coordinate of the gradient gets another length, never another sign.
// Weber et al., "Beyond explaining", 2022, Eq. 7 and 19; Nagisetty et al., "xAI-GAN", 2020.

#include "augment/gradient/scale_gradient.h"
#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

enum class MaskSource : uint8_t { explanation, object, decoy };
enum class MaskControl : uint8_t { none, constant, random, shuffled };

std::vector<int> axes_of_sample(const Tensor& mask) {
    std::vector<int> axes;
    for (int axis = 1; axis < mask.rank(); ++axis) {
        axes.push_back(axis);
    }
    return axes;
}

class GradientMask final : public Augmentation {
public:
    struct Config {
        std::string layer, explainer;
        bool multiply = false, predicted = false;
        double lambda = 0.2;
        MaskSource source = MaskSource::explanation;
        MaskControl control = MaskControl::none;
    };
    explicit GradientMask(Config config) : config_(std::move(config)) {}

    [[nodiscard]] std::vector<std::string> relies_on() const override {
        return config_.source == MaskSource::decoy ? std::vector<std::string>{kDecoyMasks}
                                                   : std::vector<std::string>();
    }

    void begin(const TrainingRun& run) override {
        if (config_.layer.empty()) {
            config_.layer = run.model->cam_layer;
            BACKLIGHT_CHECK(!config_.layer.empty(), "gradient_mask: ", run.model->spec,
                            " has no layer for CAM; layer=L");
        }
        (void)run.model->net->at(config_.layer);
        const Dataset& data = *run.data;
        BACKLIGHT_CHECK(config_.source != MaskSource::object || data.has_masks(),
                        "gradient_mask: the data has no masks of what matters; mask=explanation needs none");
        BACKLIGHT_CHECK(config_.source != MaskSource::decoy || data.has_decoy_masks(),
                        "gradient_mask: the data has no masks of decoys; mask=explanation needs none");
        BACKLIGHT_CHECK(config_.source != MaskSource::explanation || !data.is_multi_label(),
                        "gradient_mask: multi-label data has no one target to explain");
        check_layer(run);
    }

    /// In a run of strength zero no hook is installed.
    [[nodiscard]] std::vector<std::string> feature_layers() const override {
        return config_.multiply || config_.lambda != 0 ? std::vector<std::string>{config_.layer}
                                                       : std::vector<std::string>{};
    }

    void before_forward(TrainingStep& step) override {
        if (feature_layers().empty()) {
            return;
        }
        const NoGrad off;
        const Variable mask = mask_of(step);
        note("mask", mean(mask).item());
        if (config_.source == MaskSource::explanation) {
            note(kMapsNotFinite, maps_not_finite(step));
        }
        factor_ = config_.multiply ? mask.data() : (mask * config_.lambda + 1.0).data();
    }

    [[nodiscard]] Variable change_features(TrainingStep&, const std::string&,
                                           const Variable& features) override {
        return scale_gradient(features, factor_);
    }

private:
    /// Explains a sample of zeros, so that what does not fit is told before the first step.
    void check_layer(const TrainingRun& run) {
        const ExplainedForward forward(*run.model->net, blank_sample(run));
        check_called_once(forward, config_.layer, "gradient_mask");
        const Shape features = forward.layers().at(config_.layer).shape();
        if (features.rank() == 4) {
            height_ = features[1];
            width_ = features[2];
        }
        if (config_.source != MaskSource::explanation) {
            BACKLIGHT_CHECK(features.rank() == 4,
                            "gradient_mask: masks of the data need a layer with height and width, ",
                            config_.layer, " has shape ", features);
            return;
        }
        const auto explainer = build_method(config_.explainer, explain_context(run));
        const NoGrad off;
        const Shape map =
            in_layer(
                explainer->explain(forward, {.targets = {0}, .layers = {config_.layer}}, false).maps.at(0))
                .shape();
        const bool fits = map.rank() == features.rank() && (map == features || map == features.with(-1, 1));
        BACKLIGHT_CHECK(fits, "gradient_mask: ", config_.explainer, " has a map of shape ", map, " at layer ",
                        config_.layer, ", whose output has shape ", features);
    }

    /// A picture in the extent of the layer: by area.
    [[nodiscard]] Variable in_layer(const Variable& map) const {
        const bool fits = map.rank() != 4 || (map.dim(1) == height_ && map.dim(2) == width_);
        return fits || height_ == 0 ? map : adaptive_avg_pool2d(map, height_, width_);
    }

    /// In [0,1], of a shape that broadcasts to that of the layer's output.
    [[nodiscard]] Variable mask_of(TrainingStep& step) const {
        const Variable mask(config_.source == MaskSource::explanation ? explained(step)
                                                                      : annotated(step.batch));
        switch (config_.control) {
            case MaskControl::none:
                return mask;
            case MaskControl::constant:  // as much in all, the same everywhere
                return mask * 0.0 + mean(mask, axes_of_sample(mask.data()), true);
            case MaskControl::random:
            case MaskControl::shuffled:
                break;
        }
        auto values = mask.data().to(DType::f32).to_vector<float>();
        const size_t each = values.size() / step.batch.indices.size();
        for (size_t n = 0; n < step.batch.indices.size(); ++n) {
            RandomStream stream = stream_of(step, "gradient_mask " + config_.layer, n);
            const std::span<float> own = std::span(values).subspan(n * each, each);
            if (config_.control == MaskControl::random) {
                stream.fill_uniform(own);
            } else {
                stream.shuffle(own);
            }
        }
        return Tensor::from(values, mask.shape()).to(mask.dtype());
    }

    /// A sample whose map is constant says nothing: its gradient stays.
    [[nodiscard]] Tensor explained(TrainingStep& step) const {
        const std::vector<int64_t> targets =
            config_.predicted ? explained_batch(step).predicted() : labels_of(step.batch, "gradient_mask");
        const Tensor map = explained_map(step, config_.explainer, targets, config_.layer);
        const Tensor mask = minmax_by_sample(in_layer(Variable(map)).data());
        if (!config_.multiply) {
            return mask;
        }
        const Variable varies = amax(Variable(mask), axes_of_sample(mask), true);
        const Variable one(Tensor::ones({1}, mask.dtype(), mask.device()));
        return where(varies.data(), Variable(mask), one).data();
    }

    /// 1 where the data says what a prediction should rest on, or 0 where it must not; in a layer by area.
    [[nodiscard]] Tensor annotated(const Batch& batch) const {
        const bool object = config_.source == MaskSource::object;
        const Variable mask(object ? batch.mask : batch.decoy_mask);
        const Variable image = reshape(mask, {mask.dim(0), mask.dim(1), mask.dim(2), 1});
        return (object ? in_layer(image) : 1.0 - in_layer(image)).data();
    }

    Config config_;
    int64_t height_ = 0, width_ = 0;  // of the layer, where it has them
    Tensor factor_;                   // of the present batch
};

}  // namespace

std::unique_ptr<Augmentation> build_gradient_mask(const Options& options) {
    GradientMask::Config config{.layer = options.get("layer", ""),
                                .explainer = options.get("explainer", "saliency")};
    config.multiply = options.choose("mode", "add", {"add", "multiply"}) == "multiply";
    if (config.multiply) {
        options.refuse({"lambda"}, "lambda belongs to mode=add");
    }
    config.lambda = config.multiply ? 1 : options.get_within("lambda", 0.2, 0.0, 1e6);
    config.predicted = options.choose("target", "label", {"label", "predicted"}) == "predicted";
    const std::map<std::string, MaskSource> sources{{"explanation", MaskSource::explanation},
                                                    {"object", MaskSource::object},
                                                    {"decoy", MaskSource::decoy}};
    config.source = sources.at(options.choose("mask", "explanation", {"explanation", "object", "decoy"}));
    if (config.source != MaskSource::explanation) {
        options.refuse({"explainer", "target"}, "a mask of the data is not explained");
    }
    const std::map<std::string, MaskControl> controls{{"none", MaskControl::none},
                                                      {"constant", MaskControl::constant},
                                                      {"random", MaskControl::random},
                                                      {"shuffled", MaskControl::shuffled}};
    config.control =
        controls.at(options.choose("control", "none", {"none", "constant", "random", "shuffled"}));
    return std::make_unique<GradientMask>(std::move(config));
}

}  // namespace backlight
