// Right for the right reasons: what must not matter may not have a gradient, or relevance.
//   L = L_pred + lambda mean_i || A_i ⊙ r_i ||²,   r = d/dx Σ_c log p_c
// Ross, Hughes and Doshi-Velez, "Right for the right reasons: training differentiable models by constraining
// their explanations", IJCAI 2017; Weber et al., "Beyond explaining", 2022, Eq. 16 and 17.
#include "augment/loss/explanation_penalty.h"
#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "train/trainer.h"

namespace backlight {
namespace {

enum class Irrelevant : uint8_t { automatic, decoy, outside, all, shuffled, earlier };
enum class Scale : uint8_t { none, through, stop };

class RightReasons final : public ExplanationPenalty {
public:
    struct Masks {
        Irrelevant kind = Irrelevant::automatic;
        std::string folder;                // empty: the data's own
        std::vector<std::string> earlier;  // weights of networks whose reasons shall not be used again
        double cutoff = 0.67;
    };
    RightReasons(Config config, Masks masks, Scale scale)
        : ExplanationPenalty(std::move(config)), masks_(std::move(masks)), scale_(scale) {}

    [[nodiscard]] std::vector<std::string> claims() const override {
        return masks_.folder.empty() ? std::vector<std::string>() : std::vector<std::string>{kDecoyMasks};
    }
    [[nodiscard]] std::vector<std::string> relies_on() const override {
        const bool own = masks_.folder.empty();
        const bool decoys = masks_.kind == Irrelevant::automatic || masks_.kind == Irrelevant::decoy ||
                            masks_.kind == Irrelevant::shuffled;
        return own && decoys ? std::vector<std::string>{kDecoyMasks} : std::vector<std::string>();
    }

    [[nodiscard]] std::shared_ptr<Dataset> change_data(std::shared_ptr<Dataset> data) override {
        return masks_.folder.empty() ? data : with_decoy_masks(data, masks_.folder);
    }

    void begin(const TrainingRun& run) override {
        for (const std::string& file : masks_.earlier) {
            earlier_.push_back(load_model(run.model->spec, run.model->classes, file).model);
        }
        const Dataset& data = *run.data;
        if (masks_.kind == Irrelevant::automatic) {
            masks_.kind = data.has_decoy_masks() ? Irrelevant::decoy : Irrelevant::outside;
        }
        const bool decoys = masks_.kind == Irrelevant::decoy || masks_.kind == Irrelevant::shuffled;
        BACKLIGHT_CHECK(!decoys || data.has_decoy_masks(),
                        "rrr: the data has no masks of decoys; masks=DIR, masks=outside or masks=all");
        BACKLIGHT_CHECK(
            masks_.kind != Irrelevant::outside || data.has_masks(),
            "rrr: the data has no masks of what matters; masks=DIR, or masks=all penalises every input");
        ExplanationPenalty::begin(run);
    }

protected:
    [[nodiscard]] Variable penalty(const TrainingStep& step, const Variable& r) override {
        const Variable hidden = Variable(irrelevant(step, r.shape()).to(r.dtype())) * scaled(r);
        return sum(square(hidden)) / static_cast<double>(r.dim(0));
    }

private:
    /// r / max |r| of each sample (survey Eq. 24): relevances of all samples and steps are then of one size.
    /// Where the largest is what shall vanish, the ratio is 1 and its derivative is 0; with `stop` the
    /// largest is a constant.
    [[nodiscard]] Variable scaled(const Variable& r) const {
        if (scale_ == Scale::none) {
            return r;
        }
        std::vector<int> axes;
        for (int axis = 1; axis < static_cast<int>(r.shape().rank()); ++axis) {
            axes.push_back(axis);
        }
        const Variable largest = amax(abs(r), axes, true);
        return divide_or_zero(r, scale_ == Scale::stop ? largest.detach() : largest);
    }

