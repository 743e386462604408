// Batch norm, group norm and layer norm. With m elements a channel, x̂ = (x - μ) / √(σ² + e) and y = γ x̂ + β:
//   d_γ = Σ d_y x̂,   d_β = Σ d_y
//   d_x = γ / (m √(σ² + e)) (m d_y - Σ d_y - x̂ Σ d_y x̂)     statistics of the batch
//   d_x = γ d_y / √(σ² + e)                                  constant statistics
#include "autograd/functions.h"
#include "autograd/op.h"
#include "autograd/precision.h"
#include "core/error.h"

namespace backlight {
namespace {

std::vector<int> all_but_last(const Shape& shape) {
    std::vector<int> axes;
    for (int i = 0; i + 1 < shape.rank(); ++i) {
        axes.push_back(i);
    }
    return axes;
}

void check_channels(std::string_view who, const Variable& x, const Variable& scale, const Variable& shift) {
    BACKLIGHT_CHECK(x.rank() >= 2, who, ": expected a batch axis and channels, got ", x.shape());
    const Shape expected{x.dim(-1)};
    BACKLIGHT_CHECK(scale.shape() == expected && shift.shape() == expected, who, ": x of shape ", x.shape(),
                    " needs scale and shift of shape ", expected, ", got ", scale.shape(), " and ",
                    shift.shape());
    BACKLIGHT_CHECK(
        wide_type(x.dtype()) == scale.dtype() && scale.dtype() == shift.dtype() && is_floating(x.dtype()),
        who, ": expected equal floating types, got x ", x.dtype(), ", scale ", scale.dtype(), ", shift ",
        shift.dtype());
}

/// Images and residuals in bfloat16, scale and shift in float.
bool is_batch_of_bf16(Inputs inputs) {
    return inputs[0].dtype() == DType::bf16 && inputs[1].dtype() == DType::f32 &&
           inputs[2].dtype() == DType::f32 && (inputs.size() < 4 || inputs[3].dtype() == DType::bf16);
}

Variable inverse_deviation(const Variable& variance, double eps) { return reciprocal(sqrt(variance + eps)); }

/// Batch norm as the diagonal linear map that it is for constant statistics: weight k = γ / √(σ² + e), bias β
/// - μ k.
LinearView affine_view(const NodeView& node, double eps) {
    const Variable k = node.input(1) * inverse_deviation(node.kept(1), eps);
    return LinearView{
        .x = node.input(0),
        .weight = k,
        .bias = node.input(2) - Variable(node.kept(0)) * k,
        .input_axis = 0,
        .apply = [](const Variable& x, const Variable& weight) { return x * weight; },
        .adjoint = [](const Variable& s, const Variable& weight) { return s * weight; },
        .adjoint_params = [](const Variable& x,
                             const Variable& s) { return sum_to(x * s, Shape{x.dim(-1)}); },
    };
}

/// The map y = k x + b.
struct Affine {
    Tensor k;  // γ / √(σ² + e)
    Tensor b;  // β - μ k
};

Affine affine_of(const Variable& scale, const Variable& shift, const Tensor& mean, const Tensor& variance,
                 double eps) {
    const NoGrad off;
    const Variable k = scale.detach() * inverse_deviation(variance, eps);
    return {k.data(), (shift.detach() - Variable(mean) * k).data()};
}

/// k x + b, plus the residual if there is a fourth input; keeps {mean, variance}.
Forward affine_forward(Inputs inputs, const Tensor& mean, const Tensor& variance, double eps,
                       bool relu = false) {
    const Tensor& x = inputs[0].data();
    const Affine map = affine_of(inputs[1], inputs[2], mean, variance, eps);
    Tensor y = Tensor::empty_like(x);
    const Tensor residual = inputs.size() > 3 ? inputs[3].data() : Tensor();
    y.backend().channel_affine(x, map.k, map.b, residual, relu, y);
    return {y, {mean, variance}};
}

/// Gradients of x, scale and shift of that map, with the kept statistics constant.
Variables affine_vjp(const NodeView& node, const Variable& d_y, InputMask mask, double eps) {
    const Variable inv_std = inverse_deviation(node.kept(1), eps);
    Variables d(3);
    if (wants(mask, 0)) {
        d[0] = d_y * (node.input(1) * inv_std);
    }
    if (wants(mask, 1)) {
        d[1] = sum_to(d_y * ((node.input(0) - Variable(node.kept(0))) * inv_std), node.input_shape(1));
    }
    if (wants(mask, 2)) {
        d[2] = sum_to(d_y, node.input_shape(2));
    }
    return d;
}

/// With the statistics of the batch. Its LinearView treats them as constants. With `relu`, relu(y + residual)
/// is the output, the residual being the fourth input, if any: the sign of the output is the ReLU's mask.
/// Without a residual the output is an affine map of x away and nobody keeps it: half the activations of a
/// network of convolutions and batch norms, for one pass over memory in place of two reads of the mask.
class BatchNormTrain final : public Op {
public:
    explicit BatchNormTrain(double eps, bool relu = false) : eps_(eps), relu_(relu) {}
    [[nodiscard]] std::string_view kind() const override { return relu_ ? "batch_norm_relu" : "batch_norm"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0b111, relu_}; }
    [[nodiscard]] bool takes_bf16(Inputs inputs) const override { return is_batch_of_bf16(inputs); }
    [[nodiscard]] bool remakes_output(Inputs inputs) const override { return inputs.size() == 3; }
    [[nodiscard]] Tensor remake_output(const NodeView& node) const override {
        const Variable inputs[] = {node.input(0), node.input(1), node.input(2)};
        return affine_forward(inputs, node.kept(0), node.kept(1), eps_, relu_).value;
    }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        Tensor mean = Tensor::empty({x.dim(-1)}, wide_type(x.dtype()), x.device());
        Tensor variance = Tensor::empty_like(mean);
        x.backend().channel_statistics(x, mean, variance);
        return affine_forward(inputs, mean, variance, eps_, relu_);
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        if (!grad_enabled()) {
            return fused(node, d_y, mask);
        }
        return composite(node, relu_ ? where_positive(d_y, node.output().detach()) : d_y);
    }

