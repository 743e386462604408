// Products and convolutions in f64 against the reference: all geometries, sizes around the tiles.
#include "tests/core/kernel_comparison.h"

using namespace backlight;
using namespace backlight::kernel_test;

namespace {

constexpr double kClose = 1e-13;  // of sums of a few hundred products

template <typename Run>
void compare_doubles(const Shape& shape, Run run) {
    check_close(output_of(cpu_backend(), shape, run, DType::f64),
                output_of(reference_backend(), shape, run, DType::f64), kClose, kClose * 100);
}

}  // namespace

TEST_CASE("cpu f64 matmul: random sizes, transposed or not, batches, bias") {
    Draw draw(31);
    for (int i = 0; i < 60; ++i) {
        const MatmulAttrs attrs{.transpose_a = draw.coin(), .transpose_b = draw.coin()};
        const int64_t rows = draw.between(1, 70), columns = draw.between(1, 40), inner = draw.between(1, 90);
        const int64_t batch = draw.coin(0.3) ? draw.between(2, 4) : 0;
        const auto operand = [&](int64_t a, int64_t b, bool transposed, bool batched) {
            Shape shape = transposed ? Shape{b, a} : Shape{a, b};
            if (batched) {
                shape = Shape{batch, shape[0], shape[1]};
            }
            return draw.tensor(shape).to(DType::f64);
        };
        const Tensor a = operand(rows, inner, attrs.transpose_a, batch > 0);
        const Tensor b = operand(inner, columns, attrs.transpose_b, batch > 0 && draw.coin());
        const Tensor bias = draw.coin() ? draw.tensor({columns}).to(DType::f64) : Tensor();
        CAPTURE(a.shape());
        CAPTURE(b.shape());
        compare_doubles(batch > 0 ? Shape{batch, rows, columns} : Shape{rows, columns},
                        [&](Backend& backend, Tensor& y) { backend.matmul(attrs, a, b, bias, y); });
    }
}

TEST_CASE("cpu f64 conv2d: random shapes in all three directions") {
    Draw draw(32);
    for (int i = 0; i < 60; ++i) {
        Conv2dAttrs attrs;
        attrs.groups = draw.coin(0.2) ? 2 : 1;  // with groups the reference computes
        attrs.stride = {draw.between(1, 3), draw.between(1, 3)};
        attrs.dilation = {draw.between(1, 2), draw.between(1, 2)};
        attrs.padding =
            Padding(draw.between(0, 3), draw.between(0, 3), draw.between(0, 3), draw.between(0, 3));
        const int64_t in = draw.between(1, 11) * attrs.groups, out = draw.between(1, 13) * attrs.groups;
        const Tensor x =
            draw.tensor({draw.between(1, 3), draw.between(7, 12), draw.between(7, 12), in}).to(DType::f64);
        const Tensor weight =
            draw.tensor({out, draw.between(1, 4), draw.between(1, 4), in / attrs.groups}).to(DType::f64);
        const Tensor bias = draw.coin() ? draw.tensor({out}).to(DType::f64) : Tensor();
        const Shape shape = conv2d_output_shape(attrs, x.shape(), weight.shape());
        const Tensor d_y = draw.tensor(shape).to(DType::f64);
        CAPTURE(x.shape());
        CAPTURE(weight.shape());
        compare_doubles(shape, [&](Backend& b, Tensor& y) { b.conv2d(attrs, x, weight, bias, y); });
        compare_doubles(x.shape(),
                        [&](Backend& b, Tensor& d_x) { b.conv2d_backward_data(attrs, d_y, weight, d_x); });
        compare_doubles(weight.shape(), [&](Backend& b, Tensor& d_weight) {
            b.conv2d_backward_weights(attrs, x, d_y, d_weight);
        });
    }
}
