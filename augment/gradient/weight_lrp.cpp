// Relevance as weight-wise learning rates: what carried the prediction is updated faster.
//   W <- W - eta F ⊙ dW,   F = min(S / mean S, cap),   S_kj = mean_i |r_ik| |r_ij|   (Eq. 20 and 21)
// r_ij is the relevance that a layer sends to its input j, r_ik what arrives at its output k, of LRP-epsilon
// for the true class with start 1. Eq. 20 prints "a dot product" of both; its readings:
//   dot         Σ_j r_ij r_ij', one number, which divided by its own sum is 1: plain training
//   hadamard    s_j = mean_i |r_ij| |r_ij'|, where a layer has as many inputs as outputs
//   outer       as above; of a convolution by channels, |r| summed over positions
//   outer_sqrt  its square root
//   weight_lrp  mean_i |a_ij W_kj r_ik / z_ik|, what flows through the weight; of a convolution summed over
//   positions
// Lee et al., "Improvement in deep networks for optimization using eXplainable artificial intelligence", ICTC
// 2019; Weber et al., "Beyond explaining", 2022, section 3.4.
#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "core/glob.h"
#include "core/random.h"
#include "layers/layers.h"
#include "train/optimizer.h"

namespace backlight {
namespace {

enum class Reading : uint8_t { dot, hadamard, outer, outer_sqrt, weight_lrp };
enum class RateControl : uint8_t { none, random, shuffled };

/// Σ over positions of |r|: (N,..,C) -> (N,C).
Variable by_channel(const Variable& r) {
    std::vector<int> positions;
    for (int axis = 1; axis + 1 < r.rank(); ++axis) {
        positions.push_back(axis);
    }
    return positions.empty() ? abs(r) : sum(abs(r), positions);
}

/// Σ_i out_ik in_ij within each group of channels: (N,K) and (N,C) -> (K, C/groups).
Variable outer(const Variable& out, const Variable& in, int64_t columns) {
    const int64_t n = out.dim(0), groups = in.dim(1) / columns, rows = out.dim(1) / groups;
    const Variable a = permute(reshape(out, {n, groups, rows}), {1, 2, 0});
    const Variable b = permute(reshape(in, {n, groups, columns}), {1, 0, 2});
    return reshape(matmul(a, b), {groups * rows, columns});
}

class WeightLrp final : public Augmentation {
public:
    struct Config {
        Reading reading = Reading::outer;
        RateControl control = RateControl::none;
        bool divide_by_sum = false, last = false;
        std::optional<bool> on_step;  // the factor acts on the update; not given: as the optimiser needs
        double cap = 10, kappa = 1;
        int64_t warmup = 1;
        std::vector<std::string> layers;
        std::string explainer;
    };
    explicit WeightLrp(Config config) : config_(std::move(config)) {}

    void begin(const TrainingRun& run) override {
        choose_layers(run);
        // Adam divides a gradient by its own size: a factor on the gradient would cancel.
        on_step_ = config_.on_step.value_or(run.optimizer != nullptr && run.optimizer->is_scale_free());
        if (config_.control == RateControl::random) {
            return;
        }
        explainer_ = build_method(config_.explainer, explain_context(run));
        add_scores(ExplainedForward(*run.model->net, blank_sample(run)), {.targets = {0}});
        const bool any =
            std::any_of(layers_.begin(), layers_.end(), [](const Layer& l) { return l.scores.defined(); });
        BACKLIGHT_CHECK(any, "weight_lrp: ", config_.explainer, " has no relevance for any of the layers; ",
                        is_paired() ? "this reading takes layers with as many inputs as outputs"
                                    : "LRP methods and gradients go through all of them");
        clear();
    }

    void before_forward(TrainingStep& step) override {
        if (rests(step) || config_.control == RateControl::random) {
            return;
        }
        add_scores(explained_batch(step), label_request(step.batch));
    }

    void change_gradients(TrainingStep& step) override {
        if (rests(step)) {
            return;
        }
        const NoGrad off;
        for (size_t i = 0; i < layers_.size(); ++i) {
            Layer& layer = layers_[i];
            const Variable factor = factor_of(layer, i, step);
            if (!factor.defined() || !layer.weight.grad().defined()) {
                continue;
            }
            if (on_step_) {
                layer.factor = factor;
                layer.before = layer.weight.data().clone();
            } else {
                layer.weight.set_grad((Variable(layer.weight.grad()) * factor).data());
            }
            layer.scores = {};
        }
    }

