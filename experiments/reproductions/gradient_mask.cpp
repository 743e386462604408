// Masks on feature gradients (Weber et al., 2022, Eq. 7). The survey states the mechanism; the experiment is
// ours. In training a colour beside the figure gives the class away, in the shifted test set it does not. The
// gradient that arrives at a convolution's features is kept inside the object, or where an explanation is
// strong, and stopped elsewhere: the filters below learn from the object alone, the layers above still see
// everything. A mask also makes gradients smaller, so every mask is compared with the same mask at random
// places, and with its mean everywhere.
#include "core/error.h"
#include "experiments/measures.h"
#include "experiments/reproductions/all.h"

namespace backlight {
namespace {

struct Arm {
    std::string name, augment;
};

std::string mask(const std::string& options) {
    return "gradient_mask(mode=multiply, layer=features.7" + options + ")";
}

/// Σ m |r| / Σ |r| with r = x ⊙ gradient, inside the object and inside the telling block.
struct Shares {
    double object = 0, block = 0;
};

Shares shares_of(const Model& model, const Dataset& data) {
    const Batch all = data.all();
    const ExplainedForward forward(*model.net, all.input);
    const auto explainer = build_method("input_x_gradient");
    const Tensor r = forward.explain(*explainer, {.targets = data.labels()});
    return {share_of(r, all.mask), share_of(r, all.decoy_mask)};
}

}  // namespace

Reproduction reproduce_gradient_mask(const ReproductionEntry&, const ReproduceOptions& options) {
    const std::vector<Arm> arms{{"plain", ""},
                                {"object", mask(", mask=object")},
                                {"object, constant", mask(", mask=object, control=constant")},
                                {"object, shuffled", mask(", mask=object, control=shuffled")},
                                {"outside the block", mask(", mask=decoy")},
                                {"outside the block, shuffled", mask(", mask=decoy, control=shuffled")},
                                {"saliency", mask("")},
                                {"saliency, constant", mask(", control=constant")},
                                {"saliency, shuffled", mask(", control=shuffled")},
                                {"LRP", mask(", explainer=epsilon_plus")},
                                {"LRP, shuffled", mask(", explainer=epsilon_plus, control=shuffled")},
                                {"random", mask(", control=random")}};
    Reproduction result;
    Curves curves;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        for (const Arm& arm : arms) {
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            TrainConfig config{.model = "cnn_s",
                               .data = concat_text("context16(seed=", seed, ")"),
                               .epochs = options.epochs > 0 ? options.epochs : 15,
                               .batch_size = 50,
                               .lr = 0.004,
                               .seed = static_cast<uint64_t>(seed)};
            config.optimizer.name = "adam";
            if (!arm.augment.empty()) {
                config.augment = {arm.augment};
            }
            const TrainResult run = train_quietly(config);
            const Dataset& shifted = *run.data->split("shifted");
            const Shares shares = shares_of(run.model, shifted);
            result.measured.add(arm.name, "shifted", seed, evaluate(*run.model.net, shifted).accuracy);
            result.measured.add(arm.name, "in distribution", seed, run.test.accuracy);
            result.measured.add(arm.name, "|r| on the object", seed, shares.object);
            result.measured.add(arm.name, "|r| on the block", seed, shares.block);
        }
    }
    for (const std::string name : {"object", "outside the block", "saliency", "LRP"}) {
        result.find_above(name, "plain", "shifted", name + ": accuracy without the telling colour rises");
        result.find_above(name, name + ", shuffled", "shifted",
                          name + ": and more than with the mask at random places");
    }
    result.find_below("object", "plain", "|r| on the block", "object: less relevance on the telling block");
    result.remarks = {
        "The survey prints the hook and no experiment for it; data, network and masks are our choice.",
        "The mask stops gradients of the three convolutions; the last layer reads all features and may still "
        "learn from "
        "those that see the block.",
        "Adam divides by the size of the gradient: a constant factor should tie with plain training."};
    report::BarChart bars{.title = "Accuracy on the shifted test set", .percent = true};
    for (const Arm& arm : arms) {
        bars.bars.push_back({.name = arm.name, .value = result.measured.mean(arm.name, "shifted")});
    }
    result.figures.push_back({.svg = report::bar_chart(bars), .caption = "Mean over the seeds"});
    return result;
}

}  // namespace backlight