    /// 1 where nothing may be read from, of the relevance's height and width, one value for all channels.
    [[nodiscard]] Tensor irrelevant(const TrainingStep& step, const Shape& shape) const {
        const NoGrad off;
        if (masks_.kind == Irrelevant::all) {
            return Tensor::ones({1}, DType::f32);
        }
        const Batch& batch = step.batch;
        if (masks_.kind == Irrelevant::earlier) {
            return reasons_of_earlier(batch.input, shape);
        }
        const Tensor mask = masks_.kind == Irrelevant::outside    ? (1.0 - Variable(batch.mask)).data()
                            : masks_.kind == Irrelevant::shuffled ? shuffled(batch, step.run.seed)
                                                                  : batch.decoy_mask;
        if (shape.rank() != 4 || mask.rank() != 3) {
            BACKLIGHT_CHECK(mask.shape() == shape, "rrr: masks of shape ", mask.shape(),
                            " mark nothing in a relevance of shape ", shape,
                            "; take the input's or that of a layer with height and width");
            return mask;
        }
        const Variable image = reshape(Variable(mask), {mask.dim(0), mask.dim(1), mask.dim(2), 1});
        return mask.dim(1) == shape[1] && mask.dim(2) == shape[2]
                   ? image.data()
                   : adaptive_avg_pool2d(image, shape[1], shape[2]).data();  // of a layer: by area
    }

    /// What the earlier networks looked at: |d max_c p_c / dx| above `cutoff` times the sample's largest
    /// (Ross et al., section 3.2, "find-another-explanation"). On the batch as it is, so crops and flips need
    /// no bookkeeping.
    [[nodiscard]] Tensor reasons_of_earlier(const Tensor& input, const Shape& shape) const {
        BACKLIGHT_CHECK(input.shape() == shape,
                        "rrr: earlier=FILE marks inputs; leave layer=L out, and take a method "
                        "whose maps have the input's shape");
        Variable marked(Tensor::zeros(shape, input.dtype()));
        for (const Model& model : earlier_) {
            const ExplainedForward forward(*model.net, input);
            const auto explainer = build_method("gradient(start=prob)");
            const Variable g = abs(Variable(forward.explain(*explainer, {.targets = forward.predicted()})));
            std::vector<int> axes;
            for (int axis = 1; axis < input.rank(); ++axis) {
                axes.push_back(axis);
            }
            marked = maximum(marked, Variable(mask(UnaryOp::is_positive,
                                                   (g - amax(g, axes, true) * masks_.cutoff).data())));
        }
        return marked.data();
    }

    /// Control: as many marked places, anywhere, the same for a sample in every epoch.
    [[nodiscard]] static Tensor shuffled(const Batch& batch, uint64_t seed) {
        auto values = batch.decoy_mask.to_vector<float>();
        const size_t plane = values.size() / batch.indices.size();
        for (size_t n = 0; n < batch.indices.size(); ++n) {
            RandomStream random(RandomKey{.seed = seed,
                                          .purpose = purpose::kAugmentation,
                                          .sample = static_cast<uint32_t>(batch.indices[n])});
            random.shuffle(std::span(values).subspan(n * plane, plane));
        }
        return Tensor::from(values, batch.decoy_mask.shape());
    }

    Masks masks_;
    Scale scale_;
    std::vector<Model> earlier_;
};

}  // namespace

std::unique_ptr<Augmentation> build_rrr(const Options& options) {
    const std::map<std::string, Irrelevant> kinds{{"auto", Irrelevant::automatic},
                                                  {"decoy", Irrelevant::decoy},
                                                  {"outside", Irrelevant::outside},
                                                  {"all", Irrelevant::all},
                                                  {"shuffled", Irrelevant::shuffled}};
    const std::string text = options.get("masks", "auto");
    const auto kind = kinds.find(text);
    RightReasons::Masks masks{.earlier = options.get("earlier", std::vector<std::string>{}),
                              .cutoff = options.get_within("cutoff", 0.67, 0.0, 1.0)};
    BACKLIGHT_CHECK(!masks.earlier.empty() || !options.has("cutoff"),
                    "rrr: cutoff belongs to earlier=WEIGHTS");
    if (!masks.earlier.empty()) {
        BACKLIGHT_CHECK(!options.has("masks"),
                        "rrr: masks and earlier both say what is irrelevant; give one");
        masks.kind = Irrelevant::earlier;
    } else if (kind != kinds.end()) {
        masks.kind = kind->second;
    } else {
        masks.kind = Irrelevant::decoy;
        masks.folder = text;
    }
    const std::string scale = options.choose("scale", "none", {"none", "through", "stop"});
    return std::make_unique<RightReasons>(read_penalty_options(options, 10.0, "sum_log_prob"),
                                          std::move(masks),
                                          scale == "none"   ? Scale::none
                                          : scale == "stop" ? Scale::stop
                                                            : Scale::through);
}

}  // namespace backlight
