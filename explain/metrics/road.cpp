// ROAD (remove and debias): the share of predictions that survive while 1, 3, ..., 99 % of the pixels are
// imputed from their neighbours, with noise on top so that the network cannot see where. morf: low is good,
// lerf: high is good, gap = lerf - morf. Source: Rong et al., "A consistent and efficient evaluation strategy
// for attribution methods", 2022.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <span>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/imputation.h"
#include "explain/metrics/pixel_map.h"

namespace backlight {
namespace {

class Road final : public Metric {
public:
    explicit Road(const Options& options)
        : noise_(options.get_within("noise", 0.01, 0.0, 1e3)),
          accuracy_(options.choose("score", "accuracy", {"accuracy", "probability"}) == "accuracy") {
        for (const std::string& name : options.get("orders", std::vector<std::string>{"morf", "lerf"})) {
            orders_.push_back(parse_order(name, options.owner()));
        }
        tags_ = {"linear", accuracy_ ? "" : "probability", option_tag(options, "noise")};
        for (int64_t percent = 1; percent < 100; percent += 2) {
            percents_.push_back(percent);
        }
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const CopyMeasure accuracy = [&batch](const Tensor& rows, const std::vector<int64_t>& units) {
            return hits_of(batch, rows, units);
        };
        MetricResult result;
        for (const Order order : orders_) {
            Imputed imputed(*this, explained, order);
            auto curves = measure_copies(
                batch, static_cast<int64_t>(percents_.size()),
                [&](std::span<const Copy> copies) { return imputed.rows(copies); },
                accuracy_ ? accuracy : score_measure(batch, Score::probability));
            MetricColumn column{.name = name(name_of(order)),
                                .better = order == Order::morf   ? "low"
                                          : order == Order::lerf ? "high"
                                                                 : ""};
            for (const auto& curve : curves) {
                column.values.push_back(std::accumulate(curve.begin(), curve.end(), 0.0) /
                                        static_cast<double>(curve.size()));
            }
            result.columns.push_back(std::move(column));
            result.curves.push_back({name(name_of(order)), texts_of(percents_), std::move(curves)});
        }
        if (orders_.size() == 2 && orders_[0] == Order::morf && orders_[1] == Order::lerf) {
            MetricColumn gap{.name = name("gap"), .better = "high"};
            for (size_t unit = 0; unit < explained.maps.size(); ++unit) {
                gap.values.push_back(result.columns[1].values[unit] - result.columns[0].values[unit]);
            }
            result.columns.push_back(std::move(gap));
        }
        return result;
    }

private:
    /// The imputed copies of one order.
    class Imputed {
    public:
        Imputed(const Road& road, const ExplainedBatch& explained, Order order)
            : road_(road), explained_(explained), order_(order) {}

        [[nodiscard]] Tensor rows(std::span<const Copy> copies) {
            const MetricBatch& batch = *explained_.batch;
            for (const Copy& copy : copies) {
                remember(copy.unit);
            }
            const Shape shape = batch.x.shape().with(0, static_cast<int64_t>(copies.size()));
            std::vector<double> values(static_cast<size_t>(shape.numel()));
            const size_t size = values.size() / copies.size();
#pragma omp parallel for schedule(dynamic)
            for (size_t i = 0; i < copies.size(); ++i) {
                impute(copies[i], std::span(values).subspan(i * size, size));
            }
            std::erase_if(units_, [&](const auto& unit) { return unit.first < copies.back().unit; });
            return Tensor::from(values, shape).to(batch.x.dtype()).to(batch.x.device());
        }

    private:
        struct Unit {
            std::vector<double> picture;
            std::vector<int64_t> pixels;  // in the order in which they go
        };

        void remember(int64_t number) {
            if (units_.contains(number)) {
                return;
            }
            const MetricBatch& batch = *explained_.batch;
            const auto unit = static_cast<size_t>(number);
            units_[number] = {
                slice(Variable(batch.x), 0, number, 1).data().to(DType::f64).to_vector<double>(),
                removal_order(explained_.maps[unit], order_,
                              draw_key(*batch.context, Draw::order, batch.sample[unit]))};
        }

        void impute(const Copy& copy, std::span<double> row) const {
            const MetricBatch& batch = *explained_.batch;
            const auto& [picture, pixels] = units_.at(copy.unit);
            const int64_t percent = road_.percents_[static_cast<size_t>(copy.number)];
            const auto exact = static_cast<double>(percent) / 100 * static_cast<double>(pixels.size());
            const size_t count = std::min(static_cast<size_t>(std::llround(exact)), pixels.size() - 1);
            std::vector<uint8_t> removed(pixels.size(), 0);
            for (size_t i = 0; i < count; ++i) {
                removed[static_cast<size_t>(pixels[i])] = 1;
            }
            std::copy(picture.begin(), picture.end(), row.begin());
            impute_linear(row, removed,
                          {.height = batch.height(), .width = batch.width(), .channels = batch.channels()});
            RandomStream random(draw_key(*batch.context, Draw::imputation,
                                         batch.sample[static_cast<size_t>(copy.unit)], percent));
            const auto channels = static_cast<size_t>(batch.channels());
            for (size_t i = 0; i < row.size(); ++i) {
                row[i] += removed[i / channels] != 0 ? random.normal(0, road_.noise_) : 0.0;
            }
        }

        const Road& road_;
        const ExplainedBatch& explained_;
        Order order_;
        std::map<int64_t, Unit> units_;  // those whose copies are under way
    };

    [[nodiscard]] std::string name(const std::string& what) const {
        std::vector<std::string> tags{what};
        tags.insert(tags.end(), tags_.begin(), tags_.end());
        return tagged("road", tags);
    }

    double noise_;
    bool accuracy_;
    std::vector<Order> orders_;
    std::vector<int64_t> percents_;
    std::vector<std::string> tags_;
};

}  // namespace

std::unique_ptr<Metric> build_road(const Options& options, const MetricContext&) {
    return std::make_unique<Road>(options);
}

}  // namespace backlight
