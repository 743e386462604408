// Excitation dropout (Zunino et al., IJCV 2021) on small pictures: does dropping what carries the evidence
// make a network use more of its units, and lose less when units are taken away? Dropout behind the first
// hidden layer of 128 units; 400 training pictures, Adam 0.002, 40 epochs.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "augment/features/unit_dropout.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "experiments/reproductions/all.h"
#include "experiments/reproductions/toy_runs.h"
#include "experiments/reproductions/watch.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

const std::string kLayer = "classifier.1";
constexpr int64_t kUnits = 128;
constexpr double kBase = 0.5;
const std::string kNone = "none", kBernoulli = "random dropout", kExcitation = "excitation dropout",
                  kShuffled = "shuffled";

struct Arm {
    std::string name, augment;
};

const std::vector<Arm>& arms() {
    static const std::vector<Arm> list = {
        {kNone, ""},
        {kBernoulli, "random_dropout(layer=" + kLayer + ", p=0.5)"},
        {kExcitation, "excitation_dropout(layer=" + kLayer + ", p=0.5)"},
        {kShuffled, "excitation_dropout(layer=" + kLayer + ", p=0.5, control=shuffled)"}};
    return list;
}

/// Activations (N, units) of the layer, and the probability of each unit to win for the true class, Σ = 1 (0
/// where nothing arrives).
struct Excitation {
    std::vector<double> activation, probability;
};

Excitation excite(Module& net, const Batch& batch) {
    const ExplainedForward forward(net, batch.input);
    const auto explainer = build_method("excitation_backprop");
    const Tensor map =
        forward.explain(*explainer, {.targets = batch.label.to_vector<int64_t>(), .layers = {kLayer}});
    Excitation found{forward.layers().at(kLayer).data().to(DType::f64).to_vector<double>(),
                     map.to(DType::f64).to_vector<double>()};
    for (size_t n = 0; n < found.probability.size(); n += kUnits) {
        const auto row = found.probability.begin() + static_cast<std::ptrdiff_t>(n);
        const double total = std::accumulate(row, row + kUnits, 0.0);
        std::for_each(row, row + kUnits, [&](double& p) { p = total > 0 ? p / total : 0; });
    }
    return found;
}

double mean_drop_probability(const Excitation& found) {
    double total = 0;
    for (const double p : found.probability) {
        total += excitation_drop_probability(p, kBase, kUnits);
    }
    return total / static_cast<double>(found.probability.size());
}

/// In nats.
double entropy(std::vector<double> values) {
    const double total = std::accumulate(values.begin(), values.end(), 0.0);
    double sum = 0;
    for (const double v : values) {
        sum -= v > 0 ? v / total * std::log(v / total) : 0;
    }
    return sum;
}

std::vector<double> unit_means(const std::vector<double>& rows) {
    std::vector<double> means(kUnits, 0.0);
    for (size_t i = 0; i < rows.size(); ++i) {
        means[i % kUnits] += rows[i] * kUnits / static_cast<double>(rows.size());
    }
    return means;
}

/// Accuracy when these units are always 0.
double accuracy_without(Module& net, const Dataset& data, std::span<const int64_t> units) {
    std::vector<float> kept(kUnits, 1.0f);
    for (const int64_t unit : units) {
        kept[static_cast<size_t>(unit)] = 0;
    }
    Module& layer = net.at(kLayer);
    const Variable mask(Tensor::from(kept, {1, kUnits}));
    const int hook = layer.add_hook([&](Module&, const Variable&, const Variable& h) { return h * mask; });
    const double accuracy = evaluate(net, data).accuracy;
    layer.remove_hook(hook);
    return accuracy;
}

void measure_removal(Measurements& m, const std::string& arm, int64_t seed, Module& net, const Dataset& data,
                     const std::vector<double>& probability) {
    std::vector<int64_t> order(kUnits);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return probability[static_cast<size_t>(a)] > probability[static_cast<size_t>(b)];
    });
    for (const int64_t percent : {10, 25, 50, 75}) {
        const auto k = static_cast<size_t>(kUnits * percent / 100);
        m.add(arm, concat_text("without top ", percent, " %"), seed,
              accuracy_without(net, data, std::span(order).first(k)));
    }
    constexpr int kDraws = 5;
    for (const int64_t percent : {50, 75, 90}) {
        const auto k = static_cast<size_t>(kUnits * percent / 100);
        double accuracy = 0;
        for (int draw = 0; draw < kDraws; ++draw) {  // the same units in every arm
            RandomStream random(RandomKey{.seed = static_cast<uint64_t>(seed),
                                          .purpose = purpose::kExperiment,
                                          .step = static_cast<uint64_t>(percent),
                                          .sample = static_cast<uint32_t>(draw)});
            const std::vector<int64_t> drawn = random.permutation(kUnits);
            accuracy += accuracy_without(net, data, std::span(drawn).first(k)) / kDraws;
        }
        m.add(arm, concat_text("without random ", percent, " %"), seed, accuracy);
    }
}

