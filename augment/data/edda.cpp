// Explanation-driven data augmentation: pictures without what an explanation marks, or with nothing else,
// replace those that the network still gets right.
//   Li et al., "EDDA: explanation-driven data augmentation to improve explanation faithfulness", 2021, Eq. 1
//   and 2, algorithms 1 to 3. The printed mask keeps the salient pixels, the text occludes them: mask=keep
//   and mask=occlude.
#include <algorithm>

#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/fill.h"

namespace backlight {
namespace {

class Edda final : public Augmentation {
public:
    struct Config {
        std::string explainer = "grad_cam";
        double tau = 0.5, background = 0;
        bool keep = false, predicted = false, shuffled = false;
        Fill fill;
    };
    explicit Edda(Config config) : config_(std::move(config)) {}
    [[nodiscard]] std::vector<std::string> claims() const override { return {"the samples of a batch"}; }

    void begin(const TrainingRun& run) override {
        BACKLIGHT_CHECK(run.model->input.rank() != 1 || config_.explainer != "grad_cam",
                        "edda: grad_cam needs pictures; explainer=saliency works on vectors");
    }

    void change_batch(TrainingStep& step) override {
        const NoGrad off;
        Batch& batch = step.batch;
        if (batch.target.defined()) {
            change_several_labels(step);
            return;
        }
        const std::vector<int64_t> labels = labels_of(batch, "edda");
        const Tensor masked =
            masked_input(step, config_.predicted ? explained_batch(step).predicted() : labels);
        const std::vector<int64_t> seen = predicted(step, masked);
        const int64_t classes = step.run.model->classes;
        std::vector<float> takes(labels.size(), 0.0f), uniform(labels.size(), 0.0f);
        for (size_t n = 0; n < labels.size(); ++n) {
            if (seen[n] == labels[n]) {
                takes[n] = 1;
            } else if (stream_of(step, batch.indices[n]).uniform() < config_.background) {
                takes[n] = uniform[n] = 1;
            }
        }
        note("masked", sum_of(takes) / static_cast<double>(takes.size()));
        batch.input = blend(masked, batch.input, takes);
        if (sum_of(uniform) > 0) {  // background: no class is likelier than another
            const int64_t samples = batch.size();
            const Variable one_hot =
                batch.soft_label.defined()
                    ? Variable(batch.soft_label)
                    : scatter_last(Variable(Tensor::ones({samples}, DType::f32)), batch.label, classes);
            const Variable background(Tensor::from(uniform, {samples, 1}));
            batch.soft_label =
                (one_hot * (1.0 - background) + background / static_cast<double>(classes)).data();
        }
    }

private:
    static double sum_of(const std::vector<float>& values) {
        double total = 0;
        for (const float v : values) {
            total += static_cast<double>(v);
        }
        return total;
    }

    [[nodiscard]] static RandomStream stream_of(const TrainingStep& step, int64_t sample) {
        return RandomStream(RandomKey{.seed = step.run.seed,
                                      .purpose = purpose::kAugmentation,
                                      .step = static_cast<uint64_t>(step.step),
                                      .sample = static_cast<uint32_t>(sample)});
    }

    /// a where `takes`, else b.
    static Tensor blend(const Tensor& a, const Tensor& b, const std::vector<float>& takes) {
        Shape column{b.dim(0)};
        for (int axis = 1; axis < b.rank(); ++axis) {
            column.push_back(1);
        }
        return where(Tensor::from(takes, column), Variable(a), Variable(b)).data();
    }

    [[nodiscard]] static std::vector<int64_t> predicted(TrainingStep& step, const Tensor& x) {
        const EvaluationMode mode(step.net());
        return argmax(step.net()(Variable(x)).data(), 1).to_vector<int64_t>();
    }

    /// The batch with the pixels beyond tau filled (or all others).
    [[nodiscard]] Tensor masked_input(TrainingStep& step, const std::vector<int64_t>& targets) const {
        const Tensor& x = step.batch.input;
        Variable map(minmax_by_sample(explained_map(step, config_.explainer, targets)));
        if (x.rank() == 4 && map.dim(3) > 1) {
            map = Variable(minmax_by_sample(sum(map, {3}, true).data()));
        }
        if (x.rank() == 4 && (map.dim(1) != x.dim(1) || map.dim(2) != x.dim(2))) {
            map = resize(map, x.dim(1), x.dim(2));
        }
        if (config_
                .shuffled) {  // control: masks of the same shape that mean another sample and another place
            map = Variable(misplaced(step, map.data()));
        }
        const Variable over(mask(UnaryOp::is_positive, (map - config_.tau).data()));
        // A map without range says nothing: everything stays.
        const Variable says_something(mask(UnaryOp::is_positive, amax(map, axes_of(map), true).data()));
        const Variable hidden = (config_.keep ? 1.0 - over : over) * says_something;
        const Tensor fill =
            filled(x, config_.fill,
                   {.mean = step.run.model->mean, .std = step.run.model->std, .seed = step.run.seed},
                   step.batch.indices);
        return (Variable(x) * (1.0 - hidden) + Variable(fill) * hidden).data();
    }

