// The experiments, each in the file of its name.
#pragma once

#include "experiments/reproduction.h"

namespace backlight {

using ReproductionRun = Reproduction(const ReproductionEntry& entry, const ReproduceOptions& options);
ReproductionRun reproduce_toy1, reproduce_toy2, reproduce_excitation_dropout, reproduce_few_shot;
ReproductionRun reproduce_toy3, reproduce_rrr, reproduce_different_reasons, reproduce_input_gradient;
ReproductionRun reproduce_imbalance, reproduce_loss_scaling, reproduce_edda;
ReproductionRun reproduce_weight_lr, reproduce_gradient_mask;
ReproductionRun reproduce_pruning_toys, reproduce_pruning, reproduce_pruning_deeplift;

}  // namespace backlight
