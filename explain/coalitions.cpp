#include "explain/coalitions.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace backlight {

PlayerOptions::PlayerOptions(const Options& options, const ExplainContext& context)
    : segments_(options, context), score_(read_score(options)) {
    fill_.kind.clear();
    if (options.has("fill")) {
        fill_ = read_fill(options, "zero", {"segment-mean"});
    }
}

Players PlayerOptions::of(const Tensor& x, const ExplainContext& context,
                          const std::vector<int64_t>& numbers) const {
    Fill fill = fill_;
    if (fill.kind.empty()) {
        fill.kind = x.rank() == 4 ? "segment-mean" : "zero";
    }
    Players players{.segments = segments_.of(x), .fill = {}, .fill_text = text_of(fill)};
    players.fill =
        fill.kind == "segment-mean" ? segment_means(x, players.segments) : filled(x, fill, context, numbers);
    return players;
}

std::string Players::describe(const Tensor& x) const {
    const auto there = x.to(DType::f64).to_vector<double>(), absent = fill.to(DType::f64).to_vector<double>();
    int64_t same = 0, all = 0;
    const size_t row = there.size() / segments.ids.size();
    for (size_t n = 0; n < segments.ids.size(); ++n) {
        const std::vector<int64_t>& ids = segments.ids[n];
        const size_t values = row / ids.size();  // of one position
        std::vector<bool> changed(static_cast<size_t>(segments.counts[n]), false);
        for (size_t i = n * row; i < (n + 1) * row; ++i) {
            const bool differs = std::abs(there[i] - absent[i]) > 1e-6 * std::abs(there[i]);
            const auto id = static_cast<size_t>(ids[(i - n * row) / values]);
            changed[id] = changed[id] || differs;
        }
        same += std::count(changed.begin(), changed.end(), false);
        all += segments.counts[n];
    }
    const auto [fewest, most] = std::minmax_element(segments.counts.begin(), segments.counts.end());
    return concat_text(
        *fewest, *most > *fewest ? concat_text(" to ", *most) : "", " segments",
        same > 0 ? concat_text(" (", same, " of ", all, " look the same when they are absent)") : "");
}

std::vector<double> coalition_scores(ChangedCopies& copies, const Segmentation& segments, size_t n,
                                     const Coalitions& coalitions) {
    const std::vector<int64_t>& ids = segments.ids[n];
    return copies.scores(std::vector<int64_t>(coalitions.size(), static_cast<int64_t>(n)),
                         [&](int64_t copy, std::span<double> kept) {
                             const std::vector<uint8_t>& z = coalitions[static_cast<size_t>(copy)];
                             for (size_t i = 0; i < kept.size(); ++i) {
                                 kept[i] = z[static_cast<size_t>(ids[i])];
                             }
                         });
}

}  // namespace backlight
