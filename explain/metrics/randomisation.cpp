// Does the explanation read the weights? Model parameter randomisation test (mprt): layers of a copy of the
// network are drawn anew, and the explanation is compared with the original one; low similarity is good.
// Efficient form (emprt): the relative rise of the map's entropy when all layers are drawn anew; high is
// good. Source: Adebayo et al., "Sanity checks for saliency maps", 2018; Hedström et al., "Sanity checks
// revisited", 2023.
#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/complexity.h"
#include "explain/metrics/network_copy.h"
#include "explain/metrics/similarity.h"

namespace backlight {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The copy, made at the first batch and brought back to the original's weights at each.
class CopyHolder {
public:
    NetworkCopy& of(const ExplainedBatch& explained, const std::string& metric) {
        const MetricContext& context = *explained.batch->context;
        if (!copy_) {
            BACKLIGHT_CHECK(context.build_network, metric,
                            ": needs a way to build the network again (MetricContext::build_network)");
            copy_ = std::make_unique<NetworkCopy>(explained.batch->forward->net(), context.build_network());
        }
        copy_->restore();
        return *copy_;
    }

private:
    std::unique_ptr<NetworkCopy> copy_;
};

bool is_finite(const std::vector<double>& map) {
    return std::all_of(map.begin(), map.end(), [](double v) { return std::isfinite(v); });
}

class Mprt final : public Metric {
public:
    explicit Mprt(const Options& options)
        : order_(options.choose("order", "top_down", {"top_down", "bottom_up", "independent"})),
          init_(options.choose("init", "matched", {"matched", "reset", "shuffle"})),
          window_(options.get_within("window", 7, 3, 11)),
          smooth_(options.get_within("smooth", 0, 0, 100'000)),
          noise_level_(options.get_within("noise_level", 0.1, 0.0, 1e3)),
          tags_({order_, init_, option_tag(options, "window"), option_tag(options, "smooth"),
                 option_tag(options, "noise_level")}) {}

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        NetworkCopy& copy = holder_.of(explained, "mprt");
        const auto original = smooth_ > 0 ? maps(explained, copy.net()) : explained.maps;
        const std::vector<ComparedMap> before(original.begin(), original.end());
        std::vector<MetricCurve> curves;
        for (const char* name : Similarity::kNames) {
            curves.push_back({.name = column_name(name), .points = {"original"}});
            curves.back().values.assign(batch.size(), {1.0});
        }
        for (const size_t layer : layers_of(copy)) {
            if (order_ == "independent") {
                copy.restore();
            }
            copy.randomize(layer, parse_reinit(init_), batch.context->init, batch.context->explain.seed);
            const auto after = maps(explained, copy.net());
            for (size_t s = 0; s < Similarity::kCount; ++s) {
                curves[s].points.push_back(copy.layers()[layer]);
            }
            for (size_t unit = 0; unit < batch.size(); ++unit) {
                const bool known = is_finite(after[unit]);  // random weights may overflow
                const Similarity found = known ? similarity(before[unit], ComparedMap(after[unit]),
                                                            batch.height(), batch.width(), window_)
                                               : Similarity{.values = {kNan, kNan, kNan, kNan}};
                for (size_t s = 0; s < Similarity::kCount; ++s) {
                    curves[s].values[unit].push_back(found.values[s]);
                }
            }
        }
        MetricResult result;
        for (const MetricCurve& curve : curves) {
            MetricColumn column{.name = curve.name, .better = "low"};
            for (const std::vector<double>& values : curve.values) {
                column.values.push_back(mean_of_layers(values));
            }
            result.columns.push_back(std::move(column));
        }
        result.curves = std::move(curves);
        return result;
    }

private:
    [[nodiscard]] std::string column_name(const std::string& what) const {
        std::vector<std::string> tags{what};
        tags.insert(tags.end(), tags_.begin(), tags_.end());
        return tagged("mprt", tags);
    }

    [[nodiscard]] std::vector<size_t> layers_of(const NetworkCopy& copy) const {
        std::vector<size_t> layers;
        for (size_t i = 0; i < copy.layers().size(); ++i) {
            layers.push_back(i);
        }
        if (order_ == "top_down") {
            std::reverse(layers.begin(), layers.end());
        }
        return layers;
    }

    /// Without the original network, and without layers after which the map was constant.
    static double mean_of_layers(const std::vector<double>& curve) {
        double total = 0;
        int64_t count = 0;
        for (size_t l = 1; l < curve.size(); ++l) {
            total += std::isnan(curve[l]) ? 0.0 : curve[l];
            count += std::isnan(curve[l]) ? 0 : 1;
        }
        return count > 0 ? total / static_cast<double>(count) : kNan;
    }

    /// Of the inputs, or the mean over noisy ones (smooth MPRT).
    [[nodiscard]] std::vector<std::vector<double>> maps(const ExplainedBatch& explained, Module& net) const {
        const NoGrad off;
        const MetricBatch& batch = *explained.batch;
        if (smooth_ == 0) {
            return maps_of(explained, explain_again(explained, net, batch.x));
        }
        Variable total;
        for (int64_t k = 0; k < smooth_; ++k) {
            const Variable r(explain_again(explained, net, noisy(batch, k)));
            total = total.defined() ? total + r : r;
        }
        return maps_of(explained, (total / static_cast<double>(smooth_)).data());
    }

    /// x + σ ξ, σ = noise_level (max x - min x) of the sample.
    [[nodiscard]] Tensor noisy(const MetricBatch& batch, int64_t k) const {
        std::vector<double> x = batch.x.to(DType::f64).to_vector<double>();
        const size_t row = x.size() / batch.size();
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            const std::span<double> sample = std::span(x).subspan(unit * row, row);
            const auto [low, high] = std::minmax_element(sample.begin(), sample.end());
            const double sigma = noise_level_ * (*high - *low);
            RandomStream random(draw_key(*batch.context, Draw::weights, batch.sample[unit], k));
            for (double& v : sample) {
                v += random.normal(0, sigma);
            }
        }
        return Tensor::from(x, batch.x.shape()).to(batch.x.dtype()).to(batch.x.device());
    }

