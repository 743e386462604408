// Ops that only move data. Each one's derivative moves it back: slice/pad, gather/scatter, permute/its
// inverse. Relevance is routed through them exactly like a gradient.
#include <algorithm>
#include <numeric>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"

namespace backlight {
namespace {

class Reshape final : public Op {
public:
    explicit Reshape(const Shape& shape) : shape_(shape) {}
    [[nodiscard]] std::string_view kind() const override { return "reshape"; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        return {inputs[0].data().reshape(shape_), {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {reshape(d_y, node.input_shape(0))};
    }

private:
    Shape shape_;
};

class Permute final : public Op {
public:
    explicit Permute(std::vector<int> axes) : axes_(std::move(axes)) {}
    [[nodiscard]] std::string_view kind() const override { return "permute"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        Shape shape;
        for (const int axis : axes_) {
            shape.push_back(x.dim(axis));
        }
        Tensor y = Tensor::empty(shape, x.dtype(), x.device());
        y.backend().permute(x, axes_, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView&, const Variable& d_y, InputMask) const override {
        std::vector<int> inverse(axes_.size());
        for (size_t i = 0; i < axes_.size(); ++i) {
            inverse[static_cast<size_t>(axes_[i])] = static_cast<int>(i);
        }
        return {permute(d_y, inverse)};
    }

private:
    std::vector<int> axes_;
};

class Slice final : public Op {
public:
    Slice(const Shape& start, const Shape& extents) : start_(start), extents_(extents) {}
    [[nodiscard]] std::string_view kind() const override { return "slice"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        Tensor y = Tensor::empty(extents_, x.dtype(), x.device());
        y.backend().slice(x, start_, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {pad(d_y, start_, node.input_shape(0))};
    }

private:
    Shape start_, extents_;
};

class Pad final : public Op {
public:
    Pad(const Shape& start, const Shape& extents) : start_(start), extents_(extents) {}
    [[nodiscard]] std::string_view kind() const override { return "pad"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        Tensor y = Tensor::empty(extents_, x.dtype(), x.device());
        y.backend().pad(x, start_, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {slice(d_y, start_, node.input_shape(0))};
    }

private:
    Shape start_, extents_;
};

class Concat final : public Op {
public:
    explicit Concat(int axis) : axis_(axis) {}
    [[nodiscard]] std::string_view kind() const override { return "concat"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        std::vector<Tensor> parts;
        int64_t extent = 0;
        for (const Variable& input : inputs) {
            parts.push_back(input.data());
            extent += input.dim(axis_);
        }
        Tensor y = Tensor::empty(parts[0].shape().with(axis_, extent), parts[0].dtype(), parts[0].device());
        y.backend().concat(parts, axis_, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        Variables d(static_cast<size_t>(node.input_count()));
        int64_t start = 0;
        for (int i = 0; i < node.input_count(); ++i) {
            const int64_t extent = node.input_shape(i)[axis_];
            if (wants(mask, i)) {
                d[static_cast<size_t>(i)] = slice(d_y, axis_, start, extent);
            }
            start += extent;
        }
        return d;
    }

private:
    int axis_;
};

/// Four ops that move by an index: rows of the first axis, or one element of each last-axis row; forth and
/// back.
class Indexed final : public Op {
public:
    enum class Direction { gather_rows, scatter_add_rows, gather_last, scatter_last };
    Indexed(Direction direction, Tensor index, const Shape& shape)
        : direction_(direction), index_(std::move(index)), shape_(shape) {}

    [[nodiscard]] std::string_view kind() const override {
        switch (direction_) {
            case Direction::gather_rows:
                return "gather_rows";
            case Direction::scatter_add_rows:
                return "scatter_add_rows";
            case Direction::gather_last:
                return "gather_last";
            case Direction::scatter_last:
                return "scatter_last";
        }
        return "";
    }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        Tensor y = Tensor::empty(shape_, x.dtype(), x.device());
        switch (direction_) {
            case Direction::gather_rows:
                y.backend().gather_rows(x, index_, y);
                break;
            case Direction::scatter_add_rows:
                y.backend().scatter_add_rows(x, index_, y);
                break;
            case Direction::gather_last:
                y.backend().gather_last(x, index_, y);
                break;
            case Direction::scatter_last:
                y.backend().scatter_last(x, index_, y);
                break;
        }
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        const Shape& x = node.input_shape(0);
        switch (direction_) {
            case Direction::gather_rows:
                return {scatter_add_rows(d_y, index_, x[0])};
            case Direction::scatter_add_rows:
                return {gather_rows(d_y, index_)};
            case Direction::gather_last:
                return {scatter_last(d_y, index_, x[-1])};
            case Direction::scatter_last:
                return {gather_last(d_y, index_)};
        }
        return {};
    }

private:
    Direction direction_;
    Tensor index_;
    Shape shape_;
};

/// Indices are data from outside: they are checked before a kernel trusts them.
void check_index(std::string_view who, const Tensor& index, int64_t bound) {
    BACKLIGHT_CHECK(index.dtype() == DType::i64, who, ": expected int64 indices, got ", index.dtype());
    for (const int64_t i : index.to_vector<int64_t>()) {
        BACKLIGHT_CHECK(i >= 0 && i < bound, who, ": index ", i, " is out of range 0..", bound - 1);
    }
}

void check_window(std::string_view who, const Shape& start, const Shape& inner, const Shape& outer) {
    BACKLIGHT_CHECK(start.rank() == outer.rank() && inner.rank() == outer.rank(), who, ": expected ",
                    outer.rank(), " axes, got start ", start, " and extents ", inner);
    for (int i = 0; i < outer.rank(); ++i) {
        BACKLIGHT_CHECK(start[i] >= 0 && inner[i] >= 0 && start[i] + inner[i] <= outer[i], who, ": ", inner,
                        " at ", start, " does not fit into ", outer);
    }
}

}  // namespace

Variable reshape(const Variable& x, const std::vector<int64_t>& extents) {
    return reshape(x, x.data().reshape(extents).shape());
}

Variable reshape(const Variable& x, const Shape& shape) {
    return x.shape() == shape ? x : call(std::make_shared<Reshape>(shape), {x});
}

Variable flatten(const Variable& x) {
    if (x.rank() == 2) {
        return x;
    }
    BACKLIGHT_CHECK(x.rank() >= 1, "flatten: expected a batch axis, got ", x.shape());
    const int64_t batch = x.dim(0);
    int64_t rest = 1;
    for (int i = 1; i < x.rank(); ++i) {
        rest *= x.dim(i);
    }
    return reshape(x, Shape{batch, rest});
}

Variable permute(const Variable& x, const std::vector<int>& axes) {
    std::vector<int> positive;
    for (const int axis : axes) {
        positive.push_back(x.shape().axis(axis));
    }
    std::vector<int> sorted = positive;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int> all(static_cast<size_t>(x.rank()));
    std::iota(all.begin(), all.end(), 0);
    BACKLIGHT_CHECK(sorted == all, "permute: expected each axis of ", x.shape(), " once");
    return positive == all ? x : call(std::make_shared<Permute>(positive), {x});
}

Variable transpose(const Variable& x) {
    BACKLIGHT_CHECK(x.rank() >= 2, "transpose: expected at least 2 axes, got ", x.shape());
    std::vector<int> axes(static_cast<size_t>(x.rank()));
    std::iota(axes.begin(), axes.end(), 0);
    std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
    return permute(x, axes);
}

Variable slice(const Variable& x, int axis, int64_t start, int64_t extent) {
    Shape from;
    for (int i = 0; i < x.rank(); ++i) {
        from.push_back(0);
    }
    return slice(x, from.with(axis, start), x.shape().with(axis, extent));
}

Variable slice(const Variable& x, const Shape& start, const Shape& extents) {
    check_window("slice", start, extents, x.shape());
    return extents == x.shape() ? x : call(std::make_shared<Slice>(start, extents), {x});
}

Variable pad(const Variable& x, const Shape& start, const Shape& extents) {
    check_window("pad", start, x.shape(), extents);
    return extents == x.shape() ? x : call(std::make_shared<Pad>(start, extents), {x});
}

Variable concat(const Variables& parts, int axis) {
    BACKLIGHT_CHECK(!parts.empty(), "concat: expected at least one part");
    const int positive = parts[0].shape().axis(axis);
    for (const Variable& part : parts) {
        BACKLIGHT_CHECK(part.rank() == parts[0].rank() && part.dtype() == parts[0].dtype() &&
                            part.shape().with(positive, 0) == parts[0].shape().with(positive, 0),
                        "concat: ", part.shape(), " does not fit ", parts[0].shape(), " along axis ", axis);
    }
    Variables joined = parts;
    while (joined.size() > 1) {  // once, unless there are more parts than an op can have inputs
        Variables groups;
        for (size_t first = 0; first < joined.size(); first += kMaxInputs) {
            const Inputs group = Inputs(joined).subspan(first, std::min(kMaxInputs, joined.size() - first));
            groups.push_back(group.size() == 1 ? group[0] : call(std::make_shared<Concat>(positive), group));
        }
        joined = std::move(groups);
    }
    return joined[0];
}

Variable gather_rows(const Variable& x, const Tensor& index) {
    check_index("gather_rows", index, x.dim(0));
    Shape shape = index.shape();
    for (int i = 1; i < x.rank(); ++i) {
        shape.push_back(x.dim(i));
    }
    return call(std::make_shared<Indexed>(Indexed::Direction::gather_rows, index, shape), {x});
}

Variable scatter_add_rows(const Variable& y, const Tensor& index, int64_t rows) {
    check_index("scatter_add_rows", index, rows);
    bool fits = y.rank() >= index.rank();
    for (int i = 0; fits && i < index.rank(); ++i) {
        fits = y.dim(i) == index.dim(i);
    }
    BACKLIGHT_CHECK(fits, "scatter_add_rows: expected one index a row of ", y.shape(), ", got ",
                    index.shape());
    Shape shape{rows};
    for (int i = index.rank(); i < y.rank(); ++i) {
        shape.push_back(y.dim(i));
    }
    return call(std::make_shared<Indexed>(Indexed::Direction::scatter_add_rows, index, shape), {y});
}

Variable gather_last(const Variable& x, const Tensor& index) {
    BACKLIGHT_CHECK(
        x.rank() >= 1 && index.shape() == Shape(x.shape().extents().first(static_cast<size_t>(x.rank() - 1))),
        "gather_last: expected one index a row of ", x.shape(), ", got ", index.shape());
    check_index("gather_last", index, x.dim(-1));
    return call(std::make_shared<Indexed>(Indexed::Direction::gather_last, index, index.shape()), {x});
}

Variable scatter_last(const Variable& y, const Tensor& index, int64_t extent) {
    BACKLIGHT_CHECK(y.shape() == index.shape(), "scatter_last: expected one index an element of ", y.shape(),
                    ", got ", index.shape());
    check_index("scatter_last", index, extent);
    Shape shape = y.shape();
    shape.push_back(extent);
    return call(std::make_shared<Indexed>(Indexed::Direction::scatter_last, index, shape), {y});
}

std::pair<Tensor, Tensor> top_k(const Tensor& x, int64_t k) {
    BACKLIGHT_CHECK(k >= 1 && k <= x.dim(-1), "top_k: expected 1 <= k <= ", x.dim(-1), ", got ", k);
    Tensor values = Tensor::empty(x.shape().with(-1, k), x.dtype(), x.device());
    Tensor index = Tensor::empty(values.shape(), DType::i64, x.device());
    x.backend().top_k(x, k, values, index);
    return {values, index};
}

}  // namespace backlight
