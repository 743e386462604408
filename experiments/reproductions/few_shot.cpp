// Explanation-guided few-shot training (Sun et al., ICPR 2020; Weber et al., "Beyond explaining", 2022, Eq.
// 13 and 14) on small figures: 5 ways, 1 shot, 8 queries, 500 episodes of 12 base classes; tests on 6 novel
// classes, as they are and in another domain. RelationNet without norm, and without ReLU in the embedding
// (other arms have it), Adam 0.002, lambda 0.5 from episode 100 on.
#include "core/error.h"
#include "experiments/episode_training.h"
#include "experiments/reproductions/all.h"

namespace backlight {
namespace {

const std::string kBase = "base", kTwice = "twice", kLrp = "lrp", kPermuted = "permuted channels",
                  kWithRelu = ", ReLU", kNovel = "novel", kShifted = "novel, shifted";

struct Arm {
    std::string name;
    Guidance guidance;
    bool rectified = false;  // ReLU in the embedding
};

const std::vector<Arm>& arms() {
    static const std::vector<Arm> list = [] {
        using Weights = Guidance::Weights;
        const auto explained = [](PairExplainer explainer) {
            return Guidance{.weights = Weights::relevance, .explainer = explainer};
        };
        std::vector<Arm> all{{kBase, {.weights = Weights::none}},
                             {kTwice, {.weights = Weights::ones}},
                             {kLrp, {.weights = Weights::relevance}},
                             {kPermuted, {.weights = Weights::permuted}}};
        for (size_t i = 0; i < 4; ++i) {
            all.push_back({all[i].name + kWithRelu, all[i].guidance, true});
        }
        all.push_back({"input_x_gradient", explained(PairExplainer::input_x_gradient)});
        all.push_back({"grad_cam", explained(PairExplainer::grad_cam)});
        all.push_back({"guided_backprop", explained(PairExplainer::guided_backprop)});
        return all;
    }();
    return list;
}

/// Shown when the seeds agree and the mean difference is not within its own deviation.
void find_clearly_above(Reproduction& result, const std::string& a, const std::string& b,
                        const std::string& claim) {
    if (!result.can_compare(a, b, kShifted, claim)) {
        return;
    }
    const Measurements::Paired paired = result.measured.paired(a, b, kShifted);
    const Statistics& d = paired.difference;
    result.find(claim, paired.shows_increase() && d.mean > d.deviation,
                concat_text(kShifted, ": ", a, ' ', number_text(result.measured.mean(a, kShifted)), ", ", b,
                            ' ', number_text(result.measured.mean(b, kShifted)), "; difference ",
                            number_text(d.mean), " ± ", number_text(d.deviation), ", higher in ",
                            paired.positive, " of ", d.count, " seeds"));
}

report::Figure seeds_figure(const Measurements& m) {
    report::LineChart chart{.title = "Novel classes in another domain, against base",
                            .x_label = "seed",
                            .y_label = "difference of accuracy"};
    for (const std::string& arm : {kTwice, kLrp, kPermuted}) {
        report::Series line{.name = arm, .markers = true};
        const std::map<int64_t, double>& base = m.by_seed(kBase, kShifted);
        for (const auto& [seed, own] : m.by_seed(arm, kShifted)) {
            if (base.contains(seed)) {
                line.x.push_back(static_cast<double>(seed));
                line.y.push_back(own - base.at(seed));
            }
        }
        chart.series.push_back(std::move(line));
    }
    return {.svg = report::line_chart(chart), .caption = "Accuracy minus that of base, seed by seed"};
}

report::Figure bars_figure(const Measurements& m, const std::string& metric, const std::string& title) {
    report::BarChart bars{.title = title, .x_min = 0, .reference = 0.2, .reference_label = "chance"};
    for (const Arm& arm : arms()) {
        if (m.has(arm.name, metric)) {
            const Statistics s = statistics_of(m.values(arm.name, metric));
            bars.bars.push_back({.name = arm.name, .value = s.mean, .note = "± " + number_text(s.deviation)});
        }
    }
    return {.svg = report::bar_chart(bars), .caption = "Mean and deviation over the seeds"};
}

/// `ending` names the arms of one embedding.
void find(Reproduction& result, const std::string& ending) {
    find_clearly_above(result, kLrp + ending, kTwice + ending,
                       "lrp above the same weight on the plain loss" + ending);
    find_clearly_above(result, kLrp + ending, kPermuted + ending,
                       "lrp above the same weights at other channels" + ending);
    const std::string claim = "lrp not below the baseline" + ending;
    if (!result.can_compare(kLrp + ending, kBase + ending, kShifted, claim)) {
        return;
    }
    const double own = result.measured.mean(kLrp + ending, kShifted);
    const double base = result.measured.mean(kBase + ending, kShifted);
    result.find(claim, own >= base,
                concat_text(kShifted, ": ", number_text(own), " against ", number_text(base)));
}

void run_arm(Reproduction& result, const Arm& arm, const DataSource& data, int64_t seed, int64_t episodes) {
    constexpr int64_t kTests = 100;
    EpisodeTraining training{.guidance = arm.guidance, .seed = static_cast<uint64_t>(seed)};
    training.net.rectified = arm.rectified;
    training.episodes = episodes > 0 ? episodes : training.episodes;
    try {
        const EpisodeResult run = train_episodes(data.train, training);
        const auto test = [&](const std::string& metric, const std::shared_ptr<Dataset>& set) {
            result.measured.add(arm.name, metric, seed, test_episodes(*run.net, set, training.shape, kTests));
        };
        test("base classes", data.train);
        test(kNovel, data.test);
        test(kShifted, data.split("shifted"));
    } catch (const Error& error) {  // told, not dropped
        result.remarks.push_back(concat_text(arm.name, ", seed ", seed, ", stopped: ", error.what()));
    }
}

}  // namespace

Reproduction reproduce_few_shot(const ReproductionEntry&, const ReproduceOptions& options) {
    Reproduction result;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        const auto data = load_data(concat_text("fewshot16(seed=", seed, ")"));
        for (const Arm& arm : arms()) {
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            run_arm(result, arm, *data, seed, options.epochs);
        }
    }
    find(result, "");
    find(result, kWithRelu);
    const std::vector<std::string> notes{
        "Twice: w = 1, the plain loss counts 1.5 times from episode 100 on. Gradients are clipped at norm 10 "
        "in every "
        "arm.",
        "Tests are 100 episodes, the same for every arm: 4000 queries. A difference within one deviation of "
        "the paired "
        "differences counts as not shown.",
        "input_x_gradient, grad_cam and guided_backprop explain the classes that are likelier than chance."};
    result.remarks.insert(result.remarks.end(), notes.begin(), notes.end());
    result.figures = {bars_figure(result.measured, kNovel, "Accuracy on novel classes"),
                      bars_figure(result.measured, kShifted, "Accuracy on novel classes in another domain"),
                      seeds_figure(result.measured)};
    return result;
}

}  // namespace backlight
