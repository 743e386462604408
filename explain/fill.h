// What stands in for values that are taken away. The fill is a part of what a perturbation measures: results
// of different fills do not compare.
#pragma once

#include <string>
#include <vector>

#include "core/options.h"
#include "explain/explainer.h"

namespace backlight {

struct Fill {
    /// zero   0 in the network's input space: the mean colour of pictures that are normalised by their mean
    /// black  (0 - mean) / std, by channel
    /// mean   the sample's own mean, by channel; of vectors over their features
    /// blur   the picture under a Gaussian window; at the border its weights sum to 1 over what lies inside
    /// noise  uniform between the data's low and high, keyed by seed and sample
    /// min    the sample's smallest value
    std::string kind = "zero";
    int64_t kernel = 11;  // of the blur: pixels, odd
    double sigma = 5;     // of the blur: pixels
};

[[nodiscard]] const std::vector<std::string>& known_fills();

/// The options fill, and kernel and sigma of a blur. `more`: kinds that only the caller knows.
[[nodiscard]] Fill read_fill(const Options& options, const std::string& fallback = "zero",
                             const std::vector<std::string>& more = {});
/// "zero", "blur(kernel=5, sigma=5)": as in the names of results.
[[nodiscard]] std::string text_of(const Fill& fill);

/// x (N,H,W,C) or (N,D) -> of the same shape and type, what its removed values become. A sample's fill
/// depends on no other sample. `context`: mean, std, low, high and seed. `numbers`: one a sample, keys of its
/// noise; empty: 0, 1, ... Throws Error on an unknown kind, on noise without a range, on a blur of vectors,
/// and when the context's channels are not those of x. Source of the blur's size: Petsiuk et al., "RISE:
/// randomized input sampling for explanation of black-box models", 2018 (11 and 5, for pictures of 224 x
/// 224).
[[nodiscard]] Tensor filled(const Tensor& x, const Fill& fill, const ExplainContext& context,
                            const std::vector<int64_t>& numbers = {});

}  // namespace backlight
