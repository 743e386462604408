// Dropout of random units, the control of the systems that choose them: each with probability p, the others
// times 1/(1 - p), or (exact) k of a sample's n units, k = p n on average, the others times n/(n - k). No
// dropout in tests. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
// JMLR 2014.
#include "augment/features/unit_dropout.h"
#include "augment/registry.h"
#include "core/options.h"

namespace backlight {
namespace {

class RandomDropout final : public FeatureFactor {
public:
    RandomDropout(Config config, double p, UnitKind units, bool exact)
        : FeatureFactor(std::move(config)), p_(p), units_(units), exact_(exact) {}

protected:
    [[nodiscard]] bool is_identity() const override { return p_ == 0; }

    [[nodiscard]] Tensor factor(const TrainingStep& step, const Tensor& features, const Tensor&) override {
        const int64_t units = unit_count(features.shape(), units_);
        std::vector<double> values;
        for (int64_t n = 0; n < features.dim(0); ++n) {
            RandomStream random = stream_of(step, static_cast<size_t>(n));
            if (exact_) {
                const int64_t k = stochastic_count(p_, units, random);
                const std::vector<double> equal(static_cast<size_t>(units), 0.0);
                for (const double kept : drop_largest(equal, k, random)) {
                    values.push_back(kept * static_cast<double>(units) / static_cast<double>(units - k));
                }
            } else {
                for (int64_t u = 0; u < units; ++u) {
                    values.push_back(random.bernoulli(p_) ? 0.0 : 1.0 / (1.0 - p_));
                }
            }
        }
        return spread_units(values, features.shape(), units_);
    }

private:
    double p_;
    UnitKind units_;
    bool exact_;
};

}  // namespace

std::unique_ptr<Augmentation> build_random_dropout(const Options& options) {
    const double p = options.get_within("p", 0.5, 0.0, 0.99);
    const bool exact = options.get("exact", false);
    return std::make_unique<RandomDropout>(read_feature_options(options, ""), p, read_unit_kind(options),
                                           exact);
}

}  // namespace backlight
