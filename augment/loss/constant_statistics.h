// A backward pass in which the statistics of a batch are constants: what one sample's output owes to another
// sample's input does not enter its explanation.
#pragma once

#include "autograd/grad.h"

namespace backlight {

/// The gradient, with batch norm in training mode as the affine map that it was for this batch. The history
/// still reaches scale and shift, and the activations above and below.
class ConstantStatistics final : public BackwardRules {
public:
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override {
        if (node.kind() != "batch_norm" || !wants(mask, 0)) {
            return std::nullopt;
        }
        const auto view = node.op().as_linear(node);
        Variables r(static_cast<size_t>(node.input_count()));
        r[0] = view->adjoint(r_y, view->weight);
        return r;
    }
};

}  // namespace backlight
