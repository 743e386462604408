// Coalitions: which segments of a sample are there. What LIME and KernelSHAP share.
#pragma once

#include <string>
#include <vector>

#include "explain/fill.h"
#include "explain/perturbation.h"
#include "explain/segmentation.h"

namespace backlight {

/// One byte a segment, 1 there and 0 taken away; one row a coalition.
using Coalitions = std::vector<std::vector<uint8_t>>;

/// The segments of a batch, and what their absence looks like.
struct Players {
    Segmentation segments;
    Tensor fill;
    std::string fill_text;

    /// "9 to 12 segments", and how many of them look the same when they are absent.
    [[nodiscard]] std::string describe(const Tensor& x) const;
};

/// The options of `SegmentOptions`, fill (also segment-mean, the default for pictures; zero for vectors),
/// kernel, sigma and score.
class PlayerOptions {
public:
    PlayerOptions(const Options& options, const ExplainContext& context);
    [[nodiscard]] Players of(const Tensor& x, const ExplainContext& context,
                             const std::vector<int64_t>& numbers) const;
    [[nodiscard]] Score score() const { return score_; }

private:
    SegmentOptions segments_;
    Fill fill_;  // of no kind: the default
    Score score_;
};

/// f(z) of each coalition of sample n.
[[nodiscard]] std::vector<double> coalition_scores(ChangedCopies& copies, const Segmentation& segments,
                                                   size_t n, const Coalitions& coalitions);

}  // namespace backlight
