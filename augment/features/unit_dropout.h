// What the systems that drop chosen units share: what a unit is, which ones go, and how the others are
// enlarged. A unit is one value of a layer's output, or (units=channel) a whole channel of images.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "augment/features/feature_factor.h"

namespace backlight {

enum class UnitKind : uint8_t { location, channel };
[[nodiscard]] UnitKind read_unit_kind(const Options& options);

/// How many units a sample of features (N,D) or (N,H,W,C) has.
[[nodiscard]] int64_t unit_count(const Shape& features, UnitKind kind);

/// (N * U), the relevance of each unit: a channel has the sum over its positions.
[[nodiscard]] std::vector<double> unit_relevance(const Tensor& relevance, UnitKind kind);

/// (N * U) values as a tensor that broadcasts to features of this shape: (N,D), (N,H,W,C) or, of channels,
/// (N,1,1,C).
[[nodiscard]] Tensor spread_units(const std::vector<double>& values, const Shape& features, UnitKind kind);

/// `share` of `units` as a whole number k, rounded up with the probability of its fraction, so that the mean
/// over samples is exact; at least one unit stays.
[[nodiscard]] int64_t stochastic_count(double share, int64_t units, RandomStream& random);

/// 1 for units that stay and 0 for the k that go, those of the largest scores; equal ones in random order.
[[nodiscard]] std::vector<double> drop_largest(std::span<const double> scores, int64_t k,
                                               RandomStream& random);

/// Drop probability of a unit whose share of the winning probability is p, of `units` in all:
///   d = C (N - 1) p / ((C N - 1) p + 1 - C)
/// It is C where p = 1/N, grows with p, and has d(0) = 0, d(1) = 1. Needs C N > 1.
/// Zunino et al., "Excitation Dropout", IJCV 2021, Eq. 3 with C = 1 - P.
[[nodiscard]] double excitation_drop_probability(double p, double base, int64_t units);

}  // namespace backlight