    std::string order_, init_;
    int64_t window_, smooth_;
    double noise_level_;
    std::vector<std::string> tags_;
    CopyHolder holder_;
};

class EfficientMprt final : public Metric {
public:
    explicit EfficientMprt(const Options& options)
        : bins_(options.get_within("bins", 100, 2, 1'000'000)),
          init_(options.choose("init", "matched", {"matched", "reset", "shuffle"})),
          name_(tagged("emprt", {init_, option_tag(options, "bins")})) {}

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        NetworkCopy& copy = holder_.of(explained, "emprt");
        for (size_t layer = 0; layer < copy.layers().size(); ++layer) {
            copy.randomize(layer, parse_reinit(init_), batch.context->init, batch.context->explain.seed);
        }
        const auto after = maps_of(explained, explain_again(explained, copy.net(), batch.x));
        MetricColumn column{.name = name_, .better = "high"};
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            const double h = entropy(explained.maps[unit]);
            column.values.push_back(h > 0 && is_finite(after[unit]) ? (entropy(after[unit]) - h) / h : kNan);
        }
        return {.columns = {std::move(column)}};
    }

private:
    /// Of the map over its second moment √mean r², which makes maps of different scale comparable.
    [[nodiscard]] double entropy(std::vector<double> map) const {
        double square = 0;
        for (const double v : map) {
            square += v * v / static_cast<double>(map.size());
        }
        for (double& v : map) {
            v = square > 0 ? v / std::sqrt(square) : v;
        }
        return histogram_entropy(map, bins_);
    }

    int64_t bins_;
    std::string init_, name_;
    CopyHolder holder_;
};

}  // namespace

std::unique_ptr<Metric> build_mprt(const Options& options, const MetricContext&) {
    return std::make_unique<Mprt>(options);
}
std::unique_ptr<Metric> build_emprt(const Options& options, const MetricContext&) {
    return std::make_unique<EfficientMprt>(options);
}

}  // namespace backlight
