// Explanations weigh the loss of classes: those whose maps change most, or are most diffuse,
// count more.
//   L = mean_i f_{y_i} l_i,   f = K softmax(m / T)
// m_c is the measure of class c after the last mini-epoch (augment/class_measures.h); before the first, f
// = 1. The mean of f over the classes is 1, and f has no derivative. In multi-label data f_c weighs the term
// of class c of every sample. Controls: inverse, f_c ~ 1 / n_c with mean 1 over the classes; balanced, f_c =
// N / (K n_c), with mean 1 over the samples; shuffled, the factors of other classes, drawn anew in each
// epoch. Weber, "Towards a more refined training process for neural networks", TU Berlin, 2020; Weber et al.,
// "Beyond explaining", 2022, sections 3.3 and 4.2, appendix B.2.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "augment/class_measures.h"
#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

enum class Control : uint8_t { none, inverse, balanced, shuffled };

class ClassFactors final : public Augmentation {
public:
    ClassFactors(ClassMeasures::Config measures, Shares shares, Control control)
        : measures_(std::move(measures)), shares_(shares), control_(control) {}
    [[nodiscard]] std::vector<std::string> claims() const override { return {"the weights of classes"}; }

    void begin(const TrainingRun& run) override {
        if (is_measured()) {
            measures_.begin(run);
        } else {
            fixed_ = of_counts(run.data->class_counts());
        }
    }

    /// Behind all changes of the batch: by the labels that the loss will see.
    void before_forward(TrainingStep& step) override {
        const std::vector<double> f = factors(step.run, step.epoch);
        if (f.empty()) {
            return;
        }
        for (size_t k = 0; k < f.size(); ++k) {
            note("factor of " + step.run.data->class_names()[k], f[k]);
        }
        if (std::any_of(f.begin(), f.end(), [](double factor) { return factor != 1; })) {
            weigh(step.batch, f);
        }
    }

    void end_epoch(const TrainingRun& run, int64_t epoch) override {
        if (is_measured() && is_active(epoch + 1, 0)) {
            note(kMapsNotFinite, measures_.update(run));
        }
    }

    [[nodiscard]] std::map<std::string, Tensor> state() const override { return measures_.state(); }
    void restore(const std::map<std::string, Tensor>& state) override { measures_.restore(state); }

private:
    [[nodiscard]] bool is_measured() const {
        return control_ == Control::none || control_ == Control::shuffled;
    }

    /// One a class; empty: 1.
    [[nodiscard]] std::vector<double> factors(const TrainingRun& run, int64_t epoch) const {
        if (!is_measured()) {
            return fixed_;
        }
        if (!measures_.is_known()) {
            return {};
        }
        std::vector<double> f = shares_.of(measures_.values(), measures_.present());
        const std::vector<bool>& present = measures_.present();
        const auto classes = static_cast<double>(std::count(present.begin(), present.end(), true));
        // p / mean p rather than K p: equal shares give exactly 1.
        const double mean = std::accumulate(f.begin(), f.end(), 0.0) / classes;
        for (double& factor : f) {
            factor /= mean;
        }
        if (control_ == Control::shuffled) {
            std::vector<double> own;  // of classes that are there
            for (size_t k = 0; k < f.size(); ++k) {
                if (present[k]) {
                    own.push_back(f[k]);
                }
            }
            RandomStream(RandomKey{.seed = run.seed,
                                   .purpose = purpose::kAugmentation,
                                   .step = ~uint64_t{1},
                                   .sample = static_cast<uint32_t>(epoch)})
                .shuffle(own);
            for (size_t k = 0, at = 0; k < f.size(); ++k) {
                f[k] = present[k] ? own[at++] : f[k];
            }
        }
        return f;
    }

    [[nodiscard]] std::vector<double> of_counts(const std::vector<int64_t>& counts) const {
        double samples = 0, inverse = 0, classes = 0;
        for (const int64_t n : counts) {
            samples += static_cast<double>(n);
            inverse += n > 0 ? 1 / static_cast<double>(n) : 0;
            classes += n > 0 ? 1 : 0;
        }
        std::vector<double> f;
        for (const int64_t n : counts) {
            const double scale = control_ == Control::inverse ? classes / inverse : samples / classes;
            f.push_back(n > 0 ? scale / static_cast<double>(n) : 0);
        }
        return f;
    }

    static void weigh(Batch& batch, const std::vector<double>& f) {
        const NoGrad off;
        const auto classes = static_cast<int64_t>(f.size());
        const Variable factor(Tensor::from(f, {classes}).to(DType::f32));
        if (batch.target.defined()) {
            batch.target_weight = (Variable(batch.target_weight) * factor).data();
            return;
        }
        Variable weight;
        if (batch.soft_label.defined()) {  // the mean over what the sample stands for
            const Variable label(batch.soft_label);
            weight = sum(slice(label, 1, 0, classes) * factor, {1});
            if (const int64_t more = label.dim(1) - classes; more > 0) {  // outputs that are no class: 1
                weight = weight + sum(slice(label, 1, classes, more), {1});
            }
        } else {
            weight = reshape(gather_rows(reshape(factor, {classes, 1}), batch.label), {batch.size()});
        }
        batch.sample_weight =
            (batch.sample_weight.defined() ? Variable(batch.sample_weight) * weight : weight).data();
    }

    ClassMeasures measures_;
    Shares shares_;
    Control control_;
    std::vector<double> fixed_;  // of a control that counts
};

}  // namespace

std::unique_ptr<Augmentation> build_class_factors(const Options& options) {
    const ClassMeasures::Config measures = read_measures(options);
    const std::string control =
        options.choose("control", "none", {"none", "inverse", "balanced", "shuffled"});
    if (control == "inverse" || control == "balanced") {
        options.refuse(measure_options(), "control=" + control + " explains nothing");
        options.refuse({"temperature", "standardize", "rescale"},
                       "control=" + control + " is made of the numbers of samples");
    }
    return std::make_unique<ClassFactors>(
        measures, read_shares(options, measures.measure == ClassMeasures::Measure::mse),
        control == "none"       ? Control::none
        : control == "inverse"  ? Control::inverse
        : control == "balanced" ? Control::balanced
                                : Control::shuffled);
}

}  // namespace backlight
