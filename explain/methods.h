// One builder a method, or a family of methods; each in the file named beside it. The table of names is in
// methods.cpp.
#pragma once

#include "explain/explainer.h"

namespace backlight {

[[nodiscard]] Start start_option(const Options& options, const char* fallback);

/// One traversal with rules (null: the gradient), perhaps multiplied with the explained values
/// (explain/traversal.cpp).
[[nodiscard]] std::unique_ptr<Explainer> traversal_explainer(std::string name, Start start,
                                                             std::unique_ptr<BackwardRules> rules,
                                                             bool times_input = false);

using MethodBuilder = std::unique_ptr<Explainer>(const Options& options, const ExplainContext& context);
MethodBuilder build_gradient, build_saliency, build_input_x_gradient;   // traversal.cpp
MethodBuilder build_guided_backprop, build_deconvnet;                   // backprop.cpp
MethodBuilder build_grad_cam;                                           // cam.cpp
/// A preset of composites by name (traversal.cpp).
[[nodiscard]] std::unique_ptr<Explainer> build_preset(const CompositeEntry& entry, const Options& options,
                                                      const ExplainContext& context);

}  // namespace backlight
