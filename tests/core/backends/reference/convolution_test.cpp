#include <ostream>

#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

struct Case {
    Conv2dAttrs attrs;
    Shape x, weight;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    const Padding& p = c.attrs.padding;
    return out << "x " << c.x << " weight " << c.weight << " stride " << c.attrs.stride[0] << ' '
               << c.attrs.stride[1] << " padding " << p.top << ' ' << p.left << ' ' << p.bottom << ' '
               << p.right << " dilation " << c.attrs.dilation[0] << ' ' << c.attrs.dilation[1] << " groups "
               << c.attrs.groups;
}

const std::vector<Case>& cases() {
    static const std::vector<Case> all{
        {{}, {2, 4, 5, 3}, {4, 3, 2, 3}},
        {{}, {1, 1, 1, 1}, {1, 1, 1, 1}},
        {{.stride = {2, 3}}, {2, 7, 9, 2}, {3, 3, 3, 2}},
        {{.padding = {1, 1}}, {1, 3, 4, 2}, {2, 3, 3, 2}},
        {{.padding = {0, 2, 1, 3}}, {2, 3, 4, 2}, {2, 3, 2, 2}},
        {{.dilation = {2, 3}}, {1, 6, 8, 2}, {2, 3, 2, 2}},
        {{.groups = 2}, {2, 4, 4, 4}, {6, 3, 3, 2}},
        {{.padding = {1, 1}, .groups = 3}, {2, 4, 4, 3}, {3, 3, 3, 1}},
        {{.stride = {2, 1}, .padding = {2, 1, 0, 2}, .dilation = {1, 2}, .groups = 2},
         {2, 6, 5, 4},
         {4, 3, 2, 2}},
        {{.stride = {3, 3}}, {1, 8, 8, 1}, {2, 1, 1, 1}},   // most pixels are read by no window
        {{.stride = {2, 2}}, {1, 6, 6, 1}, {1, 3, 3, 1}},   // the last row and column are read by none
        {{.padding = {3, 3}}, {1, 1, 1, 2}, {2, 3, 3, 2}},  // windows that see only padding
        {{}, {0, 4, 4, 2}, {3, 3, 3, 2}},                   // an empty batch
    };
    return all;
}

// Written from the other side: every pixel of the image, zeros around it included, is sent to the outputs
// that read it.
std::vector<double> brute_force(const Case& c, const std::vector<double>& x,
                                const std::vector<double>& weight, const Shape& y) {
    const auto at = [](const Shape& shape, int64_t i, int64_t j, int64_t k, int64_t l) {
        return static_cast<size_t>(((i * shape[1] + j) * shape[2] + k) * shape[3] + l);
    };
    const Padding& p = c.attrs.padding;
    std::vector<double> result(static_cast<size_t>(y.numel()), 0.0);
    for (int64_t n = 0; n < c.x[0]; ++n)
        for (int64_t h = 0; h < c.x[1] + p.top + p.bottom; ++h)
            for (int64_t w = 0; w < c.x[2] + p.left + p.right; ++w)
                for (int64_t channel = 0; channel < c.x[3]; ++channel)
                    for (int64_t a = 0; a < c.weight[1]; ++a)
                        for (int64_t b = 0; b < c.weight[2]; ++b)
                            for (int64_t o = 0; o < c.weight[0]; ++o) {
                                const int64_t row = h - a * c.attrs.dilation[0];
                                const int64_t column = w - b * c.attrs.dilation[1];
                                const bool starts = row >= 0 && column >= 0 && row % c.attrs.stride[0] == 0 &&
                                                    column % c.attrs.stride[1] == 0;
                                const int64_t i = row / c.attrs.stride[0];
                                const int64_t j = column / c.attrs.stride[1];
                                const bool inside =
                                    h >= p.top && h < p.top + c.x[1] && w >= p.left && w < p.left + c.x[2];
                                const bool connected =
                                    channel * c.attrs.groups / c.x[3] == o * c.attrs.groups / c.weight[0];
                                if (starts && inside && connected && i < y[1] && j < y[2]) {
                                    result[at(y, n, i, j, o)] +=
                                        x[at(c.x, n, h - p.top, w - p.left, channel)] *
                                        weight[at(c.weight, o, a, b, channel % c.weight[3])];
                                }
                            }
    return result;
}

}  // namespace

