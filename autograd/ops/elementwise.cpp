// Elementwise ops. Formulas of the values: core/backends/functors.h; derivatives: here, one line each.
#include <string>

#include "autograd/functions.h"
#include "autograd/op.h"
#include "core/error.h"
#include "core/passed_bits.h"

namespace backlight {
namespace {

Tensor unary_kernel(UnaryOp op, const Tensor& x, double p = 0) {
    Tensor y = Tensor::empty_like(x);
    y.backend().unary(op, x, p, y);
    return y;
}

Tensor binary_kernel(BinaryOp op, const Tensor& a, const Tensor& b, std::string_view who) {
    BACKLIGHT_CHECK(a.dtype() == b.dtype(), who, ": expected equal types, got ", a.dtype(), " and ",
                    b.dtype());
    BACKLIGHT_CHECK(a.device() == b.device(), who, ": expected tensors on one device, got ",
                    name_of(a.device()), " and ", name_of(b.device()));
    Tensor y = Tensor::empty(a.shape() == b.shape() ? a.shape() : broadcast_shapes(a.shape(), b.shape(), who),
                             a.dtype(), a.device());
    y.backend().binary(op, a, b, y);
    return y;
}

struct UnaryTraits {
    UnaryOp op;
    std::string_view kind;
    bool reads_input, reads_output;  // of its vjp
};

constexpr UnaryTraits kUnary[] = {
    {UnaryOp::negative, "negative", false, false},
    {UnaryOp::absolute, "abs", true, false},
    {UnaryOp::exp, "exp", false, true},
    {UnaryOp::log, "log", true, false},
    {UnaryOp::sqrt, "sqrt", false, true},
    {UnaryOp::square, "square", true, false},
    {UnaryOp::reciprocal, "reciprocal", false, true},
    {UnaryOp::sin, "sin", true, false},
    {UnaryOp::cos, "cos", true, false},
    {UnaryOp::tanh, "tanh", false, true},
    {UnaryOp::sigmoid, "sigmoid", false, true},
    {UnaryOp::erf, "erf", true, false},
    {UnaryOp::gelu, "gelu", true, false},
    {UnaryOp::silu, "silu", true, false},
    {UnaryOp::negative_part, "negative_part", true, false},
    {UnaryOp::add_scalar, "add_scalar", false, false},
    {UnaryOp::multiply_scalar, "multiply_scalar", false, false},
    {UnaryOp::power_scalar, "power_scalar", true, false},
    {UnaryOp::leaky_relu, "leaky_relu", true, false},
    {UnaryOp::elu, "elu", true, false},
    {UnaryOp::softplus, "softplus", true, false},
    {UnaryOp::stabilize, "stabilize", false, false},
    {UnaryOp::stabilize_clip, "stabilize_clip", true, false},
    {UnaryOp::clamp_min, "clamp_min", true, false},
    {UnaryOp::clamp_max, "clamp_max", true, false},
};

const UnaryTraits& traits_of(UnaryOp op) {
    for (const UnaryTraits& traits : kUnary) {
        if (traits.op == op) {
            return traits;
        }
    }
    throw_error("unary: this function has no derivative");
}

class Unary final : public Op {
public:
    Unary(UnaryOp op, double p) : traits_(traits_of(op)), p_(p) {}

    [[nodiscard]] std::string_view kind() const override { return traits_.kind; }
    [[nodiscard]] Saves saves(InputMask) const override {
        return {traits_.reads_input ? kAllInputs : InputMask{0}, traits_.reads_output};
    }

