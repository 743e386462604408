// Class activation maps: which positions of a layer's activations speak for a class.
#pragma once

#include "autograd/variable.h"

namespace backlight {

/// Grad-CAM: w_k = mean over (h,w) of g_k, map = Σ_k w_k A_k, without negative part where `rectify`.
/// activations and gradient (N,h,w,K) -> (N,h,w,1). Differentiable.
/// Source: Selvaraju et al., "Grad-CAM: visual explanations from deep networks ...", 2017, Eq. 1 and 2.
[[nodiscard]] Variable grad_cam_map(const Variable& activations, const Variable& gradient,
                                    bool rectify = true);

}  // namespace backlight
