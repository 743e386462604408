// Class activation maps: which positions of a layer's activations speak for a class.
#pragma once

#include "autograd/variable.h"

namespace backlight {

/// activations and gradient (N,h,w,K) -> (N,h,w,1), Σ_k of what the method makes of channel k.
/// Differentiable. Grad-CAM: A_k times the mean of g_k over positions (Selvaraju et al., "Grad-CAM: visual
/// explanations from deep networks ...", 2017, Eq. 1 and 2).
[[nodiscard]] Variable grad_cam_map(const Variable& activations, const Variable& gradient);
/// Grad-CAM++ for the score exp(f_t): A_k times Σ_hw a_k ReLU(g_k), a_k = g_k² / (2 g_k² + S_k g_k³ + 1e-6)
/// and 0 where g_k = 0, S_k = Σ_hw A_k (Chattopadhay et al., "Grad-CAM++", 2018, Eq. 19).
[[nodiscard]] Variable grad_cam_pp_map(const Variable& activations, const Variable& gradient);
/// HiResCAM: A_k g_k at each position (Draelos and Carin, "Use HiResCAM instead of Grad-CAM ...", 2021).
[[nodiscard]] Variable hires_cam_map(const Variable& activations, const Variable& gradient);

}  // namespace backlight
