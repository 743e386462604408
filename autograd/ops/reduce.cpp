// Sums, maxima and their adjoints. The vjp of a sum is a broadcast, and the vjp of a broadcast is a sum.
#include <algorithm>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"

namespace backlight {
namespace {

AxisMask mask_of(const Shape& shape, const std::vector<int>& axes) {
    if (axes.empty()) {
        return (AxisMask{1} << shape.rank()) - 1;
    }
    AxisMask mask = 0;
    for (const int axis : axes) {
        mask |= AxisMask{1} << shape.axis(axis);
    }
    return mask;
}

Shape reduced_shape(const Shape& shape, AxisMask mask, bool keep) {
    Shape reduced;
    for (int i = 0; i < shape.rank(); ++i) {
        const bool gone = ((mask >> i) & 1U) != 0;
        if (!gone || keep) {
            reduced.push_back(gone ? 1 : shape[i]);
        }
    }
    return reduced;
}

Tensor reduce_kernel(ReduceOp op, const Tensor& x, AxisMask mask) {
    Tensor y = Tensor::empty(reduced_shape(x.shape(), mask, true), wide_type(x.dtype()), x.device());
    y.backend().reduce(op, x, mask, y);
    return y;
}

class Sum final : public Op {
public:
    explicit Sum(AxisMask mask) : mask_(mask) {}
    [[nodiscard]] std::string_view kind() const override { return "sum"; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }  // the sum is float
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        BACKLIGHT_CHECK(is_floating(inputs[0].dtype()), "sum: expected a floating type, got ",
                        inputs[0].dtype());
        return {reduce_kernel(ReduceOp::sum, inputs[0].data(), mask_), {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {broadcast_to(d_y, node.input_shape(0))};
    }

private:
    AxisMask mask_;
};

class Broadcast final : public Op {
public:
    explicit Broadcast(const Shape& shape) : shape_(shape) {}
    [[nodiscard]] std::string_view kind() const override { return "broadcast"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        BACKLIGHT_CHECK(broadcast_shapes(x.shape(), shape_, "broadcast_to") == shape_,
                        "broadcast_to: ", x.shape(), " does not stretch to ", shape_);
        Tensor y = Tensor::empty(shape_, x.dtype(), x.device());
        y.backend().broadcast(x, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {sum_to(d_y, node.input_shape(0))};
    }

private:
    Shape shape_;
};

/// y = max (or min) over axes. With m = 1[x = y] and n = sum of m over the axes: d_x = m d_y / n.
class Extreme final : public Op {
public:
    Extreme(ReduceOp op, AxisMask mask) : op_(op), mask_(mask) {}
    [[nodiscard]] std::string_view kind() const override {
        return op_ == ReduceOp::maximum ? "amax" : "amin";
    }
    [[nodiscard]] Saves saves(InputMask) const override { return {kAllInputs, true}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        BACKLIGHT_CHECK(is_floating(inputs[0].dtype()), kind(), ": expected a floating type, got ",
                        inputs[0].dtype());
        BACKLIGHT_CHECK(inputs[0].numel() > 0, kind(), ": expected at least one element, got ",
                        inputs[0].shape());
        return {reduce_kernel(op_, inputs[0].data(), mask_), {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        const Tensor hit = compare(BinaryOp::equal, node.input(0).data(), node.output().data());
        const Tensor count = reduce_kernel(ReduceOp::sum, hit, mask_);
        return {Variable(hit) * (d_y / Variable(count))};
    }

private:
    ReduceOp op_;
    AxisMask mask_;
};

Variable reduce_op(const OpPtr& op, const Variable& x, AxisMask mask, bool keep) {
    Variable y = call(op, {x});
    return keep ? y : reshape(y, reduced_shape(x.shape(), mask, false));
}

}  // namespace

Variable sum(const Variable& x, const std::vector<int>& axes, bool keep) {
    const AxisMask mask = mask_of(x.shape(), axes);
    return reduce_op(std::make_shared<Sum>(mask), x, mask, keep);
}

Variable mean(const Variable& x, const std::vector<int>& axes, bool keep) {
    const Variable total = sum(x, axes, keep);
    const double count =
        static_cast<double>(x.numel()) / static_cast<double>(std::max<int64_t>(total.numel(), 1));
    return total * (1.0 / count);
}

Variable amax(const Variable& x, const std::vector<int>& axes, bool keep) {
    const AxisMask mask = mask_of(x.shape(), axes);
    return reduce_op(std::make_shared<Extreme>(ReduceOp::maximum, mask), x, mask, keep);
}

Variable amin(const Variable& x, const std::vector<int>& axes, bool keep) {
    const AxisMask mask = mask_of(x.shape(), axes);
    return reduce_op(std::make_shared<Extreme>(ReduceOp::minimum, mask), x, mask, keep);
}

Variable sum_to(const Variable& x, const Shape& shape) {
    if (x.shape() == shape) {
        return x;
    }
    const int lead = x.rank() - shape.rank();
    AxisMask mask = 0;
    for (int i = 0; i < x.rank(); ++i) {
        if (i < lead || (shape[i - lead] == 1 && x.dim(i) != 1)) {
            mask |= AxisMask{1} << i;
        }
    }
    return reshape(mask == 0 ? x : call(std::make_shared<Sum>(mask), {x}), shape);
}

Variable broadcast_to(const Variable& x, const Shape& shape) {
    return x.shape() == shape ? x : call(std::make_shared<Broadcast>(shape), {x});
}

Tensor argmax(const Tensor& x, int axis) {
    const int positive = x.shape().axis(axis);
    BACKLIGHT_CHECK(x.dim(positive) > 0, "argmax: axis ", axis, " of ", x.shape(), " is empty");
    Shape shape;
    for (int i = 0; i < x.rank(); ++i) {
        if (i != positive) {
            shape.push_back(x.dim(i));
        }
    }
    Tensor y = Tensor::empty(shape, DType::i64, x.device());
    y.backend().arg_reduce(ArgReduceOp::argmax, x, positive, y);
    return y;
}

}  // namespace backlight
