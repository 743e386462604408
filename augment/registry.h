// Augmentations by name: systems in which explanations, or their controls, change training. Each is one file
// and one line of the table in registry.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "train/augmentation.h"

namespace backlight {

struct AugmentationEntry {
    std::string name;
    std::string family;     // data, features, loss, gradients, model
    std::string improves;   // reasoning, accuracy, robustness, balance, ...
    std::string explainer;  // what it explains with; none: a control
    std::string cost;       // of a step, in passes
    std::string options;
    std::string source;
    std::unique_ptr<Augmentation> (*build)(const Options& options);
};
[[nodiscard]] const std::vector<AugmentationEntry>& list_augmentations();
/// Systems with a training loop of their own: no `build`; `options` is the command.
[[nodiscard]] const std::vector<AugmentationEntry>& list_own_loops();

/// "rrr(lambda=10, masks=decoy)". Every system takes start_epoch=0 and every=1: from which epoch on, and in
/// which steps, it acts. Throws Error on an unknown name or option.
[[nodiscard]] std::unique_ptr<Augmentation> build_augmentation(const std::string& text);

using AugmentationFactory = std::unique_ptr<Augmentation>(const Options& options);
AugmentationFactory build_cutout, build_cutmix, build_mixup;  // data/image_mixes.cpp
AugmentationFactory build_edda;                               // data/edda.cpp
AugmentationFactory build_imbalance;                          // data/imbalance.cpp
AugmentationFactory build_class_factors;                      // loss/class_factors.cpp
AugmentationFactory build_penalty;                            // loss/explanation_penalty.cpp
AugmentationFactory build_attention;                          // features/attention.cpp
AugmentationFactory build_explanation_dropout;                // features/explanation_dropout.cpp
AugmentationFactory build_excitation_dropout;                 // features/excitation_dropout.cpp
AugmentationFactory build_random_dropout;                     // features/random_dropout.cpp
AugmentationFactory build_rrr;                                // loss/rrr.cpp
AugmentationFactory build_input_gradient;                     // loss/input_gradient.cpp
AugmentationFactory build_weight_lrp;                         // gradient/weight_lrp.cpp
AugmentationFactory build_gradient_mask;                      // gradient/gradient_mask.cpp
AugmentationFactory build_prune;                              // model/prune.cpp

}  // namespace backlight
