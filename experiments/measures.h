// Measures that several reproductions take.
#pragma once

#include "explain/explainer.h"

namespace backlight {

/// Mean over samples of Σ m |r| / Σ |r|; r (N,H,W,C) or (N,D), m (N,H,W) or (N,D). A sample without relevance
/// counts 0.
[[nodiscard]] double share_of(const Tensor& relevance, const Tensor& mask);

/// x + eps sign(dl/dx), l the cross-entropy of the true class: the fast gradient sign method (Goodfellow et
/// al., "Explaining and harnessing adversarial examples", 2015).
[[nodiscard]] Tensor fgsm(Module& net, const Tensor& inputs, const std::vector<int64_t>& labels, double eps);

/// Share of inputs that the network gives their label.
[[nodiscard]] double accuracy_of(Module& net, const Tensor& inputs, const std::vector<int64_t>& labels);

}  // namespace backlight