    static std::vector<int> axes_of(const Variable& v) {
        std::vector<int> axes;
        for (int axis = 1; axis < v.rank(); ++axis) {
            axes.push_back(axis);
        }
        return axes;
    }

    /// Permuted over the batch and shifted cyclically.
    [[nodiscard]] static Tensor misplaced(const TrainingStep& step, const Tensor& map) {
        RandomStream stream = stream_of(step, 0x7fffffff);
        Variable moved =
            gather_rows(Variable(map), Tensor::from(stream.permutation(map.dim(0)), {map.dim(0)}));
        for (int axis = 1; axis < (map.rank() == 4 ? 3 : 2); ++axis) {
            const int64_t by = stream.below(map.dim(axis));
            if (by > 0) {
                moved = concat({slice(moved, axis, by, map.dim(axis) - by), slice(moved, axis, 0, by)}, axis);
            }
        }
        return moved.data();
    }

    /// Each true positive class c of a picture: its picture without c's pixels joins the batch if the network
    /// still sees c; only c counts in its loss.
    void change_several_labels(TrainingStep& step) {
        Batch& batch = step.batch;
        const int64_t samples = batch.size(), classes = batch.target.dim(1);
        const auto p = sigmoid(explained_batch(step).logits()).data().to_vector<float>();
        const auto labels = batch.target.to_vector<float>();
        Variables inputs{Variable(batch.input)}, targets{Variable(batch.target)},
            weights{Variable(batch.target_weight)};
        std::vector<int64_t> indices = batch.indices;
        for (int64_t c = 0; c < classes; ++c) {
            std::vector<float> found(static_cast<size_t>(samples), 0.0f);
            for (int64_t n = 0; n < samples; ++n) {
                const auto at = static_cast<size_t>(n * classes + c);
                found[static_cast<size_t>(n)] = p[at] > 0.5f && labels[at] > 0.5f ? 1 : 0;
            }
            if (sum_of(found) == 0) {
                continue;
            }
            const Tensor masked = masked_input(step, std::vector<int64_t>(static_cast<size_t>(samples), c));
            const EvaluationMode mode(step.net());
            const auto seen = step.net()(Variable(masked)).data().to_vector<float>();
            for (int64_t n = 0; n < samples; ++n) {
                if (found[static_cast<size_t>(n)] == 0 || seen[static_cast<size_t>(n * classes + c)] <= 0) {
                    continue;
                }
                std::vector<float> only(static_cast<size_t>(classes), 0.0f);
                only[static_cast<size_t>(c)] = 1;
                inputs.push_back(slice(Variable(masked), 0, n, 1));
                targets.emplace_back(Tensor::from(only, {1, classes}));
                weights.emplace_back(Tensor::from(only, {1, classes}));
                indices.push_back(batch.indices[static_cast<size_t>(n)]);
            }
        }
        note("masked",
             static_cast<double>(indices.size() - batch.indices.size()) / static_cast<double>(samples));
        batch.input = concat(inputs, 0).data();
        batch.target = concat(targets, 0).data();
        batch.target_weight = concat(weights, 0).data();
        batch.indices = std::move(indices);
    }

    Config config_;
};

}  // namespace

std::unique_ptr<Augmentation> build_edda(const Options& options) {
    Edda::Config config{.explainer = options.get("explainer", "grad_cam"),
                        .tau = options.get_within("tau", 0.5, 0.0, 1.0),
                        .background = options.get_within("p", 0.0, 0.0, 1.0)};
    config.keep = options.choose("mask", "occlude", {"occlude", "keep"}) == "keep";
    config.predicted = options.choose("target", "label", {"label", "predicted"}) == "predicted";
    config.shuffled = options.choose("control", "none", {"none", "shuffled"}) == "shuffled";
    config.fill = read_fill(options);
    return std::make_unique<Edda>(std::move(config));
}

}  // namespace backlight
