// Sensitivity: how much the map changes under noise that leaves the picture as good as unchanged.
//   max (avg: mean) over k of  ‖Φ(x + δ_k) - Φ(x)‖ / ‖Φ(x)‖,   δ_k uniform in [-ρ, ρ]^d
// ρ = `radius` of the picture's [0, 1] range, hence radius / std in the network's input space; x + δ stays
// within the data's range. The explained class is that of x, norms are of the whole relevance, not
// normalised. Source: Yeh et al., "On the (in)fidelity and sensitivity of explanations", 2019.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/random.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/similarity.h"

namespace backlight {
namespace {

double of_channel(const std::vector<double>& values, size_t channel, double fallback) {
    return values.empty() ? fallback : values.size() == 1 ? values[0] : values.at(channel);
}

class Sensitivity final : public Metric {
public:
    Sensitivity(const Options& options, bool largest)
        : largest_(largest),
          count_(options.get_within("n", 10, 1, 100'000)),
          radius_(options.get_within("radius", 0.02, 0.0, 1e3)),
          tags_({option_tag(options, "n"), option_tag(options, "radius")}),
          name_(tagged(options.owner(), tags_)) {}

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const std::string key = tagged("sensitivity", tags_);  // maximum and mean read the same changes
        if (!explained.shared.contains(key)) {
            explained.shared[key] = changes(explained);
        }
        MetricColumn column{.name = name_, .better = "low"};
        for (const std::vector<double>& change : explained.shared[key]) {
            column.values.push_back(largest_ ? *std::max_element(change.begin(), change.end())
                                             : std::accumulate(change.begin(), change.end(), 0.0) /
                                                   static_cast<double>(change.size()));
        }
        return {.columns = {std::move(column)}};
    }

private:
    /// (U, n): the relative change of each noisy copy.
    [[nodiscard]] std::vector<std::vector<double>> changes(const ExplainedBatch& explained) const {
        const MetricBatch& batch = *explained.batch;
        const std::vector<double>& before = explained.values;
        const size_t row = before.size() / batch.size();
        std::vector<std::vector<double>> changes(batch.size());
        for (int64_t k = 0; k < count_; ++k) {
            const Tensor r = explain_again(explained, batch.forward->net(), noisy(batch, k));
            const std::vector<double> after = r.to_vector<double>();
            for (size_t unit = 0; unit < batch.size(); ++unit) {
                double moved = 0, norm = 0;
                for (size_t i = unit * row; i < (unit + 1) * row; ++i) {
                    moved += (after[i] - before[i]) * (after[i] - before[i]);
                    norm += before[i] * before[i];
                }
                changes[unit].push_back(norm > 0 ? std::sqrt(moved) / std::sqrt(norm)
                                                 : std::numeric_limits<double>::quiet_NaN());
            }
        }
        return changes;
    }

    [[nodiscard]] Tensor noisy(const MetricBatch& batch, int64_t k) const {
        const ExplainContext& data = batch.context->explain;
        std::vector<double> x = batch.x.to(DType::f64).to_vector<double>();
        const size_t row = x.size() / batch.size();
        const auto channels = static_cast<size_t>(batch.x.dim(-1));
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            RandomStream random(draw_key(*batch.context, Draw::noise, batch.sample[unit], k));
            for (size_t i = unit * row; i < (unit + 1) * row; ++i) {
                const size_t c = i % channels;
                const double rho = radius_ / of_channel(data.std, c, 1);
                x[i] += random.uniform(-rho, rho);
                if (!data.low.empty() && !data.high.empty()) {
                    x[i] = std::min(std::max(x[i], of_channel(data.low, c, 0)), of_channel(data.high, c, 0));
                }
            }
        }
        return Tensor::from(x, batch.x.shape()).to(batch.x.dtype()).to(batch.x.device());
    }

    bool largest_;
    int64_t count_;
    double radius_;
    std::vector<std::string> tags_;
    std::string name_;
};

}  // namespace

std::unique_ptr<Metric> build_max_sensitivity(const Options& options, const MetricContext&) {
    return std::make_unique<Sensitivity>(options, true);
}
std::unique_ptr<Metric> build_avg_sensitivity(const Options& options, const MetricContext&) {
    return std::make_unique<Sensitivity>(options, false);
}

}  // namespace backlight
