// A recorded graph run again with other values inside: ablation and integrated gradients at a layer.
#pragma once

#include <utility>
#include <vector>

#include "autograd/op.h"

namespace backlight {

/// `output` with the second of each pair in the place of the first, which must be the result of a recorded op
/// (or the input); what does not depend on them keeps its recorded value. Differentiable in the new values
/// and in the parameters. Shapes must be those of the recording. Throws Error when `output` depends on none
/// of them.
[[nodiscard]] Variable replay(const Variable& output,
                              const std::vector<std::pair<Variable, Variable>>& replaced);

/// The nodes that lie between the given ones and `output`, earliest first: those whose result depends on one
/// of them, the given ones excluded.
[[nodiscard]] std::vector<NodePtr> nodes_between(const std::vector<Variable>& from, const Variable& output);

}  // namespace backlight
