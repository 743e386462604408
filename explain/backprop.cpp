#include "explain/backprop.h"

#include "autograd/functions.h"

namespace backlight {

std::optional<Variables> RectifierRules::backward(const NodeView& node, const Variable& r_y, InputMask mask) {
    if (node.kind() != "relu" && node.kind() != "relu6") {
        return std::nullopt;
    }
    const Variable positive = positive_part(r_y);
    return kind_ == Kind::deconvnet ? Variables{positive} : node.op().vjp(node, positive, mask);
}

}  // namespace backlight
