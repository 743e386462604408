// bfloat16: rounding, and the kernels that compute on it, against the reference.
#include "tests/core/kernel_comparison.h"

#include <bit>
#include <cmath>

#include "core/bfloat16.h"

using namespace backlight;
using namespace backlight::kernel_test;

namespace {

// Results are rounded to 8 bits; where two backends sum in another order, to a neighbouring number.
constexpr double kRounding = 1.0 / 128;

Tensor narrow(const Tensor& x) { return x.to(DType::bf16); }

template <typename Run>
void compare_narrow(const Shape& shape, Run run, double absolute_bound = 0, const Tensor& scale = {}) {
    check_close(output_of(cpu_backend(), shape, run, DType::bf16),
                output_of(reference_backend(), shape, run, DType::bf16), kRounding, absolute_bound, scale);
}

}  // namespace

TEST_CASE("bf16: rounds to nearest, halves to even, and keeps what is not a number") {
    const auto bits = [](float value) { return BFloat16(value).bits; };
    CHECK(bits(1.0f) == 0x3F80);
    CHECK(bits(1.0f + 1.0f / 256) == 0x3F80);   // half of the last place: to even
    CHECK(bits(1.0f + 3.0f / 256) == 0x3F82);   // likewise, upwards
    CHECK(bits(1.0f + 1.01f / 256) == 0x3F81);  // above the half
    CHECK(bits(-1.0f - 1.01f / 256) == 0xBF81);
    CHECK(bits(std::numeric_limits<float>::max()) == 0x7F80);  // rounds up to infinity
    CHECK(bits(INFINITY) == 0x7F80);
    CHECK(bits(-0.0f) == 0x8000);
    CHECK(std::isnan(static_cast<float>(BFloat16(NAN))));
    CHECK(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7F800001U)))));
    for (uint32_t i = 0; i < 0x10000; ++i) {  // each number is itself
        const float value = std::bit_cast<float>(i << 16);
        if (!std::isnan(value)) {
            CHECK(bits(value) == i);
        }
    }
}

TEST_CASE("bf16: conversions of tensors agree with the reference") {
    Draw draw(901);
    for (const int64_t n : {1, 17, 1000, 200000}) {
        const Tensor x = with_specials(draw, {n});
        const auto run = [&](Backend& b, Tensor& y) { b.cast(x, y); };
        const Tensor ours = output_of(cpu_backend(), {n}, run, DType::bf16);
        check_close(ours, output_of(reference_backend(), {n}, run, DType::bf16), 0);
        const auto back = [&](Backend& b, Tensor& y) { b.cast(ours, y); };
        check_close(output_of(cpu_backend(), {n}, back), output_of(reference_backend(), {n}, back), 0);
        check_close(ours.to(DType::f64), ours.to(DType::f32), 0);
    }
    CHECK(Tensor::full({3}, 2.5, DType::bf16).to_vector<BFloat16>()[2].bits == 0x4020);
    CHECK(narrow(Tensor::scalar(-3)).item() == -3);
}

TEST_CASE("bf16: convolutions agree with the reference") {
    Draw draw(902);
    struct Case {
        Shape x, weight;
        Conv2dAttrs attrs;
    };
    const Case cases[] = {{{2, 9, 8, 16}, {32, 3, 3, 16}, {.padding = {1, 1}}},
                          {{2, 9, 8, 16}, {24, 1, 1, 16}, {}},
                          {{1, 12, 12, 3}, {8, 7, 7, 3}, {.stride = {2, 2}, .padding = {3, 3}}},
                          {{2, 7, 7, 8}, {8, 3, 3, 1}, {.padding = {0, 0, 1, 1}, .groups = 8}},
                          {{1, 6, 5, 5}, {7, 3, 3, 5}, {.dilation = {2, 2}}}};
    for (const Case& c : cases) {
        CAPTURE(c.x);
        CAPTURE(c.weight);
        const Shape shape = conv2d_output_shape(c.attrs, c.x, c.weight);
        const Tensor x = narrow(draw.tensor(c.x));
        const Tensor weight = narrow(draw.tensor(c.weight)).to(DType::f32);  // what rounding leaves alone
        const Tensor d_y = narrow(draw.tensor(shape));
        const Tensor bias = draw.tensor({c.weight[0]});
        const auto magnitude = [](const Tensor& t) { return absolute(t.to(DType::f32)); };
        const Tensor size = output_of(reference_backend(), shape, [&](Backend& b, Tensor& y) {
            b.conv2d(c.attrs, magnitude(x), magnitude(weight), {}, y);
        });
        compare_narrow(
            shape, [&](Backend& b, Tensor& y) { b.conv2d(c.attrs, x, weight, bias, y); }, 1e-5, size);
        const Tensor residual = narrow(draw.tensor(shape));
        compare_narrow(
            shape,
            [&](Backend& b, Tensor& y) {
                b.conv2d_fused(c.attrs, x, weight, bias, {residual, Activation::relu}, y);
            },
            kRounding, size);
        compare_narrow(
            c.x, [&](Backend& b, Tensor& y) { b.conv2d_backward_data(c.attrs, d_y, weight, y); }, 1e-2);
        compare(
            c.weight, [&](Backend& b, Tensor& y) { b.conv2d_backward_weights(c.attrs, x, d_y, y); }, 1e-4,
            1e-3);
    }
}

