// Classes of 64, 22, 10 and 4 per cent. The loss of a class is weighed by how much its explanations changed
// in the last epoch, or how diffuse they are (Weber, 2020; Weber et al., 2022, sections 3.3 and 4.2);
// controls: the inverse frequency of classes, which needs no explanation, and the same factors given to other
// classes.
#include <algorithm>

#include "core/error.h"
#include "experiments/class_balance.h"
#include "experiments/reproductions/all.h"

namespace backlight {
namespace {

struct Arm {
    std::string name, augment;
};

const std::vector<Arm>& arms() {
    static const std::vector<Arm> all{
        {"none", ""},
        {"inverse frequency", "class_factors(control=inverse)"},
        {"entropy", "class_factors(measure=entropy, explainer=input_x_gradient)"},
        {"mse", "class_factors(measure=mse, explainer=input_x_gradient)"},
        {"mse, shuffled", "class_factors(measure=mse, explainer=input_x_gradient, control=shuffled)"},
    };
    return all;
}

std::string rarest_class(const Dataset& data) {
    const std::vector<int64_t> counts = data.class_counts();
    return data
        .class_names()[static_cast<size_t>(std::min_element(counts.begin(), counts.end()) - counts.begin())];
}

}  // namespace

Reproduction reproduce_loss_scaling(const ReproductionEntry&, const ReproduceOptions& options) {
    Reproduction result;
    Curves means, factors;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        for (const Arm& arm : arms()) {
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            TrainConfig config{.model = options.model_or("cnn_g"),
                               .data = options.data_or(concat_text("shapes_imbalanced(seed=", seed, ")")),
                               .epochs = options.epochs_or(40),
                               .batch_size = 64,
                               .lr = 1e-3,
                               .seed = static_cast<uint64_t>(seed)};
            config.optimizer.name = "adam";
            config.augment = one_or_none(arm.augment);
            std::vector<ClassSpread> epochs;
            std::vector<double> mean;
            std::vector<std::map<std::string, double>> noted;
            const TrainResult run = train_quietly(config, [&](const TrainProgress& now, const Evaluation& e) {
                epochs.push_back(e.class_spread());
                mean.push_back(epochs.back().mean);
                noted.push_back(arm.augment.empty() ? std::map<std::string, double>()
                                                    : now.augment.at(arm.augment));
            });
            const std::string name = "factor of " + rarest_class(*run.data->train);
            std::vector<double> factor;
            for (const auto& of_epoch : noted) {
                factor.push_back(of_epoch.contains(name) ? of_epoch.at(name) : 1);
            }
            add_balance(result.measured, arm.name, seed, epochs, 0,
                        true_class_probability(*run.model.net, *run.data->test));
            result.measured.add(arm.name, "class mean over epochs", seed, statistics_of(mean).mean);
            means.add(arm.name, mean);
            result.measured.add(arm.name, "factor of the rarest class", seed, statistics_of(factor).mean);
            factors.add(arm.name, factor);
        }
    }
    const Measurements& m = result.measured;
    const auto deviations = [&](const std::string& a, const std::string& b) {
        const Measurements::Paired paired = m.paired(a, b, "class deviation");
        return concat_text("class deviation: ", a, ' ', number_text(m.mean(a, "class deviation")), ", ", b,
                           ' ', number_text(m.mean(b, "class deviation")), "; lower in ", paired.negative,
                           " of ", paired.difference.count, " seeds");
    };
    const auto lower = [&](const std::string& a, const std::string& b) {
        return m.paired(a, b, "class deviation").shows_decrease();
    };
    result.find("mse: the classes differ less than without factors", lower("mse", "none"),
                deviations("mse", "none"));
    result.find(
        "mse: what counts is which class has which factor: they differ less than with shuffled factors",
        lower("mse", "mse, shuffled"), deviations("mse", "mse, shuffled"));
    result.remarks = {
        "No claim: " + deviations("mse", "inverse frequency") + ". The survey's own results are as mixed.",
        "No claim: " + deviations("entropy", "none") +
            ". The more alike the entropies of the classes are, the nearer to 1 the factors stay at T = 1.",
        "Representatives are explained by the magnitude of input times gradient of the true class's logit."};
    result.tables = {balance_table(m)};
    result.figures.push_back(
        {.svg = report::line_chart(means.chart("Mean of the classes' accuracies", "epoch", "accuracy")),
         .caption = "Convergence: mean over the classes, and its deviation over the seeds"});
    result.figures.push_back(
        {.svg = report::line_chart(factors.chart("Factor of the rarest class", "epoch", "factor")),
         .caption = "What the loss of the rarest class is multiplied with"});
    return result;
}

}  // namespace backlight