    [[nodiscard]] bool takes_bf16(Inputs) const override {  // what rounds nothing
        return traits_.op == UnaryOp::clamp_min || traits_.op == UnaryOp::clamp_max ||
               traits_.op == UnaryOp::negative;
    }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        BACKLIGHT_CHECK(is_floating(x.dtype()), kind(), ": expected a floating type, got ", x.dtype());
        return {unary_kernel(traits_.op, x, p_), {}};
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {derivative(node, d_y)};
    }

private:
    [[nodiscard]] Variable derivative(const NodeView& node, const Variable& d) const {
        const auto x = [&] { return node.input(0); };
        const auto y = [&] { return node.output(); };
        const auto masked = [&](UnaryOp condition) {
            return d * Variable(unary_kernel(condition, x().data()));
        };
        // d where x > 0, else d * other
        const auto branch = [&](const Variable& other) {
            return where(mask(UnaryOp::is_positive, x().data()), d, d * other);
        };
        switch (traits_.op) {
            case UnaryOp::negative:
                return -d;
            case UnaryOp::absolute:
                return masked(UnaryOp::sign);
            case UnaryOp::exp:
                return d * y();
            case UnaryOp::log:
                return d / x();
            case UnaryOp::sqrt:
                return d * 0.5 / y();
            case UnaryOp::square:
                return d * x() * 2.0;
            case UnaryOp::reciprocal:
                return -(d * square(y()));
            case UnaryOp::sin:
                return d * cos(x());
            case UnaryOp::cos:
                return -(d * sin(x()));
            case UnaryOp::tanh:
                return d * (1.0 - square(y()));
            case UnaryOp::sigmoid:
                return d * y() * (1.0 - y());
            case UnaryOp::erf:
                return d * exp(-square(x())) * 1.12837916709551257390;  // 2 / sqrt(pi)
            case UnaryOp::gelu: {                                       // Phi(x) + x phi(x)
                const Variable phi = exp(square(x()) * -0.5) * 0.39894228040143267794;
                return d * (erf(x() * 0.70710678118654752440) * 0.5 + 0.5 + x() * phi);
            }
            case UnaryOp::silu: {
                const Variable s = sigmoid(x());
                return d * (s + x() * s * (1.0 - s));
            }
            case UnaryOp::negative_part:
                return masked(UnaryOp::is_negative);
            case UnaryOp::add_scalar:
            case UnaryOp::stabilize:
                return d;
            case UnaryOp::multiply_scalar:
                return d * p_;
            case UnaryOp::power_scalar:
                return d * pow(x(), p_ - 1) * p_;
            case UnaryOp::leaky_relu:
                return branch(Tensor::scalar(p_, d.dtype(), d.data().device()));
            case UnaryOp::elu:
                return branch(exp(negative_part(x())) * p_);  // exp x would overflow where x is not read
            case UnaryOp::softplus:
                return d * sigmoid(x() * p_);
            case UnaryOp::stabilize_clip: {  // moves with x only outside the clipped band
                const Tensor beyond =
                    unary_kernel(UnaryOp::add_scalar, unary_kernel(UnaryOp::absolute, x().data()), -p_);
                return where_positive(d, beyond);
            }
            case UnaryOp::clamp_min:
                return where_positive(d, unary_kernel(UnaryOp::add_scalar, x().data(), -p_));
            case UnaryOp::clamp_max:
                return where_positive(
                    d, unary_kernel(UnaryOp::negative, unary_kernel(UnaryOp::add_scalar, x().data(), -p_)));
            default:
                throw_error("unary: this function has no derivative");
        }
    }

    const UnaryTraits& traits_;
    double p_;
};

/// Zeros where a rectifier did not pass. Linear, and its own adjoint.
class Gate final : public Op {
public:
    explicit Gate(Tensor passed) : passed_(std::move(passed)) {}
    [[nodiscard]] std::string_view kind() const override { return "gate"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        Tensor y = Tensor::empty_like(inputs[0].data());
        y.backend().gate(inputs[0].data(), passed_, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView&, const Variable& d_y, InputMask) const override {
        return {call(std::make_shared<Gate>(passed_), {d_y})};
    }

private:
    Tensor passed_;
};

/// max(x, 0), also min(max(x, 0), 6). Its derivative reads one bit an element, which is all that is kept. A
/// recording keeps x and makes the output again for who reads it.
class Rectify final : public Op {
public:
    Rectify(UnaryOp op, std::string_view kind) : op_(op), kind_(kind) {}
    [[nodiscard]] std::string_view kind() const override { return kind_; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] bool takes_bf16(Inputs) const override { return true; }
    [[nodiscard]] bool remakes_output(Inputs) const override { return true; }
    [[nodiscard]] Tensor remake_output(const NodeView& node) const override {
        return unary_kernel(op_, node.input(0).data());
    }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& x = inputs[0].data();
        BACKLIGHT_CHECK(is_floating(x.dtype()), kind_, ": expected a floating type, got ", x.dtype());
        if (!grad_enabled() || !inputs[0].requires_grad()) {
            return {unary_kernel(op_, x), {}};
        }
        Tensor y = Tensor::empty_like(x);
        Tensor passed = Tensor::empty({PassedBits::bytes(x.numel())}, DType::u8, x.device());
        y.backend().rectify(op_, x, y, passed);
        return {y, {passed}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask) const override {
        return {call(std::make_shared<Gate>(node.kept(0)), {d_y})};
    }

private:
    UnaryOp op_;
    std::string_view kind_;
};

struct BinaryTraits {
    BinaryOp op;
    std::string_view kind;
    InputMask reads_inputs;
    bool reads_output;
};

constexpr BinaryTraits kBinary[] = {
    {BinaryOp::add, "add", 0, false},
    {BinaryOp::subtract, "subtract", 0, false},
    {BinaryOp::multiply, "multiply", 0b11, false},
    {BinaryOp::divide, "divide", 0b10, true},
    {BinaryOp::power, "power", 0b11, true},
    {BinaryOp::maximum, "maximum", 0b11, false},
    {BinaryOp::minimum, "minimum", 0b11, false},
    {BinaryOp::divide_or_zero, "divide_or_zero", 0b10, true},
    {BinaryOp::where_positive, "where_positive", 0b10, false},
};

class Binary final : public Op {
public:
    explicit Binary(const BinaryTraits& traits) : traits_(traits) {}

