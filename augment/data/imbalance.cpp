// Explanations choose the classes of the next mini-epoch: those whose maps change most, or are most diffuse,
// are drawn more often.
//   p = softmax(m / T),   m_c the measure of class c (augment/class_measures.h); as the data is before the
//   first maps
// Controls without explanations:
//   data      p = softmax(q / T), q the inverted distribution of the data: q_c ~ 1 / n_c with sum 1, or 1 -
//   n_c / N uniform   p = 1 / K: every class equally often
// Entropies of classes differ by tenths and distances by hundredths, so that at T = 1 the shares are nearly
// uniform: an effect of explanations is what is left beyond the uniform control. Weber, "Towards a more
// refined training process for neural networks", TU Berlin, 2020; Weber et al., "Beyond explaining", 2022,
// sections 3.1 and 4.2, appendix B.2.
#include <cmath>

#include "augment/class_measures.h"
#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "core/error.h"

namespace backlight {
namespace {

enum class Control : uint8_t { none, data, uniform };

class Imbalance final : public Augmentation {
public:
    Imbalance(ClassMeasures::Config measures, Shares shares, Control control, bool complement)
        : measures_(std::move(measures)), shares_(shares), control_(control), complement_(complement) {}
    [[nodiscard]] std::vector<std::string> claims() const override { return {"the samples of an epoch"}; }

    void begin(const TrainingRun& run) override {
        BACKLIGHT_CHECK(
            every() == 1,
            "imbalance: draws before each epoch (--mini-epoch sets its length); every=N is not for it");
        if (control_ == Control::none) {
            measures_.begin(run);
        } else {
            (void)fixed_shares(*run.data);
        }
    }

    [[nodiscard]] std::optional<std::vector<double>> class_shares(const TrainingRun& run, int64_t) override {
        if (control_ == Control::none && !measures_.is_known()) {
            return std::nullopt;
        }
        const std::vector<double> p = control_ == Control::none
                                          ? shares_.of(measures_.values(), measures_.present())
                                          : fixed_shares(*run.data);
        for (size_t k = 0; k < p.size(); ++k) {
            note("share of " + run.data->class_names()[k], p[k]);
            if (control_ == Control::none) {
                note("measure of " + run.data->class_names()[k], measures_.values()[k]);
            }
        }
        return p;
    }

    void end_epoch(const TrainingRun& run, int64_t epoch) override {
        if (control_ == Control::none && is_active(epoch + 1, 0)) {
            note(kMapsNotFinite, measures_.update(run));
        }
    }

    [[nodiscard]] std::map<std::string, Tensor> state() const override { return measures_.state(); }
    void restore(const std::map<std::string, Tensor>& state) override { measures_.restore(state); }

private:
    [[nodiscard]] std::vector<double> fixed_shares(const Dataset& data) const {
        const std::vector<int64_t> counts = data.class_counts();
        double samples = 0, inverse = 0, classes = 0;
        std::vector<bool> present;
        for (const int64_t n : counts) {
            present.push_back(n > 0);
            samples += static_cast<double>(n);
            inverse += n > 0 ? 1 / static_cast<double>(n) : 0;
            classes += n > 0 ? 1 : 0;
        }
        BACKLIGHT_CHECK(samples > 0, "imbalance: the training set has no samples");
        std::vector<double> q(counts.size(), 0.0);
        for (size_t k = 0; k < q.size(); ++k) {
            const auto n = static_cast<double>(counts[k]);
            if (n > 0 && control_ == Control::data) {
                q[k] = complement_ ? 1 - n / samples : 1 / n / inverse;
            }
        }
        return shares_.of(q, present);  // of zeros: equal
    }

    ClassMeasures measures_;
    Shares shares_;
    Control control_;
    bool complement_;
};

}  // namespace

std::unique_ptr<Augmentation> build_imbalance(const Options& options) {
    const ClassMeasures::Config measures = read_measures(options);
    const std::string control = options.choose("control", "none", {"none", "data", "uniform"});
    if (control != "none") {
        options.refuse(measure_options(), "control=" + control + " explains nothing");
    }
    if (control == "uniform") {
        options.refuse({"temperature", "standardize", "rescale"}, "control=uniform has equal shares");
    }
    if (control != "data") {
        options.refuse({"invert"}, "only control=data inverts the numbers of samples");
    }
    const bool complement = options.choose("invert", "inverse", {"inverse", "complement"}) == "complement";
    return std::make_unique<Imbalance>(measures, read_shares(options, false),
                                       control == "none"   ? Control::none
                                       : control == "data" ? Control::data
                                                           : Control::uniform,
                                       complement);
}

}  // namespace backlight
