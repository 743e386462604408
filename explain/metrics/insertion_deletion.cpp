// Deletion and insertion: the area under the score while pixels are replaced, most relevant first, or while
// they return to a blurred picture in that order. With the same fill the insertion curve is the reversed
// deletion curve of the opposite order. Source: Petsiuk et al., "RISE: randomized input sampling for
// explanation of black-box models", 2018.
#include <algorithm>

#include "core/error.h"
#include "explain/fill.h"
#include "explain/metrics/builders.h"
#include "explain/metrics/copies.h"
#include "explain/metrics/pixel_map.h"
#include "explain/metrics/statistics.h"

namespace backlight {
namespace {

class InsertionDeletion final : public Metric {
public:
    InsertionDeletion(const Options& options, bool insertion)
        : insertion_(insertion),
          fill_(read_removal_fill(options, insertion ? "blur" : "zero")),
          steps_(options.get_within("steps", kSteps, 1, int64_t{1} << 24)),
          step_(options.get_within("step", int64_t{0}, 0, int64_t{1} << 24)),
          score_(score_option(options, Score::probability)),
          name_(tagged(options.owner(), {text_of(fill_), score_tag(score_, Score::probability),
                                         option_tag(options, "steps"), option_tag(options, "step")})) {
        BACKLIGHT_CHECK(!options.has("steps") || !options.has("step"), options.owner(),
                        ": give steps (how many) or step (pixels each), not both");
    }

    [[nodiscard]] MetricResult measure(const ExplainedBatch& explained) override {
        const MetricBatch& batch = *explained.batch;
        const int64_t pixels = batch.pixels();
        const int64_t step = step_ > 0 ? step_ : (pixels + steps_ - 1) / steps_;
        std::vector<std::vector<double>> ranks;
        for (const auto& map : explained.maps) {
            ranks.push_back(ranks_of(ranking(map)));
        }
        const Tensor fill = replacement_of(batch, fill_);
        const Removal removal{.rank = pixel_tensor(batch, ranks),
                              .replaced = insertion_ ? batch.x : fill,
                              .kept = insertion_ ? fill : batch.x,
                              .counts = counts_by(step, pixels)};
        auto curves = removal_curves(batch, removal, score_measure(batch, score_));
        MetricColumn column{.name = name_, .better = insertion_ ? "high" : "low"};
        for (const auto& curve : curves) {
            column.values.push_back(area(curve));
        }
        return {.columns = {std::move(column)},
                .curves = {{name_, texts_of(removal.counts), std::move(curves)}}};
    }

private:
    static constexpr int64_t kSteps = 224;  // 224 pixels each in a picture of 224 x 224
    bool insertion_;
    Fill fill_;
    int64_t steps_, step_;
    Score score_;
    std::string name_;
};

}  // namespace

std::unique_ptr<Metric> build_deletion(const Options& options, const MetricContext&) {
    return std::make_unique<InsertionDeletion>(options, false);
}
std::unique_ptr<Metric> build_insertion(const Options& options, const MetricContext&) {
    return std::make_unique<InsertionDeletion>(options, true);
}

}  // namespace backlight
