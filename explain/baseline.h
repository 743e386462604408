// What a method compares an input with: an image of nothing.
#pragma once

#include "core/options.h"
#include "explain/explainer.h"

namespace backlight {

/// The option `baseline`: zero (of the network's input space), black, mean (each sample's own, by channel), or a
/// file .npy of one sample or as many as the batch.
class Baseline {
public:
    Baseline(const Options& options, const ExplainContext& context);
    /// Of x's shape and type. Throws Error when the file's shape does not fit.
    [[nodiscard]] Tensor of(const Tensor& x) const;

private:
    std::string kind_;
    std::vector<double> black_;  // a value per channel, or one
    Tensor file_;
};

}  // namespace backlight