    /// on_step: W + F ⊙ (the optimiser's update of W).
    void after_step(TrainingStep&) override {
        const NoGrad off;
        for (Layer& layer : layers_) {
            if (layer.before.defined()) {
                const Variable before(layer.before);
                Tensor weight = layer.weight.data();
                weight.copy_from((before + layer.factor * (Variable(weight) - before)).data());
            }
        }
        clear();
    }

private:
    struct Layer {
        std::string name;
        Variable weight;  // the parameter, (K,M) or (K,Kh,Kw,C/groups)
        Variable scores;  // S of the step so far, broadcasts to the weight; undefined: none
        Variable factor;  // on_step: of this step, and the weight before it
        Tensor before;
    };

    [[nodiscard]] bool rests(const TrainingStep& step) const {
        return config_.kappa == 0 || step.epoch < config_.warmup;
    }
    /// Readings that pair each input with the output of its number.
    [[nodiscard]] bool is_paired() const {
        return config_.reading == Reading::dot || config_.reading == Reading::hadamard;
    }

    void clear() {
        for (Layer& layer : layers_) {
            layer.scores = layer.factor = {};
            layer.before = {};
        }
    }

    void choose_layers(const TrainingRun& run) {
        layers_.clear();
        points_.clear();
        const std::string head = run.model->head.substr(0, run.model->head.rfind('.'));
        bool all = true;
        for (const auto& [name, module] : run.model->net->modules()) {
            if (dynamic_cast<Linear*>(module) == nullptr && dynamic_cast<Conv2d*>(module) == nullptr) {
                continue;
            }
            const Variable weight = module->own_parameters().at(0).value;
            const auto fits = [&, &layer = name](const std::string& pattern) {
                return glob_match(pattern, layer);
            };
            if (weight.requires_grad() && std::any_of(config_.layers.begin(), config_.layers.end(), fits)) {
                layers_.push_back({.name = name, .weight = weight, .scores = {}, .factor = {}, .before = {}});
            } else {
                all = false;
            }
        }
        BACKLIGHT_CHECK(!layers_.empty(),
                        "weight_lrp: no dense or convolutional layer that is trained has a name like ",
                        config_.layers.front());
        if (!config_.last && layers_.size() > 1) {
            std::erase_if(layers_, [&](const Layer& layer) { return layer.name == head; });
        }
        for (const Layer& layer : layers_) {
            if (!all) {  // the explanation ends at the lowest of them
                points_.push_back(layer.name + ":in");
            }
        }
    }

    /// Adds S of a batch to that of the step: sums over samples, whose number cancels later.
    void add_scores(const ExplainedForward& forward, ExplainRequest request) {
        request.layers = points_;
        request.parameters = request.magnitudes = config_.reading == Reading::weight_lrp;
        std::set<std::string> seen;
        if (!request.parameters) {
            request.watch = [&](const NodeView& node, const Variable& arrived, const Variables& sent) {
                if (Layer* layer = find(node)) {
                    BACKLIGHT_CHECK(
                        seen.insert(node.name()).second && arrived.dim(0) == forward.logits().dim(0),
                        "weight_lrp: ", config_.explainer,
                        " goes through the layers several times; LRP methods and gradients go once");
                    add(*layer, scores_of(*layer, arrived, sent.at(0)));
                }
            };
        }
        const NoGrad off;
        const PrecisionScope full(DType::f32);  // as the forward pass that is explained
        for (const auto& [node, relevance] : explainer_->explain(forward, request, false).parameters) {
            if (Layer* layer = find(node)) {
                add(*layer, relevance.weight);
            }
        }
    }

    [[nodiscard]] Layer* find(const NodeView& node) {
        return node.kind() == "linear" || node.kind() == "conv2d" ? find(node.name()) : nullptr;
    }
    /// A layer's second call is "NAME#1".
    [[nodiscard]] Layer* find(const std::string& node) {
        const auto found = std::find_if(layers_.begin(), layers_.end(), [&](const Layer& layer) {
            return layer.name == node.substr(0, node.rfind('#'));
        });
        return found == layers_.end() ? nullptr : &*found;
    }

    static void add(Layer& layer, const Variable& scores) {
        if (scores.defined()) {
            const Variable wide(scores.data().to(layer.weight.dtype()));
            layer.scores = layer.scores.defined() ? layer.scores + wide : wide;
        }
    }

    /// Undefined where the reading does not fit the layer.
    [[nodiscard]] Variable scores_of(const Layer& layer, const Variable& r_out, const Variable& r_in) const {
        const int64_t columns = layer.weight.dim(-1);
        const Variable out = by_channel(r_out), in = by_channel(r_in);
        if (!is_paired()) {
            return reshape(outer(out, in, columns), factor_shape(layer));
        }
        if (out.dim(1) != in.dim(1) || in.dim(1) != columns) {
            return {};
        }
        return reshape(config_.reading == Reading::dot ? sum(out * in) : sum(out * in, {0}),
                       factor_shape(layer));
    }

