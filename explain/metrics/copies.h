// Changed copies of samples through the network, in full batches, and the curve of the score while pixels are
// replaced one after another.
#pragma once

#include <functional>
#include <span>

#include "explain/fill.h"
#include "explain/metrics/metric.h"

namespace backlight {

/// What is read of a copy; default_measure for the score.
using CopyMeasure = std::function<std::vector<double>(const Tensor& rows, const std::vector<int64_t>& units)>;

/// Scores (rows) of copies of `units`: the target's softmax probability, sigmoid of multi-label data, or its
/// logit.
[[nodiscard]] std::vector<double> scores_of(const MetricBatch& batch, const Tensor& rows,
                                            const std::vector<int64_t>& units, Score score);
/// 1 where the network still predicts the target (multi-label: gives it more than one half), else 0.
[[nodiscard]] std::vector<double> hits_of(const MetricBatch& batch, const Tensor& rows,
                                          const std::vector<int64_t>& units);
/// Scores of the unchanged units, computed once a batch.
[[nodiscard]] const std::vector<double>& base_scores(const MetricBatch& batch, Score score);
[[nodiscard]] CopyMeasure score_measure(const MetricBatch& batch, Score score);

/// Copy `number` of unit `unit`.
struct Copy {
    int64_t unit, number;
};
/// (U, copies): `make` builds the rows of some copies, neighbours in the order of units; the batches that
/// pass the network are full whatever the number of copies.
[[nodiscard]] std::vector<std::vector<double>> measure_copies(
    const MetricBatch& batch, int64_t copies, const std::function<Tensor(std::span<const Copy>)>& make,
    const CopyMeasure& measure);

/// rows[i] = x[copies[i].unit]; rows as (R,H,W,C) or (R,D).
[[nodiscard]] Tensor rows_of(const Tensor& x, std::span<const Copy> copies);

/// A value a pixel (or, where `per_channel`, an element) of each unit -> (U,H,W,1), (U,H,W,C) or (U,D), of
/// x's type.
[[nodiscard]] Tensor pixel_tensor(const MetricBatch& batch, const std::vector<std::vector<double>>& values,
                                  bool per_channel = false);

/// The fills of measures that take pixels away: those of read_fill, and `inpaint`, from the neighbours that
/// are left.
[[nodiscard]] Fill read_removal_fill(const Options& options, const std::string& fallback);
/// What stands in for the batch's pixels; undefined for `inpaint`, which depends on what is left.
[[nodiscard]] Tensor replacement_of(const MetricBatch& batch, const Fill& fill);

/// Copies in which the elements of rank below `counts[k]` come from `replaced` and the others from `kept`.
/// One of the two may be undefined: its pixels are then imputed from the other's (impute_linear), and where
/// no pixel of the other is left they are the mean of its picture, by channel.
struct Removal {
    Tensor rank;  // as pixel_tensor: when an element goes, from 0
    Tensor replaced, kept;
    std::vector<int64_t> counts;
};
[[nodiscard]] std::vector<std::vector<double>> removal_curves(const MetricBatch& batch,
                                                              const Removal& removal,
                                                              const CopyMeasure& measure);

/// Ranks from the order in which elements go: ranks[order[i]] = i.
[[nodiscard]] std::vector<double> ranks_of(const std::vector<int64_t>& order);
/// 0, step, 2 step, ..., with the last one cut at `total`.
[[nodiscard]] std::vector<int64_t> counts_by(int64_t step, int64_t total);
[[nodiscard]] std::vector<std::string> texts_of(const std::vector<int64_t>& numbers);

}  // namespace backlight
