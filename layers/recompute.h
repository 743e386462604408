// Recomputation of activations ("gradient checkpointing"): a segment of a network keeps its input only and
// runs again in the backward pass. Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost",
// 2016.
#pragma once

#include <functional>

#include "autograd/variable.h"

namespace backlight {

/// function(x), whose activations are dropped and made again when the gradient is asked for: the same bits,
/// about a forward pass more of time. `parameters` are the leaves that `function` reads. Random layers draw
/// the same masks again; running statistics move once. At most 31 parameters. A gradient with a history
/// (create_graph) throws Error. While recording, or without a history, it is just function(x).
[[nodiscard]] Variable recompute(std::function<Variable(const Variable&)> function, const Variable& x,
                                 const Variables& parameters);

/// True while a segment of this thread runs again.
[[nodiscard]] bool is_recomputing();

}  // namespace backlight
