#include "augment/gradient/scale_gradient.h"

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"

namespace backlight {
namespace {

class ScaleGradient final : public Op {
public:
    explicit ScaleGradient(Tensor factor) : factor_(std::move(factor)) {}
    [[nodiscard]] std::string_view kind() const override { return "scale_gradient"; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override { return {inputs[0].data(), {}}; }
    [[nodiscard]] Variables vjp(const NodeView&, const Variable& d_y, InputMask) const override {
        return {grad_enabled() ? d_y : d_y * Variable(factor_)};
    }

private:
    Tensor factor_;
};

}  // namespace

Variable scale_gradient(const Variable& x, const Tensor& factor) {
    BACKLIGHT_CHECK(broadcast_shapes(x.shape(), factor.shape(), "scale_gradient") == x.shape(),
                    "scale_gradient: a factor of shape ", factor.shape(), " does not broadcast to ",
                    x.shape());
    const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    return call(std::make_shared<ScaleGradient>(factor.to(wide)), {x});
}

}  // namespace backlight
