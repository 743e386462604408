// The pointing game: does the map's largest pixel lie on an object of the explained class? Accuracy is hits
// over hits and misses, by class, then the mean over classes (the summary's class mean); each sample counts
// once a class, its object being the union of the instances. Source: Zhang et al., "Top-down neural attention
// by excitation backprop", 2018. `difficult` adds their hard subset: objects on less than a quarter of the
// picture with another class present.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/localisation.h"

namespace backlight {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class PointingGame final : public Metric {
public:
    PointingGame(const Options& options, const MetricContext& context)
        : any_(options.choose("ties", "first", {"first", "any"}) == "any"),
          tolerance_(
              options.get_within("tolerance", context.masks_are_boxes ? kBoxTolerance : 0.0, 0.0, 1e6)),
          weighted_(options.get("weighted", false)),
          difficult_(options.get("difficult", false)) {
        std::ostringstream text;
        text << "tolerance=" << tolerance_;
        tags_ = {any_ ? "any" : "", tolerance_ > 0 ? text.str() : "", weighted_ ? "weighted" : ""};
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        BACKLIGHT_CHECK(!batch.mask.empty(), "pointing_game: needs the masks of the data set (--masks)");
        MetricColumn all{.name = tagged("pointing_game", tags_), .better = "high"};
        MetricColumn hard{.better = "high"};
        std::vector<std::string> tags{"difficult"};
        tags.insert(tags.end(), tags_.begin(), tags_.end());
        hard.name = tagged("pointing_game", tags);
        for (size_t unit = 0; unit < batch.size(); ++unit) {
            const PixelSet& object = batch.mask[unit];
            const bool known = std::find(object.begin(), object.end(), 1) != object.end();
            const double share = known ? share_of(object) : kNan;
            double hit = kNan;
            if (known) {
                const double zoom = batch.zoom.empty() ? 1.0 : batch.zoom[unit];
                hit = pointing_hit(explained.maps[unit], object, batch.width(), tolerance_ * zoom, any_);
                hit *= weighted_ ? 1 - share : 1;
            }
            constexpr double kSmall = 0.25;
            const bool is_hard =
                known && share < kSmall && !batch.in_company.empty() && batch.in_company[unit];
            all.values.push_back(hit);
            all.chance.push_back(weighted_ ? share * (1 - share) : share);
            hard.values.push_back(is_hard ? hit : kNan);
            hard.chance.push_back(is_hard ? all.chance.back() : kNan);
        }
        MetricResult result{.columns = {std::move(all)}};
        if (difficult_) {
            result.columns.push_back(std::move(hard));
        }
        return result;
    }

private:
    static constexpr double kBoxTolerance = 15;  // pixels of the original picture
    bool any_;
    double tolerance_;
    bool weighted_, difficult_;
    std::vector<std::string> tags_;
};

}  // namespace

double pointing_hit(std::span<const double> r, const PixelSet& s, int64_t width, double tolerance, bool any) {
    if (std::find(s.begin(), s.end(), 1) == s.end()) {
        return kNan;
    }
    const auto largest = std::max_element(r.begin(), r.end());
    const auto height = static_cast<int64_t>(r.size()) / width;
    const auto reach = static_cast<int64_t>(std::floor(tolerance));
    for (auto at = largest; at != r.end(); ++at) {
        if (*at == *largest) {
            const int64_t p = at - r.begin(), row = p / width, column = p % width;
            for (int64_t i = std::max<int64_t>(row - reach, 0); i <= std::min(row + reach, height - 1); ++i) {
                for (int64_t j = std::max<int64_t>(column - reach, 0);
                     j <= std::min(column + reach, width - 1); ++j) {
                    const auto distance =
                        std::hypot(static_cast<double>(i - row), static_cast<double>(j - column));
                    if (distance <= tolerance && s[static_cast<size_t>(i * width + j)] != 0) {
                        return 1;
                    }
                }
            }
        }
        if (!any) {
            break;
        }
    }
    return 0;
}

std::unique_ptr<Metric> build_pointing_game(const Options& options, const MetricContext& context) {
    return std::make_unique<PointingGame>(options, context);
}

}  // namespace backlight
