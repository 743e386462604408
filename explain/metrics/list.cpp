// The metrics by name.
#include "core/error.h"
#include "core/random.h"
#include "explain/metrics/builders.h"

namespace backlight {

const std::vector<MetricEntry>& list_metrics() {
    static const std::vector<MetricEntry> metrics = {
        {"drop_prop",
         "% of samples whose score falls when only the top pixels stay: fraction=0.15, mode=keep|occlude, "
         "fill=zero, mask=hard|soft, score=probability|logit",
         "forwards", "low", build_drop_prop},
        {"drop_mag", "relative fall in %: as drop_prop", "forwards", "low", build_drop_mag},
        {"increase_prop", "% of samples whose score rises: as drop_prop", "forwards", "high",
         build_increase_prop},
        {"increase_mag", "relative rise in %: as drop_prop", "forwards", "high", build_increase_mag},
        {"pixel_flipping",
         "area under the score while pixels are replaced, by order: step=HW/100, fill=zero, "
         "features=pixels|channels, "
         "include_start=true, norm_auc=true, max_fraction=1, score=probability",
         "forwards", "low", build_pixel_flipping},
        {"region_perturbation",
         "mean fall of the score while regions are replaced (AOPC): size=9, regions=100, fill=noise, "
         "orders=morf|morf:lerf:random, score=logit",
         "forwards", "high", build_region_perturbation},
        {"deletion",
         "area under the score while the top pixels go: fill=zero, steps or step, score=probability",
         "forwards", "low", build_deletion},
        {"insertion",
         "area under the score while the top pixels return: fill=blur, steps or step, score=probability",
         "forwards", "high", build_insertion},
        {"road",
         "accuracy while pixels are imputed from their neighbours: orders=morf:lerf, noise=0.01, "
         "score=accuracy|probability",
         "forwards", "high", build_road},
        {"irof",
         "area over the score while superpixels are replaced, as share of the start: fill=mean, "
         "segments=slic|grid, "
         "n_segments=50, compactness=10, score=probability",
         "forwards", "high", build_irof},
        {"infidelity",
         "squared error of the map as a linear model: perturbation=square|gaussian, n=100, size=side/8, "
         "fill=zero, "
         "share=0.5, noise=0.2, scale=false, score=logit",
         "forwards", "low", build_infidelity},
        {"faithfulness_correlation",
         "correlation of relevance and fall of the score over random subsets: size=224, n=100, fill=zero, "
         "score=probability",
         "forwards", "high", build_faithfulness_correlation},
        {"monotonicity",
         "rank correlation of relevance and effect of single regions: size=9, fill=zero, score=probability",
         "forwards", "high", build_monotonicity},
        {"pointing_game",
         "the largest pixel lies on the object: ties=first|any, tolerance=0 (boxes: 15), weighted=false, "
         "difficult=false",
         "masks", "high", build_pointing_game},
        {"relevance_mass", "share of the relevance on the object: part=positive|signed|abs", "masks", "high",
         build_relevance_mass},
        {"relevance_rank", "share of the top |S| pixels on the object", "masks", "high",
         build_relevance_rank},
        {"attribution_localisation", "share of |relevance| on the object", "masks", "high",
         build_attribution_localisation},
        {"top_k", "share of the top k pixels on the object: k=1000", "masks", "high", build_top_k},
        {"iou", "overlap of the top pixels and the object: fraction=0.15, or tau (share of the maximum)",
         "masks", "high", build_iou},
        {"gini", "sparseness of |relevance|: channels=reduced|all", "map", "high", build_gini},
        {"entropy", "entropy of |relevance|: relative=false, channels=reduced|all", "map", "low",
         build_entropy},
        {"effective_complexity", "number of pixels above a share of the largest: eps=1e-5", "map", "low",
         build_effective_complexity},
        {"mass90", "number of pixels that carry 90 % of |relevance|: mass=0.9", "map", "low", build_mass90},
        {"max_sensitivity", "largest relative change of the map under small noise: n=10, radius=0.02",
         "explanations", "low", build_max_sensitivity},
        {"avg_sensitivity", "mean relative change: as max_sensitivity", "explanations", "low",
         build_avg_sensitivity},
        {"mprt",
         "similarity of the map while layers are randomised: order=top_down|bottom_up|independent, "
         "init=matched|reset|shuffle, window=7, smooth=0, noise_level=0.1",
         "weights", "low", build_mprt},
        {"emprt",
         "relative rise of the map's entropy by randomised weights: bins=100, init=matched|reset|shuffle",
         "weights", "high", build_emprt},
        {"random_logit", "similarity of the map to that of other classes: window=7", "explanations", "low",
         build_random_logit},
        {"completeness", "relative gap of the sum to what the method promises: tolerance", "map", "0",
         build_completeness},
        {"conservation", "relative gap of the sum to what started at the output: layers=false, tolerance",
         "map", "0", build_conservation},
    };
    return metrics;
}

std::unique_ptr<Metric> build_metric(const std::string& text, const MetricContext& context) {
    const Spec spec = parse_spec(text);
    const Options options(spec);
    std::vector<std::string> names;
    for (const MetricEntry& entry : list_metrics()) {
        names.push_back(entry.name);
        if (entry.name == spec.name) {
            auto metric = entry.build(options, context);
            options.finish();
            return metric;
        }
    }
    throw_error(unknown_name("metric", spec.name, names) + " (backlight list metrics)");
}

std::string tagged(const std::string& name, const std::vector<std::string>& tags) {
    std::string inside;
    for (const std::string& tag : tags) {
        inside += inside.empty() || tag.empty() ? tag : "," + tag;
    }
    return inside.empty() ? name : name + "[" + inside + "]";
}

std::string option_tag(const Options& options, const std::string& key) {
    return options.has(key) ? key + "=" + options.get(key, "") : std::string();
}

namespace {

class UnitMetric final : public Metric {
public:
    UnitMetric(std::string name, std::string better, UnitFunction value, UnitFunction chance)
        : name_(std::move(name)),
          better_(std::move(better)),
          value_(std::move(value)),
          chance_(std::move(chance)) {}
    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        MetricColumn column{.name = name_, .better = better_};
        for (size_t unit = 0; unit < explained.maps.size(); ++unit) {
            column.values.push_back(value_(explained, unit));
            if (chance_) {
                column.chance.push_back(chance_(explained, unit));
            }
        }
        return {.columns = {std::move(column)}};
    }

private:
    std::string name_, better_;
    UnitFunction value_, chance_;
};

}  // namespace

std::unique_ptr<Metric> unit_metric(std::string name, std::string better, UnitFunction value,
                                    UnitFunction chance) {
    return std::make_unique<UnitMetric>(std::move(name), std::move(better), std::move(value),
                                        std::move(chance));
}

RandomKey draw_key(const MetricContext& context, Draw use, int64_t sample, int64_t number) {
    constexpr int kUseShift = 56;
    return {.seed = context.explain.seed,
            .purpose = purpose::kMetric,
            .step = (static_cast<uint64_t>(use) << kUseShift) | static_cast<uint64_t>(number),
            .sample = static_cast<uint32_t>(sample)};
}

Score score_option(const Options& options, Score fallback) {
    const std::string chosen =
        options.choose("score", fallback == Score::logit ? "logit" : "probability", {"probability", "logit"});
    return chosen == "logit" ? Score::logit : Score::probability;
}

std::string score_tag(Score score, Score fallback) {
    return score == fallback ? "" : (score == Score::logit ? "logit" : "probability");
}

}  // namespace backlight