void measure(Measurements& m, const std::string& arm, int64_t seed, const TrainResult& run) {
    Module& net = *run.model.net;
    const Dataset& test = *run.data->test;
    const Excitation found = excite(net, test.all());
    m.add(arm, "test accuracy", seed, run.test.accuracy);
    m.add(arm, "train accuracy", seed, evaluate(net, *run.data->train).accuracy);
    std::vector<double> positive;
    for (const double h : found.activation) {
        positive.push_back(h > 0 ? 1 : 0);
    }
    const std::vector<double> rates = unit_means(positive);
    m.add(arm, "active units", seed,
          static_cast<double>(std::count_if(rates.begin(), rates.end(), [](double r) { return r > 0.01; })) /
              kUnits);
    m.add(arm, "entropy of activation", seed, entropy(unit_means(found.activation)));
    double spread = 0, peak = 0;
    const size_t samples = found.probability.size() / kUnits;
    for (size_t n = 0; n < samples; ++n) {
        const auto row = found.probability.begin() + static_cast<std::ptrdiff_t>(n * kUnits);
        spread += entropy({row, row + kUnits}) / static_cast<double>(samples);
        peak += *std::max_element(row, row + kUnits) / static_cast<double>(samples);
    }
    m.add(arm, "entropy of p", seed, spread);
    m.add(arm, "peak of p", seed, peak);
    measure_removal(m, arm, seed, net, test, unit_means(found.probability));
}

/// A line an arm over the shares that were removed.
report::Figure removal_figure(const Measurements& m, const std::string& kind,
                              const std::vector<int64_t>& percents, const std::string& caption) {
    report::LineChart chart{
        .title = "Accuracy without " + kind + " units", .x_label = "units removed, %", .y_label = "accuracy"};
    for (const Arm& arm : arms()) {
        report::Series line{.name = arm.name, .markers = true};
        const auto add = [&](double percent, const std::string& metric) {
            const Statistics s = statistics_of(m.values(arm.name, metric));
            line.x.push_back(percent);
            line.y.push_back(s.mean);
            line.low.push_back(s.mean - s.deviation);
            line.high.push_back(s.mean + s.deviation);
        };
        add(0, "test accuracy");
        for (const int64_t percent : percents) {
            add(static_cast<double>(percent), concat_text("without ", kind, " ", percent, " %"));
        }
        chart.series.push_back(std::move(line));
    }
    return {.svg = report::line_chart(chart), .caption = caption};
}

void find(Reproduction& result) {
    for (const std::string& control : {kBernoulli, kShuffled}) {
        for (const char* metric : {"without top 50 %", "without random 75 %", "active units"}) {
            result.find_above(kExcitation, control, metric, concat_text(metric, ": above ", control));
        }
    }
    result.find_above(kExcitation, kNone, "without top 50 %", "without top 50 %: above no dropout");
    result.find_above(kExcitation, kBernoulli, "test accuracy", "test accuracy: above random dropout");
    result.find_above(kExcitation, kShuffled, "test accuracy", "test accuracy: above shuffled");
}

}  // namespace

Reproduction reproduce_excitation_dropout(const ReproductionEntry&, const ReproduceOptions& options) {
    Reproduction result;
    Curves rates, accuracies;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        for (const Arm& arm : arms()) {
            TrainConfig config{
                .model = "cnn_g(in=3, size=16, hidden=128:64, init=cnn_s)",
                .data = concat_text("shapes16(n=400, n_test=1000, noise=0.12, seed=", seed, ")"),
                .epochs = options.epochs_or(40),
                .batch_size = 50,
                .lr = 0.002,
                .seed = static_cast<uint64_t>(seed)};
            config.optimizer.name = "adam";
            config.augment = one_or_none(arm.augment);
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            std::vector<double> rate, accuracy;
            const TrainResult run =
                train_watched(config, [&](const TrainingRun& now, const Evaluation& evaluation) {
                    accuracy.push_back(evaluation.accuracy);
                    if (arm.name == kExcitation) {
                        rate.push_back(mean_drop_probability(excite(*now.model->net, now.data->all())));
                    }
                });
            measure(result.measured, arm.name, seed, run);
            accuracies.add(arm.name, accuracy);
            if (!rate.empty()) {
                rates.add(arm.name, rate);
            }
        }
    }
    find(result);
    const std::vector<double> rate = rates.mean(kExcitation);
    std::string learned;
    for (const Arm& arm : arms()) {
        const std::vector<double> reached = result.measured.values(arm.name, "train accuracy");
        learned +=
            concat_text(learned.empty() ? "" : ", ", arm.name, " ",
                        std::count_if(reached.begin(), reached.end(), [](double a) { return a < 0.9; }));
    }
    result.remarks = {
        concat_text("The mean drop probability of excitation dropout is ", number_text(rate.front()),
                    " after the first epoch and ", number_text(rate.back()),
                    " at the end, that of random dropout 0.5."),
        "Removed units are set to 0 in the test; the top ones have the largest mean winning probability on "
        "the test set. "
        "Random removals: mean over 5 draws, the same for all arms. Entropies in nats.",
        "Shuffled: the same drop probabilities at other units of the sample.",
        concat_text("Seeds, of ", options.seeds, ", that end below 0.9 on the training set: ", learned, "."),
        "Weights start as those of cnn_s: He normal, the last layer scaled by 0.3."};
    result.figures = {removal_figure(result.measured, "top", {10, 25, 50, 75},
                                     "Units of the largest mean winning probability removed; "
                                     "mean and deviation over the seeds"),
                      removal_figure(result.measured, "random", {50, 75, 90},
                                     "Random units removed; mean and deviation over the seeds"),
                      {.svg = report::line_chart(accuracies.chart("Test accuracy", "epoch", "accuracy")),
                       .caption = "Test accuracy"},
                      {.svg = report::line_chart(rates.chart("Mean drop probability of excitation dropout",
                                                             "epoch", "probability")),
                       .caption = "On the training set, without dropout in the forward pass"}};
    if (options.seeds > 5) {
        result.tables.push_back(first_seeds(result.measured, 5, "Seeds 0 to 4 alone"));
    }
    return result;
}

}  // namespace backlight
