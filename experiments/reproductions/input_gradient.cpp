// Input-gradient regularisation (Ross and Doshi-Velez, AAAI 2018): does a penalty on || dl/dx ||² make a
// network robust against the fast gradient sign method, more than weight decay does, and also against attacks
// made on another network?
#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "experiments/measures.h"
#include "experiments/reproductions/all.h"

namespace backlight {
namespace {

struct Arm {
    std::string name, augment;
    double weight_decay = 0;
};

double mean_square_gradient(Module& net, const Tensor& inputs, const std::vector<int64_t>& labels) {
    const Variable x = Variable::leaf(inputs);
    const Variable loss = cross_entropy_sum(net(x), Tensor::from(labels, {inputs.dim(0)}));
    return sum(square(grad(loss, {}, {x})[0].detach())).item() / static_cast<double>(inputs.dim(0));
}

}  // namespace

Reproduction reproduce_input_gradient(const ReproductionEntry&, const ReproduceOptions& options) {
    const std::vector<Arm> arms{{"plain", ""},
                                {"weight decay 0.01", "", 1e-2},
                                {"lambda 0.1", "input_gradient(lambda=0.1)"},
                                {"lambda 0.3", "input_gradient(lambda=0.3)"},
                                {"lambda 1", "input_gradient(lambda=1)"}};
    Reproduction result;
    std::map<std::string, std::vector<TrainResult>> runs;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        for (const Arm& arm : arms) {
            options.tell(concat_text("seed ", seed, ", ", arm.name));
            TrainConfig config{.model = options.model_or("cnn_g"),
                               .data = options.data_or(concat_text("shapes12(seed=", seed, ")")),
                               .epochs = options.epochs_or(40),
                               .batch_size = 64,
                               .lr = 1e-3,
                               .seed = static_cast<uint64_t>(seed)};
            config.optimizer.name = "adam";
            config.optimizer.weight_decay = arm.weight_decay;
            config.augment = one_or_none(arm.augment);
            runs[arm.name].push_back(train_quietly(config));
        }
    }
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        const auto at = static_cast<size_t>(seed), next = (at + 1) % static_cast<size_t>(options.seeds);
        const Dataset& test = *runs.at("plain")[at].data->test;
        const Batch all = test.all();
        const std::vector<int64_t> labels = test.labels();
        // A plain network of another seed made them; where there is one seed only, there is none.
        const bool has_other = next != at;
        for (const Arm& arm : arms) {
            Module& net = *runs.at(arm.name)[at].model.net;
            result.measured.add(arm.name, "clean", seed, accuracy_of(net, all.input, labels));
            for (const double eps : {0.1, 0.2}) {
                result.measured.add(arm.name, concat_text("FGSM ", eps), seed,
                                    accuracy_of(net, fgsm(net, all.input, labels, eps), labels));
            }
            for (const double eps : {0.1, 0.2}) {
                if (has_other) {
                    Module& other = *runs.at("plain")[next].model.net;
                    result.measured.add(arm.name, concat_text("transferred ", eps), seed,
                                        accuracy_of(net, fgsm(other, all.input, labels, eps), labels));
                }
            }
            result.measured.add(arm.name, "mean ||dl/dx||²", seed,
                                mean_square_gradient(net, all.input, labels));
        }
    }
    const Measurements& m = result.measured;
    result.find_above("lambda 1", "plain", "FGSM 0.1", "accuracy under FGSM 0.1 rises by at least 0.2", 0.2);
    result.find("clean accuracy falls by at most 0.03",
                m.mean("plain", "clean") - m.mean("lambda 1", "clean") <= 0.03,
                number_text(m.mean("plain", "clean")) + " to " + number_text(m.mean("lambda 1", "clean")));
    result.find_above("lambda 1", "weight decay 0.01", "FGSM 0.1", "more than weight decay does");
    for (const double eps : {0.1, 0.2}) {
        const std::string metric = concat_text("transferred ", eps);
        if (m.has("plain", metric)) {
            result.find_above("lambda 1", "plain", metric,
                              concat_text("also against attacks of ", eps,
                                          " made on another network, so gradients are not merely masked"));
        }
    }
    report::BarChart bars{.title = "Accuracy under FGSM 0.1"};
    for (const Arm& arm : arms) {
        bars.bars.push_back({.name = arm.name, .value = m.mean(arm.name, "FGSM 0.1")});
    }
    result.figures.push_back({.svg = report::bar_chart(bars), .caption = "Mean over the seeds"});
    return result;
}

}  // namespace backlight
