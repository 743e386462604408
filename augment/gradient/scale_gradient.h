// The feature hook of gradient augmentation (Weber et al., "Beyond explaining", 2022, Eq. 7).
#pragma once

#include "autograd/variable.h"

namespace backlight {

/// x itself, bit for bit; the gradient that arrives there is multiplied by `factor`, a constant whose shape
/// broadcasts to that of x, before it flows on: parameters above see the old gradient, parameters below the
/// new one. A gradient with a history (create_graph) passes as it is: an explanation inside a loss is that of
/// the network, not of the factor.
[[nodiscard]] Variable scale_gradient(const Variable& x, const Tensor& factor);

}  // namespace backlight
