// Pruning without fine-tuning on points in the plane (Yeom et al., "Pruning by explaining", Pattern
// Recognition 115, 2021, section 4.1): one third of the 900 hidden units goes at once, scored on few samples.
// The paper has 1000 units a layer and 10,000 full-batch epochs; here 300 and 2000 updates of 200 samples.
// With another recipe (Adam, full batches) the order of the criteria is another one.
#include <algorithm>
#include <cmath>

#include "augment/model/pruner.h"
#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/random.h"
#include "experiments/reproductions/all.h"
#include "layers/state.h"
#include "train/evaluation.h"

namespace backlight {
namespace {

struct Arm {
    std::string name, criterion;
    bool zplus_all = false;
};

const std::vector<Arm>& arms() {
    static const std::vector<Arm> all{{"lrp_abs", "lrp_abs"}, {"lrp (z+)", "lrp", true},
                                      {"taylor", "taylor"},   {"gradient", "gradient"},
                                      {"weight", "weight"},   {"random", "random"}};
    return all;
}

const std::vector<std::string>& sets() {
    static const std::vector<std::string> all{"moons", "circles", "spirals"};
    return all;
}

std::string metric_of(const std::string& set, int64_t samples) { return concat_text(set, " k=", samples); }

/// Share of right answers on the test points with N(0, 0.3²) added.
double noisy_accuracy(Module& net, const Dataset& test, uint64_t seed) {
    const Batch all = test.all();
    std::vector<float> noise(static_cast<size_t>(all.input.numel()));
    RandomStream(RandomKey{.seed = seed, .purpose = purpose::kExperiment}).fill_normal(noise, 0, 0.3F);
    const NoGrad off;
    const Tensor x = (Variable(all.input) + Variable(Tensor::from(noise, all.input.shape()))).data();
    const auto predicted = argmax(predict(net, x), 1).to_vector<int64_t>();
    const std::vector<int64_t> labels = test.labels();
    int64_t right = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
        right += predicted[i] == labels[i] ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(labels.size());
}

TrainResult train_net(const std::string& set, int64_t seed, int64_t epochs) {
    TrainConfig config{.model = "mlp(in=2, widths=300:300:300, dropout=0.5)",
                       .data = concat_text(set, "(seed=", seed, ")"),
                       .epochs = epochs > 0         ? epochs
                                 : set == "spirals" ? 200
                                                    : 400,  // 2000 updates
                       .batch_size = 200,
                       .lr = 0.02,
                       .seed = static_cast<uint64_t>(seed)};
    config.optimizer.momentum = 0.9;
    return train_quietly(config);
}

/// One draw of reference samples: every criterion prunes the same network, which then gets its weights back.
void measure(Measurements& m, TrainResult& trained, const std::string& set, int64_t draw) {
    Module& net = *trained.model.net;
    const StateDict whole = state_dict(net);
    const Dataset &train = *trained.data->train, &test = *trained.data->test;
    const auto seed = static_cast<uint64_t>(draw);
    const auto pruned = [&](const Arm& arm, double fraction, int64_t samples) {
        Pruner pruner(trained.model, trained.data->train,
                      {.fraction = fraction,
                       .step = 1,
                       .criterion = arm.criterion,
                       .zplus_all = arm.zplus_all,
                       .samples_per_class = samples,
                       .seed = seed});
        pruner.remove_next();
    };
    const auto add = [&](const std::string& arm, const std::string& metric, double value) {
        m.add(arm, metric, draw, value);
    };
    const double accuracy = evaluate(net, train).accuracy;
    for (const int64_t samples : {1, 5, 20}) {
        add("unpruned", metric_of(set, samples), accuracy);
    }
    add("unpruned", set + " noisy", noisy_accuracy(net, test, seed));
    add("unpruned", set + " 60%", accuracy);
    for (const Arm& arm : arms()) {
        for (const int64_t samples : {1, 5, 20}) {
            pruned(arm, 1.0 / 3, samples);
            add(arm.name, metric_of(set, samples), evaluate(net, train).accuracy);
            if (samples == 20) {
                add(arm.name, set + " noisy", noisy_accuracy(net, test, seed));
            }
            load_state_dict(net, whole, "the trained network");
        }
        pruned(arm, 0.6, 20);
        add(arm.name, set + " 60%", evaluate(net, train).accuracy);
        load_state_dict(net, whole, "the trained network");
    }
}

/// a is at least `margin` above b in the mean on every set.
void find_above_everywhere(Reproduction& result, const std::string& a, const std::string& b, int64_t samples,
                           double margin) {
    const Measurements& m = result.measured;
    bool held = true;
    std::string numbers;
    for (const std::string& set : sets()) {
        const double first = m.mean(a, metric_of(set, samples)), second = m.mean(b, metric_of(set, samples));
        held = held && first - second >= margin;
        numbers += concat_text(numbers.empty() ? "" : "; ", set, ' ', number_text(first), " against ",
                               number_text(second));
    }
    result.find(concat_text(a, " is at least ", number_text(margin, 2), " above ", b, " on all sets, ",
                            samples, " samples a class"),
                held, numbers);
}

/// |a - b| is at most `tolerance` in the mean on every set.
void find_near(Reproduction& result, const std::string& a, const std::string& b, int64_t samples,
               double tolerance) {
    const Measurements& m = result.measured;
    bool held = true;
    std::string numbers;
    for (const std::string& set : sets()) {
        const double first = m.mean(a, metric_of(set, samples)), second = m.mean(b, metric_of(set, samples));
        held = held && std::abs(first - second) <= tolerance;
        numbers += concat_text(numbers.empty() ? "" : "; ", set, ' ', number_text(first), " against ",
                               number_text(second));
    }
    result.find(concat_text(a, " is within ", number_text(tolerance, 2), " of ", b, " on all sets, ", samples,
                            " samples a class"),
                held, numbers);
}

void find_not_below_taylor(Reproduction& result, const std::string& arm) {
    int64_t below = 0;
    for (const std::string& set : sets()) {
        const std::string metric = metric_of(set, 20);
        below += result.measured.mean(arm, metric) < result.measured.mean("taylor", metric) ? 1 : 0;
    }
    result.find(concat_text(arm, " is not below taylor on two sets, 20 samples a class"), below < 2,
                concat_text("below on ", below, " of 3"));
}

}  // namespace

Reproduction reproduce_pruning_toys(const ReproductionEntry&, const ReproduceOptions& options) {
    constexpr int64_t kDrawsPerNetwork = 5;
    Reproduction result;
    for (const std::string& set : sets()) {
        TrainResult trained;
        for (int64_t draw = 0; draw < options.seeds; ++draw) {
            if (draw % kDrawsPerNetwork == 0) {
                options.tell(concat_text(set, ", network ", draw / kDrawsPerNetwork));
                trained = train_net(set, draw / kDrawsPerNetwork, options.epochs);
            }
            measure(result.measured, trained, set, draw);
        }
    }
    for (const int64_t samples : {5, 20}) {
        for (const char* lrp : {"lrp_abs", "lrp (z+)"}) {
            for (const char* control : {"taylor", "gradient"}) {
                find_above_everywhere(result, lrp, control, samples, 0.02);
            }
        }
    }
    find_near(result, "lrp_abs", "unpruned", 20, 0.05);
    find_near(result, "lrp_abs", "weight", 5, 0.05);
    find_not_below_taylor(result, "lrp_abs");
    find_not_below_taylor(result, "lrp (z+)");
    result.remarks = {
        "Accuracy on the training set after one third of the units (60%: 60% of them, 20 samples a class) "
        "was removed at "
        "once, without training after it; k: reference samples a class; noisy: on test points with N(0, "
        "0.09) added, 20 "
        "samples a class.",
        concat_text("A seed is a draw of the reference samples; ", kDrawsPerNetwork,
                    " draws share a network, data set and initialisation."),
        "lrp (z+): the z+ rule on every layer. It knows nothing of units that inhibit."};
    for (const std::string& set : sets()) {
        report::BarChart bars{.title = set + ": accuracy without a third of the units, 20 samples a class"};
        bars.bars.push_back(
            {.name = "unpruned", .value = result.measured.mean("unpruned", metric_of(set, 20))});
        for (const Arm& arm : arms()) {
            bars.bars.push_back(
                {.name = arm.name, .value = result.measured.mean(arm.name, metric_of(set, 20))});
        }
        result.figures.push_back({.svg = report::bar_chart(bars), .caption = set});
    }
    return result;
}

}  // namespace backlight
