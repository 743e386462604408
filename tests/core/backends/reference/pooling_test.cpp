#include <limits>
#include <ostream>

#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

struct MaxPooled {
    Tensor y, index;
};
template <typename T>
MaxPooled max_pool(const PoolAttrs& attrs, const Tensor& x) {
    const Shape shape = pool_output_shape(attrs, x.shape());
    MaxPooled result{output<T>(shape), output(shape, DType::u8)};
    reference_backend().max_pool(attrs, x, result.y, result.index);
    return result;
}
template <typename T>
Tensor avg_pool(const PoolAttrs& attrs, const Tensor& x) {
    Tensor y = output<T>(pool_output_shape(attrs, x.shape()));
    reference_backend().avg_pool(attrs, x, y);
    return y;
}

struct Case {
    PoolAttrs attrs;
    Shape x;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
    const Padding& p = c.attrs.padding;
    return out << "x " << c.x << " kernel " << c.attrs.kernel[0] << ' ' << c.attrs.kernel[1] << " stride "
               << c.attrs.stride[0] << ' ' << c.attrs.stride[1] << " padding " << p.top << ' ' << p.left
               << ' ' << p.bottom << ' ' << p.right << " ceil " << c.attrs.ceil_mode << " count "
               << c.attrs.count_padding;
}
const std::vector<Case>& cases() {
    static const std::vector<Case> all{
        {{.kernel = {2, 2}, .stride = {2, 2}}, {2, 6, 4, 3}},
        {{.kernel = {3, 2}, .stride = {1, 2}}, {1, 5, 7, 2}},
        {{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, {2, 7, 6, 2}},
        {{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .count_padding = false}, {2, 7, 6, 2}},
        {{.kernel = {3, 4}, .stride = {2, 3}, .padding = {0, 2, 1, 3}}, {1, 6, 5, 2}},
        {{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true}, {1, 4, 6, 2}},
        {{.kernel = {2, 2}, .stride = {3, 3}, .count_padding = false, .ceil_mode = true}, {1, 5, 6, 1}},
        {{}, {2, 1, 1, 3}},
        {{.kernel = {2, 2}, .stride = {2, 2}}, {0, 4, 4, 1}},
    };
    return all;
}

}  // namespace

TEST_CASE_TEMPLATE("max_pool: the winner is the first of equals in row order", T, float, double) {
    const Tensor x = tensor<T>({1, 5, 2, 2,    //
                                5, 0, 2, 2,    //
                                -1, -2, 9, 8,  //
                                -3, -1, 7, 9},
                               {1, 4, 4, 1});
    const auto [y, index] = max_pool<T>({.kernel = {2, 2}, .stride = {2, 2}}, x);
    check_values(y, {5, 2, -1, 9});
    check_values(index, {1, 0, 0, 0});
}

TEST_CASE_TEMPLATE("max_pool: padding never wins, also over values below zero", T, float, double) {
    const Tensor x = tensor<T>({-5, -6, -7, -4}, {1, 2, 2, 1});
    const auto [y, index] = max_pool<T>({.kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 1}}, x);
    check_values(y, {-5, -6, -7, -4});
    check_values(index, {3, 2, 1, 0});  // each window has one pixel, in another corner
    const auto lowest = max_pool<T>({.kernel = {2, 2}, .padding = {1, 1}}, tensor<T>({-kInf}, {1, 1, 1, 1}));
    check_values(lowest.y, {-kInf, -kInf, -kInf, -kInf});
    check_values(lowest.index, {3, 2, 1, 0});
}

TEST_CASE_TEMPLATE("max_pool: a NaN wins over every number, and the first NaN over the others", T, float,
                   double) {
    const Tensor x = tensor<T>({1, kNan, kInf, kNan, 3, kNan, 7, 8}, {1, 2, 4, 1});
    const auto [y, index] = max_pool<T>({.kernel = {2, 2}, .stride = {1, 1}}, x);
    check_values(y, {kNan, kNan, kNan});
    check_values(index, {1, 0, 1});
}

