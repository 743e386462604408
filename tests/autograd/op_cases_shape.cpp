// Reductions, broadcasting, and ops that only move data.
#include "tests/autograd/op_cases.h"

namespace backlight::test {
namespace {

using Reduction = Variable (*)(const Variable&, const std::vector<int>&, bool);

void reduction(std::vector<OpCase>& cases, const std::string& op, Reduction f, const Draw& drawn,
               bool empty_too) {
    struct Variant {
        const char* name;
        Shape shape;
        std::vector<int> axes;
        bool keep;
    };
    std::vector<Variant> variants = {
        {"over all", {2, 3, 2}, {}, false},
        {"over all, kept", {2, 3}, {}, true},
        {"last axis", {3, 4}, {-1}, false},
        {"first axis, kept", {3, 4}, {0}, true},
        {"middle axis", {2, 3, 2}, {1}, false},
        {"first and last axis", {2, 3, 2}, {0, -1}, false},
        {"channels of an image batch", {2, 2, 3, 2}, {0, 1, 2}, false},
        {"extents of 1", {1, 4, 1}, {0, 2}, false},
        {"a scalar", {}, {}, false},
        {"a long row", {2, 67}, {1}, false},
        {"a long column", {67, 2}, {0}, false},
    };
    if (empty_too) {
        variants.push_back({"empty batch", {0, 3}, {0}, false});
        variants.push_back({"empty batch stays", {0, 3}, {1}, true});
    }
    for (const Variant& variant : variants) {
        Draw input = drawn;
        input.shape = variant.shape;
        cases.push_back({op, variant.name, {input}, [f, variant](const Variables& v) {
                             return f(v[0], variant.axes, variant.keep);
                         }});
    }
}

void movement(std::vector<OpCase>& cases, const std::string& op, const std::string& variant,
              const Shape& shape, std::function<Variable(const Variable&)> f) {
    cases.push_back({op, variant, {{.shape = shape}}, [f](const Variables& v) { return f(v[0]); }});
}

Tensor index(std::initializer_list<int64_t> values, const Shape& shape) {
    return Tensor::from<int64_t>(values, shape);
}

}  // namespace

void add_shape_cases(std::vector<OpCase>& cases) {
    reduction(cases, "sum", sum, {}, true);
    reduction(cases, "mean", mean, {}, false);
    reduction(cases, "amax", amax, {.lattice = 0.2}, false);
    reduction(cases, "amin", amin, {.lattice = 0.2}, false);
    movement(cases, "mean", "empty batch stays", {0, 3}, [](const Variable& x) { return mean(x, {1}); });
    movement(cases, "sum_to", "leading and inner axes", {2, 3, 4}, [](const Variable& x) {
        return sum_to(x, {3, 1});
    });
    movement(cases, "sum_to", "the same shape", {2, 3}, [](const Variable& x) { return sum_to(x, {2, 3}); });
    movement(cases, "sum_to", "a leading axis of 1 goes", {1, 3},
             [](const Variable& x) { return sum_to(x, {3}); });
    movement(cases, "sum_to", "a scalar", {2, 3}, [](const Variable& x) { return sum_to(x, {}); });
    movement(cases, "sum_to", "empty batch", {0, 3}, [](const Variable& x) { return sum_to(x, {1, 3}); });
    movement(cases, "broadcast_to", "new leading axis", {3}, [](const Variable& x) {
        return broadcast_to(x, {2, 3});
    });
    movement(cases, "broadcast_to", "inner axis", {2, 1, 3}, [](const Variable& x) {
        return broadcast_to(x, {2, 4, 3});
    });
    movement(cases, "broadcast_to", "a scalar", {}, [](const Variable& x) {
        return broadcast_to(x, {2, 2});
    });
    movement(cases, "broadcast_to", "empty batch", {1, 3}, [](const Variable& x) {
        return broadcast_to(x, {0, 3});
    });

    movement(cases, "reshape", "-1", {2, 6}, [](const Variable& x) { return reshape(x, {3, -1}); });
    movement(cases, "reshape", "a Shape", {2, 6}, [](const Variable& x) {
        return reshape(x, Shape{2, 2, 3});
    });
    movement(cases, "reshape", "empty batch", {0, 6}, [](const Variable& x) {
        return reshape(x, Shape{0, 2, 3});
    });
    movement(cases, "flatten", "an image batch", {2, 2, 2, 3}, [](const Variable& x) { return flatten(x); });
    movement(cases, "flatten", "empty batch", {0, 2, 3}, [](const Variable& x) { return flatten(x); });
    movement(cases, "permute", "NHWC to NCHW", {2, 3, 2, 4}, [](const Variable& x) {
        return permute(x, {0, 3, 1, 2});
    });
    movement(cases, "permute", "negative axes", {2, 3, 4}, [](const Variable& x) {
        return permute(x, {-1, 0, -2});
    });
    movement(cases, "permute", "empty batch", {0, 3, 2}, [](const Variable& x) {
        return permute(x, {2, 1, 0});
    });
    movement(cases, "transpose", "a matrix", {3, 4}, [](const Variable& x) { return transpose(x); });
    movement(cases, "transpose", "a batch", {2, 3, 4}, [](const Variable& x) { return transpose(x); });
    movement(cases, "slice", "one axis", {3, 5}, [](const Variable& x) { return slice(x, 1, 2, 2); });
    movement(cases, "slice", "negative axis", {3, 5}, [](const Variable& x) { return slice(x, -2, 1, 2); });
    movement(cases, "slice", "a box", {3, 5, 4}, [](const Variable& x) {
        return slice(x, {1, 0, 2}, {2, 4, 1});
    });
    movement(cases, "slice", "nothing", {3, 5}, [](const Variable& x) { return slice(x, 0, 3, 0); });
    movement(cases, "pad", "two sides", {2, 3}, [](const Variable& x) { return pad(x, {1, 2}, {4, 6}); });
    movement(cases, "pad", "an image batch", {2, 2, 2, 3}, [](const Variable& x) {
        return pad(x, {0, 1, 0, 0}, {2, 4, 3, 3});
    });
    movement(cases, "pad", "around nothing", {0, 2}, [](const Variable& x) {
        return pad(x, {0, 0}, {2, 2});
    });
    cases.push_back({"concat", "first axis", {{.shape = {2, 3}}, {.shape = {1, 3}}}, [](const Variables& v) {
                         return concat(v, 0);
                     }});
    cases.push_back({"concat",
                     "last axis, one part empty",
                     {{.shape = {2, 3}}, {.shape = {2, 0}}, {.shape = {2, 2}}},
                     [](const Variables& v) { return concat(v, -1); }});
    cases.push_back({"concat",
                     "one variable twice, middle axis",
                     {{.shape = {2, 1, 3}}, {.shape = {2, 2, 3}}},
                     [](const Variables& v) {
                         return concat({v[0], v[1], v[0]}, 1);
                     }});
    cases.push_back({"concat", "70 parts", {{.shape = {70, 2}}}, [](const Variables& v) {
                         Variables rows;
                         for (int64_t i = 0; i < 70; ++i) {
                             rows.push_back(slice(v[0], 0, 69 - i, 1));
                         }
                         return concat(rows, 0);
                     }});
    movement(cases, "gather_rows", "with repeats", {4, 3}, [](const Variable& x) {
        return gather_rows(x, index({3, 1, 3}, {3}));
    });
    movement(cases, "gather_rows", "index of two axes", {4, 2}, [](const Variable& x) {
        return gather_rows(x, index({0, 1, 3, 3, 0, 2}, {2, 3}));
    });
    movement(cases, "gather_rows", "from a vector", {4}, [](const Variable& x) {
        return gather_rows(x, index({2, 2}, {2}));
    });
    movement(cases, "gather_rows", "no index", {4, 2},
             [](const Variable& x) { return gather_rows(x, index({}, {0})); });
    movement(cases, "scatter_add_rows", "with repeats", {3, 2}, [](const Variable& x) {
        return scatter_add_rows(x, index({3, 1, 3}, {3}), 4);
    });
    movement(cases, "scatter_add_rows", "index of two axes", {2, 2, 3}, [](const Variable& x) {
        return scatter_add_rows(x, index({0, 1, 2, 0}, {2, 2}), 3);
    });
    movement(cases, "gather_last", "rows", {3, 4}, [](const Variable& x) {
        return gather_last(x, index({3, 0, 1}, {3}));
    });
    movement(cases, "gather_last", "two leading axes", {2, 2, 3}, [](const Variable& x) {
        return gather_last(x, index({2, 0, 1, 1}, {2, 2}));
    });
    movement(cases, "gather_last", "empty batch", {0, 4},
             [](const Variable& x) { return gather_last(x, index({}, {0})); });
    movement(cases, "scatter_last", "rows", {3}, [](const Variable& x) {
        return scatter_last(x, index({3, 0, 1}, {3}), 4);
    });
    movement(cases, "scatter_last", "two leading axes", {2, 2}, [](const Variable& x) {
        return scatter_last(x, index({2, 0, 1, 1}, {2, 2}), 3);
    });
}

}  // namespace backlight::test
