// Pixel flipping: the area under the score while pixels are replaced one step after another, most relevant
// first (morf), least relevant first (lerf) and at random; gap = lerf - morf, high for a faithful map.
//   y_0 = M(x), y_k after k steps;   area = (Σ_k y_k - y_0/2 - y_K/2) / K
// Source: Bach et al., "On pixel-wise explanations ...", 2015; Samek et al., 2017.
// features=channels, step=1, include_start=false, norm_auc=false, fill=min are the numbers of Quantus.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/pixel_map.h"
#include "explain/metrics/statistics.h"

namespace backlight {
namespace {

class PixelFlipping final : public Metric {
public:
    explicit PixelFlipping(const Options& options)
        : fill_(read_removal_fill(options, "zero")),
          step_(options.get_within("step", int64_t{0}, 0, int64_t{1} << 24)),
          channels_(options.choose("features", "pixels", {"pixels", "channels"}) == "channels"),
          include_start_(options.get("include_start", true)),
          norm_auc_(options.get("norm_auc", true)),
          max_fraction_(options.get_within("max_fraction", 1.0, 1e-9, 1.0)),
          score_(score_option(options, Score::probability)) {
        BACKLIGHT_CHECK(fill_.kind != "inpaint" || !channels_,
                        "pixel_flipping: fill=inpaint is for whole pixels, not for features=channels");
        tags_ = {text_of(fill_), score_tag(score_, Score::probability)};
        for (const char* key : {"step", "features", "include_start", "norm_auc", "max_fraction"}) {
            tags_.push_back(option_tag(options, key));
        }
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const auto features = features_of(explained);
        const auto count = static_cast<int64_t>(features[0].size());
        constexpr int64_t kSteps = 100;
        const int64_t step = step_ > 0 ? step_ : (count + kSteps - 1) / kSteps;
        const auto flipped = static_cast<int64_t>(std::ceil(max_fraction_ * static_cast<double>(count)));
        std::vector<int64_t> counts = counts_by(step, flipped);
        if (!include_start_) {
            counts.erase(counts.begin());
        }
        MetricResult result;
        for (const Order order : {Order::morf, Order::lerf, Order::random}) {
            MetricColumn column{.name = name(name_of(order)),
                                .better = order == Order::morf   ? "low"
                                          : order == Order::lerf ? "high"
                                                                 : ""};
            auto curves = flip(explained, features, order, counts);
            for (const auto& curve : curves) {
                column.values.push_back(auc(curve));
            }
            result.columns.push_back(std::move(column));
            result.curves.push_back({name(name_of(order)), texts_of(counts), std::move(curves)});
        }
        MetricColumn gap{.name = name("gap"), .better = "high"};
        for (size_t unit = 0; unit < explained.maps.size(); ++unit) {
            gap.values.push_back(result.columns[1].values[unit] - result.columns[0].values[unit]);
        }
        result.columns.push_back(std::move(gap));
        return result;
    }

private:
    [[nodiscard]] std::string name(const std::string& what) const {
        std::vector<std::string> tags{what};
        tags.insert(tags.end(), tags_.begin(), tags_.end());
        return tagged("pixel_flipping", tags);
    }

    [[nodiscard]] std::vector<std::vector<double>> features_of(const ExplainedBatch& explained) const {
        if (!channels_) {
            return explained.maps;
        }
        BACKLIGHT_CHECK(explained.relevance.shape() == explained.batch->x.shape(),
                        "pixel_flipping: features=channels needs a relevance of the input's shape ",
                        explained.batch->x.shape(), ", ", explained.method, " gives ",
                        explained.relevance.shape());
        std::vector<std::vector<double>> features;
        for (size_t unit = 0; unit < explained.maps.size(); ++unit) {
            const std::span<const double> values = explained.relevance_of(unit);
            features.emplace_back(values.begin(), values.end());
        }
        return features;
    }

    [[nodiscard]] std::vector<std::vector<double>> flip(const ExplainedBatch& explained,
                                                        const std::vector<std::vector<double>>& features,
                                                        Order order,
                                                        const std::vector<int64_t>& counts) const {
        const MetricBatch& batch = *explained.batch;
        std::vector<std::vector<double>> ranks;
        for (size_t unit = 0; unit < features.size(); ++unit) {
            const RandomKey key = draw_key(*batch.context, Draw::order, batch.sample[unit]);
            ranks.push_back(ranks_of(removal_order(features[unit], order, key)));
        }
        return removal_curves(batch,
                              {.rank = pixel_tensor(batch, ranks, channels_),
                               .replaced = replacement_of(batch, fill_),
                               .kept = batch.x,
                               .counts = counts},
                              score_measure(batch, score_));
    }

    [[nodiscard]] double auc(const std::vector<double>& curve) const {
        return norm_auc_ ? area(curve) : area(curve) * static_cast<double>(curve.size() - 1);
    }

    Fill fill_;
    int64_t step_;
    bool channels_, include_start_, norm_auc_;
    double max_fraction_;
    Score score_;
    std::vector<std::string> tags_;
};

}  // namespace

std::unique_ptr<Metric> build_pixel_flipping(const Options& options, const MetricContext&) {
    return std::make_unique<PixelFlipping>(options);
}

}  // namespace backlight
