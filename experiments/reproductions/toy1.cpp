// Toy experiment 1 (Weber et al., "Beyond explaining", 2022, section 2.2 and appendix A, Eq. 1 and 22, Fig.
// 1A): features of the first hidden layer times a mask of their relevance. 5-64-32-16-2, batches of 32, SGD
// 0.01 with momentum 0.9. "500 iterations" are passes over the 350 training samples here: in 500 single
// updates the baseline hardly overfits, which is shown beside.
#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "experiments/reproductions/all.h"
#include "experiments/reproductions/toy_runs.h"

namespace backlight {
namespace {

constexpr int64_t kFeatures = 5;
const std::string kBaseline = "baseline", kAttention = "attention", kRandom = "random mask",
                  kShuffled = "shuffled mask", kPredicted = "attention, predicted class",
                  kLogit = "attention, start=logit", kLogitPredicted = "start=logit, predicted class",
                  kFewBaseline = "baseline, single updates", kFewAttention = "attention, single updates";

struct Arm {
    std::string name, augment;
    bool updates = false;  // an iteration is one update
};

const std::vector<Arm>& arms() {
    static const std::vector<Arm> list = {
        {kBaseline, ""},
        {kAttention, "attention(layer=1, explainer=epsilon(start=one))"},
        {kRandom, "attention(layer=1, mask=random)"},
        {kShuffled, "attention(layer=1, mask=shuffled)"},
        {kPredicted, "attention(layer=1, target=predicted)"},
        {kLogit, "attention(layer=1, explainer=epsilon(start=logit))"},
        {kLogitPredicted, "attention(layer=1, explainer=epsilon(start=logit), target=predicted)"},
        {kFewBaseline, "", true},
        {kFewAttention, "attention(layer=1)", true}};
    return list;
}

struct AllCurves {
    Curves train_loss, test_loss, test_accuracy;
    std::map<std::string, Curves> relevance;  // by arm; "feature 0", ...
};

/// From the first fifth of the run on, when accuracy no longer rises.
double late_deviation(const std::vector<double>& curve) {
    return statistics_of({curve.begin() + static_cast<std::ptrdiff_t>(curve.size() / 5), curve.end()})
        .deviation;
}

void measure(Measurements& m, const Arm& arm, int64_t seed, WatchedRun& run) {
    m.add(arm.name, "train loss", seed, run.train_loss.back());
    m.add(arm.name, "test loss", seed, run.test_loss.back());
    m.add(arm.name, "lowest test loss at", seed, static_cast<double>(run.turning_point()));
    m.add(arm.name, "test accuracy, mean", seed, statistics_of(run.test_accuracy).mean);
    m.add(arm.name, "its deviation", seed, late_deviation(run.test_accuracy));
    m.add(arm.name, "at the end", seed, run.test_accuracy.back());
    m.add(arm.name, "fresh accuracy", seed,
          evaluate(*run.result.model.net, *run.result.data->split("fresh")).accuracy);
    m.add(arm.name, "train accuracy", seed,
          evaluate(*run.result.model.net, *run.result.data->train).accuracy);
    if (arm.name == kAttention || arm.name == kLogit) {
        m.add(arm.name, "test accuracy with mask", seed,
              accuracy_with_system(run.result.model, run.result.data->test, arm.augment));
    }
    for (int64_t d = 0; d < kFeatures; ++d) {
        m.add(arm.name, relevance_metric(d), seed, statistics_of(run.relevance[static_cast<size_t>(d)]).mean);
    }
    m.add(arm.name, "|r'| of 0 to 1, apart", seed,
          std::abs(statistics_of(run.relevance[0]).mean - statistics_of(run.relevance[1]).mean));
}

std::string at_of(const AllCurves& curves, const std::string& arm) {
    return concat_text(arm, " at iteration ", lowest_at(curves.test_loss.mean(arm)));
}

std::string feature(int64_t d) { return concat_text("feature ", d); }

/// Mean over the noise features of the running mean of their relevance.
std::vector<double> noise_relevance(const AllCurves& curves, const std::string& arm) {
    std::vector<double> total;
    for (int64_t d = 2; d < kFeatures; ++d) {
        const std::vector<double> mean = curves.relevance.at(arm).mean(feature(d));
        total.resize(mean.size());
        for (size_t i = 0; i < mean.size(); ++i) {
            total[i] += mean[i] / static_cast<double>(kFeatures - 2);
        }
    }
    return total;
}

std::string course_of(const std::vector<double>& curve) {
    const int64_t lowest = lowest_at(curve);
    return concat_text(number_text(curve.front()), " at first, ",
                       number_text(curve[static_cast<size_t>(lowest - 1)]), " at iteration ", lowest, ", ",
                       number_text(curve.back()), " at the end");
}

/// How far the seeds' mean test accuracies lie apart.
std::string spread_of(const Measurements& m, const std::string& arm) {
    return arm + " " + number_text(statistics_of(m.values(arm, "test accuracy, mean")).deviation);
}

void find(Reproduction& result, const AllCurves& curves) {
    const Measurements& m = result.measured;
    result.find_below(kBaseline, kAttention, "train loss", "1: the baseline reaches the lower training loss");
    result.find("2: the test loss of the baseline turns upwards first",
                lowest_at(curves.test_loss.mean(kBaseline)) < lowest_at(curves.test_loss.mean(kAttention)),
                "lowest mean: " + at_of(curves, kBaseline) + ", " + at_of(curves, kAttention) + ", " +
                    at_of(curves, kRandom) + ", " + at_of(curves, kShuffled));
    const double attention = m.mean(kAttention, "test loss");
    result.find("2: the last test loss is below half of that without a mask and with masks that know nothing",
                attention < 0.5 * std::min({m.mean(kBaseline, "test loss"), m.mean(kRandom, "test loss"),
                                            m.mean(kShuffled, "test loss")}),
                concat_text("attention ", number_text(attention), ", baseline ",
                            number_text(m.mean(kBaseline, "test loss")), ", random ",
                            number_text(m.mean(kRandom, "test loss")), ", shuffled ",
                            number_text(m.mean(kShuffled, "test loss"))));
    result.find_below(kAttention, kBaseline, "its deviation", "3: the test accuracy is more stable");
    result.findings.back().numbers += "; deviation between the seeds' means: " + spread_of(m, kBaseline) +
                                      ", " + spread_of(m, kAttention) + ", " + spread_of(m, kRandom) + ", " +
                                      spread_of(m, kShuffled);
    result.find_above(kAttention, kBaseline, "test accuracy, mean",
                      "3: the test accuracy is higher on average");
    const std::vector<double> baseline = noise_relevance(curves, kBaseline);
    const std::vector<double> masked = noise_relevance(curves, kAttention);
    result.find("4: the relevance of the noise features falls, in both",
                baseline.back() < baseline.front() && masked.back() < masked.front(),
                "running mean of |r'| of features 2 to 4: baseline " + course_of(baseline) + "; attention " +
                    course_of(masked));
    result.find_below(kAttention, kBaseline, "|r'| of 0 to 1, apart",
                      "4: features 0 and 1 are used more equally than by the baseline");
    result.find_below(kLogit, kAttention, "fresh accuracy",
                      "a mask with start=logit tells the label: plain accuracy is lower than with start=one");
    result.find_above(kLogitPredicted, kLogit, "fresh accuracy",
                      "the predicted class in place of the label: the same start loses less");
    result.find("and with that mask, made for the true labels, the test set is no test",
                m.mean(kLogit, "test accuracy with mask") >= 0.99,
                concat_text("accuracy with the mask: start=logit ",
                            number_text(m.mean(kLogit, "test accuracy with mask")), ", start=one ",
                            number_text(m.mean(kAttention, "test accuracy with mask"))));
}

void draw(Reproduction& result, const AllCurves& curves) {
    const std::vector<std::string> main{kBaseline, kAttention, kRandom, kShuffled};
    const std::string spread = ", plain forward passes; mean and deviation over the seeds";
    result.figures = {
        curves_figure(curves.train_loss, main, "Training loss", "cross-entropy", "Training loss" + spread),
        curves_figure(curves.test_loss, main, "Test loss", "cross-entropy", "Test loss" + spread),
        curves_figure(curves.test_accuracy, main, "Test accuracy", "accuracy", "Test accuracy" + spread)};
    for (const std::string& arm : {kBaseline, kAttention}) {
        const Curves& own = curves.relevance.at(arm);
        result.figures.push_back(
            curves_figure(own, own.arms, "Relevance of the features, " + arm, "mean |r'|",
                          "Running mean of |r'| over the iterations; features 0 and 1 inform"));
    }
    result.figures.push_back(relevance_bars(result.measured, main, kFeatures));
    result.figures.push_back(curves_figure(curves.test_accuracy, {kBaseline, kAttention, kLogit},
                                           "Test accuracy, by the start of the relevance", "accuracy",
                                           "What it costs that a mask tells the label (start=logit)"));
    result.figures.push_back(curves_figure(curves.test_loss, {kFewBaseline, kFewAttention},
                                           "Test loss where an iteration is one update", "cross-entropy",
                                           "A step is a single update, not a pass over the training set"));
}

}  // namespace

Reproduction reproduce_toy1(const ReproductionEntry&, const ReproduceOptions& options) {
    Reproduction result;
    AllCurves curves;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        for (const Arm& arm : arms()) {
            TrainConfig config{.model = "toy1",
                               .data = concat_text("toy1(seed=", seed, ")"),
                               .epochs = options.epochs_or(500),
                               .batch_size = 32,
                               .lr = 0.01,
                               .mini_epoch = arm.updates ? 32 : 0,
                               .seed = static_cast<uint64_t>(seed)};
            config.optimizer.momentum = 0.9;
            config.augment = one_or_none(arm.augment);
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            WatchedRun run = watch_training(config);
            measure(result.measured, arm, seed, run);
            curves.train_loss.add(arm.name, run.train_loss);
            curves.test_loss.add(arm.name, run.test_loss);
            curves.test_accuracy.add(arm.name, run.test_accuracy);
            for (int64_t d = 0; d < kFeatures; ++d) {
                curves.relevance[arm.name].add(feature(d),
                                               running_mean(run.relevance[static_cast<size_t>(d)]));
            }
        }
    }
    find(result, curves);
    draw(result, curves);
    if (options.seeds > 5) {
        result.tables.push_back(first_seeds(result.measured, 5, "Seeds 0 to 4 alone: the survey has five"));
    }
    result.remarks = {
        "The survey does not print the generator of its data; clusters here as make_classification has them, "
        "see "
        "backlight data toy1.",
        "An iteration is a pass over the training set; the two arms of single updates show the other "
        "reading.",
        "All losses and accuracies are those of plain forward passes, unless a column says with mask. Its "
        "deviation: of "
        "the test accuracy over the iterations behind the first fifth."};
    return result;
}

}  // namespace backlight