    [[nodiscard]] std::string_view kind() const override { return traits_.kind; }
    [[nodiscard]] Saves saves(InputMask differentiable) const override {
        return traits_.op == BinaryOp::multiply ? saves_of_product(differentiable)
                                                : Saves{traits_.reads_inputs, traits_.reads_output};
    }
    [[nodiscard]] bool takes_bf16(Inputs inputs) const override {
        return inputs[0].dtype() == inputs[1].dtype() && inputs[0].shape() == inputs[1].shape() &&
               (traits_.op == BinaryOp::add || traits_.op == BinaryOp::subtract ||
                traits_.op == BinaryOp::where_positive);
    }

    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor& a = inputs[0].data();
        BACKLIGHT_CHECK(is_floating(a.dtype()), kind(), ": expected a floating type, got ", a.dtype());
        return {binary_kernel(traits_.op, a, inputs[1].data(), kind()), {}};
    }

    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        Variables d(2);
        if (wants(mask, 0)) {
            d[0] = sum_to(derivative_a(node, d_y), node.input_shape(0));
        }
        if (wants(mask, 1) && traits_.op != BinaryOp::where_positive) {  // the gate is constant
            d[1] = sum_to(derivative_b(node, d_y), node.input_shape(1));
        }
        return d;
    }

private:
    [[nodiscard]] Variable derivative_a(const NodeView& node, const Variable& d) const {
        const auto a = [&] { return node.input(0); };
        const auto b = [&] { return node.input(1); };
        switch (traits_.op) {
            case BinaryOp::multiply:
                return d * b();
            case BinaryOp::divide:
                return d / b();
            case BinaryOp::power:
                return d * b() * pow(a(), b() - 1.0);
            case BinaryOp::maximum:
                return d * Variable(compare(BinaryOp::greater, a().data(), b().data()));
            case BinaryOp::minimum:
                return d * Variable(compare(BinaryOp::less, a().data(), b().data()));
            case BinaryOp::divide_or_zero:
                return divide_or_zero(d, b());
            case BinaryOp::where_positive:
                return where_positive(d, b().detach());
            default:
                return d;  // add, subtract
        }
    }

    [[nodiscard]] Variable derivative_b(const NodeView& node, const Variable& d) const {
        const auto a = [&] { return node.input(0); };
        const auto b = [&] { return node.input(1); };
        switch (traits_.op) {
            case BinaryOp::subtract:
                return -d;
            case BinaryOp::multiply:
                return d * a();
            case BinaryOp::divide:
                return -(d * node.output() / b());
            case BinaryOp::power:
                return d * node.output() * log(a());
            case BinaryOp::maximum:
                return d * Variable(compare(BinaryOp::less_equal, a().data(), b().data()));
            case BinaryOp::minimum:
                return d * Variable(compare(BinaryOp::greater_equal, a().data(), b().data()));
            case BinaryOp::divide_or_zero:
                return -divide_or_zero(d * node.output(), b());
            default:
                return d;  // add
        }
    }

    const BinaryTraits& traits_;
};

