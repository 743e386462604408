// Convolution and pooling of the CPU backend against the reference: four-sided padding, strides, dilation,
// groups, depthwise, odd channels, empty batches; the choice of implementations and the cache of reordered
// weights.
#include "tests/core/kernel_comparison.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

using namespace backlight;
using namespace backlight::kernel_test;

namespace {

struct Convolution {
    Shape x, weight;
    Conv2dAttrs attrs;
};

// All three products, and twice: the second run meets cached primitives and weights. Errors of f32 sums over
// n terms grow like sqrt(n) units of the sum of absolute values; the weights' gradient has up to 20000 terms
// here.
void check_convolution(Draw& draw, const Convolution& c, double tolerance = 1e-6) {
    const Shape shape = conv2d_output_shape(c.attrs, c.x, c.weight);
    const Tensor x = draw.tensor(c.x);
    const Tensor weight = draw.tensor(c.weight);
    const Tensor d_y = draw.tensor(shape);
    const Tensor bias = draw.coin() ? draw.tensor({c.weight[0]}) : Tensor();
    const Tensor size = bias.defined() ? absolute(bias) : bias;
    Backend& reference = reference_backend();
    const Tensor y_size = output_of(reference, shape, [&](Backend& b, Tensor& y) {
        b.conv2d(c.attrs, absolute(x), absolute(weight), size, y);
    });
    const Tensor x_size = output_of(reference, c.x, [&](Backend& b, Tensor& y) {
        b.conv2d_backward_data(c.attrs, absolute(d_y), absolute(weight), y);
    });
    const Tensor w_size = output_of(reference, c.weight, [&](Backend& b, Tensor& y) {
        b.conv2d_backward_weights(c.attrs, absolute(x), absolute(d_y), y);
    });
    CAPTURE(c.x);
    CAPTURE(c.weight);
    CAPTURE(shape);
    CAPTURE(c.attrs.groups);
    for (int i = 0; i < 2; ++i) {
        compare(
            shape, [&](Backend& b, Tensor& y) { b.conv2d(c.attrs, x, weight, bias, y); }, 0, tolerance,
            y_size);
        compare(
            c.x, [&](Backend& b, Tensor& y) { b.conv2d_backward_data(c.attrs, d_y, weight, y); }, 0,
            tolerance, x_size);
        compare(
            c.weight, [&](Backend& b, Tensor& y) { b.conv2d_backward_weights(c.attrs, x, d_y, y); }, 0,
            tolerance, w_size);
    }
}

Convolution draw_convolution(Draw& draw) {
    Convolution c;
    c.attrs.groups = draw.coin(0.3) ? draw.between(2, 6) : 1;
    const bool depthwise = draw.coin(0.2);
    const int64_t group_in = depthwise ? 1 : draw.between(1, 20);
    const int64_t group_out = depthwise ? draw.between(1, 2) : draw.between(1, 20);
    const int64_t kernel[] = {draw.between(1, 4), draw.between(1, 4)};
    c.attrs.stride = {draw.between(1, 3), draw.between(1, 3)};
    c.attrs.dilation = {draw.between(1, 2), draw.between(1, 2)};
    c.attrs.padding = Padding(draw.between(0, 3), draw.between(0, 3), draw.between(0, 3), draw.between(0, 3));
    c.x = {draw.between(1, 3), draw.between(7, 14), draw.between(7, 14), group_in * c.attrs.groups};
    c.weight = {group_out * c.attrs.groups, kernel[0], kernel[1], group_in};
    return c;
}

}  // namespace

TEST_CASE("cpu conv2d: random shapes agree with the reference in all three directions") {
    Draw draw(21);
    for (int i = 0; i < 60; ++i) {
        check_convolution(draw, draw_convolution(draw));
    }
}

