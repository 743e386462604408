// What a removed pixel becomes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/options.h"
#include "core/tensor.h"
#include "explain/explainer.h"

namespace backlight {

struct FillContext {
    std::vector<double> low,
        high;  // range of the data in the network's input space, one value or one a channel
    std::vector<double> mean, std;  // of the normalisation; empty: 0 and 1
    uint64_t seed = 0;
    std::vector<int64_t> sample;  // a number for each row of x, which keys its noise
    int64_t blur_kernel = 11;     // pixels, odd
    double blur_sigma = 5;        // pixels
};

/// zero   0 in the network's input space, the mean colour of normalised data
/// black  (0 - mean) / std
/// mean   the sample's own mean, by channel
/// blur   the picture under a Gaussian window whose weights sum to 1 at the border too
/// noise  uniform between low and high
/// min    the sample's smallest value
[[nodiscard]] const std::vector<std::string>& fill_kinds();

/// x (N,H,W,C) or (N,D) -> the same shape and type. A sample's fill does not depend on the others of the
/// batch. Throws Error on an unknown kind, on noise without a range and on a blur of vectors.
[[nodiscard]] Tensor fill_image(const Tensor& x, const std::string& kind, const FillContext& context);

/// The options fill, kernel and sigma of a metric.
struct FillOption {
    std::string kind;
    int64_t kernel = 11;
    double sigma = 5;
    [[nodiscard]] Tensor of(const Tensor& x, const ExplainContext& data,
                            const std::vector<int64_t>& sample) const;
    /// "blur", "blur,kernel=5": for the metric's name.
    std::string tag;
};
[[nodiscard]] FillOption fill_option(const Options& options, const std::string& fallback);

}  // namespace backlight
