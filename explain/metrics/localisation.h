// How well a map finds an object: functions of the map r and the object S, one value a pixel each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace backlight {

using PixelSet = std::vector<uint8_t>;  // 1: the pixel belongs to it

/// Σ_S r⁺ / Σ r⁺; `part` signed: Σ_S r / Σ r, abs: Σ_S |r| / Σ |r|. NaN where the denominator is 0 or S
/// empty. Source: Kohlbrenner et al., "Towards best practice in explaining neural network decisions with
/// LRP", 2020; Arras et al., "CLEVR-XAI", 2022.
[[nodiscard]] double relevance_mass(std::span<const double> r, const PixelSet& s,
                                    const std::string& part = "positive");
/// Share of the |S| largest pixels that lie in S. NaN where S is empty. Source: Arras et al., 2022.
[[nodiscard]] double relevance_rank(std::span<const double> r, const PixelSet& s);
/// Σ_S |r| / (Σ |r| + 1e-9). NaN where S is empty.
[[nodiscard]] double attribution_localisation(std::span<const double> r, const PixelSet& s);
/// Share of the k largest pixels that lie in S; k at most the number of pixels. NaN where S is empty.
[[nodiscard]] double top_k_intersection(std::span<const double> r, const PixelSet& s, int64_t k);
/// |T ∩ S| / |T ∪ S|. NaN where S is empty.
[[nodiscard]] double intersection_over_union(const PixelSet& t, const PixelSet& s);
/// 1 where the largest pixel, the first of equal ones (`any`: one of them), lies in S or at most `tolerance`
/// pixels from it, else 0. NaN where S is empty. Source: Zhang et al., "Top-down neural attention by
/// excitation backprop", 2018.
[[nodiscard]] double pointing_hit(std::span<const double> r, const PixelSet& s, int64_t width,
                                  double tolerance = 0, bool any = false);
/// |S| / H W.
[[nodiscard]] double share_of(const PixelSet& s);

}  // namespace backlight
