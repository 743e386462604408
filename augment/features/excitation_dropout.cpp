// Excitation dropout: units are dropped the more often the more of the evidence for the true class runs
// through them.
//   p  excitation backprop from the true class to the layer's N units, Σp = 1 (1/N where nothing arrives)
//   d = C (N - 1) p / ((C N - 1) p + 1 - C),   m ~ Bernoulli(1 - d),   h' = h ⊙ m / mean(m)
// sample by sample; no dropout in tests. Where evidence is spread unevenly the mean of d is below C: dropout
// begins low and grows as the network becomes sure. scale=inverse: m / (1 - d) instead. Zunino et al.,
// "Excitation Dropout: encouraging plasticity in deep neural networks", IJCV 2021.
#include <algorithm>
#include <numeric>

#include "augment/features/unit_dropout.h"
#include "augment/registry.h"
#include "core/error.h"
#include "core/options.h"

namespace backlight {
namespace {

class ExcitationDropout final : public FeatureFactor {
public:
    struct Choice {
        double base = 0.5;
        UnitKind units = UnitKind::location;
        bool inverse = false, shuffled = false;
    };
    ExcitationDropout(Config config, const Choice& choice)
        : FeatureFactor(std::move(config)), choice_(choice) {}

protected:
    [[nodiscard]] bool is_identity() const override { return choice_.base == 0; }

    void check_features(const Shape& features) const override {
        const int64_t units = unit_count(features, choice_.units);
        BACKLIGHT_CHECK(is_identity() || choice_.base * static_cast<double>(units) > 1,
                        "excitation_dropout: p=", choice_.base, " of ", units, " units is one unit or less");
    }

    [[nodiscard]] Tensor factor(const TrainingStep& step, const Tensor& features,
                                const Tensor& relevance) override {
        const auto units = static_cast<size_t>(unit_count(features.shape(), choice_.units));
        std::vector<double> values = unit_relevance(relevance, choice_.units);
        for (size_t n = 0; n * units < values.size(); ++n) {
            RandomStream random = stream_of(step, n);
            const auto own = std::span(values).subspan(n * units, units);
            make_probabilities(own);
            if (choice_.shuffled) {
                random.shuffle(own);
            }
            drop(own, random);
        }
        return spread_units(values, features.shape(), choice_.units);
    }

private:
    static void make_probabilities(std::span<double> r) {
        for (double& value : r) {
            value = std::max(value, 0.0);
        }
        const double total = std::accumulate(r.begin(), r.end(), 0.0);
        for (double& value : r) {
            value = total > 0 ? value / total : 1.0 / static_cast<double>(r.size());
        }
    }

    /// Probabilities become factors.
    void drop(std::span<double> p, RandomStream& random) {
        const auto units = static_cast<double>(p.size());
        double kept = 0, mean_d = 0;
        for (double& value : p) {
            const double d = excitation_drop_probability(value, choice_.base, static_cast<int64_t>(p.size()));
            const bool stays = !random.bernoulli(d);
            value = stays ? (choice_.inverse ? 1.0 / (1.0 - d) : 1.0) : 0.0;
            kept += stays ? 1 : 0;
            mean_d += d / units;
        }
        note("drop probability", mean_d);
        note("dropped", 1 - kept / units);
        const double scale = choice_.inverse ? 1.0 : units / std::max(kept, 1.0);
        for (double& value : p) {
            value *= scale;
        }
    }

    Choice choice_;
};

}  // namespace

std::unique_ptr<Augmentation> build_excitation_dropout(const Options& options) {
    const ExcitationDropout::Choice choice{
        .base = options.get_within("p", 0.5, 0.0, 0.99),
        .units = read_unit_kind(options),
        .inverse = options.choose("scale", "realised", {"realised", "inverse"}) == "inverse",
        .shuffled = options.choose("control", "none", {"none", "shuffled"}) == "shuffled"};
    return std::make_unique<ExcitationDropout>(read_feature_options(options, "excitation_backprop"), choice);
}

}  // namespace backlight
