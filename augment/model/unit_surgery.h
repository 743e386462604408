// Taking units out of a network: set to 0, or cut out of all tensors.
#pragma once

#include "augment/model/prunable_units.h"
#include "models/model.h"
#include "train/optimizer.h"

namespace backlight {

/// Sets incoming weights and bias of dead units to 0, and scale, shift and running mean of their norms, so
/// that their outputs are exactly 0: behind a norm with its statistics left, a weight of 0 alone gives shift
/// - scale mean / deviation.
void mask_units(Module& net, const PrunableUnits& units, const LivingUnits& living);
/// The same entries of the gradients that `backward` left.
void mask_gradients(Module& net, const PrunableUnits& units, const LivingUnits& living);
/// And of an optimiser's running means.
void mask_optimizer(Optimizer& optimizer, Module& net, const PrunableUnits& units, const LivingUnits& living);

/// The same function with smaller tensors: deletes output slice k of the layer, its entries in the norms, and
/// input slice k of every reader, for each dead unit k of a layer that is not tied; those of tied ones are
/// masked. States in `model.pruned` how many units each layer has left.
void remove_units(Model& model, const PrunableUnits& units, const LivingUnits& living);

}  // namespace backlight
