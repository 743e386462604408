// Right for the right reasons: what must not matter may not have a gradient, or relevance.
//   L = L_pred + lambda mean_i || A_i ⊙ r_i ||²,   r = d/dx Σ_c log p_c
// Ross, Hughes and Doshi-Velez, "Right for the right reasons: training differentiable models by constraining their
// explanations", IJCAI 2017; Weber et al., "Beyond explaining", 2022, Eq. 16 and 17.
#include "augment/loss/constant_statistics.h"
#include "augment/registry.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

enum class Irrelevant : uint8_t { automatic, decoy, outside, all, shuffled };
enum class Scale : uint8_t { none, through, stop };

class RightReasons final : public Augmentation {
public:
    struct Config {
        double lambda = 10;
        Irrelevant masks = Irrelevant::automatic;
        std::string folder;     // of masks; empty: the data's own
        std::string explainer;  // a method; gradient: of sum log p
        std::string layer;      // whose relevance; empty: the input's
        Scale scale = Scale::none;
    };
    explicit RightReasons(Config config) : config_(std::move(config)) {}
    [[nodiscard]] bool reads_input_gradient() const override { return config_.lambda != 0; }
    [[nodiscard]] bool reads_layers() const override { return config_.lambda != 0; }

    [[nodiscard]] std::shared_ptr<Dataset> change_data(std::shared_ptr<Dataset> data) override {
        return config_.folder.empty() ? data : with_decoy_masks(data, config_.folder);
    }

    void begin(const TrainingRun& run) override {
        const Dataset& data = *run.data;
        if (config_.masks == Irrelevant::automatic) {
            config_.masks = data.has_decoy_masks() ? Irrelevant::decoy : Irrelevant::outside;
        }
        const bool decoys = config_.masks == Irrelevant::decoy || config_.masks == Irrelevant::shuffled;
        BACKLIGHT_CHECK(!decoys || data.has_decoy_masks(),
                        "rrr: the data has no masks of decoys; masks=DIR, masks=outside or masks=all");
        BACKLIGHT_CHECK(config_.masks != Irrelevant::outside || data.has_masks(),
                        "rrr: the data has no masks of what matters; masks=DIR, or masks=all penalises every input");
        BACKLIGHT_CHECK(!data.is_multi_label() || config_.explainer == "gradient",
                        "rrr: multi-label data has no one target to explain; explainer=gradient");
        if (!config_.layer.empty()) {
            const std::string module = config_.layer.substr(0, config_.layer.find(':'));
            (void)run.model->net->at(module);
        }
        if (config_.explainer != "gradient") {
            explainer_ = build_method(config_.explainer, {.cam_layer = run.model->cam_layer, .seed = run.seed});
            BACKLIGHT_CHECK(explainer_->differentiable(), "rrr: ", config_.explainer,
                            " has no derivative, so no loss may contain it; gradients, LRP, CAM and DeepLIFT have one");
        }
    }

    [[nodiscard]] Variable loss_term(TrainingStep& step) override {
        if (config_.lambda == 0) {
            return {};
        }
        const Variable r = scaled(relevance(step));
        const Variable hidden = Variable(irrelevant(step, r.shape())) * r;
        const Variable penalty = sum(square(hidden)) / static_cast<double>(r.dim(0));
        note("penalty", penalty.item());
        return penalty * config_.lambda;
    }

private:
    [[nodiscard]] Variable relevance(TrainingStep& step) {
        if (explainer_) {
            const ExplainedForward forward(step.net(), *step.layers, step.input, step.logits);
            ExplainRequest request{.targets = step.batch.label.to_vector<int64_t>()};
            if (!config_.layer.empty()) {
                request.layers = {config_.layer};
            }
            return explainer_->explain(forward, request, true).maps[0];
        }
        const std::vector<int64_t> any(static_cast<size_t>(step.logits.dim(0)), 0);
        ConstantStatistics rules;
        const Variable at = config_.layer.empty() ? step.input : step.layers->at(config_.layer);
        return grad(step.logits, start_values(Start::sum_log_prob, step.logits, any), {at},
                    {.create_graph = true, .rules = &rules})[0];
    }

    /// r / max |r| of each sample (survey Eq. 24): relevances of all samples and steps are then of one size. Where the
    /// largest is what shall vanish, the ratio is 1 and its derivative is 0; with `stop` the largest is a constant.
    [[nodiscard]] Variable scaled(const Variable& r) const {
        if (config_.scale == Scale::none) {
            return r;
        }
        std::vector<int> axes;
        for (int axis = 1; axis < static_cast<int>(r.shape().rank()); ++axis) {
            axes.push_back(axis);
        }
        const Variable largest = amax(abs(r), axes, true);
        return divide_or_zero(r, config_.scale == Scale::stop ? largest.detach() : largest);
    }

    /// 1 where nothing may be read from, of the relevance's height and width, one value for all channels.
    [[nodiscard]] Tensor irrelevant(const TrainingStep& step, const Shape& shape) const {
        const NoGrad off;
        if (config_.masks == Irrelevant::all) {
            return Tensor::ones({1}, DType::f32);
        }
        const Batch& batch = step.batch;
        const Tensor mask = config_.masks == Irrelevant::outside    ? (1.0 - Variable(batch.mask)).data()
                            : config_.masks == Irrelevant::shuffled ? shuffled(batch, step.run.seed)
                                                                    : batch.decoy_mask;
        if (shape.rank() != 4 || mask.rank() != 3) {
            return mask;
        }
        const Variable image = reshape(Variable(mask), {mask.dim(0), mask.dim(1), mask.dim(2), 1});
        return mask.dim(1) == shape[1] && mask.dim(2) == shape[2]
                   ? image.data()
                   : adaptive_avg_pool2d(image, shape[1], shape[2]).data();  // of a layer: by area
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

    Config config_;
    std::unique_ptr<Explainer> explainer_;
};

}  // namespace

std::unique_ptr<Augmentation> build_rrr(const Options& options) {
    RightReasons::Config config{.lambda = options.get_within("lambda", 10.0, 0.0, 1e9),
                                .explainer = options.get("explainer", "gradient"),
                                .layer = options.get("layer", "")};
    const std::string masks = options.get("masks", "auto");
    const std::map<std::string, Irrelevant> kinds{{"auto", Irrelevant::automatic},
                                                  {"decoy", Irrelevant::decoy},
                                                  {"outside", Irrelevant::outside},
                                                  {"all", Irrelevant::all},
                                                  {"shuffled", Irrelevant::shuffled}};
    if (const auto kind = kinds.find(masks); kind != kinds.end()) {
        config.masks = kind->second;
    } else {
        config.masks = Irrelevant::decoy;
        config.folder = masks;
    }
    const std::string scale = options.choose("scale", "none", {"none", "through", "stop"});
    config.scale = scale == "none" ? Scale::none : scale == "stop" ? Scale::stop : Scale::through;
    return std::make_unique<RightReasons>(std::move(config));
}

}  // namespace backlight
