// Conversion between floating types, y = x rounded, and the scope that asks convolutions for bfloat16.
#include "autograd/op.h"
#include "autograd/precision.h"
#include "core/error.h"

namespace backlight {
namespace {

thread_local DType convolution_type = DType::f32;

class Convert final : public Op {
public:
    explicit Convert(DType dtype) : dtype_(dtype) {}
    [[nodiscard]] std::string_view kind() const override { return "convert"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Forward forward(Inputs inputs) const override { return {inputs[0].data().to(dtype_), {}}; }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {convert(d_y, node.input_dtype(0))};
    }

private:
    DType dtype_;
};

}  // namespace

Variable convert(const Variable& x, DType dtype) {
    BACKLIGHT_CHECK(is_floating(x.dtype()) && is_floating(dtype), "convert: expected floating types, got ",
                    x.dtype(), " to ", dtype);
    return x.dtype() == dtype ? x : call(std::make_shared<Convert>(dtype), {x});
}

PrecisionScope::PrecisionScope(DType dtype) : previous_(convolution_type) {
    BACKLIGHT_CHECK(dtype == DType::f32 || dtype == DType::bf16,
                    "precision: expected float32 or bfloat16, got ", dtype);
    convolution_type = dtype;
}

PrecisionScope::~PrecisionScope() { convolution_type = previous_; }

DType PrecisionScope::current() { return convolution_type; }

Variable PrecisionScope::narrowed(const Variable& x) {
    return convolution_type == DType::bf16 && x.dtype() == DType::f32 ? convert(x, DType::bf16) : x;
}

}  // namespace backlight
