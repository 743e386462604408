#include <limits>

#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

template <typename T>
Tensor resize(ResizeMode mode, const Tensor& x, int64_t height, int64_t width) {
    Tensor y = output<T>({x.dim(0), height, width, x.dim(3)});
    reference_backend().resize(mode, x, y);
    return y;
}

template <typename T>
Tensor line(const std::vector<double>& values) {
    return tensor<T>(values, {1, 1, static_cast<int64_t>(values.size()), 1});
}

}  // namespace

TEST_CASE_TEMPLATE("resize nearest: floor(i H / Ho), up and down", T, float, double) {
    check_values(resize<T>(ResizeMode::nearest, line<T>({1, 2, 3}), 1, 5), {1, 1, 2, 2, 3});
    check_values(resize<T>(ResizeMode::nearest, line<T>({1, 2, 3, 4, 5}), 1, 3), {1, 2, 4});
    check_values(resize<T>(ResizeMode::nearest, line<T>({1, 2}), 2, 4), {1, 1, 2, 2, 1, 1, 2, 2});
    constexpr double kInf = std::numeric_limits<double>::infinity();
    check_values(resize<T>(ResizeMode::nearest, line<T>({kInf, 1}), 1, 3), {kInf, kInf, 1});
}

TEST_CASE_TEMPLATE("resize bilinear: pixels have their values at their centres, edges are clamped", T, float,
                   double) {
    check_values(resize<T>(ResizeMode::bilinear, line<T>({1, 2}), 1, 4), {1, 1.25, 1.75, 2}, kTolerance<T>);
    check_values(resize<T>(ResizeMode::bilinear, line<T>({1, 2, 3, 4}), 1, 2), {1.5, 3.5}, kTolerance<T>);
    // H/Ho = 2/3: positions -1/6 (clamped to 0), 1/2, 7/6 (clamped to 1).
    check_values(resize<T>(ResizeMode::bilinear, line<T>({0, 6}), 1, 3), {0, 3, 6}, kTolerance<T>);
    check_values(resize<T>(ResizeMode::bilinear, line<T>({7}), 2, 2), {7, 7, 7, 7}, kTolerance<T>);
    // Both axes: rows and columns are weighted alike.
    const Tensor square = tensor<T>({0, 4, 8, 12}, {1, 2, 2, 1});
    check_values(resize<T>(ResizeMode::bilinear, square, 4, 4),
                 {0, 1, 3, 4, 2, 3, 5, 6, 6, 7, 9, 10, 8, 9, 11, 12}, kTolerance<T>);
}

TEST_CASE_TEMPLATE("resize: the same size is the identity, and a constant stays constant", T, float, double) {
    BACKLIGHT_CAPTURE_SEED();
    const Tensor x = random_tensor<T>({2, 3, 4, 2}, 1);
    for (const ResizeMode mode : {ResizeMode::nearest, ResizeMode::bilinear}) {
        check_values(resize<T>(mode, x, 3, 4), values_of(x));
        check_values(resize<T>(mode, Tensor::full({1, 3, 4, 1}, 0.5, kType<T>), 7, 5),
                     std::vector<double>(35, 0.5), kTolerance<T>);
        CHECK(resize<T>(mode, tensor<T>({}, {0, 2, 2, 1}), 3, 3).numel() == 0);
    }
}

TEST_CASE_TEMPLATE("resize_adjoint: the adjoint of resize, up, down and mixed", T, float, double) {
    BACKLIGHT_CAPTURE_SEED();
    const Tensor x = random_tensor<T>({2, 5, 4, 3}, 1);
    for (const ResizeMode mode : {ResizeMode::nearest, ResizeMode::bilinear}) {
        for (const Shape& shape :
             {Shape{2, 10, 8, 3}, Shape{2, 2, 3, 3}, Shape{2, 13, 1, 3}, Shape{2, 1, 9, 3}}) {
            INFO("to ", shape);
            const Tensor s = random_tensor<T>(shape, 2);
            Tensor d_x = output<T>(x.shape());
            reference_backend().resize_adjoint(mode, s, d_x);
            check_adjoint(resize<T>(mode, x, shape[1], shape[2]), s, x, d_x, 100 * kTolerance<T>);
        }
    }
}
