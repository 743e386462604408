// Find another explanation (Ross et al., IJCAI 2017, section 3.2): two rules separate the classes of
// `toy_colours`, equal corners and the three top middle cells. A second network that may not look where the
// first did must find the other rule.
#include "autograd/functions.h"
#include "core/error.h"
#include "experiments/reproductions/all.h"
#include "experiments/reproductions/weight_folder.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 5, kChannels = 3;

/// |d max p / dx| above 0.67 of its largest: (N, 75) of 0 and 1.
std::vector<float> reasons(const Model& model, const Dataset& data) {
    const ExplainedForward forward(*model.net, data.all().input);
    const auto explainer = build_method("gradient(start=prob)");
    const Variable g = abs(Variable(forward.explain(*explainer, {.targets = forward.predicted()})));
    const NoGrad off;
    return mask(UnaryOp::is_positive, (g - amax(g, {1, 2, 3}, true) * 0.67).data()).to_vector<float>();
}

/// Shares of the marked cells (of any colour) in the four corners and in the top middle.
std::pair<double, double> places(const std::vector<float>& marked) {
    double corners = 0, top = 0, all = 0;
    for (size_t i = 0; i < marked.size(); i += kChannels) {
        const auto cell = static_cast<int64_t>(i) / kChannels % (kSide * kSide);
        const int64_t row = cell / kSide, column = cell % kSide;
        const double value = marked[i] + marked[i + 1] + marked[i + 2] > 0 ? 1.0 : 0.0;
        all += value;
        corners += (row == 0 || row == kSide - 1) && (column == 0 || column == kSide - 1) ? value : 0;
        top += row == 0 && column >= 1 && column <= 3 ? value : 0;
    }
    return {corners / std::max(all, 1.0), top / std::max(all, 1.0)};
}

double overlap(const std::vector<float>& a, const std::vector<float>& b) {
    double both = 0, first = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        both += static_cast<double>(a[i] * b[i]);
        first += static_cast<double>(a[i]);
    }
    return both / std::max(first, 1.0);
}

}  // namespace

Reproduction reproduce_different_reasons(const ReproductionEntry&, const ReproduceOptions& options) {
    const WeightFolder folder;
    Reproduction result;
    for (int64_t seed = 0; seed < options.seeds; ++seed) {
        TrainConfig config{.model = "mlp(image=5:5:3, widths=50:30, init=small_normal)",
                           .data = concat_text("toy_colours(seed=", seed, ")"),
                           .epochs = options.epochs_or(30),
                           .batch_size = 256,
                           .lr = 1e-3};
        config.optimizer.name = "adam";
        std::vector<std::string> weights;
        std::vector<float> forbidden;  // of the training samples, by all networks so far
        const auto run_arm = [&](const std::string& arm, const std::string& augment, int64_t number) {
            options.tell(concat_text("seed ", seed, ", ", arm, ' ', augment));
            config.seed = static_cast<uint64_t>(100 * seed + number);
            config.augment = augment.empty() ? std::vector<std::string>{} : std::vector<std::string>{augment};
            return train_quietly(config);
        };
        const auto record = [&](const std::string& arm, const TrainResult& run) {
            const auto [corners, top] = places(reasons(run.model, *run.data->test));
            const std::vector<float> marked = reasons(run.model, *run.data->train);
            result.measured.add(arm, "accuracy", seed, run.test.accuracy);
            result.measured.add(arm, "in corners", seed, corners);
            result.measured.add(arm, "in the top middle", seed, top);
            if (!forbidden.empty()) {
                result.measured.add(arm, "overlap with earlier", seed, overlap(marked, forbidden));
            }
            return marked;
        };
        const auto forbid = [&](const TrainResult& run, const std::vector<float>& marked) {
            weights.push_back(folder.save(*run.model.net, concat_text(seed, "-", weights.size())));
            forbidden.resize(marked.size(), 0.0f);
            for (size_t i = 0; i < marked.size(); ++i) {
                forbidden[i] = std::max(forbidden[i], marked[i]);
            }
        };
        const TrainResult first = run_arm("model 1", "", 1);
        forbid(first, record("model 1", first));
        (void)record("another seed", run_arm("another seed", "", 4));
        for (int64_t number = 2; number <= 3; ++number) {
            const std::string arm = concat_text("model ", number);
            std::string earlier = weights[0];
            for (size_t i = 1; i < weights.size(); ++i) {
                earlier += ":" + weights[i];
            }
            const TrainResult run = run_arm(arm, "rrr(lambda=10, earlier=" + earlier + ")", number);
            forbid(run, record(arm, run));
        }
    }
    const Measurements& m = result.measured;
    result.find(
        "model 1 is right (0.97) and looks at the corners (0.9)",
        m.mean("model 1", "accuracy") >= 0.97 && m.mean("model 1", "in corners") >= 0.9,
        number_text(m.mean("model 1", "accuracy")) + ", " + number_text(m.mean("model 1", "in corners")));
    result.find("model 2 is right (0.85) and looks at the top middle (0.8)",
                m.mean("model 2", "accuracy") >= 0.85 && m.mean("model 2", "in the top middle") >= 0.8,
                number_text(m.mean("model 2", "accuracy")) + ", " +
                    number_text(m.mean("model 2", "in the top middle")));
    result.find(
        "model 2 looks at the top middle more often than anywhere else (0.5), a network from another seed "
        "does not",
        m.mean("model 2", "in the top middle") >= 0.5 && m.mean("another seed", "in corners") >= 0.9,
        number_text(m.mean("model 2", "in the top middle")) + "; another seed " +
            number_text(m.mean("another seed", "in the top middle")));
    result.remarks = {
        "Once both rules are forbidden (model 3) the penalty can only shrink gradients; read its overlap."};
    return result;
}

}  // namespace backlight
