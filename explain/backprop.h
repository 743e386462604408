// Backward passes that differ from the gradient at rectifiers only.
#pragma once

#include "autograd/grad.h"

namespace backlight {

/// guided: R_y⁺ where the rectifier has slope 1 (Springenberg et al., "Striving for simplicity", 2015).
/// deconvnet: R_y⁺ (Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014).
/// smooth: R_y sigmoid(beta z), the slope of a softplus (Dombrowski et al., "Explanations can be manipulated
/// and geometry is to blame", 2019); gives gradients curvature in the input. At every ReLU and ReLU6 node,
/// however it was written.
class RectifierRules final : public BackwardRules {
public:
    enum class Kind { guided, deconvnet, smooth };
    explicit RectifierRules(Kind kind, double beta = 10) : kind_(kind), beta_(beta) {}
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override;

private:
    [[nodiscard]] Variable smooth_slope(const NodeView& node) const;

    Kind kind_;
    double beta_;
};

}  // namespace backlight
