// Drop and Increase: what the score does when only the top pixels of the map stay.
//   x_T = x ⊙ T + fill ⊙ (1 - T),   T the top `fraction` of the pixels (occlude: 1 - T in the place of T)
//   drop_prop = 100 1[M_T < M],   increase_prop = 100 1[M_T > M]
//   drop_mag = 100 max(0, M - M_T) / M,   increase_mag = 100 max(0, M_T - M) / M
// mask=soft multiplies with the map scaled to [0, 1] instead.
// Source: the measures of explanation-driven data augmentation (EDDA); Chattopadhyay et al., "Grad-CAM++",
// 2018.
#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/functions.h"
#include "core/error.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/pixel_map.h"

namespace backlight {
namespace {

using Value = double (*)(double before, double after);

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
double drop_prop(double before, double after) { return after < before ? 100 : 0; }
double increase_prop(double before, double after) { return after > before ? 100 : 0; }
double drop_mag(double before, double after) {
    return before > 0 ? 100 * std::max(0.0, before - after) / before : kNan;
}
double increase_mag(double before, double after) {
    return before > 0 ? 100 * std::max(0.0, after - before) / before : kNan;
}

class DropIncrease final : public Metric {
public:
    DropIncrease(const Options& options, std::string better, Value value)
        : value_(value),
          fill_(read_fill(options, "zero")),
          fraction_(options.get_within("fraction", 0.15, 0.0, 1.0)),
          occlude_(options.choose("mode", "keep", {"keep", "occlude"}) == "occlude"),
          soft_(options.choose("mask", "hard", {"hard", "soft"}) == "soft"),
          score_(score_option(options, Score::probability)) {
        std::ostringstream percent;
        percent << 100 * fraction_;
        tags_ = {occlude_ ? "occlude" : "keep", text_of(fill_), soft_ ? "soft" : percent.str(),
                 score_tag(score_, Score::probability)};
        name_ = tagged(options.owner(), tags_);
        // Taking the salient pixels away turns what is wished for around.
        better_ = !occlude_ ? better : better == "low" ? "high" : "low";
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const std::vector<double>& before = base_scores(*explained.batch, score_);
        // The four metrics of the family read the same scores.
        const std::string key = tagged("drop_increase", tags_);
        if (!explained.shared.contains(key)) {
            explained.shared[key] = {masked_scores(explained)};
        }
        const std::vector<double>& after = explained.shared[key][0];
        MetricColumn column{.name = name_, .better = better_};
        for (size_t unit = 0; unit < before.size(); ++unit) {
            column.values.push_back(value_(before[unit], after[unit]));
        }
        return {.columns = {std::move(column)}};
    }

private:
    /// How much of each pixel stays.
    [[nodiscard]] std::vector<double> stays(const std::vector<double>& map) const {
        std::vector<double> top(map.size(), 0.0);
        if (soft_) {
            const auto [low, high] = std::minmax_element(map.begin(), map.end());
            for (size_t p = 0; p < map.size() && *high > *low; ++p) {
                top[p] = (map[p] - *low) / (*high - *low);
            }
        } else {
            const std::vector<int64_t> order = ranking(map);
            const int64_t count = top_count(fraction_, static_cast<int64_t>(map.size()));
            for (int64_t i = 0; i < count; ++i) {
                top[static_cast<size_t>(order[static_cast<size_t>(i)])] = 1;
            }
        }
        for (double& t : top) {
            t = occlude_ ? 1 - t : t;
        }
        return top;
    }

    [[nodiscard]] std::vector<double> masked_scores(const ExplainedBatch& explained) const {
        const NoGrad off;
        const MetricBatch& batch = *explained.batch;
        std::vector<std::vector<double>> masks;
        std::vector<int64_t> units;
        for (const auto& map : explained.maps) {
            units.push_back(static_cast<int64_t>(masks.size()));
            masks.push_back(stays(map));
        }
        const Variable mask(pixel_tensor(batch, masks));
        const Variable fill(filled(batch.x, fill_, batch.context->explain, batch.sample));
        // One batch of the size of base_scores: a mask of ones gives the same bits, hence a tie.
        return scores_of(batch, (Variable(batch.x) * mask + fill * (1.0 - mask)).data(), units, score_);
    }

    std::string name_, better_;
    std::vector<std::string> tags_;
    Value value_;
    Fill fill_;
    double fraction_;
    bool occlude_, soft_;
    Score score_;
};

}  // namespace

std::unique_ptr<Metric> build_drop_prop(const Options& options, const MetricContext&) {
    return std::make_unique<DropIncrease>(options, "low", drop_prop);
}
std::unique_ptr<Metric> build_drop_mag(const Options& options, const MetricContext&) {
    return std::make_unique<DropIncrease>(options, "low", drop_mag);
}
std::unique_ptr<Metric> build_increase_prop(const Options& options, const MetricContext&) {
    return std::make_unique<DropIncrease>(options, "high", increase_prop);
}
std::unique_ptr<Metric> build_increase_mag(const Options& options, const MetricContext&) {
    return std::make_unique<DropIncrease>(options, "high", increase_mag);
}

}  // namespace backlight
