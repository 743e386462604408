// Right for the right reasons: what must not matter may not have a gradient, or relevance.
//   L = L_pred + lambda mean_i || A_i ⊙ r_i ||²,   r = d/dx Σ_c log p_c
// Ross, Hughes and Doshi-Velez, "Right for the right reasons: training differentiable models by constraining their
// explanations", IJCAI 2017; Weber et al., "Beyond explaining", 2022, Eq. 16 and 17.
#include "augment/constant_statistics.h"
#include "augment/registry.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

enum class Irrelevant : uint8_t { automatic, decoy, outside, all };

class RightReasons final : public Augmentation {
public:
    RightReasons(double lambda, Irrelevant masks, std::string method)
        : lambda_(lambda), masks_(masks), method_(std::move(method)) {}
    [[nodiscard]] bool reads_input_gradient() const override { return lambda_ != 0; }
    [[nodiscard]] bool reads_layers() const override { return lambda_ != 0; }

    void begin(const TrainingRun& run) override {
        if (masks_ == Irrelevant::automatic) {
            masks_ = run.data->has_decoy_masks() ? Irrelevant::decoy : Irrelevant::outside;
        }
        BACKLIGHT_CHECK(masks_ != Irrelevant::decoy || run.data->has_decoy_masks(),
                        "rrr: the data has no masks of decoys; masks=outside or masks=all");
        BACKLIGHT_CHECK(masks_ != Irrelevant::outside || run.data->has_masks(),
                        "rrr: the data has no masks of what matters; masks=all penalises every input");
        if (method_ != "gradient") {
            explainer_ = build_method(method_, {.cam_layer = run.model->cam_layer, .seed = run.seed});
            BACKLIGHT_CHECK(explainer_->differentiable(), "rrr: ", method_,
                            " has no derivative, so no loss may contain it; gradients, LRP, CAM and DeepLIFT have one");
        }
    }

    [[nodiscard]] Variable loss_term(TrainingStep& step) override {
        if (lambda_ == 0) {
            return {};
        }
        const Variable r = relevance(step);
        const Variable hidden = Variable(irrelevant(step.batch, r.shape())) * r;
        const Variable penalty = sum(square(hidden)) / static_cast<double>(r.dim(0));
        note("penalty", penalty.item());
        return penalty * lambda_;
    }

private:
    [[nodiscard]] Variable relevance(TrainingStep& step) {
        if (explainer_) {
            const ExplainedForward forward(step.net(), *step.layers, step.input, step.logits);
            return explainer_->explain(forward, {.targets = step.batch.label.to_vector<int64_t>()}, true).maps[0];
        }
        const std::vector<int64_t> any(static_cast<size_t>(step.logits.dim(0)), 0);
        ConstantStatistics rules;
        return grad(step.logits, start_values(Start::sum_log_prob, step.logits, any), {step.input},
                    {.create_graph = true, .rules = &rules})[0];
    }

    /// 1 where nothing may be read from, of the relevance's height and width, one value for all channels.
    [[nodiscard]] Tensor irrelevant(const Batch& batch, const Shape& shape) const {
        const NoGrad off;
        if (masks_ == Irrelevant::all) {
            return Tensor::ones({1}, DType::f32);
        }
        const Tensor mask = masks_ == Irrelevant::decoy ? batch.decoy_mask : (1.0 - Variable(batch.mask)).data();
        if (shape.rank() != 4) {
            return mask;
        }
        const Variable image = reshape(Variable(mask), {mask.dim(0), mask.dim(1), mask.dim(2), 1});
        return mask.dim(1) == shape[1] && mask.dim(2) == shape[2]
                   ? image.data()
                   : adaptive_avg_pool2d(image, shape[1], shape[2]).data();  // of a layer: by area
    }

    double lambda_;
    Irrelevant masks_;
    std::string method_;
    std::unique_ptr<Explainer> explainer_;
};

}  // namespace

std::unique_ptr<Augmentation> build_rrr(const Options& options) {
    const double lambda = options.get_within("lambda", 10.0, 0.0, 1e9);
    const std::string masks = options.choose("masks", "auto", {"auto", "decoy", "outside", "all"});
    const Irrelevant kind = masks == "auto"    ? Irrelevant::automatic
                            : masks == "decoy" ? Irrelevant::decoy
                            : masks == "all"   ? Irrelevant::all
                                               : Irrelevant::outside;
    return std::make_unique<RightReasons>(lambda, kind, options.get("method", "gradient"));
}

}  // namespace backlight
