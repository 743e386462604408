// Pooling and resizing over NHWC.
//   max:     y[n,i,j,c] = max over (a,b) of x[n, i s + a - p, j s + b - p, c],   index = the winning tap a Kw
//   + b average: y[n,i,j,c] = mean over the window
// The gradient of max pooling scatters d_y through `index`, the gradient of that gathers through it. Ties go
// to the first element in row order, on every backend.
#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"

namespace backlight {
namespace {

void check_image(std::string_view who, const Shape& x) {
    BACKLIGHT_CHECK(x.rank() == 4, who, ": expected (N,H,W,C), got ", x);
}

class MaxPoolGather;

/// d_x = d_y put at the winners of the forward pass.
class MaxPoolScatter final : public Op {
public:
    MaxPoolScatter(const PoolAttrs& attrs, Tensor index, const Shape& x_shape)
        : attrs_(attrs), index_(std::move(index)), x_shape_(x_shape) {}
    [[nodiscard]] std::string_view kind() const override { return "max_pool_scatter"; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& d_y = inputs[0].data();
        Tensor d_x = Tensor::empty(x_shape_, d_y.dtype(), d_y.device());
        d_x.backend().max_pool_scatter(attrs_, d_y, index_, d_x);
        return {d_x, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d, InputMask mask) const override;

private:
    PoolAttrs attrs_;
    Tensor index_;
    Shape x_shape_;
};

/// y = x at the winners of the forward pass.
class MaxPoolGather final : public Op {
public:
    MaxPoolGather(const PoolAttrs& attrs, Tensor index) : attrs_(attrs), index_(std::move(index)) {}
    [[nodiscard]] std::string_view kind() const override { return "max_pool_gather"; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        Tensor y = Tensor::empty(index_.shape(), x.dtype(), x.device());
        y.backend().max_pool_gather(attrs_, x, index_, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {call(std::make_shared<MaxPoolScatter>(attrs_, index_, node.input_shape(0)), {d_y})};
    }

private:
    PoolAttrs attrs_;
    Tensor index_;
};

Variables MaxPoolScatter::vjp(const NodeView&, const Variable& d, InputMask) const {
    return {call(std::make_shared<MaxPoolGather>(attrs_, index_), {d})};
}

class MaxPool final : public Op {
public:
    explicit MaxPool(const PoolAttrs& attrs) : attrs_(attrs) {}
    [[nodiscard]] std::string_view kind() const override { return "max_pool2d"; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        check_image("max_pool2d", x.shape());
        BACKLIGHT_CHECK(is_floating(x.dtype()), "max_pool2d: expected a floating type, got ", x.dtype());
        BACKLIGHT_CHECK(attrs_.kernel[0] * attrs_.kernel[1] <= 256,
                        "max_pool2d: windows have at most 256 elements, got ", attrs_.kernel[0], " x ",
                        attrs_.kernel[1], "; use amax for larger ones");
        const Shape shape = pool_output_shape(attrs_, x.shape());
        Tensor y = Tensor::empty(shape, x.dtype(), x.device());
        Tensor index = Tensor::empty(shape, DType::u8, x.device());
        y.backend().max_pool(attrs_, x, y, index);
        return {y, {index}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {call(std::make_shared<MaxPoolScatter>(attrs_, node.kept(0), node.input_shape(0)), {d_y})};
    }
    [[nodiscard]] std::optional<WindowView> as_window(const NodeView& node) const override;

private:
    PoolAttrs attrs_;
};

/// A fixed linear map of images and its adjoint; each is the other's derivative.
class ImageMap final : public Op {
public:
    struct Kernels {
        std::string_view kind, adjoint_kind;
        std::function<void(Backend&, const Tensor&, Tensor&)> apply, adjoint;
    };
    ImageMap(std::shared_ptr<const Kernels> kernels, const Shape& output, bool is_adjoint)
        : kernels_(std::move(kernels)), output_(output), is_adjoint_(is_adjoint) {}
    [[nodiscard]] std::string_view kind() const override {
        return is_adjoint_ ? kernels_->adjoint_kind : kernels_->kind;
    }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        Tensor y = Tensor::empty(output_, x.dtype(), x.device());
        (is_adjoint_ ? kernels_->adjoint : kernels_->apply)(y.backend(), x, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {
            backlight::call(std::make_shared<ImageMap>(kernels_, node.input_shape(0), !is_adjoint_), {d_y})};
    }

private:
    std::shared_ptr<const Kernels> kernels_;
    Shape output_;
    bool is_adjoint_;
};

Variable image_map(const Variable& x, const Shape& output, ImageMap::Kernels kernels) {
    BACKLIGHT_CHECK(is_floating(x.dtype()), kernels.kind, ": expected a floating type, got ", x.dtype());
    return call(
        std::make_shared<ImageMap>(std::make_shared<ImageMap::Kernels>(std::move(kernels)), output, false),
        {x});
}

ImageMap::Kernels average_kernels(const PoolAttrs& attrs) {
    return {"avg_pool2d", "avg_pool2d_adjoint",
            [attrs](Backend& b, const Tensor& in, Tensor& out) { b.avg_pool(attrs, in, out); },
            [attrs](Backend& b, const Tensor& in, Tensor& out) { b.avg_pool_adjoint(attrs, in, out); }};
}

std::optional<WindowView> MaxPool::as_window(const NodeView& node) const {
    const auto average = std::make_shared<ImageMap::Kernels>(average_kernels(attrs_));
    const Shape from = node.input_shape(0);
    const Shape to = pool_output_shape(attrs_, from);
    return WindowView{
        .pick = [attrs = attrs_, index = node.kept(0)](
                    const Variable& x) { return call(std::make_shared<MaxPoolGather>(attrs, index), {x}); },
        .total = [average, to](
                     const Variable& x) { return call(std::make_shared<ImageMap>(average, to, false), {x}); },
        .spread =
            [average, from](const Variable& s) {
                return call(std::make_shared<ImageMap>(average, from, true), {s});
            }};
}

Shape resized(std::string_view who, const Variable& x, int64_t height, int64_t width) {
    check_image(who, x.shape());
    BACKLIGHT_CHECK(height > 0 && width > 0 && x.dim(1) > 0 && x.dim(2) > 0, who,
                    ": expected sizes > 0, got ", x.shape(), " to ", height, " x ", width);
    return x.shape().with(1, height).with(2, width);
}

}  // namespace

Variable max_pool2d(const Variable& x, const PoolAttrs& attrs) {
    return call(std::make_shared<MaxPool>(attrs), {x});
}

Variable avg_pool2d(const Variable& x, const PoolAttrs& attrs) {
    check_image("avg_pool2d", x.shape());
    return image_map(x, pool_output_shape(attrs, x.shape()), average_kernels(attrs));
}

Variable adaptive_avg_pool2d(const Variable& x, int64_t height, int64_t width) {
    return image_map(
        x, resized("adaptive_avg_pool2d", x, height, width),
        {"adaptive_avg_pool2d", "adaptive_avg_pool2d_adjoint",
         [](Backend& b, const Tensor& in, Tensor& out) { b.adaptive_avg_pool(in, out); },
         [](Backend& b, const Tensor& in, Tensor& out) { b.adaptive_avg_pool_adjoint(in, out); }});
}

Variable resize(const Variable& x, int64_t height, int64_t width, ResizeMode mode) {
    return image_map(
        x, resized("resize", x, height, width),
        {"resize", "resize_adjoint",
         [mode](Backend& b, const Tensor& in, Tensor& out) { b.resize(mode, in, out); },
         [mode](Backend& b, const Tensor& in, Tensor& out) { b.resize_adjoint(mode, in, out); }});
}

}  // namespace backlight
