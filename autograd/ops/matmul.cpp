// Matrix products, and the linear layer as one op: y = x Wᵀ + b.
#include "autograd/functions.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "core/profile.h"

namespace backlight {
namespace {

/// y = op(a) op(b) over the last two axes, op being the transpose where asked.
class Matmul final : public Op {
public:
    explicit Matmul(const MatmulAttrs& attrs) : attrs_(attrs) {}
    [[nodiscard]] std::string_view kind() const override { return "matmul"; }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& a = inputs[0].data();
        const Tensor& b = inputs[1].data();
        BACKLIGHT_CHECK(a.dtype() == b.dtype() && is_floating(a.dtype()),
                        "matmul: expected equal floating types, got ", a.dtype(), " and ", b.dtype());
        BACKLIGHT_CHECK(a.rank() >= 2 && a.rank() == b.rank(),
                        "matmul: expected equal ranks of at least 2, got ", a.shape(), " and ", b.shape());
        for (int i = 0; i < a.rank() - 2; ++i) {
            BACKLIGHT_CHECK(a.dim(i) == b.dim(i), "matmul: batches differ: ", a.shape(), " and ", b.shape());
        }
        const int64_t rows = a.dim(attrs_.transpose_a ? -1 : -2);
        const int64_t inner_a = a.dim(attrs_.transpose_a ? -2 : -1);
        const int64_t inner_b = b.dim(attrs_.transpose_b ? -1 : -2);
        const int64_t columns = b.dim(attrs_.transpose_b ? -2 : -1);
        BACKLIGHT_CHECK(inner_a == inner_b, "matmul: inner extents differ: ", a.shape(),
                        attrs_.transpose_a ? " transposed" : "", " and ", b.shape(),
                        attrs_.transpose_b ? " transposed" : "");
        Tensor y = Tensor::empty(a.shape().with(-2, rows).with(-1, columns), a.dtype(), a.device());
        y.backend().matmul(attrs_, a, b, {}, y);
        Span::count(static_cast<double>(y.numel()) * static_cast<double>(inner_a));
        return {y, {}};
    }

    // dA' = dY op(B)ᵀ and dB' = op(A)ᵀ dY are the derivatives of op(A), op(B); transposed back where needed.
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        const bool ta = attrs_.transpose_a;
        const bool tb = attrs_.transpose_b;
        Variables d(2);
        if (wants(mask, 0)) {
            const Variable b = node.input(1);
            d[0] = ta ? matmul(b, d_y, {.transpose_a = tb, .transpose_b = true})
                      : matmul(d_y, b, {.transpose_b = !tb});
        }
        if (wants(mask, 1)) {
            const Variable a = node.input(0);
            d[1] = tb ? matmul(d_y, a, {.transpose_a = true, .transpose_b = ta})
                      : matmul(a, d_y, {.transpose_a = !ta});
        }
        return d;
    }

private:
    MatmulAttrs attrs_;
};

/// x (N, I), weight (O, I), bias (O) or none.
class Linear final : public Op {
public:
    [[nodiscard]] std::string_view kind() const override { return "linear"; }
    [[nodiscard]] Saves saves(InputMask differentiable) const override {
        return saves_of_product(differentiable);
    }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        const Tensor& weight = inputs[1].data();
        Tensor y = Tensor::empty({x.dim(0), weight.dim(0)}, x.dtype(), x.device());
        y.backend().matmul({.transpose_b = true}, x, weight, inputs.size() > 2 ? inputs[2].data() : Tensor(),
                           y);
        Span::count(static_cast<double>(y.numel()) * static_cast<double>(weight.dim(1)));
        return {y, {}};
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        Variables d(static_cast<size_t>(node.input_count()));
        if (wants(mask, 0)) {
            d[0] = matmul(d_y, node.input(1));
        }
        if (wants(mask, 1)) {
            d[1] = matmul(d_y, node.input(0), {.transpose_a = true});
        }
        if (node.input_count() > 2 && wants(mask, 2)) {
            d[2] = sum(d_y, {0});
        }
        return d;
    }

    [[nodiscard]] std::optional<LinearView> as_linear(const NodeView& node) const override {
        return LinearView{
            .x = node.input(0),
            .weight = node.input(1),
            .bias = node.input_count() > 2 ? node.input(2) : Variable(),
            .apply = [](const Variable& x, const Variable& weight) { return linear(x, weight); },
            .apply_biased = [](const Variable& x, const Variable& weight,
                               const Variable& bias) { return linear(x, weight, bias); },
            .adjoint = [](const Variable& s, const Variable& weight) { return matmul(s, weight); },
            .adjoint_params = [](const Variable& x,
                                 const Variable& s) { return matmul(s, x, {.transpose_a = true}); },
        };
    }
};

}  // namespace

Variable matmul(const Variable& a, const Variable& b, const MatmulAttrs& attrs) {
    static const OpPtr ops[] = {std::make_shared<Matmul>(MatmulAttrs{false, false}),
                                std::make_shared<Matmul>(MatmulAttrs{false, true}),
                                std::make_shared<Matmul>(MatmulAttrs{true, false}),
                                std::make_shared<Matmul>(MatmulAttrs{true, true})};
    return call(ops[(attrs.transpose_a ? 2 : 0) + (attrs.transpose_b ? 1 : 0)], {a, b});
}

Variable linear(const Variable& x, const Variable& weight, const Variable& bias) {
    if (x.dtype() == DType::bf16 && weight.dtype() == DType::f32) {  // images flattened inside a PrecisionScope
        return linear(convert(x, DType::f32), weight, bias);
    }
    BACKLIGHT_CHECK(weight.rank() == 2, "linear: expected a weight (O, I), got ", weight.shape());
    BACKLIGHT_CHECK(x.rank() >= 1 && x.dim(-1) == weight.dim(1), "linear: weight expects ", weight.dim(1),
                    " features, got x of shape ", x.shape());
    BACKLIGHT_CHECK(x.dtype() == weight.dtype() && is_floating(x.dtype()),
                    "linear: expected equal floating types, got x ", x.dtype(), " and weight ",
                    weight.dtype());
    BACKLIGHT_CHECK(!bias.defined() || (bias.shape() == Shape{weight.dim(0)} && bias.dtype() == x.dtype()),
                    "linear: expected a ", x.dtype(), " bias of shape (", weight.dim(0), ",), got ",
                    bias.dtype(), ' ', bias.shape());
    static const OpPtr op = std::make_shared<Linear>();
    const auto rows = [&](const Variable& input) {
        return bias.defined() ? call(op, {input, weight, bias}) : call(op, {input, weight});
    };
    if (x.rank() == 2) {
        return rows(x);
    }
    int64_t count = 1;
    for (int i = 0; i + 1 < x.rank(); ++i) {
        count *= x.dim(i);
    }
    return reshape(rows(reshape(x, Shape{count, x.dim(-1)})), x.shape().with(-1, weight.dim(0)));
}

}  // namespace backlight
