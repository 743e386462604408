// Convolution over NHWC images and its two adjoints. With F(x;W) linear in both arguments:
//   <F(x;W), s> = <x, B(s;W)> = <W, G(x,s)>
// each of F, B, G is an op, and the derivative of each consists of the other two: nothing ends at second
// order.
#include "autograd/functions.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "core/profile.h"

namespace backlight {
namespace {

/// Multiply-adds of a convolution: each output element sums over a filter.
void count_products(const Shape& y, const Shape& weight) {
    Span::count(static_cast<double>(y.numel()) * static_cast<double>(weight.numel() / weight[0]));
}

/// Images in bfloat16 meet weights in float, which the kernel rounds.
bool is_image_of_bf16(Inputs inputs) {
    return inputs[0].dtype() == DType::bf16 && inputs[1].dtype() == DType::f32;
}

class Conv2d final : public Op {
public:
    explicit Conv2d(const Conv2dAttrs& attrs) : attrs_(attrs) {}
    [[nodiscard]] std::string_view kind() const override { return "conv2d"; }
    [[nodiscard]] Saves saves(InputMask differentiable) const override {
        return saves_of_product(differentiable);
    }
    [[nodiscard]] bool takes_bf16(Inputs inputs) const override { return is_image_of_bf16(inputs); }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        const Tensor& weight = inputs[1].data();
        const Tensor bias = inputs.size() > 2 ? inputs[2].data() : Tensor();
        const Shape shape = conv2d_output_shape(attrs_, x.shape(), weight.shape());
        BACKLIGHT_CHECK(wide_type(x.dtype()) == weight.dtype() && is_floating(x.dtype()),
                        "conv2d: expected equal floating types, got x ", x.dtype(), " and weight ",
                        weight.dtype());
        BACKLIGHT_CHECK(
            !bias.defined() || (bias.shape() == Shape{weight.dim(0)} && bias.dtype() == weight.dtype()),
            "conv2d: expected a ", weight.dtype(), " bias of shape (", weight.dim(0), ",), got ",
            bias.dtype(), ' ', bias.shape());
        Tensor y = Tensor::empty(shape, x.dtype(), x.device());
        y.backend().conv2d(attrs_, x, weight, bias, y);
        count_products(y.shape(), weight.shape());
        return {y, {}};
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        Variables d(static_cast<size_t>(node.input_count()));
        if (wants(mask, 0)) {
            d[0] = conv2d_backward_data(d_y, node.input(1), node.input_shape(0), attrs_);
        }
        if (wants(mask, 1)) {
            d[1] = conv2d_backward_weights(node.input(0), d_y, node.input_shape(1), attrs_);
        }
        if (node.input_count() > 2 && wants(mask, 2)) {
            d[2] = sum(d_y, {0, 1, 2});
        }
        return d;
    }