TEST_CASE_TEMPLATE("conv2d: a 2 x 2 window slides over a 3 x 3 image", T, float, double) {
    const Tensor x = tensor<T>({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 3, 3, 1});
    const Tensor weight = tensor<T>({1, 10, 100, 1000}, {1, 2, 2, 1});
    Tensor y = output<T>({1, 2, 2, 1});
    reference_backend().conv2d({}, x, weight, {}, y);
    check_values(y, {5421, 6532, 8754, 9865});
    reference_backend().conv2d({}, x, weight, tensor<T>({0.5}, {1}), y);
    check_values(y, {5421.5, 6532.5, 8754.5, 9865.5});
    Tensor d_x = output<T>({1, 3, 3, 1});
    reference_backend().conv2d_backward_data({}, tensor<T>({1, 0, 0, 2}, {1, 2, 2, 1}), weight, d_x);
    check_values(d_x, {1, 10, 0, 100, 1002, 20, 0, 200, 2000});
    Tensor d_weight = output<T>({1, 2, 2, 1});
    reference_backend().conv2d_backward_weights({}, x, tensor<T>({1, 0, 0, 2}, {1, 2, 2, 1}), d_weight);
    check_values(d_weight, {11, 14, 20, 23});
}

TEST_CASE_TEMPLATE("conv2d: agrees with a brute force written from the other side", T, float, double) {
    BACKLIGHT_CAPTURE_SEED();
    for (const Case& c : cases()) {
        INFO(c);
        const Shape shape = conv2d_output_shape(c.attrs, c.x, c.weight);
        const Tensor x = random_tensor<T>(c.x, 1);
        const Tensor weight = random_tensor<T>(c.weight, 2);
        const Tensor bias = random_tensor<T>({c.weight[0]}, 3);
        Tensor y = output<T>(shape);
        auto expected = brute_force(c, values_of(x), values_of(weight), shape);
        reference_backend().conv2d(c.attrs, x, weight, {}, y);
        check_values(y, expected, kTolerance<T>);
        const auto per_channel = values_of(bias);
        for (size_t i = 0; i < expected.size(); ++i) {
            expected[i] += per_channel[i % per_channel.size()];
        }
        reference_backend().conv2d(c.attrs, x, weight, bias, y);
        check_values(y, expected, kTolerance<T>);
    }
}

TEST_CASE_TEMPLATE("conv2d: its two backward kernels are the adjoints in x and in the weight", T, float,
                   double) {
    BACKLIGHT_CAPTURE_SEED();
    for (const Case& c : cases()) {
        INFO(c);
        const Shape shape = conv2d_output_shape(c.attrs, c.x, c.weight);
        const Tensor x = random_tensor<T>(c.x, 1);
        const Tensor weight = random_tensor<T>(c.weight, 2);
        const Tensor d_y = random_tensor<T>(shape, 3);
        Tensor y = output<T>(shape);
        Tensor d_x = output<T>(c.x);
        Tensor d_weight = output<T>(c.weight);
        reference_backend().conv2d(c.attrs, x, weight, {}, y);
        reference_backend().conv2d_backward_data(c.attrs, d_y, weight, d_x);
        reference_backend().conv2d_backward_weights(c.attrs, x, d_y, d_weight);
        check_adjoint(y, d_y, x, d_x, 100 * kTolerance<T>);
        check_adjoint(y, d_y, weight, d_weight, 100 * kTolerance<T>);
    }
}

TEST_CASE("conv2d: a pixel that no window reads has no gradient") {
    Tensor d_x = output<double>({1, 4, 4, 1});
    reference_backend().conv2d_backward_data({.stride = {3, 3}}, Tensor::ones({1, 2, 2, 1}, DType::f64),
                                             Tensor::ones({1, 1, 1, 1}, DType::f64), d_x);
    check_values(d_x, {1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1});
}

TEST_CASE("conv2d: integers are refused with the types that have a kernel") {
    const Tensor x = Tensor::ones({1, 1, 1, 1}, DType::i64);
    Tensor y = x.clone();
    CHECK(error_text([&] { reference_backend().conv2d({}, x, x, {}, y); }) ==
          "conv2d: no kernel for int64; float32 and float64 have one");
}
