// Matrix products, linear layers, convolutions and their adjoints.
#include "tests/autograd/op_cases.h"

namespace backlight::test {
namespace {

struct Geometry {
    const char* name;
    Shape x, weight;  // (N,H,W,C), (O,Kh,Kw,C/groups)
    Conv2dAttrs attrs;
};

const std::vector<Geometry>& geometries() {
    static const std::vector<Geometry> all = {
        {"1 x 1", {2, 3, 3, 3}, {4, 1, 1, 3}, {}},
        {"3 x 3, padding 1", {1, 4, 4, 2}, {3, 3, 3, 2}, {.padding = {1, 1}}},
        {"stride 2, even image", {2, 6, 6, 2}, {2, 3, 3, 2}, {.stride = {2, 2}, .padding = {1, 1}}},
        {"1 x 1, stride 2", {1, 5, 5, 2}, {2, 1, 1, 2}, {.stride = {2, 2}, .padding = {}}},
        {"stride larger than the kernel, rest unread",
         {1, 9, 8, 1},
         {2, 2, 2, 1},
         {.stride = {3, 3}, .padding = {}}},
        {"unequal strides and kernel", {1, 6, 5, 2}, {2, 3, 2, 2}, {.stride = {2, 1}, .padding = {1, 0}}},
        {"four-sided padding", {1, 4, 3, 2}, {2, 3, 3, 2}, {.padding = {0, 2, 1, 0}}},
        {"dilation 2", {1, 6, 6, 2}, {2, 3, 3, 2}, {.padding = {2, 1}, .dilation = {2, 2}}},
        {"unequal dilation", {1, 5, 7, 1}, {2, 2, 3, 1}, {.padding = {}, .dilation = {1, 3}}},
        {"groups 2", {1, 4, 4, 4}, {6, 3, 3, 2}, {.padding = {1, 1}, .groups = 2}},
        {"depthwise, multiplier 2",
         {1, 4, 4, 3},
         {6, 3, 3, 1},
         {.stride = {2, 2}, .padding = {1, 1}, .groups = 3}},
        {"everything at once",
         {2, 7, 6, 4},
         {2, 3, 2, 2},
         {.stride = {2, 3}, .padding = {1, 0, 2, 1}, .dilation = {2, 1}, .groups = 2}},
        {"all extents 1", {1, 1, 1, 1}, {1, 1, 1, 1}, {}},
        {"kernel larger than the image", {2, 2, 2, 2}, {2, 5, 5, 2}, {.padding = {2, 2}}},
        {"as a linear layer", {2, 3, 3, 2}, {4, 3, 3, 2}, {}},
        {"channels beyond one vector", {1, 3, 3, 17}, {9, 3, 3, 17}, {.padding = {1, 1}}},
        {"empty batch", {0, 4, 4, 2}, {3, 3, 3, 2}, {}},
    };
    return all;
}

Shape output_of(const Geometry& g) { return conv2d_output_shape(g.attrs, g.x, g.weight); }

void convolution(std::vector<OpCase>& cases) {
    for (const Geometry& g : geometries()) {
        const Draw x{.shape = g.x};
        const Draw weight{.shape = g.weight};
        const Draw bias{.shape = {g.weight[0]}};
        const Draw d_y{.shape = output_of(g)};
        const Conv2dAttrs attrs = g.attrs;
        cases.push_back({"conv2d", g.name, {x, weight, bias}, [attrs](const Variables& v) {
                             return conv2d(v[0], v[1], v[2], attrs);
                         }});
        cases.push_back(
            {"conv2d_backward_data", g.name, {d_y, weight}, [attrs, shape = g.x](const Variables& v) {
                 return conv2d_backward_data(v[0], v[1], shape, attrs);
             }});
        cases.push_back(
            {"conv2d_backward_weights", g.name, {x, d_y}, [attrs, shape = g.weight](const Variables& v) {
                 return conv2d_backward_weights(v[0], v[1], shape, attrs);
             }});
    }
    cases.push_back(
        {"conv2d", "no bias", {{.shape = {1, 4, 4, 2}}, {.shape = {2, 3, 3, 2}}}, [](const Variables& v) {
             return conv2d(v[0], v[1]);
         }});
}

void transposed(std::vector<OpCase>& cases) {
    struct Variant {
        const char* name;
        Shape x, weight;  // (N,H,W,I), (I,Kh,Kw,O/groups)
        Conv2dAttrs attrs;
        std::array<int64_t, 2> output_padding;
    };
    const std::vector<Variant> variants = {
        {"stride 1", {1, 3, 3, 2}, {2, 3, 3, 3}, {}, {0, 0}},
        {"stride 2, kernel 2", {2, 3, 2, 2}, {2, 2, 2, 3}, {.stride = {2, 2}, .padding = {}}, {0, 0}},
        {"stride 2, padding 1, output padding 1",
         {1, 3, 3, 2},
         {2, 3, 3, 2},
         {.stride = {2, 2}, .padding = {1, 1}},
         {1, 1}},
        {"unequal strides and output padding",
         {1, 2, 3, 2},
         {2, 3, 2, 1},
         {.stride = {3, 2}, .padding = {1, 0}},
         {2, 1}},
        {"four-sided padding", {1, 4, 4, 1}, {1, 3, 3, 2}, {.padding = {0, 1, 2, 1}}, {0, 0}},
        {"dilation 2", {1, 3, 3, 2}, {2, 2, 2, 2}, {.padding = {}, .dilation = {2, 2}}, {0, 0}},
        {"groups 2", {1, 3, 3, 4}, {4, 2, 2, 3}, {.stride = {2, 2}, .padding = {}, .groups = 2}, {1, 0}},
        {"all extents 1", {1, 1, 1, 1}, {1, 1, 1, 1}, {}, {0, 0}},
        {"empty batch", {0, 3, 3, 2}, {2, 2, 2, 2}, {}, {0, 0}},
    };
    for (const Variant& variant : variants) {
        const Draw bias{.shape = {variant.weight[3] * variant.attrs.groups}};
        cases.push_back({"conv_transpose2d",
                         variant.name,
                         {{.shape = variant.x}, {.shape = variant.weight}, bias},
                         [variant](const Variables& v) {
                             return conv_transpose2d(v[0], v[1], v[2], variant.attrs, variant.output_padding);
                         }});
    }
    cases.push_back({"conv_transpose2d",
                     "no bias",
                     {{.shape = {1, 2, 2, 2}}, {.shape = {2, 2, 2, 1}}},
                     [](const Variables& v) { return conv_transpose2d(v[0], v[1]); }});
}

void products(std::vector<OpCase>& cases) {
    const auto matmul_case = [&](const std::string& variant, const Shape& a, const Shape& b,
                                 const MatmulAttrs& attrs) {
        cases.push_back({"matmul", variant, {{.shape = a}, {.shape = b}}, [attrs](const Variables& v) {
                             return matmul(v[0], v[1], attrs);
                         }});
    };
    matmul_case("plain", {3, 4}, {4, 2}, {});
    matmul_case("a transposed", {4, 3}, {4, 2}, {.transpose_a = true});
    matmul_case("b transposed", {3, 4}, {2, 4}, {.transpose_b = true});
    matmul_case("both transposed", {4, 3}, {2, 4}, {.transpose_a = true, .transpose_b = true});
    matmul_case("a batch", {2, 3, 4}, {2, 4, 2}, {});
    matmul_case("a batch, a transposed", {2, 4, 3}, {2, 4, 2}, {.transpose_a = true});
    matmul_case("a batch, b transposed", {2, 3, 4}, {2, 2, 4}, {.transpose_b = true});
    matmul_case("two batch axes, both transposed", {2, 2, 3, 2}, {2, 2, 2, 3},
                {.transpose_a = true, .transpose_b = true});
    matmul_case("extents of 1", {1, 1}, {1, 1}, {});
    matmul_case("no rows", {0, 3}, {3, 2}, {});
    matmul_case("nothing to sum", {2, 0}, {0, 3}, {});
    matmul_case("empty batch", {0, 2, 3}, {0, 3, 2}, {});
    matmul_case("sizes beyond one vector", {5, 19}, {19, 17}, {});
    const auto linear_case = [&](const std::string& variant, const Shape& x, const Shape& weight, bool bias) {
        std::vector<Draw> inputs = {{.shape = x}, {.shape = weight}};
        if (bias) {
            inputs.push_back({.shape = {weight[0]}});
        }
        cases.push_back({"linear", variant, inputs, [bias](const Variables& v) {
                             return bias ? linear(v[0], v[1], v[2]) : linear(v[0], v[1]);
                         }});
    };
    linear_case("rows", {3, 4}, {2, 4}, true);
    linear_case("no bias", {3, 4}, {2, 4}, false);
    linear_case("two leading axes", {2, 2, 3}, {4, 3}, true);
    linear_case("one vector", {3}, {2, 3}, true);
    linear_case("extents of 1", {1, 1}, {1, 1}, true);
    linear_case("empty batch", {0, 3}, {2, 3}, true);
    linear_case("empty batch, three axes", {0, 2, 3}, {2, 3}, true);
    linear_case("no features", {2, 3, 0}, {2, 0}, true);
    linear_case("sizes beyond one vector", {5, 19}, {17, 19}, true);
}

}  // namespace

void add_convolution_cases(std::vector<OpCase>& cases) {
    products(cases);
    convolution(cases);
    transposed(cases);
}

}  // namespace backlight::test
