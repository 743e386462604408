// Right for the right reasons (Ross et al., IJCAI 2017): in training a bright corner gives the class away;
// marking the corners as irrelevant must help where they lie, and marking as many places at random must not.
#include "core/error.h"
#include "experiments/measures.h"
#include "experiments/reproductions/all.h"

namespace backlight {
namespace {

struct Network {
    std::string name, spec;
};
struct Arm {
    std::string name, augment;
};

/// Mean over samples of Σ A |r| / Σ |r|, r the gradient of Σ log p.
double share_inside(const Model& model, const Dataset& data) {
    const Batch all = data.all();
    const ExplainedForward forward(*model.net, all.input);
    const auto explainer = build_method("gradient(start=sum-log-prob)");
    return share_of(forward.explain(*explainer, {.targets = data.labels()}), all.decoy_mask);
}

}  // namespace

Reproduction reproduce_rrr(const ReproductionEntry&, const ReproduceOptions& options) {
    std::vector<Network> networks{{"MLP", "mlp(image=12:12:1, widths=64:32)"}, {"CNN", "cnn_g"}};
    if (!options.model.empty()) {
        networks = {{"network", options.model}};
    }
    const std::vector<Arm> arms{{"plain", ""},
                                {"RRR", "rrr(lambda=10, masks=decoy)"},
                                {"RRR, random masks", "rrr(lambda=10, masks=shuffled)"}};
    Reproduction result;
    Curves curves;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        for (const Network& network : networks) {
            for (const Arm& arm : arms) {
                const std::string name = network.name + ", " + arm.name;
                options.tell(concat_text("seed ", seed, ", ", name));
                TrainConfig config{.model = network.spec,
                                   .data = options.data_or(concat_text("corner_decoy(seed=", seed, ")")),
                                   .epochs = options.epochs_or(30),
                                   .batch_size = 64,
                                   .lr = 1e-3,
                                   .seed = static_cast<uint64_t>(seed)};
                config.optimizer.name = "adam";
                config.augment = one_or_none(arm.augment);
                std::vector<double> accuracy;
                const TrainResult run = train_quietly(config, [&](const TrainProgress&, const Evaluation& e) {
                    accuracy.push_back(e.accuracy);
                });
                curves.add(name, accuracy);
                result.measured.add(name, "decoy at random", seed, run.test.accuracy);
                if (run.data->extra.contains("clean")) {
                    result.measured.add(name, "no decoy", seed,
                                        evaluate(*run.model.net, *run.data->extra.at("clean")).accuracy);
                }
                result.measured.add(name, "training", seed,
                                    evaluate(*run.model.net, *run.data->train).accuracy);
                result.measured.add(name, "|r| in corners", seed, share_inside(run.model, *run.data->test));
            }
        }
    }
    const Measurements& m = result.measured;
    for (const Network& network : networks) {
        const std::string plain = network.name + ", plain", rrr = network.name + ", RRR",
                          random = network.name + ", RRR, random masks";
        result.find_above(rrr, plain, "decoy at random", network.name + ": accuracy rises by at least 0.3",
                          0.3);
        const double before = m.mean(plain, "|r| in corners"), after = m.mean(rrr, "|r| in corners");
        result.find(network.name + ": the gradient leaves the corners, by at least ten times",
                    after * 10 <= before, number_text(before) + " to " + number_text(after));
        const double gain = m.mean(rrr, "decoy at random") - m.mean(plain, "decoy at random");
        const double without = m.mean(random, "decoy at random") - m.mean(plain, "decoy at random");
        result.find(network.name + ": random masks do not reach half of the gain", without < gain / 2,
                    number_text(without) + " of " + number_text(gain));
    }
    result.figures.push_back(
        {.svg = report::line_chart(curves.chart("Accuracy with the decoy at random", "epoch", "accuracy")),
         .caption = "Accuracy on the test set, whose corners say nothing"});
    return result;
}

}  // namespace backlight