    [[nodiscard]] std::optional<LinearView> as_linear(const NodeView& node) const override {
        const Conv2dAttrs attrs = attrs_;
        const Shape x_shape = node.input_shape(0);
        const Shape weight_shape = node.input_shape(1);
        return LinearView{
            .x = node.input(0),
            .weight = node.input(1),
            .bias = node.input_count() > 2 ? node.input(2) : Variable(),
            .input_axis = 3,
            .apply = [attrs](const Variable& x,
                             const Variable& weight) { return conv2d(x, weight, {}, attrs); },
            .apply_biased = [attrs](const Variable& x, const Variable& weight,
                                    const Variable& bias) { return conv2d(x, weight, bias, attrs); },
            .adjoint =
                [attrs, x_shape](const Variable& s, const Variable& weight) {
                    return conv2d_backward_data(s, weight, x_shape.with(0, s.dim(0)), attrs);
                },
            .adjoint_params =
                [attrs, weight_shape](const Variable& x, const Variable& s) {
                    return conv2d_backward_weights(x, s, weight_shape, attrs);
                },
        };
    }

private:
    Conv2dAttrs attrs_;
};

/// B(s;W) + bias. As a layer it is the transposed convolution, whose input is s.
class Conv2dBackwardData final : public Op {
public:
    Conv2dBackwardData(const Conv2dAttrs& attrs, const Shape& x_shape, bool is_layer)
        : attrs_(attrs), x_shape_(x_shape), is_layer_(is_layer) {}
    [[nodiscard]] std::string_view kind() const override {
        return is_layer_ ? "conv_transpose2d" : "conv2d_backward_data";
    }
    [[nodiscard]] Saves saves(InputMask differentiable) const override {
        return saves_of_product(differentiable);
    }
    [[nodiscard]] bool takes_bf16(Inputs inputs) const override {
        return inputs.size() == 2 && is_image_of_bf16(inputs);
    }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& s = inputs[0].data();
        const Tensor& weight = inputs[1].data();
        const Shape expected = conv2d_output_shape(attrs_, x_shape_, weight.shape());
        BACKLIGHT_CHECK(s.shape() == expected, kind(), ": expected an input of shape ", expected, ", got ",
                        s.shape());
        BACKLIGHT_CHECK(wide_type(s.dtype()) == weight.dtype() && is_floating(s.dtype()), kind(),
                        ": expected equal floating types, got ", s.dtype(), " and weight ", weight.dtype());
        Tensor x = Tensor::empty(x_shape_, s.dtype(), s.device());
        x.backend().conv2d_backward_data(attrs_, s, weight, x);
        count_products(s.shape(), weight.shape());
        if (inputs.size() > 2) {
            BACKLIGHT_CHECK(inputs[2].shape() == Shape{x_shape_[3]} && inputs[2].dtype() == s.dtype(), kind(),
                            ": expected a ", s.dtype(), " bias of shape (", x_shape_[3], ",), got ",
                            inputs[2].dtype(), ' ', inputs[2].shape());
            Tensor sum = Tensor::empty_like(x);
            sum.backend().binary(BinaryOp::add, x, inputs[2].data(), sum);
            x = sum;
        }
        return {x, {}};
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_x, InputMask mask) const override {
        Variables d(static_cast<size_t>(node.input_count()));
        if (wants(mask, 0)) {
            d[0] = conv2d(d_x, node.input(1), {}, attrs_);
        }
        if (wants(mask, 1)) {
            d[1] = conv2d_backward_weights(d_x, node.input(0), node.input_shape(1), attrs_);
        }
        if (node.input_count() > 2 && wants(mask, 2)) {
            d[2] = sum(d_x, {0, 1, 2});
        }
        return d;
    }

    [[nodiscard]] std::optional<LinearView> as_linear(const NodeView& node) const override {
        if (!is_layer_) {
            return std::nullopt;
        }
        const Conv2dAttrs attrs = attrs_;
        const Shape y_shape = x_shape_;
        const Shape weight_shape = node.input_shape(1);
        return LinearView{
            .x = node.input(0),
            .weight = node.input(1),
            .bias = node.input_count() > 2 ? node.input(2) : Variable(),
            .output_axis = 3,
            .input_axis = 0,
            .apply =
                [attrs, y_shape](const Variable& x, const Variable& weight) {
                    return conv2d_backward_data(x, weight, y_shape.with(0, x.dim(0)), attrs);
                },
            .adjoint = [attrs](const Variable& s,
                               const Variable& weight) { return conv2d(s, weight, {}, attrs); },
            .adjoint_params =
                [attrs, weight_shape](const Variable& x, const Variable& s) {
                    return conv2d_backward_weights(s, x, weight_shape, attrs);
                },
        };
    }

private:
    Conv2dAttrs attrs_;
    Shape x_shape_;
    bool is_layer_;
};

