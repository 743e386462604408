// Infidelity: how far the map is from the network's own reaction, read as a linear model.
//   E_I (<I, R> - (f(x) - f(x - I)))²
// perturbation=square: I = x - fill in a random square, 0 elsewhere. gaussian: I = m ⊙ ε, m a random `share`
// of the pixels, ε normal with deviation `noise` times the sample's range. scale=true: R times the best
// factor β = E[<I,R> Δf] / E[<I,R>²]. A map with fewer channels than the input counts for each of them.
// Source: Yeh et al., "On the (in)fidelity and sensitivity of explanations", 2019.
#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"

namespace backlight {
namespace {

class Infidelity final : public Metric {
public:
    explicit Infidelity(const Options& options)
        : square_(options.choose("perturbation", "square", {"square", "gaussian"}) == "square"),
          count_(options.get_within("n", 100, 1, 1'000'000)),
          scale_(options.get("scale", false)),
          score_(score_option(options, Score::logit)) {
        std::vector<std::string> tags{square_ ? "square" : "gaussian"};
        if (square_) {
            fill_ = read_fill(options, "zero");
            size_ = options.get_within("size", int64_t{0}, 0, 1 << 16);
            tags.insert(tags.end(), {text_of(fill_), option_tag(options, "size")});
        } else {
            share_ = options.get_within("share", 0.5, 0.0, 1.0);
            noise_ = options.get_within("noise", 0.2, 0.0, 1e3);
            tags.insert(tags.end(), {option_tag(options, "share"), option_tag(options, "noise")});
        }
        tags.insert(tags.end(),
                    {score_tag(score_, Score::logit), scale_ ? "scaled" : "", option_tag(options, "n")});
        name_ = tagged("infidelity", tags);
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const auto x = rows(batch.x), r = relevance(explained);
        const auto fill = square_ ? rows(filled(batch.x, fill_, batch.context->explain, batch.sample)) : x;
        std::vector<std::vector<double>> predicted(batch.size());  // <I, R>
        const auto make = [&](std::span<const Copy> copies) {
            std::vector<double> changed;
            for (const Copy& copy : copies) {
                const auto unit = static_cast<size_t>(copy.unit);
                const std::vector<double> i = change(batch, copy, x[unit], fill[unit]);
                double product = 0;
                for (size_t e = 0; e < i.size(); ++e) {
                    product += i[e] * r[unit][e];
                    changed.push_back(x[unit][e] - i[e]);
                }
                predicted[unit].push_back(product);
            }
            const Shape shape = batch.x.shape().with(0, static_cast<int64_t>(copies.size()));
            return Tensor::from(changed, shape).to(batch.x.dtype()).to(batch.x.device());
        };
        const std::vector<double> before = base_scores(batch, score_);
        const auto after = measure_copies(batch, count_, make, score_measure(batch, score_));
        MetricColumn column{.name = name_, .better = "low"};
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            column.values.push_back(error(predicted[unit], before[unit], after[unit]));
        }
        return {.columns = {std::move(column)}};
    }

private:
    static std::vector<std::vector<double>> rows(const Tensor& x) {
        const std::vector<double> all = x.to(DType::f64).to_vector<double>();
        const auto row = static_cast<std::ptrdiff_t>(x.numel() / x.dim(0));
        std::vector<std::vector<double>> parts;
        for (auto begin = all.begin(); begin != all.end(); begin += row) {
            parts.emplace_back(begin, begin + row);
        }
        return parts;
    }

    /// R of the input's shape.
    static std::vector<std::vector<double>> relevance(const ExplainedBatch& explained) {
        const NoGrad off;
        const MetricBatch& batch = *explained.batch;
        if (explained.relevance.shape() == batch.x.shape()) {
            return rows(explained.relevance);
        }
        std::vector<std::vector<double>> wide;
        for (const auto& map : explained.maps) {
            std::vector<double>& row = wide.emplace_back();
            for (const double v : map) {
                row.insert(row.end(), static_cast<size_t>(batch.channels()), v);
            }
        }
        return wide;
    }

    /// I of one copy.
    [[nodiscard]] std::vector<double> change(const MetricBatch& batch, const Copy& copy,
                                             const std::vector<double>& x,
                                             const std::vector<double>& fill) const {
        RandomStream random(
            draw_key(*batch.context, Draw::noise, batch.sample[static_cast<size_t>(copy.unit)], copy.number));
        const auto channels = static_cast<size_t>(batch.channels());
        std::vector<double> i(x.size(), 0.0);
        if (!square_) {
            const auto [low, high] = std::minmax_element(x.begin(), x.end());
            const double deviation = noise_ * (*high - *low);
            for (size_t p = 0; p < x.size() / channels; ++p) {
                const bool hit = random.bernoulli(share_);
                for (size_t k = 0; hit && k < channels; ++k) {
                    i[p * channels + k] = random.normal(0, deviation);
                }
            }
            return i;
        }
        const int64_t size =
            size_ > 0 ? size_ : std::max<int64_t>(std::max(batch.height(), batch.width()) / 8, 1);
        const int64_t tall = std::min(size, batch.height()), wide = std::min(size, batch.width());
        const int64_t top = random.below(batch.height() - tall + 1),
                      left = random.below(batch.width() - wide + 1);
        for (int64_t row = top; row < top + tall; ++row) {
            for (int64_t column = left; column < left + wide; ++column) {
                const auto p = static_cast<size_t>(row * batch.width() + column);
                for (size_t e = p * channels; e < (p + 1) * channels; ++e) {
                    i[e] = x[e] - fill[e];
                }
            }
        }
        return i;
    }

    [[nodiscard]] double error(const std::vector<double>& predicted, double before,
                               const std::vector<double>& after) const {
        double mixed = 0, square = 0;
        for (size_t k = 0; k < predicted.size(); ++k) {
            mixed += predicted[k] * (before - after[k]);
            square += predicted[k] * predicted[k];
        }
        const double beta = scale_ ? (square > 0 ? mixed / square : 0.0) : 1.0;
        double total = 0;
        for (size_t k = 0; k < predicted.size(); ++k) {
            total += std::pow(beta * predicted[k] - (before - after[k]), 2);
        }
        return total / static_cast<double>(predicted.size());
    }

    bool square_;
    int64_t count_, size_ = 0;
    bool scale_;
    Score score_;
    Fill fill_;
    double share_ = 0, noise_ = 0;
    std::string name_;
};

}  // namespace

std::unique_ptr<Metric> build_infidelity(const Options& options, const MetricContext&) {
    return std::make_unique<Infidelity>(options);
}

}  // namespace backlight
