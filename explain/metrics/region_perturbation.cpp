// Region perturbation: the mean fall of the score while square regions are replaced in the order of their
// summed relevance.
//   AOPC = 1/(L+1) Σ_{k=0..L} (f(x_0) - f(x_k)),   ABPC = AOPC_morf - AOPC_lerf
// Source: Samek et al., "Evaluating the visualization of what a deep neural network has learned", 2017.
#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/pixel_map.h"

namespace backlight {
namespace {

class RegionPerturbation final : public Metric {
public:
    explicit RegionPerturbation(const Options& options)
        : fill_(read_removal_fill(options, "noise")),
          size_(options.get_within("size", 9, 1, 1 << 16)),
          most_(options.get_within("regions", 100, 1, 1 << 24)),
          score_(score_option(options, Score::logit)) {
        for (const std::string& name : options.get("orders", std::vector<std::string>{"morf"})) {
            orders_.push_back(parse_order(name, options.owner()));
        }
        tags_ = {text_of(fill_), score_tag(score_, Score::logit), option_tag(options, "size"),
                 option_tag(options, "regions")};
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const Regions regions = square_regions(batch.height(), batch.width(), size_);
        const std::vector<int64_t> counts = counts_by(1, std::min(most_, regions.count));
        MetricResult result;
        for (const Order order : orders_) {
            MetricColumn column{.name = name(name_of(order)),
                                .better = order == Order::morf   ? "high"
                                          : order == Order::lerf ? "low"
                                                                 : ""};
            auto curves = perturb(explained, regions, order, counts);
            for (auto& curve : curves) {
                const double start = curve[0];
                for (double& y : curve) {
                    y = start - y;
                }
                column.values.push_back(std::accumulate(curve.begin(), curve.end(), 0.0) /
                                        static_cast<double>(curve.size()));
            }
            result.columns.push_back(std::move(column));
            result.curves.push_back({name(name_of(order)), texts_of(counts), std::move(curves)});
        }
        add_abpc(result);
        return result;
    }

private:
    [[nodiscard]] std::string name(const std::string& what) const {
        std::vector<std::string> tags{what};
        tags.insert(tags.end(), tags_.begin(), tags_.end());
        return tagged("region_perturbation", tags);
    }

    [[nodiscard]] std::vector<std::vector<double>> perturb(const ExplainedBatch& explained,
                                                           const Regions& regions, Order order,
                                                           const std::vector<int64_t>& counts) const {
        const MetricBatch& batch = *explained.batch;
        std::vector<std::vector<double>> ranks;  // of each pixel: when its region goes
        for (size_t unit = 0; unit < explained.maps.size(); ++unit) {
            const RandomKey key = draw_key(*batch.context, Draw::order, batch.sample[unit]);
            const std::vector<double> sums = region_sums(regions, explained.maps[unit]);
            const std::vector<double> of_region = ranks_of(removal_order(sums, order, key));
            std::vector<double>& of_pixel = ranks.emplace_back();
            for (const int64_t region : regions.of_pixel) {
                of_pixel.push_back(of_region[static_cast<size_t>(region)]);
            }
        }
        return removal_curves(batch,
                              {.rank = pixel_tensor(batch, ranks),
                               .replaced = replacement_of(batch, fill_),
                               .kept = batch.x,
                               .counts = counts},
                              score_measure(batch, score_));
    }

    void add_abpc(MetricResult& result) const {
        const auto morf = std::find(orders_.begin(), orders_.end(), Order::morf);
        const auto lerf = std::find(orders_.begin(), orders_.end(), Order::lerf);
        if (morf == orders_.end() || lerf == orders_.end()) {
            return;
        }
        const std::vector<double> first = result.columns[static_cast<size_t>(morf - orders_.begin())].values;
        const std::vector<double> last = result.columns[static_cast<size_t>(lerf - orders_.begin())].values;
        MetricColumn abpc{.name = name("abpc"), .better = "high"};
        for (size_t unit = 0; unit < first.size(); ++unit) {
            abpc.values.push_back(first[unit] - last[unit]);
        }
        result.columns.push_back(std::move(abpc));
    }

    Fill fill_;
    int64_t size_, most_;
    Score score_;
    std::vector<Order> orders_;
    std::vector<std::string> tags_;
};

}  // namespace

std::unique_ptr<Metric> build_region_perturbation(const Options& options, const MetricContext&) {
    return std::make_unique<RegionPerturbation>(options);
}

}  // namespace backlight