TEST_CASE("cpu conv2d: the shapes that networks have") {
    Draw draw(22);
    const std::vector<Convolution> cases = {
        {{2, 30, 30, 3}, {64, 7, 7, 3}, {.stride = {2, 2}, .padding = {3, 3}}},
        {{2, 14, 14, 32}, {32, 3, 3, 32}, {.padding = {1, 1}}},
        {{2, 14, 14, 64}, {16, 1, 1, 64}, {}},
        {{2, 14, 14, 16}, {32, 1, 1, 16}, {.stride = {2, 2}}},
        {{2, 9, 9, 32}, {32, 3, 3, 1}, {.padding = {1, 1}, .groups = 32}},
        {{2, 9, 9, 33}, {66, 3, 3, 1}, {.stride = {2, 2}, .padding = {1, 0, 2, 1}, .groups = 33}},
        {{2, 9, 9, 64}, {64, 3, 3, 16}, {.padding = {1, 1}, .groups = 4}},
        {{1, 16, 16, 1}, {6, 5, 5, 1}, {.padding = {2, 2}}},
        {{1, 7, 7, 5}, {1, 7, 7, 5}, {}},
        {{2, 12, 12, 8}, {8, 3, 3, 8}, {.padding = {4, 4}, .dilation = {4, 4}}},
        {{1, 5, 5, 4}, {3, 3, 3, 4}, {.padding = {3, 4, 0, 5}}},
        {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    };
    for (const Convolution& c : cases) {
        check_convolution(draw, c);
    }
}

TEST_CASE("cpu conv2d_fused: residual and each activation agree with the reference") {
    Draw draw(17);
    const Shape shape{2, 6, 5, 8};
    const Tensor x = draw.tensor({2, 6, 5, 8});
    const Tensor weight = draw.tensor({8, 3, 3, 8});
    const Tensor residual = draw.tensor(shape);
    for (const Activation activation : {Activation::none, Activation::relu, Activation::relu6}) {
        for (const Tensor& added : {Tensor(), residual}) {
            CAPTURE(static_cast<int>(activation));
            const auto fused = [&](Backend& b, Tensor& y) {
                b.conv2d_fused({.padding = {1, 1}}, x, weight, {}, {added, activation}, y);
            };
            compare(shape, fused, 0, 2e-6, Tensor::full(shape, 40));
            const Tensor y = output_of(cpu_backend(), shape, fused);
            const std::vector<float> values = y.to_vector<float>();
            const auto [low, high] = std::minmax_element(values.begin(), values.end());
            CHECK((*low >= 0) == (activation != Activation::none));
            CHECK((*high <= 6) == (activation == Activation::relu6));
        }
    }
}

TEST_CASE("cpu conv2d: an empty batch gives empty images and zero gradients of the weights") {
    const Conv2dAttrs attrs{.padding = {1, 1}};
    const Tensor x = Tensor::empty({0, 5, 5, 3});
    const Tensor weight = Tensor::ones({4, 3, 3, 3});
    Tensor y = Tensor::empty({0, 5, 5, 4});
    CHECK_NOTHROW(cpu_backend().conv2d(attrs, x, weight, {}, y));
    Tensor d_weight = Tensor::full({4, 3, 3, 3}, NAN);
    cpu_backend().conv2d_backward_weights(attrs, x, y, d_weight);
    CHECK(d_weight.to_vector<float>() == std::vector<float>(108, 0.0f));
}

TEST_CASE("cpu conv2d: reordered weights are forgotten when the weights change") {
    Draw draw(23);
    const Conv2dAttrs attrs{.padding = {1, 1}};
    const Tensor x = draw.tensor({1, 8, 8, 16});
    Tensor weight = draw.tensor({16, 3, 3, 16});
    for (int step = 0; step < 6; ++step) {
        for (int use = 0; use < 4; ++use) {
            CAPTURE(step);
            CAPTURE(use);
            compare(
                {1, 8, 8, 16}, [&](Backend& b, Tensor& y) { b.conv2d(attrs, x, weight, {}, y); }, 1e-5, 1e-4);
        }
        weight.copy_from(draw.tensor({16, 3, 3, 16}));
    }
}

TEST_CASE("cpu conv2d: float64 runs as the reference does") {
    const Tensor x = Tensor::ones({1, 4, 4, 2}, DType::f64);
    const Tensor weight = Tensor::ones({3, 3, 3, 2}, DType::f64);
    Tensor y = Tensor::empty({1, 2, 2, 3}, DType::f64);
    cpu_backend().conv2d({}, x, weight, {}, y);
    CHECK(y.to_vector<double>() == std::vector<double>(12, 18.0));
}

TEST_CASE("cpu kernels: two runs give the same bits") {
    Draw draw(24);
    const Tensor x = draw.tensor({4, 28, 28, 32});
    const Tensor d_y = draw.tensor({4, 28, 28, 48});
    const auto run = [&] {
        Tensor d_weight = Tensor::empty({48, 3, 3, 32});
        cpu_backend().conv2d_backward_weights({.padding = {1, 1}}, x, d_y, d_weight);
        Tensor sum = Tensor::empty({1, 1, 1, 32});
        cpu_backend().reduce(ReduceOp::sum, x, 0b0111, sum);
        auto bits = d_weight.to_vector<float>();
        const auto sums = sum.to_vector<float>();
        bits.insert(bits.end(), sums.begin(), sums.end());
        return bits;
    };
    CHECK(run() == run());
}

TEST_CASE("cpu conv2d: tuning measures each shape once, and its record can be restored") {
    Draw draw(25);
    ConvTuning::restore("");
    ConvTuning::enable(true);
    const Convolution c{{1, 8, 8, 16}, {32, 3, 3, 16}, {.padding = {1, 1}}};
    check_convolution(draw, c);
    ConvTuning::enable(false);
    const std::string record = ConvTuning::record();
    CAPTURE(record);
    CHECK(std::count(record.begin(), record.end(), '\n') == 3);
    CHECK(record.rfind("backward_data n=1 c=16 h=8 w=8 o=32 k=3x3 s=1x1 p=1,1,1,1 d=1x1 g=1 : ", 0) == 0);
    ConvTuning::restore("");
    CHECK(ConvTuning::record().empty());
    ConvTuning::restore(record);
    CHECK(ConvTuning::record() == record);

    // Every choice computes the same.
    for (const std::string choice : {"nhwc", "any_layout", "winograd"}) {
        std::string chosen;
        for (const std::string direction : {"forward", "backward_data", "backward_weights"}) {
            chosen += direction + " n=2 c=16 h=9 w=9 o=24 k=3x3 s=1x1 p=1,1,1,1 d=1x1 g=1 : " + choice + "\n";
        }
        ConvTuning::restore(chosen);
        // Winograd's algorithm multiplies transformed inputs: its error is larger than that of a sum.
        check_convolution(draw, {{2, 9, 9, 16}, {24, 3, 3, 16}, {.padding = {1, 1}}},
                          choice == "winograd" ? 1e-4 : 1e-6);
    }
    CHECK_THROWS_AS(ConvTuning::restore("forward n=2 : nhwc"), Error);
    CHECK_THROWS_WITH_AS(
        ConvTuning::restore("forward n=1 c=16 h=8 w=8 o=32 k=3x3 s=1x1 p=1,1,1,1 d=1x1 g=1 : fast"),
        "convolution record: expected `forward n=8 c=64 h=56 w=56 o=64 k=3x3 s=1x1 p=1,1,1,1 d=1x1 g=1 "
        ": nhwc`, got `forward n=1 c=16 h=8 w=8 o=32 k=3x3 s=1x1 p=1,1,1,1 d=1x1 g=1 : fast`",
        Error);
    ConvTuning::restore("");
}

TEST_CASE("cpu pooling: agrees with the reference, ties and NaN included") {
    Draw draw(26);
    for (int i = 0; i < 80; ++i) {
        PoolAttrs attrs;
        attrs.kernel = {draw.between(1, 4), draw.between(1, 4)};
        attrs.stride = {draw.between(1, 3), draw.between(1, 3)};
        attrs.padding = Padding(draw.between(0, attrs.kernel[0] - 1), draw.between(0, attrs.kernel[1] - 1),
                                draw.between(0, attrs.kernel[0] - 1), draw.between(0, attrs.kernel[1] - 1));
        attrs.ceil_mode = draw.coin();
        attrs.count_padding = draw.coin();
        const int64_t channels = i % 5 == 0 ? 64 : draw.between(1, 130);
        const Shape in{draw.between(i % 20 == 0 ? 0 : 1, 3), draw.between(4, 20), draw.between(4, 20),
                       channels};
        const Shape out = pool_output_shape(attrs, in);
        auto values = draw.tensor(in).to_vector<float>();
        for (size_t k = 0; k < values.size(); ++k) {
            values[k] = k % 97 == 5 ? NAN : k % 3 == 0 ? std::round(values[k]) : values[k];
        }
        const Tensor x = Tensor::from(values, in);
        const Tensor finite = draw.tensor(in);
        const Tensor d_y = draw.tensor(out);
        CAPTURE(in);
        CAPTURE(out);
        Tensor index[2];
        Backend* backends[] = {&cpu_backend(), &reference_backend()};
        Tensor y[2];
        for (size_t k = 0; k < 2; ++k) {
            y[k] = Tensor::full(out, NAN);
            index[k] = Tensor::full(out, 255, DType::u8);
            backends[k]->max_pool(attrs, x, y[k], index[k]);
        }
        check_close(y[0], y[1], 0);
        check_close(index[0], index[1], 0);
        compare(
            out, [&](Backend& b, Tensor& t) { b.max_pool_gather(attrs, finite, index[1], t); }, 0);
        // At most 16 windows add up in f32.
        compare(
            in, [&](Backend& b, Tensor& t) { b.max_pool_scatter(attrs, d_y, index[1], t); }, 1e-6, 1e-6);
        compare(
            out, [&](Backend& b, Tensor& t) { b.avg_pool(attrs, finite, t); }, 1e-7, 1e-12);
        compare(
            in, [&](Backend& b, Tensor& t) { b.avg_pool_adjoint(attrs, d_y, t); }, 1e-6, 1e-6);
        const Shape adaptive{in[0], draw.between(1, 9), draw.between(1, 9), channels};
        CAPTURE(adaptive);
        const Tensor d_z = draw.tensor(adaptive);
        compare(
            adaptive, [&](Backend& b, Tensor& t) { b.adaptive_avg_pool(finite, t); }, 1e-7, 1e-12);
        compare(
            in, [&](Backend& b, Tensor& t) { b.adaptive_avg_pool_adjoint(d_z, t); }, 1e-6, 1e-6);
    }
}
