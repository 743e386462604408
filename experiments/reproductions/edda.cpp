// EDDA (Li et al., 2021): networks that train on pictures without, or with nothing but, what an explanation
// marks. Measured by what the score does when only the top 15 % of the pixels of a map stay. That measure
// blanks pictures, so that any training with blanked pictures helps it: each arm has a control with its own
// masks, of other samples and in other places, under the same test of acceptance.
#include <filesystem>
#include <numeric>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "experiments/reproductions/all.h"
#include "explain/metrics/runner.h"
#include "layers/state.h"

namespace backlight {
namespace {

struct Arm {
    std::string name, augment;
};

std::string edda_name(const std::string& mask, const std::string& map) { return "EDDA " + mask + ", " + map; }

const std::vector<std::pair<std::string, std::string>>& maps() {  // the name in tables, the method
    static const std::vector<std::pair<std::string, std::string>> both{{"GC", "grad_cam"},
                                                                       {"SA", "saliency"}};
    return both;
}

std::vector<Arm> make_arms() {
    std::vector<Arm> arms{{"none", ""}, {"Cutout", "cutout"}, {"CutMix", "cutmix"}, {"MixUp", "mixup"}};
    for (const char* mask : {"keep", "occlude"}) {
        for (const auto& [map, method] : maps()) {
            const std::string name = edda_name(mask, map);
            const std::string text = concat_text("edda(explainer=", method, ", mask=", mask);
            arms.push_back({name, text + ")"});
            arms.push_back({name + ", random masks", text + ", control=shuffled)"});
            arms.push_back({name + ", predicted", text + ", target=predicted)"});
        }
    }
    return arms;
}

/// A weight file that is gone when the object is.
class WeightFile {
public:
    WeightFile(Module& net, int64_t seed)
        : path_(std::filesystem::temp_directory_path() / concat_text("backlight-edda-", seed, "-",
                                                                     reinterpret_cast<uintptr_t>(this),
                                                                     ".safetensors")) {
        write_safetensors(path_, state_dict(net));
    }
    ~WeightFile() {
        std::error_code ignored;
        std::filesystem::remove(path_, ignored);
    }
    WeightFile(const WeightFile&) = delete;
    WeightFile& operator=(const WeightFile&) = delete;
    [[nodiscard]] std::string path() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

/// Drop and Increase with both maps and the pointing game, on the test set, for the class with the highest
/// score.
void measure(Measurements& measured, const std::string& arm, int64_t seed, const Model& model,
             const Dataset& data) {
    const InputRange range = data.input_range();
    MetricRunConfig config{
        .methods = {},
        .metrics = {"drop_prop", "increase_prop", "drop_mag", "increase_mag", "drop_mag(mode=occlude)"},
        .target = "argmax",
        .context = {.explain = {.cam_layer = model.cam_layer,
                                .low = {range.low.begin(), range.low.end()},
                                .high = {range.high.begin(), range.high.end()},
                                .seed = static_cast<uint64_t>(seed)},
                    .multi_label = data.is_multi_label()}};
    for (const auto& [map, method] : maps()) {
        config.methods.push_back(method);
    }
    if (data.has_masks()) {
        config.metrics.emplace_back("pointing_game");
    }
    MetricRun run(*model.net, config);
    const int64_t step = default_batch(data.sample_shape());
    for (int64_t first = 0; first < data.size(); first += step) {
        std::vector<int64_t> rows(static_cast<size_t>(std::min(step, data.size() - first)));
        std::iota(rows.begin(), rows.end(), first);
        const Batch batch = data.batch(rows);
        MetricSamples samples{.x = batch.input, .number = rows};
        if (data.has_masks() && data.is_multi_label()) {
            samples.class_mask = [&](size_t n, int64_t k) { return data.class_mask(rows[n], k); };
        } else {
            samples.mask = batch.mask;
        }
        run.add(samples);
    }
    const std::vector<std::string> names{
        "drop", "increase", "drop size", "increase size", "drop size, occluded", "pointing"};
    const std::vector<MetricSeries> series = run.series();
    for (size_t e = 0, i = 0; e < maps().size(); ++e) {
        const std::string map = maps()[e].first + " ";
        for (size_t k = 0; k < config.metrics.size(); ++k, ++i) {
            measured.add(arm, map + names[k], seed, series.at(i).summary.mean);
        }
        const MetricSeries &first = series.at(i - config.metrics.size()),
                           &second = series.at(i - config.metrics.size() + 1);
        double ties = 0;
        for (size_t unit = 0; unit < first.values.size(); ++unit) {
            ties += first.values[unit] == 0 && second.values[unit] == 0 ? 1 : 0;
        }
        measured.add(arm, map + "ties", seed, 100 * ties / static_cast<double>(first.values.size()));
        measured.add(arm, map + "empty maps", seed,
                     100 * static_cast<double>(first.degenerate) / static_cast<double>(first.values.size()));
    }
}

TrainConfig config_of(const ReproduceOptions& options, int64_t seed) {
    TrainConfig config{.model = "cnn_s(channels=12:24:32, head=gap)",
                       .data = concat_text("shapes16(n=2000, n_test=600, standardize=true, seed=", seed, ")"),
                       .batch_size = 50,
                       .seed = static_cast<uint64_t>(seed)};
    config.optimizer.name = "adam";
    if (!options.data.empty()) {
        config.data = options.data;
    }
    config.model = options.model_or(config.model);
    return config;
}

/// What the explainer of the metric says of an arm that trained with it.
void judge(Reproduction& result, const std::string& map) {
    const std::string arm = edda_name("keep", map);
    for (const std::string& against : {std::string("none"), arm + ", random masks"}) {
        const std::string than = against == "none" ? "without augmentation" : "with random masks";
        result.find_below(arm, against, map + " drop",
                          concat_text(arm, ": the score drops less often than ", than));
        result.find_above(arm, against, map + " increase",
                          concat_text(arm, ": it rises more often than ", than));
        result.find_below(arm, against, map + " drop size",
                          concat_text(arm, ": it drops by less than ", than));
    }
}

std::string occlude_remark(const Measurements& m, const std::string& map) {
    const std::string arm = edda_name("occlude", map), control = arm + ", random masks";
    std::string text = "The variant that the paper's text describes, " + arm + ":";
    for (const char* what : {" drop", " increase", " drop size"}) {
        text += concat_text(what, ' ', number_text(m.mean(arm, map + what), 1), " (none ",
                            number_text(m.mean("none", map + what), 1), ", random masks ",
                            number_text(m.mean(control, map + what), 1), ");");
    }
    text.back() = '.';
    return text;
}

}  // namespace

Reproduction reproduce_edda(const ReproductionEntry&, const ReproduceOptions& options) {
    Reproduction result;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        options.tell(concat_text("seed ", seed, ", the network to start from"));
        TrainConfig config = config_of(options, seed);
        config.epochs = options.epochs_or(10);
        config.lr = 0.004;
        const TrainResult start = train_quietly(config);
        const WeightFile weights(*start.model.net, seed);
        config.weights = weights.path();
        config.epochs = options.epochs_or(6);
        config.lr = 0.001;
        for (const Arm& arm : make_arms()) {
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            config.augment = arm.augment.empty() ? std::vector<std::string>{} : std::vector{arm.augment};
            double masked = 0, added = 0;
            const TrainResult run = train_quietly(config, [&](const TrainProgress& now, const Evaluation&) {
                for (const auto& [system, noted] : now.augment) {
                    masked = noted.contains("masked") ? noted.at("masked") : masked;
                    added = noted.contains("added") ? noted.at("added") : added;
                }
            });
            result.measured.add(arm.name, "test " + std::string(run.test.score_name()), seed,
                                run.test.score());
            result.measured.add(arm.name, "train " + std::string(run.test.score_name()), seed,
                                evaluate(*run.model.net, *run.data->train).score());
            if (arm.augment.find("edda") == 0) {
                result.measured.add(arm.name, "masked in training", seed, masked + added);
            }
            measure(result.measured, arm.name, seed, run.model, *run.data->test);
        }
    }
    for (const auto& [map, method] : maps()) {
        judge(result, map);
    }
    for (const auto& [map, method] : maps()) {
        result.remarks.push_back(occlude_remark(result.measured, map));
    }
    result.remarks.emplace_back(
        "GC and SA name the map of a measure or of an arm: Grad-CAM and the largest absolute gradient of the "
        "channels. Only "
        "the top 15 % of the pixels stay, the others become zero, the mean colour. drop, increase: per cent "
        "of the pictures; "
        "drop size, increase size: per cent of the score; lower drops and higher increases are better.");
    result.remarks.emplace_back(
        "drop size, occluded: the top 15 % taken away instead, where a higher drop is better. Accuracy is "
        "that of pictures "
        "as they are, in training too: a network that reads the label off the mask would lose it.");
    for (const auto& [map, method] : maps()) {
        report::BarChart bars{.title = "Drops of the score by the " + map + " measure",
                              .x_label = "% of the pictures"};
        for (const std::string& arm : result.measured.arms()) {
            bars.bars.push_back({.name = arm, .value = result.measured.mean(arm, map + " drop")});
        }
        result.figures.push_back({.svg = report::bar_chart(bars),
                                  .caption = "How often the score drops when the top 15 % of the " + method +
                                             " map stay; lower is better"});
    }
    return result;
}

}  // namespace backlight