/// y = factor a / stab(b) on equal shapes. d y/d b = -y / stab(b), clipped 0 where |b| <= eps.
class DivideStabilized final : public Op {
public:
    explicit DivideStabilized(const StabilizedAttrs& attrs) : attrs_(attrs) {}
    [[nodiscard]] std::string_view kind() const override { return "divide_stabilized"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {.inputs = 0b10, .output = true}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        const Tensor &a = inputs[0].data(), &b = inputs[1].data();
        BACKLIGHT_CHECK(a.shape() == b.shape() && a.dtype() == b.dtype() && is_floating(a.dtype()),
                        "divide_stabilized: expected floating tensors of one shape and type, got ", a.shape(),
                        " ", a.dtype(), " and ", b.shape(), " ", b.dtype());
        Tensor y = Tensor::empty_like(a);
        y.backend().divide_stabilized(attrs_, a, b, y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const override {
        const Variable b = node.input(1);
        Variables d(2);
        if (wants(mask, 0)) {
            d[0] = divide_stabilized(d_y, b, attrs_);
        }
        if (wants(mask, 1)) {
            d[1] = divide_stabilized(d_y * node.output(), b,
                                     {.eps = attrs_.eps, .factor = -1, .clip = attrs_.clip});
            if (attrs_.clip) {
                const Tensor size = unary_kernel(UnaryOp::absolute, b.data());
                d[1] = where_positive(d[1], unary_kernel(UnaryOp::add_scalar, size, -attrs_.eps));
            }
        }
        return d;
    }

private:
    StabilizedAttrs attrs_;
};

/// y = condition ? a : b on equal shapes.
class Where final : public Op {
public:
    explicit Where(Tensor condition) : condition_(std::move(condition)) {}
    [[nodiscard]] std::string_view kind() const override { return "where"; }
    [[nodiscard]] Saves saves(InputMask) const override { return {0, false}; }
    [[nodiscard]] Forward forward(Inputs inputs) const override {
        Tensor y = Tensor::empty_like(inputs[0].data());
        y.backend().select(condition_, inputs[0].data(), inputs[1].data(), y);
        return {y, {}};
    }
    [[nodiscard]] Variables vjp(const NodeView&, const Variable& d_y, InputMask) const override {
        const Variable zero = Tensor::zeros(d_y.shape(), d_y.dtype(), d_y.data().device());
        return {where(condition_, d_y, zero), where(condition_, zero, d_y)};
    }

private:
    Tensor condition_;
};

template <size_t I>
const OpPtr& shared_binary() {
    static const OpPtr op = std::make_shared<Binary>(kBinary[I]);
    return op;
}

/// Ops without a parameter are made once.
template <UnaryOp kOp>
Variable unary(const Variable& x) {
    static const OpPtr op = std::make_shared<Unary>(kOp, 0.0);
    return call(op, {x});
}

Variable unary(UnaryOp op, const Variable& x, double p) { return call(std::make_shared<Unary>(op, p), {x}); }

}  // namespace

Tensor compare(BinaryOp op, const Tensor& a, const Tensor& b) { return binary_kernel(op, a, b, "compare"); }

Tensor mask(UnaryOp op, const Tensor& x) { return unary_kernel(op, x); }

Variable operator+(const Variable& a, const Variable& b) { return call(shared_binary<0>(), {a, b}); }
Variable operator-(const Variable& a, const Variable& b) { return call(shared_binary<1>(), {a, b}); }
Variable operator*(const Variable& a, const Variable& b) { return call(shared_binary<2>(), {a, b}); }
Variable operator/(const Variable& a, const Variable& b) { return call(shared_binary<3>(), {a, b}); }
Variable pow(const Variable& a, const Variable& b) { return call(shared_binary<4>(), {a, b}); }
Variable maximum(const Variable& a, const Variable& b) { return call(shared_binary<5>(), {a, b}); }
Variable minimum(const Variable& a, const Variable& b) { return call(shared_binary<6>(), {a, b}); }
Variable divide_or_zero(const Variable& a, const Variable& b) { return call(shared_binary<7>(), {a, b}); }
bool any_where_not_positive(const Tensor& x, const Tensor& z) {
    BACKLIGHT_CHECK(x.shape() == z.shape() && x.dtype() == z.dtype(),
                    "any_where_not_positive: expected equal shapes and types, got ", x.shape(), " ", x.dtype(),
                    " and ", z.shape(), " ", z.dtype());
    return x.backend().any_where_not_positive(x, z);
}
Variable where_positive(const Variable& a, const Variable& gate) {
    return call(shared_binary<8>(), {a, gate});
}

Variable where(const Tensor& condition, const Variable& a, const Variable& b) {
    const Shape shape =
        broadcast_shapes(condition.shape(), broadcast_shapes(a.shape(), b.shape(), "where"), "where");
    BACKLIGHT_CHECK(a.dtype() == b.dtype() && condition.dtype() == a.dtype(),
                    "where: expected equal types, got ", condition.dtype(), ", ", a.dtype(), " and ",
                    b.dtype());
    const Tensor full = broadcast_to(Variable(condition), shape).data();
    return call(std::make_shared<Where>(full), {broadcast_to(a, shape), broadcast_to(b, shape)});
}

Variable operator+(const Variable& a, double b) { return unary(UnaryOp::add_scalar, a, b); }
Variable operator-(const Variable& a, double b) { return unary(UnaryOp::add_scalar, a, -b); }
Variable operator*(const Variable& a, double b) { return unary(UnaryOp::multiply_scalar, a, b); }
Variable operator/(const Variable& a, double b) { return unary(UnaryOp::multiply_scalar, a, 1.0 / b); }
Variable operator+(double a, const Variable& b) { return b + a; }
Variable operator-(double a, const Variable& b) { return -b + a; }
Variable operator*(double a, const Variable& b) { return b * a; }
Variable operator/(double a, const Variable& b) { return reciprocal(b) * a; }
Variable operator-(const Variable& a) { return unary<UnaryOp::negative>(a); }

Variable abs(const Variable& x) { return unary<UnaryOp::absolute>(x); }
Variable exp(const Variable& x) { return unary<UnaryOp::exp>(x); }
Variable log(const Variable& x) { return unary<UnaryOp::log>(x); }
Variable sqrt(const Variable& x) { return unary<UnaryOp::sqrt>(x); }
Variable square(const Variable& x) { return unary<UnaryOp::square>(x); }
Variable reciprocal(const Variable& x) { return unary<UnaryOp::reciprocal>(x); }
Variable sin(const Variable& x) { return unary<UnaryOp::sin>(x); }
Variable cos(const Variable& x) { return unary<UnaryOp::cos>(x); }
Variable erf(const Variable& x) { return unary<UnaryOp::erf>(x); }
Variable relu(const Variable& x) {
    static const OpPtr op = std::make_shared<Rectify>(UnaryOp::relu, "relu");
    return call(op, {x});
}
Variable relu6(const Variable& x) {
    static const OpPtr op = std::make_shared<Rectify>(UnaryOp::relu6, "relu6");
    return call(op, {x});
}
Variable gelu(const Variable& x) { return unary<UnaryOp::gelu>(x); }
Variable silu(const Variable& x) { return unary<UnaryOp::silu>(x); }
Variable sigmoid(const Variable& x) { return unary<UnaryOp::sigmoid>(x); }
Variable tanh(const Variable& x) { return unary<UnaryOp::tanh>(x); }
Variable negative_part(const Variable& x) { return unary<UnaryOp::negative_part>(x); }
Variable positive_part(const Variable& x) {
    static const OpPtr op = std::make_shared<Rectify>(UnaryOp::relu, "positive_part");
    return call(op, {x});
}

Variable pow(const Variable& x, double exponent) {
    if (exponent == 0) {
        return Tensor::ones(x.shape(), x.dtype(), x.data().device());
    }
    return unary(UnaryOp::power_scalar, x, exponent);
}
Variable leaky_relu(const Variable& x, double slope) { return unary(UnaryOp::leaky_relu, x, slope); }
Variable elu(const Variable& x, double alpha) { return unary(UnaryOp::elu, x, alpha); }
Variable softplus(const Variable& x, double beta) { return unary(UnaryOp::softplus, x, beta); }
Variable clamp(const Variable& x, double low, double high) {
    BACKLIGHT_CHECK(low <= high, "clamp: expected low <= high, got ", low, " and ", high);
    return unary(UnaryOp::clamp_max, unary(UnaryOp::clamp_min, x, low), high);
}
Variable stabilize(const Variable& x, double eps) { return unary(UnaryOp::stabilize, x, eps); }
Variable stabilize_clip(const Variable& x, double eps) { return unary(UnaryOp::stabilize_clip, x, eps); }
Variable divide_stabilized(const Variable& a, const Variable& b, const StabilizedAttrs& attrs) {
    return call(std::make_shared<DivideStabilized>(attrs), {a, b});
}

}  // namespace backlight