    /// The affine map that it was for this batch.
    [[nodiscard]] Variables sample_vjp(const NodeView& node, const Variable& d_y,
                                       InputMask mask) const override {
        const Variable d = relu_ ? where_positive(d_y, node.output().detach()) : d_y;
        Variables sent = affine_vjp(node, d, mask, eps_);
        if (node.input_count() > 3) {
            sent.push_back(wants(mask, 3) ? d : Variable());
        }
        return sent;
    }

    [[nodiscard]] std::optional<LinearView> as_linear(const NodeView& node) const override {
        return relu_ ? std::nullopt : std::optional(affine_view(node, eps_));
    }

private:
    [[nodiscard]] Variables fused(const NodeView& node, const Variable& d_y, InputMask mask) const {
        const Tensor x = node.input(0).data();
        const Tensor inv_std = inverse_deviation(node.kept(1), eps_).data();
        Tensor d_x = Tensor::empty_like(x);
        Tensor d_scale = Tensor::empty_like(inv_std);
        Tensor d_shift = Tensor::empty_like(inv_std);
        const bool has_residual = node.input_count() > 3;
        Tensor d_residual = has_residual && wants(mask, 3) ? Tensor::empty_like(x) : Tensor();
        ReluMask relu;
        if (relu_ && has_residual) {
            relu.output = node.output().data();
        } else if (relu_) {
            relu.shift = affine_of(node.input(1), node.input(2), node.kept(0), node.kept(1), eps_).b;
        }
        x.backend().batch_norm_backward(x, d_y.data(), node.kept(0), inv_std, node.input(1).data(), relu, d_x,
                                        d_scale, d_shift, d_residual);
        Variables d{d_x, d_scale, d_shift};
        if (has_residual) {
            d.push_back(d_residual.defined() ? Variable(d_residual) : Variable());
        }
        return d;
    }

