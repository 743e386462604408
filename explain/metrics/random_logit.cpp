// Random logit: how alike the explanations of the class and of another one are; low similarity is good. The
// mean over all other classes where there are up to 20, else one drawn class. Source: Sixt et al., "When
// explanations lie: why many modified BP attributions fail", 2020.
#include <cmath>
#include <limits>

#include "core/random.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/similarity.h"

namespace backlight {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class RandomLogit final : public Metric {
public:
    explicit RandomLogit(const Options& options)
        : window_(options.get_within("window", 7, 3, 11)), tag_(option_tag(options, "window")) {}

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const int64_t classes = batch.forward->logits().dim(1);
        constexpr int64_t kAll = 20;
        const int64_t rounds = classes <= kAll ? classes - 1 : 1;
        const std::vector<ComparedMap> own(explained.maps.begin(), explained.maps.end());
        std::vector<std::array<double, Similarity::kCount>> sums(batch.size()), counts(batch.size());
        for (int64_t round = 0; round < rounds; ++round) {
            std::vector<int64_t> others;
            for (size_t unit = 0; unit < batch.size(); ++unit) {
                RandomStream random(draw_key(*batch.context, Draw::other_class, batch.sample[unit]));
                const int64_t shift = classes <= kAll ? round + 1 : random.between(1, classes - 1);
                others.push_back((batch.target[unit] + shift) % classes);
            }
            const Tensor relevance = batch.timed(static_cast<int64_t>(batch.size()), [&] {
                return explain_again(explained, *batch.forward, others);
            });
            const auto maps = maps_of(explained, relevance);
            for (size_t unit = 0; unit < batch.size(); ++unit) {
                const Similarity found =
                    similarity(own[unit], ComparedMap(maps[unit]), batch.height(), batch.width(), window_);
                for (size_t s = 0; s < Similarity::kCount; ++s) {
                    const bool known = !std::isnan(found.values[s]);
                    sums[unit][s] += known ? found.values[s] : 0.0;
                    counts[unit][s] += known ? 1 : 0;
                }
            }
        }
        MetricResult result;
        for (const size_t s : {kSpearman, kSsim}) {
            MetricColumn column{.name = tagged("random_logit", {Similarity::kNames.at(s), tag_}),
                                .better = "low"};
            for (size_t unit = 0; unit < batch.size(); ++unit) {
                column.values.push_back(counts[unit][s] > 0 ? sums[unit][s] / counts[unit][s] : kNan);
            }
            result.columns.push_back(std::move(column));
        }
        return result;
    }

private:
    static constexpr size_t kSpearman = 0, kSsim = 2;
    int64_t window_;
    std::string tag_;
};

}  // namespace

std::unique_ptr<Metric> build_random_logit(const Options& options, const MetricContext&) {
    return std::make_unique<RandomLogit>(options);
}

}  // namespace backlight
