// One builder a method, each in the file named beside it. The table of names is in methods.cpp.
#pragma once

#include "explain/explainer.h"

namespace backlight {

[[nodiscard]] Start start_option(const Options& options, const char* fallback);
/// "(text)" -> "text": options that hold commas or equals signs stand in parentheses.
[[nodiscard]] std::string inner_text(const std::string& value);

/// The text of a method or composite. The value of its main option may stand alone, in front:
/// "preset_b_flat_until(2)" is "preset_b_flat_until(k=2)" (methods.cpp).
[[nodiscard]] Spec method_spec(const std::string& text);

/// The paths that the options leave out, for the reader of a map: "paths=P, handling=H"; empty: none.
[[nodiscard]] std::string left_out_paths(const Options& options, const char* handling);

/// What a traversal reads of the forward pass.
enum class Reads : uint8_t {
    derivatives,       // what the ops' own derivatives read
    values,            // its rules also read inputs and outputs
    explained_values,  // derivatives, and the result is multiplied with the explained values
};
/// One traversal with rules (null: the gradient), with the options start, detach_start, paths and handling
/// (explain/traversal.cpp).
[[nodiscard]] std::unique_ptr<Explainer> rules_explainer(std::string name, const Options& options,
                                                         const char* start,
                                                         std::unique_ptr<BackwardRules> rules, Reads reads);

using MethodBuilder = std::unique_ptr<Explainer>(const Options& options, const ExplainContext& context);
MethodBuilder build_gradient, build_saliency, build_input_x_gradient, build_composite;  // traversal.cpp
MethodBuilder build_guided_backprop, build_deconvnet, build_smooth_relu;                // backprop.cpp
MethodBuilder build_smoothgrad, build_smoothgrad_sq, build_vargrad;                     // smoothgrad.cpp
MethodBuilder build_integrated_gradients, build_expected_gradients;  // integrated_gradients.cpp
MethodBuilder build_cam, build_grad_cam, build_grad_cam_pp, build_hires_cam,
    build_guided_grad_cam;                       // cam.cpp
MethodBuilder build_contrastive_eb;              // excitation.cpp
MethodBuilder build_deep_lift, build_deep_shap;  // deep_lift.cpp
MethodBuilder build_contextual_decomposition;    // contextual.cpp
MethodBuilder build_crp;                         // concepts/crp.cpp
MethodBuilder build_prp;                         // concepts/prp.cpp
MethodBuilder build_occlusion;                   // occlusion.cpp
MethodBuilder build_ablation;                    // ablation.cpp
MethodBuilder build_representation_erasure;      // erasure.cpp
MethodBuilder build_lime;                        // lime.cpp
MethodBuilder build_kernel_shap;                 // kernel_shap.cpp
MethodBuilder build_rise;                        // rise.cpp
/// A preset of composites by name (traversal.cpp).
[[nodiscard]] std::unique_ptr<Explainer> build_preset(const CompositeEntry& entry, const Options& options,
                                                      const ExplainContext& context);
/// A composite by name with its options, for methods that use one: "epsilon_plus(epsilon=0.25)",
/// "composite(parts=...)" (explain/traversal.cpp).
[[nodiscard]] Composite named_composite(const std::string& text, const ExplainContext& context);

}  // namespace backlight
