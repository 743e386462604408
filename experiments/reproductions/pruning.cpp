// Pruning filters and neurons of a convolutional network (Yeom et al., "Pruning by explaining", Pattern
// Recognition 115, 2021; criterion deeplift: Sabih et al., 2020): a part of the units at once without
// training after it, and 70% of them in seven steps with an epoch after each.
#include <algorithm>
#include <cmath>

#include "augment/model/pruner.h"
#include "core/error.h"
#include "experiments/reproductions/all.h"
#include "experiments/reproductions/weight_folder.h"
#include "train/evaluation.h"

namespace backlight {
namespace {

constexpr const char* kCriteria[] = {"lrp_abs", "lrp", "deeplift", "taylor", "gradient", "weight", "random"};
constexpr int64_t kSamplesPerClass = 10;

std::string at_once(int64_t tenths) { return concat_text(10 * tenths, "% at once"); }

/// Accuracy without 10, 20, ..., 70% of the units, each removed at once from the whole network.
std::vector<double> one_shot(TrainResult& trained, const std::string& criterion, uint64_t seed) {
    Module& net = *trained.model.net;
    const StateDict whole = state_dict(net);
    std::vector<double> accuracy;
    for (int64_t tenths = 1; tenths <= 7; ++tenths) {
        Pruner pruner(trained.model, trained.data->train,
                      {.fraction = 0.1 * static_cast<double>(tenths),
                       .step = 1,
                       .criterion = criterion,
                       .by_layer = false,
                       .samples_per_class = kSamplesPerClass,
                       .seed = seed});
        pruner.remove_next();
        accuracy.push_back(evaluate(net, *trained.data->test).accuracy);
        load_state_dict(net, whole, "the trained network");
    }
    return accuracy;
}

}  // namespace

Reproduction reproduce_pruning(const ReproductionEntry&, const ReproduceOptions& options) {
    const WeightFolder folder;
    Reproduction result;
    Curves at_once_curves, step_curves;
    Measurements& m = result.measured;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        TrainConfig config{.model = options.model_or("cnn_g(channels=16:32, hidden=64)"),
                           .data = options.data_or(concat_text("shapes12(seed=", seed, ")")),
                           .epochs = options.epochs_or(15),
                           .batch_size = 64,
                           .lr = 1e-3,
                           .seed = static_cast<uint64_t>(seed)};
        config.optimizer.name = "adam";
        options.tell(concat_text("seed ", seed, ", the whole network"));
        TrainResult whole = train_quietly(config);
        const auto parameters = static_cast<double>(whole.model.net->parameter_count());
        const Shape sample = whole.data->train->sample_shape();
        const auto macs_of = [&](Module& net) {
            const PrunableUnits units(net, sample);
            return static_cast<double>(units.cost(units.all_living()).macs);
        };
        const double macs = macs_of(*whole.model.net);
        for (const char* metric : {"20% at once", "30% at once", "40% at once", "70% in steps"}) {
            m.add("whole", metric, seed, whole.test.accuracy);
        }
        m.add("whole", "parameters", seed, 1);
        m.add("whole", "MACs", seed, 1);
        TrainConfig tuning = config;
        tuning.weights = folder.save(*whole.model.net, concat_text("seed", seed));
        tuning.lr = 5e-4;
        tuning.epochs = 7;
        for (const std::string criterion : kCriteria) {
            options.tell(concat_text("seed ", seed, ", ", criterion));
            const std::vector<double> accuracy = one_shot(whole, criterion, static_cast<uint64_t>(seed));
            for (const int64_t tenths : {2, 3, 4}) {
                m.add(criterion, at_once(tenths), seed, accuracy[static_cast<size_t>(tenths) - 1]);
            }
            at_once_curves.add(criterion, accuracy);
            tuning.augment = {concat_text("prune(fraction=0.7, step=0.1, first=0, ranking=global, criterion=",
                                          criterion, ", samples_per_class=", kSamplesPerClass, ")")};
            std::vector<double> tuned;
            const TrainResult small = train_quietly(
                tuning, [&](const TrainProgress&, const Evaluation& e) { tuned.push_back(e.accuracy); });
            step_curves.add(criterion, tuned);
            m.add(criterion, "70% in steps", seed, small.test.accuracy);
            m.add(criterion, "parameters", seed,
                  static_cast<double>(small.model.net->parameter_count()) / parameters);
            m.add(criterion, "MACs", seed, macs_of(*small.model.net) / macs);
        }
    }
    const auto near_whole = [&](const std::string& arm, const std::string& metric) {
        const double own = m.mean(arm, metric), whole = m.mean("whole", metric);
        result.find(concat_text(arm, ", ", metric, ": at most 0.03 below the whole network"),
                    whole - own <= 0.03, concat_text(number_text(own), " against ", number_text(whole)));
    };
    for (const std::string arm : {"lrp_abs", "deeplift"}) {
        near_whole(arm, at_once(3));
        for (const std::string control : {"random", "taylor"}) {
            result.find_above(arm, control, at_once(3), arm + " is above " + control + ", 30% at once");
        }
    }
    for (const std::string criterion : kCriteria) {
        if (criterion != "random") {
            near_whole(criterion, "70% in steps");
            result.find_above(criterion, "random", "70% in steps",
                              criterion + " is above random, 70% in steps");
        }
    }
    result.remarks = {
        concat_text("Test accuracy. At once: units of all layers ranked together on ", kSamplesPerClass,
                    " samples a class, no training after it. In steps: 10% seven times, an epoch (Adam, "
                    "5e-4) after each; "
                    "parameters and MACs: what is left of them then, units cut out."),
        "taylor: absolute value after averaging over samples. lrp sums signed relevance, which cancels "
        "behind the epsilon "
        "rule of the linear layers; lrp_abs does not."};
    result.figures.push_back({.svg = report::line_chart(at_once_curves.chart("Units removed at once",
                                                                             "tenths removed", "accuracy")),
                              .caption = "Without training after it"});
    result.figures.push_back(
        {.svg = report::line_chart(step_curves.chart("Units removed in steps", "tenths removed", "accuracy")),
         .caption = "After an epoch of training"});
    return result;
}

}  // namespace backlight