    /// The same in ops: the statistics are recomputed with their history, so that any order follows.
    [[nodiscard]] Variables composite(const NodeView& node, const Variable& d_y) const {
        const Variable x = node.input(0);
        const std::vector<int> axes = all_but_last(x.shape());
        const Variable centred = x - mean(x, axes);
        const Variable inv_std = inverse_deviation(mean(square(centred), axes), eps_);
        const Variable normalized = centred * inv_std;
        const Variable d_scale = sum(d_y * normalized, axes);
        const Variable d_shift = sum(d_y, axes);
        const double per_channel = static_cast<double>(std::max<int64_t>(x.dim(-1), 1)) /
                                   static_cast<double>(std::max<int64_t>(x.numel(), 1));
        const Variable d_x = node.input(1) * inv_std * (d_y - (d_shift + normalized * d_scale) * per_channel);
        Variables d{d_x, d_scale, d_shift};
        if (node.input_count() > 3) {
            d.push_back(d_y);
        }
        return d;
    }

    double eps_;
    bool relu_;
};

/// With given statistics.
class BatchNormAffine final : public Op {
public:
    BatchNormAffine(Tensor mean, Tensor variance, double eps)
        : mean_(std::move(mean)), variance_(std::move(variance)), eps_(eps) {}
    [[nodiscard]] std::string_view kind() const override { return "batch_norm"; }
    [[nodiscard]] Saves saves(InputMask differentiable) const override {
        return saves_of_product(differentiable);
    }
    [[nodiscard]] bool takes_bf16(Inputs inputs) const override { return is_batch_of_bf16(inputs); }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        return affine_forward(inputs, mean_, variance_, eps_);
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        return affine_vjp(node, d_y, mask, eps_);
    }
    [[nodiscard]] std::optional<LinearView> as_linear(const NodeView& node) const override {
        return affine_view(node, eps_);
    }

private:
    Tensor mean_, variance_;
    double eps_;
};

/// Over the channels of each position (layer norm), or over the positions and a group of channels of each
/// sample (group norm). Both are sums over axes 1 and 3 of a view (rows, P, G, C/G): layer norm's rows are
/// the positions.
class GroupNorm final : public Op {
public:
    /// `groups` 0: layer norm.
    GroupNorm(int64_t groups, double eps) : groups_(groups), eps_(eps) {}
    [[nodiscard]] std::string_view kind() const override {
        return groups_ == 0 ? "layer_norm" : "group_norm";
    }
    [[nodiscard]] Saves saves(InputMask) const override { return {0b011, false}; }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const NoGrad off;
        const Variable x = view(inputs[0].detach());
        const Variable mu = mean(x, {1, 3}, true);
        const Variable inv_std = inverse_deviation(mean(square(x - mu), {1, 3}, true), eps_);
        const Variable y = (x - mu) * inv_std * channels(inputs[1].detach()) + channels(inputs[2].detach());
        return {reshape(y, inputs[0].shape()).data(), {mu.data(), inv_std.data()}};
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        const Variable x = view(node.input(0));
        const Variable d = view(d_y);
        const Variable centred = x - mean(x, {1, 3}, true);
        const Variable inv_std = inverse_deviation(mean(square(centred), {1, 3}, true), eps_);
        const Variable normalized = centred * inv_std;
        Variables gradients(3);
        if (wants(mask, 0)) {
            const Variable d_normalized = d * channels(node.input(1));
            gradients[0] = reshape(inv_std * (d_normalized - mean(d_normalized, {1, 3}, true) -
                                              normalized * mean(d_normalized * normalized, {1, 3}, true)),
                                   node.input_shape(0));
        }
        if (wants(mask, 1)) {
            gradients[1] = reshape(sum(d * normalized, {0, 1}), node.input_shape(1));
        }
        if (wants(mask, 2)) {
            gradients[2] = reshape(sum(d, {0, 1}), node.input_shape(2));
        }
        return gradients;
    }

    /// Statistics constant: each element times γ / σ of its group, plus β - μ γ / σ. The weight has an
    /// element for each row and channel.
    [[nodiscard]] std::optional<LinearView> as_linear(const NodeView& node) const override {
        const Variable k = channels(node.input(1)) * Variable(node.kept(1));
        Shape shape = node.input_shape(0);
        if (groups_ != 0) {
            for (int i = 1; i + 1 < shape.rank(); ++i) {
                shape = shape.with(i, 1);
            }
        }
        return LinearView{
            .x = node.input(0),
            .weight = reshape(k, shape),
            .bias = reshape(channels(node.input(2)) - Variable(node.kept(0)) * k, shape),
            .input_axis = 0,
            .apply = [](const Variable& x, const Variable& weight) { return x * weight; },
            .adjoint = [](const Variable& s, const Variable& weight) { return s * weight; },
            .adjoint_params = [shape](const Variable& x,
                                      const Variable& s) { return sum_to(x * s, shape.with(0, x.dim(0))); },
        };
    }

