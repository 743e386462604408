// IROF (iterative removal of features): how much of the score is gone, on average, while superpixels are
// replaced in the order of their mean relevance.
//   1 - area of (y_k / y_0),   y_k = M after k superpixels
// Source: Rieger and Hansen, "IROF: a low resource evaluation metric for explanation methods", 2020.
#include <algorithm>
#include <limits>

#include "core/error.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/pixel_map.h"
#include "explain/metrics/statistics.h"
#include "explain/segmentation.h"

namespace backlight {
namespace {

class Irof final : public Metric {
public:
    Irof(const Options& options, const MetricContext& context)
        : fill_(read_removal_fill(options, "mean")),
          segments_(options, context.explain),
          score_(score_option(options, Score::probability)) {
        std::vector<std::string> tags{text_of(fill_), score_tag(score_, Score::probability)};
        for (const char* key : {"segments", "n_segments", "compactness", "masks"}) {
            tags.push_back(option_tag(options, key));
        }
        name_ = tagged("irof", tags);
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const Segmentation segmentation = segments_.of(batch.x);
        const bool of_pixels = segmentation.grain.numel() == batch.pixels();
        BACKLIGHT_CHECK(of_pixels, "irof: expected segments of pixels, got ", segmentation.grain);
        const int64_t most = *std::max_element(segmentation.counts.begin(), segmentation.counts.end());
        std::vector<std::vector<double>> ranks;  // of each pixel: when its superpixel goes
        for (size_t unit = 0; unit < explained.maps.size(); ++unit) {
            const auto count = static_cast<size_t>(segmentation.counts[unit]);
            std::vector<double> sum(count, 0.0), size(count, 0.0);
            const std::vector<int64_t>& ids = segmentation.ids[unit];
            for (size_t p = 0; p < ids.size(); ++p) {
                sum[static_cast<size_t>(ids[p])] += explained.maps[unit][p];
                size[static_cast<size_t>(ids[p])] += 1;
            }
            for (size_t s = 0; s < count; ++s) {
                sum[s] /= size[s];
            }
            const std::vector<double> of_segment = ranks_of(ranking(sum));
            std::vector<double>& of_pixel = ranks.emplace_back();
            for (const int64_t id : ids) {
                of_pixel.push_back(of_segment[static_cast<size_t>(id)]);
            }
        }
        const auto curves = removal_curves(batch,
                                           {.rank = pixel_tensor(batch, ranks),
                                            .replaced = replacement_of(batch, fill_),
                                            .kept = batch.x,
                                            .counts = counts_by(1, most)},
                                           score_measure(batch, score_));
        MetricColumn column{.name = name_, .better = "high"};
        for (size_t unit = 0; unit < curves.size(); ++unit) {
            // Samples differ in their number of superpixels; beyond its own a curve stays where it is.
            const auto own =
                std::span(curves[unit]).first(static_cast<size_t>(segmentation.counts[unit]) + 1);
            column.values.push_back(own[0] > 0 ? 1 - area(own) / own[0]
                                               : std::numeric_limits<double>::quiet_NaN());
        }
        return {.columns = {std::move(column)}};
    }

private:
    Fill fill_;
    SegmentOptions segments_;
    Score score_;
    std::string name_;
};

}  // namespace

std::unique_ptr<Metric> build_irof(const Options& options, const MetricContext& context) {
    return std::make_unique<Irof>(options, context);
}

}  // namespace backlight
