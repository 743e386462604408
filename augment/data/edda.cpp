// Explanation-driven data augmentation: pictures without what an explanation marks, or with nothing else,
// take the place of those that the network still gets right.
//   s = map scaled to [0,1];   occlude: x ⊙ 1[s <= tau],   keep: x ⊙ 1[s > tau],   the rest becomes the fill
// One label a sample (algorithm 2): the masked picture replaces its original if it is still classified right;
// else, with probability p, it stands for the background; else the original stays. Several labels (algorithm
// 3): for each class that is there and seen, the picture masked for it joins the batch if the class is still
// seen. The printed mask (Eq. 2) keeps the salient pixels, the text occludes them, and the rule above makes
// sense for the latter: both are here. "Background" is no class of any set: p = 0 unless asked for, and then
// a label that is uniform over the classes, or an output of its own (`extra_class`), which a test
// never answers. With several labels it is the absence of the class. A mask for the true class tells the
// label: a network may learn to read it off the hole (target=predicted does not). Li et al., "EDDA:
// explanation-driven data augmentation to improve explanation faithfulness", 2021.
#include <algorithm>
#include <numeric>

#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/fill.h"
#include "explain/methods.h"

namespace backlight {
namespace {

using Rows = std::vector<int64_t>;

Tensor rows_of(const Tensor& x, const Rows& rows) {
    return x.defined()
               ? gather_rows(Variable(x), Tensor::from(rows, {static_cast<int64_t>(rows.size())})).data()
               : x;
}

std::vector<int> axes_of_sample(const Variable& v) {
    std::vector<int> axes(static_cast<size_t>(v.shape().rank()) - 1);
    std::iota(axes.begin(), axes.end(), 1);
    return axes;
}

double sum_of(const std::vector<float>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

class Edda final : public Augmentation {
public:
    struct Config {
        std::string explainer = "grad_cam";
        double tau = 0.5, background = 0;  // threshold; probability of what was not recognised
        bool keep = false, predicted = false, extra_class = false, full_labels = false, shuffled = false;
        int64_t max_added = 0;  // a picture
        // An option that was given and means something with these labels only.
        const char *for_one = nullptr, *for_several = nullptr;
        Fill fill;
    };
    explicit Edda(Config config) : config_(std::move(config)) {}
    [[nodiscard]] std::vector<std::string> claims() const override { return {"the samples of a batch"}; }

    void begin(const TrainingRun& run) override {
        const NoGrad off;
        const Tensor blank = blank_sample(run);
        const auto explainer = build_method(config_.explainer, explain_context(run));
        (void)explainer->explain(ExplainedForward(*run.model->net, blank), {.targets = {0}}, false);
        (void)filled(blank, config_.fill, explain_context(run));
        const bool several = run.data->is_multi_label();
        BACKLIGHT_CHECK(several || !config_.for_several, "edda: ", config_.for_several,
                        " is for data with several labels a sample; leave it out");
        BACKLIGHT_CHECK(!several || !config_.for_one, "edda: ", config_.for_one,
                        " is for data with one label a sample; leave it out");
        if (config_.extra_class) {
            BACKLIGHT_CHECK(run.model->classes == run.data->num_classes() + 1,
                            "edda: background=extra_class needs one output more than the data has classes, ",
                            run.data->num_classes() + 1, ", the model has ", run.model->classes);
            (void)head_bias(run);
        }
    }

    void change_batch(TrainingStep& step) override {
        const NoGrad off;
        if (step.batch.target.defined()) {
            add_masked(step);
        } else {
            replace_by_masked(step);
        }
    }

    /// Algorithm 2's background is no answer.
    void begin_test(const TrainingRun& run) override {
        if (config_.extra_class) {
            Tensor bias = head_bias(run);
            bias_ = bias.clone();
            auto values = bias.to_vector<float>();
            values.back() = -1e9f;
            bias.copy_from(Tensor::from(values, bias.shape()));
        }
    }
    void end_test(const TrainingRun& run) override {
        if (config_.extra_class) {
            head_bias(run).copy_from(bias_);
        }
    }
    bool finish(const TrainingRun& run) override {
        begin_test(run);
        return false;
    }

private:
    [[nodiscard]] static Tensor head_bias(const TrainingRun& run) {
        const std::string& head = run.model->head;
        const std::string name = head.substr(0, head.rfind('.') + 1) + "bias";
        for (const Parameter& parameter : run.model->net->parameters()) {
            if (parameter.name == name) {
                return parameter.value.data();
            }
        }
        throw_error("edda: background=extra_class needs an output layer with a bias");
    }

    [[nodiscard]] static Tensor logits(TrainingStep& step, const Tensor& x) {
        const EvaluationMode mode(step.net());
        return step.net()(Variable(x)).data();
    }

    // (N,H,W,1) or (N,D), in [0,1]: the map for `targets` (one a sample of the batch), of these rows.
    [[nodiscard]] Variable scaled_map(TrainingStep& step, const std::vector<int64_t>& targets,
                                      const Rows& rows) const {
        Variable map(rows_of(explained_map(step, config_.explainer, targets), rows));
        if (step.batch.input.rank() == 4) {
            const std::string method = method_spec(config_.explainer).name;
            const bool is_gradient =
                method == "saliency" || method == "gradient" || method == "guided_backprop";
            map = is_gradient ? amax(abs(map), {3}, true) : sum(map, {3}, true);
            const int64_t height = step.batch.input.dim(1), width = step.batch.input.dim(2);
            map = map.dim(1) == height && map.dim(2) == width ? map : resize(map, height, width);
        }
        map = Variable(minmax_by_sample(map.data()));
        return config_.shuffled ? misplaced(step, map) : map;
    }

    /// Control: masks of the same form that mean another sample and another place, permuted and shifted
    /// cyclically.
    [[nodiscard]] static Variable misplaced(const TrainingStep& step, const Variable& map) {
        RandomStream stream = stream_of(step, "edda shuffled", 0);
        Variable moved(rows_of(map.data(), stream.permutation(map.dim(0))));
        for (int axis = 1; axis < (map.shape().rank() == 4 ? 3 : 2); ++axis) {
            const int64_t by = stream.below(map.dim(axis));
            if (by > 0) {
                moved = concat({slice(moved, axis, by, map.dim(axis) - by), slice(moved, axis, 0, by)}, axis);
            }
        }
        return moved;
    }

    /// These rows of the batch, with the pixels beyond tau filled (or all others).
    [[nodiscard]] Tensor masked(TrainingStep& step, const std::vector<int64_t>& targets, const Rows& rows) {
        const Variable map = scaled_map(step, targets, rows);
        const Variable salient(mask(UnaryOp::is_positive, (map - config_.tau).data()));
        // A map without range says nothing: everything stays.
        const Variable speaks(mask(UnaryOp::is_positive, amax(map, axes_of_sample(map), true).data()));
        note("maps without range", 1 - mean(speaks).item());
        const Variable hidden = (config_.keep ? 1.0 - salient : salient) * speaks;
        const Tensor x = rows_of(step.batch.input, rows);
        Rows numbers;
        for (const int64_t row : rows) {
            numbers.push_back(step.batch.indices[static_cast<size_t>(row)]);
        }
        const Tensor fill = filled(x, config_.fill, explain_context(step.run), numbers);
        return where(hidden.data(), Variable(fill), Variable(x)).data();
    }

    void replace_by_masked(TrainingStep& step) {
        Batch& batch = step.batch;
        const std::vector<int64_t> labels = labels_of(batch, "edda");
        Rows all(labels.size());
        std::iota(all.begin(), all.end(), 0);
        const Tensor changed = masked(
            step, config_.predicted ? explained_batch(step, config_.explainer).predicted() : labels, all);
        // Of pictures as they are: falls where the network reads the label off the masks.
        const std::vector<int64_t> plain = explained_batch(step, config_.explainer).predicted();
        double right = 0;
        for (size_t n = 0; n < labels.size(); ++n) {
            right += plain[n] == labels[n] ? 1 : 0;
        }
        note(kMapsNotFinite, maps_not_finite(step));
        note("accuracy without masks", right / static_cast<double>(batch.size()));
        const auto seen = argmax(logits(step, changed), 1).to_vector<int64_t>();
        std::vector<float> takes(labels.size(), 0.0f), background(labels.size(), 0.0f);
        for (size_t n = 0; n < labels.size(); ++n) {
            if (seen[n] == labels[n]) {
                takes[n] = 1;
            } else if (stream_of(step, "edda", n).uniform() < config_.background) {
                takes[n] = background[n] = 1;
            }
        }
        note("masked", (sum_of(takes) - sum_of(background)) / static_cast<double>(batch.size()));
        note("background", sum_of(background) / static_cast<double>(batch.size()));
        Shape column{batch.size()};
        while (column.rank() < batch.input.rank()) {
            column.push_back(1);
        }
        batch.input = where(Tensor::from(takes, column), Variable(changed), Variable(batch.input)).data();
        if (sum_of(background) > 0) {
            label_background(step, Tensor::from(background, {batch.size(), 1}));
        }
    }

    void label_background(TrainingStep& step, const Tensor& is_background) const {
        Batch& batch = step.batch;
        const int64_t classes = step.run.model->classes;
        std::vector<float> label(static_cast<size_t>(classes),
                                 config_.extra_class ? 0.0f : 1.0f / static_cast<float>(classes));
        if (config_.extra_class) {
            label.back() = 1;
        }
        const Variable one_hot =
            batch.soft_label.defined()
                ? Variable(batch.soft_label)
                : scatter_last(Variable(Tensor::ones({batch.size()}, DType::f32)), batch.label, classes);
        batch.soft_label = where(is_background, Variable(Tensor::from(label, {1, classes})), one_hot).data();
    }

    void add_masked(TrainingStep& step) {
        Batch& batch = step.batch;
        const auto samples = static_cast<size_t>(batch.size());
        const auto classes = static_cast<size_t>(batch.target.dim(1));
        const auto before = explained_batch(step, config_.explainer).logits().data().to_vector<float>();
        const auto labels = batch.target.to_vector<float>();
        std::vector<std::vector<int64_t>> found(samples);  // true positives of each picture
        std::vector<RandomStream> streams;
        size_t rounds = 0;
        for (size_t n = 0; n < samples; ++n) {
            for (size_t c = 0; c < classes; ++c) {
                if (before[n * classes + c] > 0 && labels[n * classes + c] > 0.5f) {
                    found[n].push_back(static_cast<int64_t>(c));
                }
            }
            rounds = std::max(rounds, found[n].size());
            streams.push_back(stream_of(step, "edda", n));
        }
        Rows sources(samples);  // of each picture of the grown batch
        std::iota(sources.begin(), sources.end(), 0);
        std::vector<int64_t> added(samples, 0);
        Variables inputs{Variable(batch.input)};
        std::vector<float> targets, weights;  // of the new ones
        const auto own_weights = batch.target_weight.to_vector<float>();
        for (size_t round = 0; round < rounds; ++round) {  // one class of each picture in a pass
            Rows rows;
            std::vector<int64_t> explained(samples, 0);
            for (size_t n = 0; n < samples; ++n) {
                if (round < found[n].size() && added[n] < config_.max_added) {
                    rows.push_back(static_cast<int64_t>(n));
                    explained[n] = found[n][round];
                }
            }
            if (rows.empty()) {
                continue;
            }
            const Tensor changed = masked(step, explained, rows);
            const auto after = logits(step, changed).to_vector<float>();
            Rows kept;
            for (size_t i = 0; i < rows.size(); ++i) {
                const auto n = static_cast<size_t>(rows[i]), c = static_cast<size_t>(explained[n]);
                const bool is_seen = after[i * classes + c] > 0;
                if (!is_seen && streams[n].uniform() >= config_.background) {
                    continue;
                }
                kept.push_back(static_cast<int64_t>(i));
                sources.push_back(rows[i]);
                ++added[n];
                for (size_t k = 0; k < classes; ++k) {
                    const float own = config_.full_labels ? labels[n * classes + k] : k == c ? 1.0f : 0.0f;
                    targets.push_back(is_seen ? own : 0.0f);
                    weights.push_back(config_.full_labels ? own_weights[n * classes + k]
                                      : k == c            ? 1.0f
                                                          : 0.0f);
                }
            }
            if (!kept.empty()) {
                inputs.emplace_back(rows_of(changed, kept));
            }
        }
        const auto grown = static_cast<int64_t>(sources.size() - samples);
        note(kMapsNotFinite, maps_not_finite(step));
        note("added", static_cast<double>(grown) / static_cast<double>(samples));
        if (grown == 0) {
            return;
        }
        const Shape shape{grown, static_cast<int64_t>(classes)};
        batch.input = concat(inputs, 0).data();
        batch.target = concat({Variable(batch.target), Variable(Tensor::from(targets, shape))}, 0).data();
        batch.target_weight =
            concat({Variable(batch.target_weight), Variable(Tensor::from(weights, shape))}, 0).data();
        batch.sample_weight = rows_of(batch.sample_weight, sources);
        batch.mask = rows_of(batch.mask, sources);
        batch.decoy_mask = rows_of(batch.decoy_mask, sources);
        for (size_t i = samples; i < sources.size(); ++i) {
            batch.indices.push_back(batch.indices[static_cast<size_t>(sources[i])]);
        }
    }

    Config config_;
    Tensor bias_;  // of the output layer, during a test with an output more
};

}  // namespace

std::unique_ptr<Augmentation> build_edda(const Options& options) {
    Edda::Config config{.explainer = options.get("explainer", "grad_cam"),
                        .tau = options.get_within("tau", 0.5, 0.0, 1.0),
                        .background = options.get_within("p", 0.0, 0.0, 1.0)};
    if (!options.has("p")) {
        options.refuse({"background"}, "without p=P no picture becomes background");
    }
    for (const char* key : {"background", "target"}) {
        config.for_one = options.has(key) ? key : config.for_one;
    }
    for (const char* key : {"label_mode", "max_added_per_image"}) {
        config.for_several = options.has(key) ? key : config.for_several;
    }
    config.keep = options.choose("mask", "occlude", {"occlude", "keep"}) == "keep";
    config.predicted = options.choose("target", "label", {"label", "predicted"}) == "predicted";
    config.extra_class = options.choose("background", "uniform", {"uniform", "extra_class"}) == "extra_class";
    config.full_labels = options.choose("label_mode", "single", {"single", "full"}) == "full";
    config.max_added = options.get_within("max_added_per_image", int64_t{1'000'000}, 0, 1'000'000);
    config.shuffled = options.choose("control", "none", {"none", "shuffled"}) == "shuffled";
    config.fill = read_fill(options);
    return std::make_unique<Edda>(std::move(config));
}

}  // namespace backlight
