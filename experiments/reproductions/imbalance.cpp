// Classes of 900, 300, 80 and 25 samples. Which classes the next mini-epoch draws, or how much their loss
// counts, follows explanations (Weber, 2020; Weber et al., 2022, section 4.2), or no explanation at all: the
// data as it is, its inverted distribution, or every class equally often. The last is the control that an
// effect of explanations has to beat.
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
        {"as the data is", ""},
        {"uniform", "imbalance(control=uniform)"},
        // As the arms with explanations, which know nothing before the end of the first mini-epoch.
        {"uniform from the second", "imbalance(control=uniform, start_epoch=1)"},
        {"inverted", "imbalance(control=data)"},
        {"inverted, 1 - n/N", "imbalance(control=data, invert=complement)"},
        {"entropy", "imbalance(measure=entropy)"},
        {"mse", "imbalance(measure=mse)"},
        {"entropy, standardised", "imbalance(measure=entropy, standardize=true)"},
        {"loss: entropy", "class_factors(measure=entropy)"},
        {"loss: mse", "class_factors(measure=mse)"},
        {"loss: N / (K n)", "class_factors(control=balanced)"},
    };
    return all;
}

TrainConfig config_of(const ReproduceOptions& options, int64_t seed) {
    TrainConfig config{
        .model = options.model_or("cnn_s(head=gap)"),
        .data = options.data_or(concat_text("shapes16(counts=900:300:80:25, n_test=1200, seed=", seed, ")")),
        .epochs = options.epochs_or(30),
        .batch_size = 32,
        .lr = 0.004,
        .mini_epoch = 640,
        .seed = static_cast<uint64_t>(seed)};
    config.optimizer.name = "adam";
    return config;
}

/// "0.243 0.251 0.249 0.257": the mean over the seeds of the shares (or factors) of the last mini-epoch.
std::string text_of(const std::vector<std::vector<double>>& by_seed) {
    std::string text;
    for (size_t k = 0; k < by_seed.at(0).size(); ++k) {
        double mean = 0;
        for (const auto& p : by_seed) {
            mean += p.at(k) / static_cast<double>(by_seed.size());
        }
        text += (k > 0 ? " " : "") + number_text(mean);
    }
    return text;
}

}  // namespace

Reproduction reproduce_imbalance(const ReproductionEntry&, const ReproduceOptions& options) {
    constexpr size_t kFirst = 5;  // balance is averaged from the sixth mini-epoch on
    Reproduction result;
    Curves scores, minima;
    std::map<std::string, std::vector<std::vector<double>>>
        shares;  // [arm][seed][class], of the last mini-epoch
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        for (const Arm& arm : arms()) {
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            TrainConfig config = config_of(options, seed);
            config.augment = one_or_none(arm.augment);
            std::vector<ClassSpread> epochs;
            std::map<std::string, double> noted;
            const TrainResult run = train_quietly(config, [&](const TrainProgress& now, const Evaluation& e) {
                epochs.push_back(e.class_spread());
                noted = arm.augment.empty() ? noted : now.augment.at(arm.augment);
            });
            std::vector<double> of_classes;
            for (const std::string& name : run.data->train->class_names()) {
                for (const char* what : {"share of ", "factor of "}) {
                    if (const auto found = noted.find(what + name); found != noted.end()) {
                        of_classes.push_back(found->second);
                    }
                }
            }
            if (!of_classes.empty()) {
                shares[arm.name].push_back(of_classes);
            }
            add_balance(result.measured, arm.name, seed, epochs, kFirst,
                        true_class_probability(*run.model.net, *run.data->test));
            std::vector<double> score, minimum;
            for (const ClassSpread& b : epochs) {
                score.push_back(b.balance());
                minimum.push_back(b.minimum);
            }
            scores.add(arm.name, smoothed(score));
            minima.add(arm.name, smoothed(minimum));
        }
    }
    const Measurements& m = result.measured;
    for (const char* arm : {"uniform", "inverted", "inverted, 1 - n/N", "entropy", "mse"}) {
        for (const char* metric : {"balance over epochs", "class minimum"}) {
            result.find_above(arm, "as the data is", metric, concat_text(arm, ": ", metric, " rises"));
        }
    }
    for (const char* arm : {"entropy", "mse"}) {
        for (const char* control : {"uniform", "uniform from the second"}) {
            result.find_above(
                arm, control, "class mean",
                concat_text(arm, ": explanations do more than drawing every class equally often, ", control));
        }
    }
    const Measurements::Paired twin = m.paired("loss: mse", "as the data is", "class mean");
    result.remarks = {
        concat_text("The twin in the loss, mse: mean over classes ",
                    number_text(m.mean("loss: mse", "class mean")), " against ",
                    number_text(m.mean("as the data is", "class mean")), " of the plain loss; higher in ",
                    twin.positive, " of ", twin.difference.count, " seeds."),
        "The balance score has no bound and says little alone: a network that only knows one of K classes "
        "has 1 / sqrt(K "
        "- 1).",
        "Representatives are explained for their own class with the epsilon and z+ rules (epsilon_plus)."};
    report::Table drawn{.columns = {"arm", "shares or factors of the classes"}};
    for (const Arm& arm : arms()) {
        if (shares.contains(arm.name)) {
            drawn.rows.push_back({arm.name, text_of(shares.at(arm.name))});
        }
    }
    drawn.caption =
        "Of the last mini-epoch, mean over the seeds: shares of drawn samples; of arms in the loss, factors";
    result.tables = {balance_table(m), drawn};
    result.figures.push_back(
        {.svg = report::line_chart(scores.chart("Balance score", "mini-epoch", "mean / deviation")),
         .caption = "Balance score over the mini-epochs, mean of ten"});
    result.figures.push_back(
        {.svg = report::line_chart(minima.chart("The least of the classes", "mini-epoch", "performance")),
         .caption = "The class that is served worst, mean of ten mini-epochs"});
    return result;
}

}  // namespace backlight
