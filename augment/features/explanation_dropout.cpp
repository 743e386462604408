// Explanation-guided dropout: what the network relies on most is dropped, so that it learns to use the rest.
//   h' = s m ⊙ h,   m = 0 at the k units of largest |r|, 1 elsewhere,   k = p n on average
// with the relevance r of the n units for the true class, sample by sample; no dropout in tests. s keeps the
// activation of the layer: n / (n - k), or Σh / Σ m h of the sample or of the batch (at most 5). Weber et
// al., "Beyond explaining", 2022, section 2.2 and appendix A (toy experiment 2). Its controls: lowest=true
// drops the units of smallest |r|; random_dropout(exact=true) drops as many at random.
#include <cmath>

#include "augment/features/unit_dropout.h"
#include "augment/registry.h"
#include "core/error.h"
#include "core/options.h"

namespace backlight {
namespace {

constexpr double kLargestScale = 5;

enum class Rescale : uint8_t { count, per_sample, per_batch };

class ExplanationDropout final : public FeatureFactor {
public:
    struct Choice {
        double p = 0.25;
        UnitKind units = UnitKind::location;
        Rescale rescale = Rescale::count;
        bool lowest = false;
        bool rounds = true;  // stochastically; otherwise down
        bool decays = false;
    };
    ExplanationDropout(Config config, const Choice& choice)
        : FeatureFactor(std::move(config)), choice_(choice) {}

protected:
    [[nodiscard]] bool is_identity() const override { return choice_.p == 0; }

    [[nodiscard]] Tensor factor(const TrainingStep& step, const Tensor& features,
                                const Tensor& relevance) override {
        const int64_t units = unit_count(features.shape(), choice_.units);
        std::vector<double> scores = unit_relevance(relevance, choice_.units);
        std::vector<double> kept;
        std::vector<int64_t> dropped;
        for (int64_t n = 0; n < features.dim(0); ++n) {
            RandomStream random = stream_of(step, static_cast<size_t>(n));
            const auto own =
                std::span(scores).subspan(static_cast<size_t>(n * units), static_cast<size_t>(units));
            for (double& score : own) {
                score = choice_.lowest ? -std::abs(score) : std::abs(score);
            }
            if (choice_.decays && !random.bernoulli(trust(step))) {
                std::fill(own.begin(), own.end(), 0.0);  // all equal: a random choice
            }
            dropped.push_back(choice_.rounds ? stochastic_count(choice_.p, units, random)
                                             : static_cast<int64_t>(choice_.p * static_cast<double>(units)));
            const std::vector<double> mask = drop_largest(own, dropped.back(), random);
            kept.insert(kept.end(), mask.begin(), mask.end());
            note("dropped", static_cast<double>(dropped.back()) / static_cast<double>(units));
        }
        rescale(kept, features, dropped);
        return spread_units(kept, features.shape(), choice_.units);
    }

private:
    /// From 1 at the first step to 0 at the end.
    [[nodiscard]] static double trust(const TrainingStep& step) {
        const auto steps = static_cast<double>(step.run.steps_per_epoch * step.run.epochs);
        return 1.0 - static_cast<double>(step.step) / steps;
    }

    void rescale(std::vector<double>& kept, const Tensor& features,
                 const std::vector<int64_t>& dropped) const {
        const int64_t units = unit_count(features.shape(), choice_.units);
        const std::vector<double> h = unit_relevance(features, choice_.units);  // a channel's sum
        double batch_sum = 0, batch_kept = 0;
        std::vector<double> scales;
        for (size_t n = 0; n < dropped.size(); ++n) {
            double sum = 0, sum_kept = 0;
            for (size_t u = n * static_cast<size_t>(units); u < (n + 1) * static_cast<size_t>(units); ++u) {
                sum += h[u];
                sum_kept += h[u] * kept[u];
            }
            batch_sum += sum;
            batch_kept += sum_kept;
            scales.push_back(choice_.rescale == Rescale::count
                                 ? static_cast<double>(units) / static_cast<double>(units - dropped[n])
                                 : ratio(sum, sum_kept));
        }
        for (size_t u = 0; u < kept.size(); ++u) {
            kept[u] *= choice_.rescale == Rescale::per_batch ? ratio(batch_sum, batch_kept)
                                                             : scales[u / static_cast<size_t>(units)];
        }
    }

    /// 1 where nothing is active, the bound where nothing that is active stays.
    [[nodiscard]] static double ratio(double sum, double sum_kept) {
        if (sum == sum_kept) {
            return 1;
        }
        return sum_kept > 0 ? std::clamp(sum / sum_kept, 0.0, kLargestScale) : kLargestScale;
    }

    Choice choice_;
};

}  // namespace

std::unique_ptr<Augmentation> build_explanation_dropout(const Options& options) {
    ExplanationDropout::Choice choice{.p = options.get_within("p", 0.25, 0.0, 0.99),
                                      .units = read_unit_kind(options)};
    const std::string rescale = options.choose("rescale", "count", {"count", "per_sample", "per_batch"});
    choice.rescale = rescale == "count"        ? Rescale::count
                     : rescale == "per_sample" ? Rescale::per_sample
                                               : Rescale::per_batch;
    choice.lowest = options.get("lowest", false);
    choice.rounds = options.choose("rounding", "stochastic", {"stochastic", "down"}) == "stochastic";
    choice.decays = options.get("decay", false);
    return std::make_unique<ExplanationDropout>(read_feature_options(options, "epsilon(start=one)"), choice);
}

}  // namespace backlight