    /// Of S: one value for all kernel positions where S knows channels only.
    [[nodiscard]] Shape factor_shape(const Layer& layer) const {
        Shape shape = layer.weight.shape();
        if (config_.reading == Reading::weight_lrp) {
            return shape;
        }
        const int last = shape.rank() - 1;
        for (int axis = 1; axis < last; ++axis) {
            shape = shape.with(axis, 1);
        }
        shape = is_paired() ? shape.with(0, 1) : shape;
        return config_.reading == Reading::dot ? shape.with(last, 1) : shape;
    }

    /// Undefined: 1 everywhere, because nothing is known of the layer, or nothing finite.
    [[nodiscard]] Variable factor_of(const Layer& layer, size_t number, const TrainingStep& step) {
        const Variable scores = controlled(layer, number, step);
        const Variable total = scores.defined() ? sum(scores) : Variable();
        if (!total.defined() || !std::isfinite(total.item()) || total.item() <= 0) {
            return {};
        }
        Variable factor = scores / total;
        const auto weights = static_cast<double>(layer.weight.numel()),
                   values = static_cast<double>(scores.numel());
        if (!config_.divide_by_sum) {
            factor = factor * values;
        } else if (config_.reading != Reading::dot) {  // the sum runs over all weights
            factor = factor * (values / weights);
        }
        factor = clamp(factor, 0, config_.cap);
        note("largest factor", amax(factor).item());
        return config_.kappa == 1 ? factor : factor * config_.kappa + (1 - config_.kappa);
    }

    /// S, or what a control has in its place.
    [[nodiscard]] Variable controlled(const Layer& layer, size_t number, const TrainingStep& step) const {
        const RandomKey key{.seed = step.run.seed,
                            .purpose = purpose::kAugmentation,
                            .step = static_cast<uint64_t>(step.step),
                            .sample = static_cast<uint32_t>(number)};
        if (config_.control == RateControl::random) {  // U^4: mean 1/5, a heavy tail
            Tensor uniform =
                Tensor::empty(factor_shape(layer), layer.weight.dtype(), layer.weight.data().device());
            uniform.backend().random_uniform(uniform, key);
            return square(square(Variable(uniform)));
        }
        if (!layer.scores.defined()) {
            return {};
        }
        const Variable scores = config_.reading == Reading::outer_sqrt ? sqrt(layer.scores) : layer.scores;
        if (config_.control == RateControl::none) {
            return scores;
        }
        auto values = scores.data().to(DType::f32).to_vector<float>();
        RandomStream(key).shuffle(values);
        return Tensor::from(values, scores.shape()).to(scores.dtype());
    }

    bool on_step_ = false;
    Config config_;
    std::unique_ptr<Explainer> explainer_;
    std::vector<Layer> layers_;
    std::vector<std::string> points_;  // where the explanation ends; empty: at the input
};

}  // namespace

std::unique_ptr<Augmentation> build_weight_lrp(const Options& options) {
    const std::map<std::string, Reading> readings{{"dot", Reading::dot},
                                                  {"hadamard", Reading::hadamard},
                                                  {"outer", Reading::outer},
                                                  {"outer_sqrt", Reading::outer_sqrt},
                                                  {"weight_lrp", Reading::weight_lrp}};
    const std::map<std::string, RateControl> controls{
        {"none", RateControl::none}, {"random", RateControl::random}, {"shuffled", RateControl::shuffled}};
    WeightLrp::Config config;
    config.reading = readings.at(
        options.choose("reading", "outer", {"dot", "hadamard", "outer", "outer_sqrt", "weight_lrp"}));
    config.control = controls.at(options.choose("control", "none", {"none", "random", "shuffled"}));
    if (config.control == RateControl::random) {
        options.refuse({"explainer"}, "control=random explains nothing");
    }
    config.divide_by_sum = options.choose("normalise", "mean1", {"mean1", "sum"}) == "sum";
    config.cap = options.get_within("cap", 10.0, 1e-6, 1e9);
    config.kappa = options.get_within("kappa", 1.0, 0.0, 1.0);
    config.warmup = options.get_within("warmup", 1, 0, 1'000'000);
    config.layers = options.get("layers", std::vector<std::string>{"*"});
    BACKLIGHT_CHECK(!config.layers.empty(), "weight_lrp: expected layers=GLOB or layers=GLOB:GLOB");
    config.last = options.get("last", false);
    if (options.has("on_step")) {
        config.on_step = options.get("on_step", false);
    }
    config.explainer = options.get("explainer", "epsilon(epsilon=0.01, start=one)");
    return std::make_unique<WeightLrp>(std::move(config));
}

}  // namespace backlight
