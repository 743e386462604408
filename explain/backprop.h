// Backward passes that differ from the gradient at rectifiers only.
#pragma once

#include "autograd/grad.h"

namespace backlight {

/// guided: R_y⁺ where the rectifier has slope 1 (Springenberg et al., "Striving for simplicity", 2015).
/// deconvnet: R_y⁺ (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014). Every
/// ReLU and ReLU6 node, however it was written.
class RectifierRules final : public BackwardRules {
public:
    enum class Kind { guided, deconvnet };
    explicit RectifierRules(Kind kind) : kind_(kind) {}
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override;

private:
    Kind kind_;
};

}  // namespace backlight
