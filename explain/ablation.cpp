// Ablation: each part of the input, or of a layer's output, is taken away once.
//   A_k = f(x) - f(x without part k);   R_p = A_k of the part that p belongs to
// Without masks every single value is a part, as in Captum's FeatureAblation and LayerFeatureAblation.
#include "core/error.h"
#include "core/io/npy.h"
#include "explain/fill.h"
#include "explain/methods.h"
#include "explain/perturbation.h"
#include "explain/segmentation.h"

namespace backlight {
namespace {

class Ablation final : public PerturbationExplainer {
public:
    struct Config {
        Tensor masks;  // undefined: every value is a part
        std::string layer;
        int64_t limit = 20'000;
        Fill fill;
        Score score = Score::logit;
        bool share = false;
    };
    Ablation(ExplainContext context, Config config)
        : PerturbationExplainer("ablation", std::move(context)), config_(std::move(config)) {}

private:
    [[nodiscard]] Explanation measure(const ExplainedForward& forward,
                                      const ExplainRequest& request) const override {
        const Tensor x = forward.points({.layers = {config_.layer}, .neuron = request.neuron})[0].data();
        BACKLIGHT_CHECK(x.rank() == 2 || x.rank() == 4, "ablation: layer ", config_.layer, " has outputs ",
                        x.shape(), ", expected (N,H,W,C) or (N,D)");
        const Segmentation parts =
            config_.masks.defined() ? segments_from(config_.masks, x.shape()) : single_values(x.shape());
        for (const int64_t count : parts.counts) {
            BACKLIGHT_CHECK(count <= config_.limit, "ablation: ", count,
                            " parts need as many forward passes a sample, more than limit=", config_.limit,
                            "; group values with masks=FILE.npy, or raise the limit");
        }
        ChangedCopies copies(forward, request,
                             filled(x, config_.fill, context(), numbers_of(request, x.dim(0))), parts.grain,
                             {.layer = config_.layer,
                              .score = config_.score,
                              .total = removal_copies(parts.counts),
                              .progress = context().progress});
        const RemovalEffects found =
            removal_effects(copies, parts.counts, [&](size_t n, int64_t k, std::span<double> kept) {
                for (size_t i = 0; i < kept.size(); ++i) {
                    kept[i] = parts.ids[n][i] == k ? 0 : 1;
                }
            });
        return {.maps = {Variable(paint(parts, found.effect, config_.share, x))},
                .coarse = x.rank() == 4 && config_.masks.defined(),
                .notes = {concat_text("ablation[", text_of(config_.fill), "]",
                                      config_.layer.empty() ? "" : " of the output of layer " + config_.layer,
                                      ": ", removal_copies(parts.counts), " forward passes, score ",
                                      name_of(config_.score))}};
    }

    Config config_;
};

}  // namespace

std::unique_ptr<Explainer> build_ablation(const Options& options, const ExplainContext& context) {
    const std::string masks = options.get("masks", "");
    Ablation::Config config{.masks = masks.empty() ? Tensor() : read_npy(masks),
                            .layer = options.get("layer", ""),
                            .limit = options.get_within("limit", 20'000, 1, 1'000'000'000),
                            .fill = read_fill(options),
                            .score = read_score(options),
                            .share = options.get("share", false)};
    BACKLIGHT_CHECK(config.layer.empty() || config.fill.kind == "zero" || config.fill.kind == "mean",
                    "ablation: fill=", config.fill.kind,
                    " is defined for the input; at a layer expected zero or mean");
    return std::make_unique<Ablation>(context, std::move(config));
}

}  // namespace backlight
