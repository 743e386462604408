// Monotonicity: whether regions of larger |relevance| have the larger effect when each is replaced alone.
//   Spearman over regions of  |Σ_region r|  and  |M(x) - M(x without the region)|
// Source: Nguyen and Martinez, "On quantitative aspects of model interpretability", 2020.
#include <cmath>

#include "autograd/functions.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/pixel_map.h"
#include "explain/metrics/statistics.h"

namespace backlight {
namespace {

class Monotonicity final : public Metric {
public:
    explicit Monotonicity(const Options& options)
        : fill_(read_fill(options, "zero")),
          size_(options.get_within("size", 9, 1, 1 << 16)),
          score_(score_option(options, Score::probability)),
          name_(tagged("monotonicity", {text_of(fill_), score_tag(score_, Score::probability),
                                        option_tag(options, "size")})) {}

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const Regions regions = square_regions(batch.height(), batch.width(), size_);
        const Tensor fill = filled(batch.x, fill_, batch.context->explain, batch.sample);
        const auto make = [&](std::span<const Copy> copies) {
            std::vector<std::vector<double>> masks;
            for (const Copy& copy : copies) {
                std::vector<double>& mask = masks.emplace_back();
                for (const int64_t region : regions.of_pixel) {
                    mask.push_back(region == copy.number ? 1 : 0);
                }
            }
            return where(pixel_tensor(batch, masks), Variable(rows_of(fill, copies)),
                         Variable(rows_of(batch.x, copies)))
                .data();
        };
        const std::vector<double> before = base_scores(batch, score_);
        auto effects = measure_copies(batch, regions.count, make, score_measure(batch, score_));
        MetricColumn column{.name = name_, .better = "high"};
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            for (double& y : effects[unit]) {
                y = std::abs(before[unit] - y);
            }
            column.values.push_back(
                spearman(absolute(region_sums(regions, explained.maps[unit])), effects[unit]));
        }
        return {.columns = {std::move(column)}};
    }

private:
    Fill fill_;
    int64_t size_;
    Score score_;
    std::string name_;
};

}  // namespace

std::unique_ptr<Metric> build_monotonicity(const Options& options, const MetricContext&) {
    return std::make_unique<Monotonicity>(options);
}

}  // namespace backlight