class Conv2dBackwardWeights final : public Op {
public:
    Conv2dBackwardWeights(const Conv2dAttrs& attrs, const Shape& weight_shape)
        : attrs_(attrs), weight_shape_(weight_shape) {}
    [[nodiscard]] std::string_view kind() const override { return "conv2d_backward_weights"; }
    [[nodiscard]] bool takes_bf16(Inputs inputs) const override {
        return inputs[0].dtype() == inputs[1].dtype();
    }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        const Tensor& d_y = inputs[1].data();
        const Shape expected = conv2d_output_shape(attrs_, x.shape(), weight_shape_);
        BACKLIGHT_CHECK(d_y.shape() == expected && d_y.dtype() == x.dtype(), kind(), ": expected ", x.dtype(),
                        ' ', expected, ", got ", d_y.dtype(), ' ', d_y.shape());
        Tensor d_weight = Tensor::empty(weight_shape_, wide_type(x.dtype()), x.device());
        d_weight.backend().conv2d_backward_weights(attrs_, x, d_y, d_weight);
        count_products(d_y.shape(), weight_shape_);
        return {d_weight, {}};
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_weight,
                                InputMask mask) const override {
        Variables d(2);
        if (wants(mask, 0)) {
            d[0] = conv2d_backward_data(node.input(1), d_weight, node.input_shape(0), attrs_);
        }
        if (wants(mask, 1)) {
            d[1] = conv2d(node.input(0), d_weight, {}, attrs_);
        }
        return d;
    }

private:
    Conv2dAttrs attrs_;
    Shape weight_shape_;
};

}  // namespace

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias, const Conv2dAttrs& attrs) {
    const OpPtr op = std::make_shared<Conv2d>(attrs);
    const Variable image = PrecisionScope::narrowed(x);
    return bias.defined() ? call(op, {image, weight, bias}) : call(op, {image, weight});
}

Variable conv2d_backward_data(const Variable& d_y, const Variable& weight, const Shape& x_shape,
                              const Conv2dAttrs& attrs) {
    return call(std::make_shared<Conv2dBackwardData>(attrs, x_shape, false), {d_y, weight});
}

Variable conv2d_backward_weights(const Variable& x, const Variable& d_y, const Shape& weight_shape,
                                 const Conv2dAttrs& attrs) {
    return call(std::make_shared<Conv2dBackwardWeights>(attrs, weight_shape), {x, d_y});
}

Variable conv_transpose2d(const Variable& x, const Variable& weight, const Variable& bias,
                          const Conv2dAttrs& attrs, std::array<int64_t, 2> output_padding) {
    BACKLIGHT_CHECK(x.rank() == 4 && weight.rank() == 4,
                    "conv_transpose2d: expected x (N,H,W,C) and weight (I,Kh,Kw,O), got ", x.shape(), " and ",
                    weight.shape());
    BACKLIGHT_CHECK(output_padding[0] >= 0 && output_padding[0] < attrs.stride[0] && output_padding[1] >= 0 &&
                        output_padding[1] < attrs.stride[1],
                    "conv_transpose2d: expected an output padding smaller than the stride ", attrs.stride[0],
                    " x ", attrs.stride[1], ", got ", output_padding[0], " x ", output_padding[1]);
    const auto extent = [&](int64_t in, int64_t kernel, size_t axis, int64_t before, int64_t after) {
        return (in - 1) * attrs.stride[axis] - before - after + attrs.dilation[axis] * (kernel - 1) +
               output_padding[axis] + 1;
    };
    const int64_t height = extent(x.dim(1), weight.dim(1), 0, attrs.padding.top, attrs.padding.bottom);
    const int64_t width = extent(x.dim(2), weight.dim(2), 1, attrs.padding.left, attrs.padding.right);
    BACKLIGHT_CHECK(height > 0 && width > 0, "conv_transpose2d: the output would be empty for x ", x.shape(),
                    " and weight ", weight.shape());
    const OpPtr op = std::make_shared<Conv2dBackwardData>(
        attrs, Shape{x.dim(0), height, width, weight.dim(3) * attrs.groups}, true);
    return bias.defined() ? call(op, {x, weight, bias}) : call(op, {x, weight});
}

}  // namespace backlight
