// Relevance as weight-wise learning rates (Lee et al., ICTC 2019): glyphs in noise, a multilayer perceptron,
// plain gradient descent. A factor that is large where much is relevant acts like a larger learning rate, so
// one fixed rate proves nothing: every method has the whole grid, and is compared at its own best rate.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "experiments/reproductions/all.h"

namespace backlight {
namespace {

struct Method {
    std::string name, augment;
};

constexpr double kChance = 0.25;

std::string arm_of(const std::string& method, double rate) { return method + ", " + number_text(rate, 2); }

struct Trained {
    std::vector<double> test;  // accuracy after every epoch; chance from where the loss ceased to be finite
    double validation = kChance;
    bool diverged = false;
};

Trained train_arm(TrainConfig config, const std::string& augment, const Dataset& validation) {
    if (!augment.empty()) {
        config.augment = {augment};
    }
    Trained trained;
    const auto result = train_while_finite(
        config, [&](const TrainProgress&, const Evaluation& e) { trained.test.push_back(e.accuracy); });
    trained.diverged = !result.has_value();
    if (result) {
        trained.validation = evaluate(*result->model.net, validation).accuracy;
    }
    trained.test.resize(static_cast<size_t>(config.epochs), kChance);
    return trained;
}

}  // namespace

Reproduction reproduce_weight_lr(const ReproductionEntry&, const ReproduceOptions& options) {
    const std::vector<Method> methods{{"SGD", ""},
                                      {"random F", "weight_lrp(control=random)"},
                                      {"outer", "weight_lrp"},
                                      {"outer, shuffled", "weight_lrp(control=shuffled)"},
                                      {"outer_sqrt", "weight_lrp(reading=outer_sqrt)"},
                                      {"hadamard", "weight_lrp(reading=hadamard)"},
                                      {"weight_lrp", "weight_lrp(reading=weight_lrp)"},
                                      {"outer, last layer too", "weight_lrp(last=true, warmup=0)"}};
    const std::vector<double> rates{0.05, 0.1, 0.2, 0.4};
    const int64_t epochs = options.epochs_or(12);
    const std::vector<int64_t> moments{epochs / 3, 2 * epochs / 3, epochs};
    const auto metric_at = [](int64_t epoch) { return concat_text("epoch ", epoch); };
    BACKLIGHT_CHECK(epochs >= 3, "weight_lr: expected at least 3 epochs, got ", epochs);

    Reproduction result;
    Curves all;
    int64_t failed = 0;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        const auto other = load_data(concat_text("shapes12(n=1000, sigma=0.3, seed=", seed + 1000, ")"));
        for (const Method& method : methods) {
            for (const double rate : rates) {
                const std::string arm = arm_of(method.name, rate);
                options.tell(concat_text("seed ", seed, ", ", arm));
                TrainConfig config{.model = "mlp(image=12:12:1, widths=64:64:64)",
                                   .data = concat_text("shapes12(n=1000, sigma=0.3, seed=", seed, ")"),
                                   .epochs = epochs,
                                   .batch_size = 32,
                                   .lr = rate,
                                   .seed = static_cast<uint64_t>(seed)};
                config.optimizer.momentum = 0;
                const Trained trained = train_arm(config, method.augment, *other->test);
                const std::vector<double>& curve = trained.test;
                failed += trained.diverged ? 1 : 0;
                all.add(arm, curve);
                result.measured.add(arm, "validation", seed, trained.validation);
                for (const int64_t epoch : moments) {
                    result.measured.add(arm, metric_at(epoch), seed, curve[static_cast<size_t>(epoch - 1)]);
                }
            }
        }
    }

    const Measurements& m = result.measured;
    const std::string middle = metric_at(moments[1]), last = metric_at(moments[2]);
    std::map<std::string, double> best;
    report::Table table{.columns = {"method", "best rate"}};
    for (const int64_t epoch : moments) {
        table.columns.push_back(metric_at(epoch));
    }
    for (const Method& method : methods) {
        best[method.name] = *std::max_element(rates.begin(), rates.end(), [&](double a, double b) {
            return m.mean(arm_of(method.name, a), "validation") <
                   m.mean(arm_of(method.name, b), "validation");
        });
        std::vector<std::string> row{method.name, number_text(best[method.name], 2)};
        for (const int64_t epoch : moments) {
            const Statistics s =
                statistics_of(m.values(arm_of(method.name, best[method.name]), metric_at(epoch)));
            row.push_back(number_text(s.mean) + " ± " + number_text(s.deviation));
        }
        table.rows.push_back(std::move(row));
    }
    table.caption = "Each method at the rate with its highest mean accuracy on validation samples";
    result.tables.push_back(std::move(table));

    const std::string sgd = arm_of("SGD", 0.1), outer = arm_of("outer", 0.1);
    result.find_above(outer, sgd, middle, "at the rate 0.1 the outer product learns faster than SGD");
    const double gain = m.mean(outer, middle) - m.mean(sgd, middle);
    for (const std::string control : {"random F", "outer, shuffled"}) {
        const double without = m.mean(arm_of(control, 0.1), middle) - m.mean(sgd, middle);
        result.find("at the rate 0.1 " + control + " does not reach half of that gain",
                    gain > 0 && without < gain / 2,
                    middle + ": " + number_text(without) + " of " + number_text(gain));
    }
    result.find_above(arm_of("outer", best["outer"]), arm_of("SGD", best["SGD"]), last,
                      "at the best rate of each the outer product ends above SGD");
    result.find_above(arm_of("outer", best["outer"]), arm_of("SGD", best["SGD"]), middle,
                      "at the best rate of each the outer product is ahead after two thirds of the epochs");
    result.remarks = {
        "The factor raises the weights that matter and acts like a larger learning rate: where only the "
        "findings at the "
        "fixed rate hold, relevance has saved the search for a rate and nothing else.",
        "Factors act from the second epoch on and leave the last layer alone; \"last layer too\" has "
        "neither.",
        concat_text("Of ", all.arms.size() * static_cast<size_t>(options.seeds), " runs ", failed,
                    " ended with a loss that is not finite; they count as chance from there on."),
        "The best rate is chosen on 2,000 samples that are neither of the training nor of the test set."};
    Curves fixed, tuned;
    for (const Method& method : methods) {
        for (const auto& run : all.runs.at(arm_of(method.name, 0.1))) {
            fixed.add(method.name, run);
        }
        for (const auto& run : all.runs.at(arm_of(method.name, best[method.name]))) {
            tuned.add(arm_of(method.name, best[method.name]), run);
        }
    }
    result.figures.push_back(
        {.svg = report::line_chart(fixed.chart("Learning rate 0.1 for all", "epoch", "test accuracy")),
         .caption = "Test accuracy at one fixed rate, mean and deviation over the seeds"});
    result.figures.push_back(
        {.svg = report::line_chart(tuned.chart("Each at its best learning rate", "epoch", "test accuracy")),
         .caption = "Test accuracy at the best rate of each method, mean and deviation over the seeds"});
    return result;
}

}  // namespace backlight
