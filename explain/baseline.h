// What a method compares an input with: an image of nothing.
#pragma once

#include "core/options.h"
#include "explain/explainer.h"
#include "explain/fill.h"

namespace backlight {

/// The option `baseline`: zero (of the network's input space) or another fill (explain/fill.h), or a file
/// .npy of one sample or as many as the batch.
class Baseline {
public:
    Baseline(const Options& options, const ExplainContext& context);
    /// Of x's shape and type. Throws Error when the file's shape does not fit.
    [[nodiscard]] Tensor of(const Tensor& x) const;

private:
    std::string kind_;
    Fill fill_;
    ExplainContext context_;
    Tensor file_;
};

}  // namespace backlight