TEST_CASE_TEMPLATE("max_pool: channels and samples are pooled apart; ceil mode adds a partial window", T,
                   float, double) {
    const Tensor x = tensor<T>({1, -1, 2, -2, 3, -3, 6, 60, 5, 50, 4, 40}, {2, 1, 3, 2});
    const PoolAttrs attrs{.kernel = {1, 2}, .stride = {1, 2}, .ceil_mode = true};
    const auto [y, index] = max_pool<T>(attrs, x);
    CHECK(y.shape() == Shape{2, 1, 2, 2});
    check_values(y, {2, -1, 3, -3, 6, 60, 4, 40});
    check_values(index, {1, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE_TEMPLATE("max_pool_scatter: overlapping windows add up where they agree", T, float, double) {
    const Tensor x = tensor<T>({1, 9, 2, 3, 0, 4}, {1, 1, 6, 1});
    const PoolAttrs attrs{.kernel = {1, 3}};
    const auto [y, index] = max_pool<T>(attrs, x);
    check_values(y, {9, 9, 3, 4});
    Tensor d_x = output<T>(x.shape());
    reference_backend().max_pool_scatter(attrs, tensor<T>({1, 10, 100, 1000}, y.shape()), index, d_x);
    check_values(d_x, {0, 11, 0, 100, 0, 1000});
}

TEST_CASE_TEMPLATE("max_pool_gather: reads any tensor where the maxima were, and is adjoint to scatter", T,
                   float, double) {
    BACKLIGHT_CAPTURE_SEED();
    for (const Case& c : cases()) {
        INFO(c);
        const Tensor x = random_tensor<T>(c.x, 1);
        const auto [y, index] = max_pool<T>(c.attrs, x);
        Tensor gathered = output<T>(y.shape());
        reference_backend().max_pool_gather(c.attrs, x, index, gathered);
        check_values(gathered, values_of(y));
        const Tensor other = random_tensor<T>(c.x, 2);
        const Tensor s = random_tensor<T>(y.shape(), 3);
        Tensor scattered = output<T>(c.x);
        reference_backend().max_pool_gather(c.attrs, other, index, gathered);
        reference_backend().max_pool_scatter(c.attrs, s, index, scattered);
        check_adjoint(gathered, s, other, scattered, 100 * kTolerance<T>);
    }
}

TEST_CASE_TEMPLATE("max_pool: no element of a window exceeds the result, checked through shifted reads", T,
                   float, double) {
    BACKLIGHT_CAPTURE_SEED();
    for (const Case& c : cases()) {
        INFO(c);
        const Tensor x = random_tensor<T>(c.x, 1);
        const auto [y, index] = max_pool<T>(c.attrs, x);
        const auto in = values_of(x);
        std::vector<double> expected;
        for (int64_t n = 0; n < c.x[0]; ++n)
            for (int64_t i = 0; i < y.dim(1); ++i)
                for (int64_t j = 0; j < y.dim(2); ++j)
                    for (int64_t k = 0; k < c.x[3]; ++k) {
                        double best = -kInf;
                        for (int64_t h = 0; h < c.x[1]; ++h)
                            for (int64_t w = 0; w < c.x[2]; ++w) {
                                const int64_t a = h + c.attrs.padding.top - i * c.attrs.stride[0];
                                const int64_t b = w + c.attrs.padding.left - j * c.attrs.stride[1];
                                if (a >= 0 && a < c.attrs.kernel[0] && b >= 0 && b < c.attrs.kernel[1]) {
                                    best = std::max(best, in[static_cast<size_t>(
                                                              ((n * c.x[1] + h) * c.x[2] + w) * c.x[3] + k)]);
                                }
                            }
                        expected.push_back(best);
                    }
        check_values(y, expected);
    }
}

TEST_CASE_TEMPLATE("avg_pool: padding counts or does not, as PyTorch's count_include_pad", T, float, double) {
    const Tensor x = tensor<T>({1, 2, 3, 4}, {1, 1, 4, 1});
    PoolAttrs attrs{.kernel = {1, 3}, .stride = {1, 2}, .padding = {0, 1}};
    check_values(avg_pool<T>(attrs, x), {1, 3}, kTolerance<T>);
    attrs.count_padding = false;
    check_values(avg_pool<T>(attrs, x), {1.5, 3}, kTolerance<T>);
}

TEST_CASE_TEMPLATE("avg_pool: what ceil mode adds beyond the padding never counts", T, float, double) {
    const Tensor x = tensor<T>({1, 2, 3, 4}, {1, 1, 4, 1});
    PoolAttrs attrs{.kernel = {1, 3}, .stride = {1, 2}, .padding = {0, 1}, .ceil_mode = true};
    // Windows [-1,2), [1,4), [3,6): the last one has the pixel 3, the padding 4, and 5 lies beyond.
    check_values(avg_pool<T>(attrs, x), {1, 3, 2}, kTolerance<T>);
    attrs.count_padding = false;
    check_values(avg_pool<T>(attrs, x), {1.5, 3, 4}, kTolerance<T>);
    const Tensor five = tensor<T>({1, 2, 3, 4, 5}, {1, 1, 5, 1});
    check_values(avg_pool<T>({.kernel = {1, 2}, .stride = {1, 2}, .ceil_mode = true}, five), {1.5, 3.5, 5});
}

TEST_CASE_TEMPLATE("avg_pool_adjoint: the adjoint of avg_pool", T, float, double) {
    BACKLIGHT_CAPTURE_SEED();
    for (const Case& c : cases()) {
        INFO(c);
        const Tensor x = random_tensor<T>(c.x, 1);
        const Tensor y = avg_pool<T>(c.attrs, x);
        const Tensor s = random_tensor<T>(y.shape(), 2);
        Tensor d_x = output<T>(c.x);
        reference_backend().avg_pool_adjoint(c.attrs, s, d_x);
        check_adjoint(y, s, x, d_x, 100 * kTolerance<T>);
    }
    // Where windows overlap, shares add up.
    Tensor d_x = output<T>({1, 1, 3, 1});
    reference_backend().avg_pool_adjoint({.kernel = {1, 2}}, tensor<T>({2, 4}, {1, 1, 2, 1}), d_x);
    check_values(d_x, {1, 3, 2});
}

TEST_CASE_TEMPLATE("adaptive_avg_pool: windows of PyTorch, which overlap where they do not divide", T, float,
                   double) {
    const auto pooled = [](const Tensor& x, const Shape& shape) {
        Tensor y = output<T>(shape);
        reference_backend().adaptive_avg_pool(x, y);
        return y;
    };
    // [0,2), [1,4), [3,5)
    check_values(pooled(tensor<T>({1, 2, 3, 4, 5}, {1, 1, 5, 1}), {1, 1, 3, 1}), {1.5, 3, 4.5},
                 kTolerance<T>);
    check_values(pooled(tensor<T>({1, 2, 3, 4}, {1, 2, 2, 1}), {1, 1, 1, 1}), {2.5});
    check_values(pooled(tensor<T>({1, 2}, {1, 1, 2, 1}), {1, 2, 4, 1}), {1, 1, 2, 2, 1, 1, 2, 2});
    check_values(pooled(tensor<T>({1, 10, 2, 20, 3, 30, 4, 40}, {1, 4, 1, 2}), {1, 2, 1, 2}),
                 {1.5, 15, 3.5, 35});
}

TEST_CASE_TEMPLATE("adaptive_avg_pool_adjoint: the adjoint, for larger and smaller outputs", T, float,
                   double) {
    BACKLIGHT_CAPTURE_SEED();
    for (const Shape& shape : {Shape{2, 7, 7, 3}, Shape{2, 3, 5, 3}, Shape{2, 1, 1, 3}, Shape{2, 11, 2, 3}}) {
        const Tensor x = random_tensor<T>({2, 7, 5, 3}, 1);
        const Tensor s = random_tensor<T>(shape, 2);
        Tensor y = output<T>(shape);
        Tensor d_x = output<T>(x.shape());
        reference_backend().adaptive_avg_pool(x, y);
        reference_backend().adaptive_avg_pool_adjoint(s, d_x);
        check_adjoint(y, s, x, d_x, 100 * kTolerance<T>);
    }
}
