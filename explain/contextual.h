// Contextual decomposition: a forward pass that carries two summands, the contribution of chosen inputs and
// the rest (Murdoch et al., "Beyond word importance", 2018; for convolutional networks Singh et al.,
// "Hierarchical interpretations for neural network predictions", 2019, section 3).
#pragma once

#include <utility>

#include "explain/explainer.h"

namespace backlight {

struct Decomposition {
    Variable relevant, rest;  // of the logits' shape; their sum is the logits
};
/// `mask` broadcasts to the input: 1 for the chosen values, 0 for the others (between: shares).
/// Differentiable in the parameters. Throws Error naming an op that it does not know.
[[nodiscard]] Decomposition contextual_decomposition(const ExplainedForward& forward, const Tensor& mask);

}  // namespace backlight
