// Faithfulness correlation: over random subsets S of the pixels, Pearson's correlation of the relevance in S
// and the fall of the score when S is replaced.
//   corr_S( Σ_{S} r,  M(x) - M(x without S) )
// Source: Bhatt et al., "Evaluating and aggregating feature-based model explanations", 2020.
#include <algorithm>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/statistics.h"

namespace backlight {
namespace {

class FaithfulnessCorrelation final : public Metric {
public:
    explicit FaithfulnessCorrelation(const Options& options)
        : fill_(read_fill(options, "zero")),
          size_(options.get_within("size", 224, 1, int64_t{1} << 24)),
          subsets_(options.get_within("n", 100, 2, 1'000'000)),
          score_(score_option(options, Score::probability)),
          name_(tagged("faithfulness_correlation", {text_of(fill_), score_tag(score_, Score::probability),
                                                    option_tag(options, "size"), option_tag(options, "n")})) {
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const int64_t pixels = batch.pixels();
        const int64_t size = std::min(size_, (pixels + 1) / 2);  // small pictures: half of them
        const Tensor fill = filled(batch.x, fill_, batch.context->explain, batch.sample);
        std::vector<std::vector<double>> relevance(batch.size());
        const auto make = [&](std::span<const Copy> copies) {
            std::vector<std::vector<double>> masks;
            for (const Copy& copy : copies) {
                const auto unit = static_cast<size_t>(copy.unit);
                RandomStream random(draw_key(*batch.context, Draw::subset, batch.sample[unit], copy.number));
                std::vector<double>& mask = masks.emplace_back(static_cast<size_t>(pixels), 0.0);
                double sum = 0;
                for (const int64_t p : random.sample(pixels, size)) {
                    mask[static_cast<size_t>(p)] = 1;
                    sum += explained.maps[unit][static_cast<size_t>(p)];
                }
                relevance[unit].push_back(sum);
            }
            return where(pixel_tensor(batch, masks), Variable(rows_of(fill, copies)),
                         Variable(rows_of(batch.x, copies)))
                .data();
        };
        const std::vector<double> before = base_scores(batch, score_);
        auto falls = measure_copies(batch, subsets_, make, score_measure(batch, score_));
        MetricColumn column{.name = name_, .better = "high"};
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            for (double& y : falls[unit]) {
                y = before[unit] - y;
            }
            column.values.push_back(pearson(relevance[unit], falls[unit]));
        }
        return {.columns = {std::move(column)}};
    }

private:
    Fill fill_;
    int64_t size_, subsets_;
    Score score_;
    std::string name_;
};

}  // namespace

std::unique_ptr<Metric> build_faithfulness_correlation(const Options& options, const MetricContext&) {
    return std::make_unique<FaithfulnessCorrelation>(options);
}

}  // namespace backlight
