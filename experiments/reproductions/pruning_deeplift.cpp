// Pruning the neurons of a perceptron by DeepLIFT contributions, without training after it: the same share
// goes in each layer (Sabih et al., "Utilizing explainable AI for quantization and pruning of deep neural
// networks", 2020).
#include <cmath>

#include "augment/model/pruner.h"
#include "core/error.h"
#include "experiments/reproductions/all.h"
#include "layers/state.h"
#include "train/evaluation.h"

namespace backlight {
namespace {

constexpr const char* kCriteria[] = {"deeplift", "deeplift_zero", "weight", "random"};
constexpr int64_t kSamplesPerClass = 50;

std::string level(int64_t tenths) { return concat_text(10 * tenths, "% of each layer"); }

/// Accuracy without so many tenths of the neurons of each layer. The network gets its weights back.
double accuracy_without(int64_t tenths, const std::string& criterion, TrainResult& trained, uint64_t seed) {
    Module& net = *trained.model.net;
    const StateDict whole = state_dict(net);
    Pruner pruner(trained.model, trained.data->train,
                  {.fraction = 0.1 * static_cast<double>(tenths),
                   .step = 1,
                   .criterion = criterion,
                   .by_layer = true,
                   .samples_per_class = kSamplesPerClass,
                   .seed = seed});
    pruner.remove_next();
    const double accuracy = evaluate(net, *trained.data->test).accuracy;
    load_state_dict(net, whole, "the trained network");
    return accuracy;
}

}  // namespace

Reproduction reproduce_pruning_deeplift(const ReproductionEntry&, const ReproduceOptions& options) {
    Reproduction result;
    Measurements& m = result.measured;
    Curves curves;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        TrainConfig config{.model = options.model_or("mlp(image=12:12:1, widths=128:64)"),
                           .data = options.data_or(concat_text("shapes12(seed=", seed, ")")),
                           .epochs = options.epochs_or(30),
                           .lr = 1e-3,
                           .seed = static_cast<uint64_t>(seed)};
        config.optimizer.name = "adam";
        options.tell(concat_text("seed ", seed));
        TrainResult trained = train_quietly(config);
        for (const std::string criterion : kCriteria) {
            std::vector<double> accuracy{trained.test.accuracy};
            for (int64_t tenths = 1; tenths <= 9; ++tenths) {
                accuracy.push_back(accuracy_without(tenths, criterion, trained, static_cast<uint64_t>(seed)));
            }
            for (const size_t tenths : {3, 5, 7}) {
                m.add(criterion, level(static_cast<int64_t>(tenths)), seed, accuracy[tenths]);
            }
            curves.add(criterion, accuracy);
        }
        for (const int64_t tenths : {3, 5, 7}) {
            m.add("whole", level(tenths), seed, trained.test.accuracy);
        }
    }
    for (const int64_t tenths : {3, 5, 7}) {
        const std::string at = level(tenths);
        const double own = m.mean("deeplift", at), random = m.mean("random", at),
                     weight = m.mean("weight", at);
        result.find(concat_text("deeplift, ", at, ": at least 0.02 above random"), own - random >= 0.02,
                    concat_text(number_text(own), " against ", number_text(random)));
        result.find(concat_text("deeplift, ", at, ": within 0.03 of weight"), std::abs(own - weight) <= 0.03,
                    concat_text(number_text(own), " against ", number_text(weight)));
    }
    result.remarks = {concat_text("Test accuracy without training after the removal. Contributions of ",
                                  kSamplesPerClass, " samples a class to the logit of their class."),
                      "deeplift compares with the mean training input, deeplift_zero with zeros; weight: sum "
                      "of incoming magnitudes."};
    result.figures.push_back({.svg = report::line_chart(curves.chart("Neurons removed in each layer",
                                                                     "tenths removed", "accuracy")),
                              .caption = "Without training after it"});
    return result;
}

}  // namespace backlight