private:
    [[nodiscard]] Variable view(const Variable& x) const {
        int64_t positions = 1;
        for (int i = groups_ == 0 ? 0 : 1; i + 1 < x.rank(); ++i) {
            positions *= x.dim(i);
        }
        return groups_ == 0 ? reshape(x, Shape{positions, 1, 1, x.dim(-1)})
                            : reshape(x, Shape{x.dim(0), positions, groups_, x.dim(-1) / groups_});
    }
    /// (C) -> (1, 1, G, C/G)
    [[nodiscard]] Variable channels(const Variable& v) const {
        const int64_t groups = std::max<int64_t>(groups_, 1);
        return reshape(v, Shape{1, 1, groups, v.dim(0) / groups});
    }

    int64_t groups_;
    double eps_;
};

}  // namespace

namespace {

Variable batch_norm_train(const OpPtr& op, const Variables& inputs, BatchStatistics& statistics) {
    const Variable& x = inputs[0];
    check_channels("batch_norm", x, inputs[1], inputs[2]);
    BACKLIGHT_CHECK(x.numel() > x.dim(-1) || x.numel() == 0,
                    "batch_norm: expected more than one value a channel in training, got ", x.shape());
    std::vector<Tensor> kept;
    Variable y = call(op, inputs, kept);
    statistics = {kept[0], kept[1]};
    return y;
}

}  // namespace

Variable batch_norm(const Variable& x, const Variable& scale, const Variable& shift, double eps,
                    BatchStatistics& statistics) {
    return batch_norm_train(std::make_shared<BatchNormTrain>(eps), {x, scale, shift}, statistics);
}

Variable batch_norm_relu(const Variable& x, const Variable& scale, const Variable& shift, double eps,
                         BatchStatistics& statistics, const Variable& residual) {
    Variables inputs{x, scale, shift};
    if (residual.defined()) {
        BACKLIGHT_CHECK(residual.shape() == x.shape() && wide_type(residual.dtype()) == wide_type(x.dtype()),
                        "batch_norm_relu: expected a residual of shape ", x.shape(), ", got ",
                        residual.shape());
        inputs.push_back(convert(residual, x.dtype()));
    }
    return batch_norm_train(std::make_shared<BatchNormTrain>(eps, true), inputs, statistics);
}

Variable batch_norm_affine(const Variable& x, const Variable& scale, const Variable& shift,
                           const Tensor& mean, const Tensor& variance, double eps) {
    check_channels("batch_norm", x, scale, shift);
    BACKLIGHT_CHECK(mean.shape() == scale.shape() && variance.shape() == scale.shape(),
                    "batch_norm: expected statistics of shape ", scale.shape(), ", got ", mean.shape(),
                    " and ", variance.shape());
    return call(std::make_shared<BatchNormAffine>(mean, variance, eps), {x, scale, shift});
}

Variable layer_norm(const Variable& x, const Variable& scale, const Variable& shift, double eps) {
    check_channels("layer_norm", x, scale, shift);
    return call(std::make_shared<GroupNorm>(0, eps), {x, scale, shift});
}

Variable group_norm(const Variable& x, int64_t groups, const Variable& scale, const Variable& shift,
                    double eps) {
    check_channels("group_norm", x, scale, shift);
    BACKLIGHT_CHECK(groups > 0 && x.dim(-1) % groups == 0, "group_norm: ", x.dim(-1),
                    " channels are not divisible into ", groups, " groups");
    return call(std::make_shared<GroupNorm>(groups, eps), {x, scale, shift});
}

}  // namespace backlight
