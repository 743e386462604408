// Elementwise ops: one and two inputs, broadcasting, selections.
#include "core/error.h"
#include "tests/autograd/op_cases.h"

namespace backlight::test {
namespace {

struct Pair {
    const char* name;
    Shape a, b;
};

const std::vector<Pair>& pairs() {
    static const std::vector<Pair> all = {
        {"equal shapes", {2, 3}, {2, 3}}, {"a row stretches", {2, 3, 4}, {4}},
        {"both stretch", {3, 1}, {1, 4}}, {"extents of 1 in the middle", {2, 1, 3}, {2, 2, 1}},
        {"a scalar", {}, {2, 2}},         {"two scalars", {}, {}},
        {"empty batch", {0, 3}, {3}},
    };
    return all;
}

using Binary = Variable (*)(const Variable&, const Variable&);

/// The function on every pair of shapes; `a` and `b` say where elements are drawn, their shapes are replaced.
void binary(std::vector<OpCase>& cases, const std::string& op, Binary f, const Draw& a, const Draw& b) {
    for (const Pair& pair : pairs()) {
        Draw first = a;
        Draw second = b;
        first.shape = pair.a;
        second.shape = pair.b;
        cases.push_back({op, pair.name, {first, second}, [f](const Variables& v) { return f(v[0], v[1]); }});
    }
    Draw twice = a;
    twice.shape = {2, 3};
    if (a.lattice == 0 && a.low == b.low && a.high == b.high && a.kinks == b.kinks) {
        cases.push_back(
            {op, "one variable twice", {twice}, [f](const Variables& v) { return f(v[0], v[0]); }});
    }
}

void unary(std::vector<OpCase>& cases, const std::string& op, const std::string& variant, const Draw& input,
           std::function<Variable(const Variable&)> f) {
    const auto run = [f](const Variables& v) { return f(v[0]); };
    for (const Shape& shape : {Shape{2, 5}, Shape{}, Shape{3, 1, 2}, Shape{0, 4}}) {
        Draw drawn = input;
        drawn.shape = shape;
        cases.push_back(
            {op, concat_text(variant, variant.empty() ? "" : ", ", "shape ", shape), {drawn}, run});
    }
}

/// Larger than one vector register and not a multiple of it; large enough for several threads.
void odd_sizes(std::vector<OpCase>& cases) {
    const Draw line{.shape = {37}};
    cases.push_back(
        {"operator*", "37 elements", {line, line}, [](const Variables& v) { return v[0] * v[1]; }});
    cases.push_back({"exp", "37 elements", {line}, [](const Variables& v) { return exp(v[0]); }});
    cases.push_back({"relu", "37 elements", {{.shape = {37}, .kinks = {0}}}, [](const Variables& v) {
                         return relu(v[0]);
                     }});
}

}  // namespace

void add_elementwise_cases(std::vector<OpCase>& cases) {
    const Draw any{};
    const Draw not_zero{.kinks = {0}, .margin = 0.3};
    const Draw off_zero{.kinks = {0}};
    const Draw positive{.low = 0.4, .high = 2.0};
    const Draw even{.lattice = 0.2};
    const Draw odd{.lattice = 0.2, .phase = 0.5};

    binary(cases, "operator+", operator+, any, any);
    binary(cases, "operator-", operator-, any, any);
    binary(cases, "operator*", operator*, any, any);
    binary(cases, "operator/", operator/, not_zero, not_zero);
    binary(cases, "pow", pow, positive, any);
    binary(cases, "maximum", maximum, even, odd);
    binary(cases, "minimum", minimum, even, odd);
    binary(cases, "divide_or_zero", divide_or_zero, any, not_zero);
    binary(cases, "where_positive", where_positive, any, off_zero);
    for (const bool clip : {false, true}) {
        const Draw below = clip ? Draw{.shape = {2, 5}, .kinks = {-0.5, 0, 0.5}, .margin = 0.1}
                                : Draw{.shape = {2, 5}, .kinks = {0}};
        cases.push_back({"divide_stabilized",
                         clip ? "clip" : "add",
                         {{.shape = {2, 5}}, below},
                         [clip](const Variables& v) {
                             return divide_stabilized(v[0], v[1], {.eps = 0.5, .factor = -1.5, .clip = clip});
                         }});
    }
    cases.push_back({"divide_or_zero", "zeros below stay zero", {{.shape = {2, 3}}}, [](const Variables& v) {
                         return divide_or_zero(v[0], constant_like(v[0], {0.5, 0, -2}, {3}));
                     }});
    cases.push_back(
        {"where", "broadcast condition", {{.shape = {2, 3}}, {.shape = {3}}}, [](const Variables& v) {
             return where(constant_like(v[0], {1, 0}, {2, 1}), v[0], v[1]);
         }});
    cases.push_back({"where", "equal shapes", {{.shape = {2, 2}}, {.shape = {2, 2}}}, [](const Variables& v) {
                         return where(constant_like(v[0], {1, 0, 0, 5}, {2, 2}), v[0] * v[1], square(v[1]));
                     }});

    unary(cases, "operator+", "number", any, [](const Variable& x) { return (x + 0.75) * (2.0 + x); });
    unary(cases, "operator-", "number", any, [](const Variable& x) { return (x - 0.75) * (2.0 - x); });
    unary(cases, "operator*", "number", any, [](const Variable& x) { return x * -1.25 + square(0.5 * x); });
    unary(cases, "operator/", "number", not_zero, [](const Variable& x) { return x / 0.7 + 1.5 / x; });
    unary(cases, "operator-", "negative", any, [](const Variable& x) { return -x; });
    unary(cases, "abs", "", off_zero, [](const Variable& x) { return abs(x); });
    unary(cases, "exp", "", any, [](const Variable& x) { return exp(x); });
    unary(cases, "log", "", positive, [](const Variable& x) { return log(x); });
    unary(cases, "sqrt", "", positive, [](const Variable& x) { return sqrt(x); });
    unary(cases, "square", "", any, [](const Variable& x) { return square(x); });
    unary(cases, "reciprocal", "", not_zero, [](const Variable& x) { return reciprocal(x); });
    unary(cases, "sin", "", any, [](const Variable& x) { return sin(x); });
    unary(cases, "cos", "", any, [](const Variable& x) { return cos(x); });
    unary(cases, "pow", "cube, negative base too", any, [](const Variable& x) { return pow(x, 3.0); });
    unary(cases, "pow", "exponent 1", any, [](const Variable& x) { return pow(x, 1.0); });
    unary(cases, "pow", "exponent -1.5", positive, [](const Variable& x) { return pow(x, -1.5); });
    unary(cases, "pow", "exponent 0 beside x", any, [](const Variable& x) { return x + pow(x, 0.0); });
    unary(cases, "erf", "", any, [](const Variable& x) { return erf(x); });
    unary(cases, "relu", "", off_zero, [](const Variable& x) { return relu(x); });
    unary(cases, "relu6", "", {.low = -3, .high = 9, .kinks = {0, 6}},
          [](const Variable& x) { return relu6(x); });
    unary(cases, "leaky_relu", "slope 0.2", off_zero, [](const Variable& x) { return leaky_relu(x, 0.2); });
    unary(cases, "leaky_relu", "slope -0.5", off_zero, [](const Variable& x) { return leaky_relu(x, -0.5); });
    unary(cases, "elu", "alpha 0.7", off_zero, [](const Variable& x) { return elu(x, 0.7); });
    unary(cases, "softplus", "", any, [](const Variable& x) { return softplus(x); });
    unary(cases, "softplus", "beta 3", any, [](const Variable& x) { return softplus(x, 3.0); });
    unary(cases, "gelu", "", any, [](const Variable& x) { return gelu(x); });
    unary(cases, "silu", "", any, [](const Variable& x) { return silu(x); });
    unary(cases, "sigmoid", "", any, [](const Variable& x) { return sigmoid(x); });
    unary(cases, "tanh", "", any, [](const Variable& x) { return tanh(x); });
    unary(cases, "clamp", "", {.low = -2, .high = 2, .kinks = {-1, 0.5}},
          [](const Variable& x) { return clamp(x, -1.0, 0.5); });
    unary(cases, "positive_part", "", off_zero, [](const Variable& x) { return positive_part(x); });
    unary(cases, "negative_part", "", off_zero, [](const Variable& x) { return negative_part(x); });
    unary(cases, "stabilize", "", off_zero, [](const Variable& x) { return reciprocal(stabilize(x, 0.25)); });
    unary(cases, "stabilize_clip", "", {.kinks = {-0.5, 0, 0.5}},
          [](const Variable& x) { return stabilize_clip(x, 0.5); });
    odd_sizes(cases);
}

}  // namespace backlight::test