TEST_CASE("bf16: weights are rounded as the images are") {
    Draw draw(903);
    const Tensor x = narrow(draw.tensor({2, 6, 6, 16}));
    const Tensor weight = draw.tensor({16, 3, 3, 16});
    const auto run = [&](const Tensor& w) {
        return output_of(
            cpu_backend(), {2, 4, 4, 16}, [&](Backend& b, Tensor& y) { b.conv2d({}, x, w, {}, y); },
            DType::bf16);
    };
    // Within what the rounding of 144 weights leaves, whether the machine multiplies bfloat16 or widens it.
    check_close(run(weight), run(narrow(weight).to(DType::f32)), kRounding, 0.3);
}

TEST_CASE("bf16: batch norm, ReLU, sums and max pooling agree with the reference") {
    Draw draw(904);
    for (const Shape& shape : {Shape{2, 5, 7, 3}, Shape{4, 16, 16, 64}, Shape{1, 3, 3, 300}}) {
        CAPTURE(shape);
        const Tensor x = narrow(draw.tensor(shape));
        const Tensor d_y = narrow(draw.tensor(shape));
        const Tensor other = narrow(draw.tensor(shape));
        const Shape channels{shape[-1]};
        const Tensor scale = draw.tensor(channels);
        const Tensor shift = draw.tensor(channels);
        for (const bool second : {false, true}) {
            compare(
                channels,
                [&](Backend& b, Tensor& y) {
                    Tensor rest = Tensor::empty(channels);
                    second ? b.channel_statistics(x, rest, y) : b.channel_statistics(x, y, rest);
                },
                1e-4, 1e-5);
        }
        for (const bool relu : {false, true}) {
            compare_narrow(shape, [&](Backend& b, Tensor& y) {
                b.channel_affine(x, scale, shift, relu ? other : Tensor(), relu, y);
            });
            const Tensor mean = Tensor::zeros(channels);
            const Tensor inv_std = Tensor::ones(channels);
            for (int wanted = 0; wanted < 4; ++wanted) {  // d_x, d_scale, d_shift, d_residual
                const bool of_image = wanted == 0 || wanted == 3;
                const auto run = [&](Backend& b, Tensor& y) {
                    Tensor d_x = Tensor::empty(shape, DType::bf16);
                    Tensor d_residual = Tensor::empty(shape, DType::bf16);
                    Tensor d_scale = Tensor::empty(channels);
                    Tensor d_shift = Tensor::empty(channels);
                    Tensor* outputs[] = {&d_x, &d_scale, &d_shift, &d_residual};
                    *outputs[wanted] = y;
                    b.batch_norm_backward(x, d_y, mean, inv_std, scale, {relu ? other : Tensor(), {}}, d_x,
                                          d_scale, d_shift, d_residual);
                };
                if (of_image) {
                    compare_narrow(shape, run, 1e-4);
                } else {
                    compare(channels, run, 1e-4, 1e-2);
                }
            }
        }
        // The mask taken from the map is that of its output, to the bit.
        for (const bool narrowed : {false, true}) {
            const auto typed = [&](const Tensor& t) { return narrowed ? t : t.to(DType::f32); };
            const Tensor mean = Tensor::zeros(channels);
            const Tensor inv_std = draw.tensor(channels);
            Tensor factor = Tensor::empty(channels);
            cpu_backend().binary(BinaryOp::multiply, scale, inv_std, factor);
            Tensor output = Tensor::empty_like(typed(x));
            cpu_backend().channel_affine(typed(x), factor, shift, {}, true, output);
            std::vector<std::vector<double>> found[2];
            for (const ReluMask& mask : {ReluMask{output, {}}, ReluMask{{}, shift}}) {
                Tensor d_x = Tensor::empty_like(output);
                Tensor d_scale = Tensor::empty(channels);
                Tensor d_shift = Tensor::empty(channels);
                Tensor none;
                cpu_backend().batch_norm_backward(typed(x), typed(d_y), mean, inv_std, scale, mask, d_x,
                                                  d_scale, d_shift, none);
                for (const Tensor& t : {d_x, d_scale, d_shift}) {
                    found[mask.shift.defined()].push_back(t.to(DType::f64).to_vector<double>());
                }
            }
            CHECK(found[0] == found[1]);
        }
        compare_narrow(shape, [&](Backend& b, Tensor& y) { b.unary(UnaryOp::relu, x, 0, y); });
        compare_narrow(shape, [&](Backend& b, Tensor& y) { b.binary(BinaryOp::add, x, other, y); });
        compare_narrow(shape,
                       [&](Backend& b, Tensor& y) { b.binary(BinaryOp::where_positive, x, other, y); });
        compare_narrow(shape, [&](Backend& b, Tensor& y) {
            b.copy(x, y);
            b.accumulate(y, other);
        });
        const PoolAttrs pool{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
        const Shape pooled = pool_output_shape(pool, shape);
        Tensor index = Tensor::empty(pooled, DType::u8);
        compare_narrow(pooled, [&](Backend& b, Tensor& y) { b.max_pool(pool, x, y, index); });
        const Tensor d_pooled = narrow(draw.tensor(pooled));
        compare_narrow(
            shape, [&](Backend& b, Tensor& y) { b.max_pool_scatter(pool, d_pooled, index, y); }, 1e-2);
        compare_narrow(pooled, [&](Backend& b, Tensor& y) { b.max_pool_gather(pool, x, index, y); });
        compare(
            channels, [&](Backend& b, Tensor& y) { b.reduce(ReduceOp::sum, x, 0b0111, y); }, 1e-4, 1e-3);
    }
}
