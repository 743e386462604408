// Every kernel of the CPU backend against the reference: random shapes with extents of 1, odd channels, empty
// batches, NaN in inputs and in outputs before. Large extents reach the parallel and the streaming paths.
#include "tests/core/kernel_comparison.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"

using namespace backlight;
using namespace backlight::kernel_test;

TEST_CASE("cpu reduce: agrees with the reference for every set of axes") {
    Draw draw(6);
    std::vector<Shape> shapes = {{2, 50, 50, 64}, {70000},    {300, 7},    {3, 90000},
                                 {70000, 3},      {5, 20000}, {9, 31, 17}, {2, 3, 4, 5, 6}};
    for (int i = 0; i < 30; ++i) {
        shapes.push_back(draw.shape(4, 30));
    }
    for (const Shape& shape : shapes) {
        const Tensor x = draw.tensor(shape);
        const Tensor size = absolute(x);
        for (AxisMask axes = 0; axes < (1U << shape.rank()); ++axes) {
            Shape kept = shape;
            for (int axis = 0; axis < shape.rank(); ++axis) {
                kept = (axes >> axis & 1U) != 0 ? kept.with(axis, 1) : kept;
            }
            CAPTURE(shape);
            CAPTURE(axes);
            // Sums are double on both sides: one rounding to f32.
            compare(
                kept, [&](Backend& b, Tensor& y) { b.reduce(ReduceOp::sum, x, axes, y); }, 1.2e-7, 1e-13,
                output_of(reference_backend(), kept,
                          [&](Backend& b, Tensor& y) { b.reduce(ReduceOp::sum, size, axes, y); }));
            compare(
                kept, [&](Backend& b, Tensor& y) { b.reduce(ReduceOp::maximum, x, axes, y); }, 0);
            compare(
                kept, [&](Backend& b, Tensor& y) { b.reduce(ReduceOp::minimum, x, axes, y); }, 0);
        }
    }
    const Tensor x = with_specials(draw, {40, 50});
    for (const AxisMask axes : {1U, 2U, 3U}) {
        const Shape kept{(axes & 1U) != 0 ? 1 : 40, (axes & 2U) != 0 ? 1 : 50};
        const Tensor size = output_of(reference_backend(), kept, [&](Backend& b, Tensor& y) {
            b.reduce(ReduceOp::sum, absolute(x), axes, y);
        });
        for (const ReduceOp op : {ReduceOp::sum, ReduceOp::maximum, ReduceOp::minimum}) {
            compare(
                kept, [&](Backend& b, Tensor& y) { b.reduce(op, x, axes, y); }, 1.2e-7, 1e-13, size);
        }
    }
    const Tensor empty = Tensor::empty({0, 5});
    compare(
        {1, 5}, [&](Backend& b, Tensor& y) { b.reduce(ReduceOp::sum, empty, 1, y); }, 0);
}

TEST_CASE("cpu matmul: agrees with the reference for small and large, batched and transposed operands") {
    Draw draw(7);
    struct Case {
        int64_t batch, rows, columns, inner;
    };
    std::vector<Case> cases = {{1, 32, 64, 5},     {1, 32, 2, 16},    {1, 1, 1, 1},     {1, 5, 7, 0},
                               {3, 4, 5, 6},       {1, 130, 70, 90},  {1, 8, 300, 600}, {7, 49, 17, 33},
                               {1, 3, 1000, 2048}, {1, 257, 129, 65}, {2, 0, 3, 4}};
    for (int i = 0; i < 60; ++i) {
        cases.push_back({draw.between(1, 3), draw.between(1, 70), draw.between(1, 70), draw.between(1, 70)});
    }
    for (const auto& [batch, rows, columns, inner] : cases) {
        for (int variant = 0; variant < 16; ++variant) {
            const MatmulAttrs attrs{(variant & 1) != 0, (variant & 2) != 0};
            const bool batch_b = (variant & 4) != 0;
            const auto operand = [&](int64_t r, int64_t c, bool transpose, bool has_batch) {
                const Shape matrix = transpose ? Shape{c, r} : Shape{r, c};
                return draw.tensor(has_batch ? Shape{batch, matrix[0], matrix[1]} : matrix);
            };
            const Tensor a = operand(rows, inner, attrs.transpose_a, batch > 1);
            const Tensor b = operand(inner, columns, attrs.transpose_b, batch > 1 && batch_b);
            const Tensor bias = (variant & 8) != 0 ? draw.tensor({columns}) : Tensor();
            const Shape shape = batch > 1 ? Shape{batch, rows, columns} : Shape{rows, columns};
            const Tensor scale = output_of(reference_backend(), shape, [&](Backend& k, Tensor& y) {
                k.matmul(attrs, absolute(a), absolute(b), bias.defined() ? absolute(bias) : bias, y);
            });
            CAPTURE(shape);
            CAPTURE(inner);
            CAPTURE(variant);
            // f32 accumulation in several chains: the errors of n additions grow like sqrt(n) units, and 2048
            // is the most.
            compare(
                shape, [&](Backend& k, Tensor& y) { k.matmul(attrs, a, b, bias, y); }, 1e-6, 1e-6, scale);
        }
    }
}

TEST_CASE("cpu softmax and log_softmax: rows of any length") {
    Draw draw(8);
    for (const Shape& shape : {Shape{32, 2}, Shape{7, 10}, Shape{3, 1000}, Shape{2, 5000}, Shape{5, 1},
                               Shape{0, 4}, Shape{9}, Shape{600, 129}}) {
        auto values = draw.tensor(shape).to_vector<float>();
        for (size_t i = 0; i < values.size(); ++i) {
            values[i] = values[i] * 10.0f + (i % 3 == 0 ? 200.0f : 0.0f);
        }
        const Tensor x = Tensor::from(values, shape);
        CAPTURE(shape);
        // exp of a difference of f32: the difference is rounded to a unit of its size, at most 280 here.
        compare(
            shape, [&](Backend& b, Tensor& y) { b.softmax(x, y); }, 2e-5, 1e-37);
        compare(
            shape, [&](Backend& b, Tensor& y) { b.log_softmax(x, y); }, 1e-6, 1e-6);
    }
    const Tensor x = Tensor::from({1.0f, NAN, 2.0f, 0.0f, 1.0f, -INFINITY}, {2, 3});
    compare(
        {2, 3}, [&](Backend& b, Tensor& y) { b.softmax(x, y); }, 1e-6);
    compare(
        {2, 3}, [&](Backend& b, Tensor& y) { b.log_softmax(x, y); }, 1e-6);
}

TEST_CASE("cpu batch norm: statistics, affine map, gradient") {
    Draw draw(9);
    for (const Shape& shape : {Shape{2, 5, 5, 64}, Shape{3, 1}, Shape{300, 7}, Shape{1, 1, 1, 5},
                               Shape{4, 31, 31, 33}, Shape{70000, 3}, Shape{20, 3000}, Shape{66000, 64}}) {
        const int64_t channels = shape[-1];
        Tensor x = draw.tensor(shape);
        cpu_backend().unary(UnaryOp::add_scalar, x, 3.0, x);
        const Tensor d_y = draw.tensor(shape);
        const Tensor scale = draw.tensor({channels});
        const Tensor shift = draw.tensor({channels});
        CAPTURE(shape);
        Tensor mean[2];
        Tensor variance[2];
        Backend* backends[] = {&cpu_backend(), &reference_backend()};
        for (size_t i = 0; i < 2; ++i) {
            mean[i] = Tensor::full({channels}, NAN);
            variance[i] = Tensor::full({channels}, NAN);
            backends[i]->channel_statistics(x, mean[i], variance[i]);
        }
        check_close(mean[0], mean[1], 2e-7);
        // Squares are rounded to f32 before they are summed in double.
        check_close(variance[0], variance[1], 3e-7, 1e-12);
        // Three roundings of f32 instead of one.
        compare(
            shape, [&](Backend& b, Tensor& y) { b.channel_affine(x, scale, shift, {}, false, y); }, 2e-7,
            3e-6);
        compare(
            shape, [&](Backend& b, Tensor& y) { b.channel_affine(x, scale, shift, d_y, true, y); }, 2e-7,
            3e-6);
        Tensor inv_std = Tensor::empty({channels});
        reference_backend().unary(UnaryOp::add_scalar, variance[1], 0.1, inv_std);
        reference_backend().unary(UnaryOp::power_scalar, inv_std, -0.5, inv_std);
        for (const ReluMask& relu :
             {ReluMask{}, ReluMask{.output = draw.tensor(shape), .shift = {}}, ReluMask{{}, shift}}) {
            Tensor d_scale[2];
            Tensor d_shift[2];
            Tensor d_x[2];
            Tensor d_residual[2];
            for (size_t i = 0; i < 2; ++i) {
                d_scale[i] = Tensor::full({channels}, NAN);
                d_shift[i] = Tensor::full({channels}, NAN);
                d_x[i] = Tensor::full(shape, NAN);
                d_residual[i] = relu.output.defined() ? Tensor::full(shape, NAN) : Tensor();
                backends[i]->batch_norm_backward(x, d_y, mean[1], inv_std, scale, relu, d_x[i], d_scale[i],
                                                 d_shift[i], d_residual[i]);
            }
            if (relu.output.defined()) {
                check_close(d_residual[0], d_residual[1], 0);
            }
            // Sums of terms of either sign: within 1e-7 of what their magnitudes (about 1) add up to.
            const double terms = static_cast<double>(shape.numel() / channels);
            check_close(d_shift[0], d_shift[1], 2e-7, 1e-7 * terms);
            check_close(d_scale[0], d_scale[1], 2e-7, 1e-7 * terms);
            check_close(d_x[0], d_x[1], 2e-6, 2e-6);
        }
    }
}

TEST_CASE("cpu batch norm: statistics far from zero, and of a constant") {
    Draw draw(13);
    Tensor x = draw.tensor({5000, 8});
    cpu_backend().unary(UnaryOp::multiply_scalar, x, 0.1, x);
    cpu_backend().unary(UnaryOp::add_scalar, x, 1000.0, x);
    Tensor mean[] = {Tensor::empty({8}), Tensor::empty({8})};
    Tensor variance[] = {Tensor::empty({8}), Tensor::empty({8})};
    cpu_backend().channel_statistics(x, mean[0], variance[0]);
    reference_backend().channel_statistics(x, mean[1], variance[1]);
    check_close(mean[0], mean[1], 1e-7);
    check_close(variance[0], variance[1], 1e-6);
    const Tensor constant = Tensor::full({1000, 8}, 1234.567);
    cpu_backend().channel_statistics(constant, mean[0], variance[0]);
    CHECK(variance[0].to_vector<float>() == std::vector<float>(8, 0.0f));
}

TEST_CASE("cpu permute: every permutation of every rank moves the same bits") {
    Draw draw(10);
    for (int i = 0; i < 150; ++i) {
        const Shape shape = i % 10 == 0 ? Shape{2, 40, 33, 50} : draw.shape(5, 20);
        std::vector<int> axes(static_cast<size_t>(shape.rank()));
        std::iota(axes.begin(), axes.end(), 0);
        for (size_t k = axes.size(); k > 1; --k) {
            std::swap(axes[k - 1], axes[static_cast<size_t>(draw.between(0, static_cast<int64_t>(k) - 1))]);
        }
        Shape permuted;
        for (const int axis : axes) {
            permuted.push_back(shape[axis]);
        }
        const Tensor x = draw.tensor(shape);
        CAPTURE(shape);
        compare(
            permuted, [&](Backend& b, Tensor& y) { b.permute(x, axes, y); }, 0);
    }
}

TEST_CASE("cpu slice, pad, write_slice, concat, gather_rows: the elements of the reference, any type") {
    Draw draw(12);
    for (int i = 0; i < 60; ++i) {
        const Shape whole = i == 0 ? Shape{40, 50, 60} : draw.shape(5, 8);
        Shape part;
        Shape start;
        for (int axis = 0; axis < whole.rank(); ++axis) {
            part.push_back(draw.coin() ? whole[axis] : draw.between(i % 9 == 0 ? 0 : 1, whole[axis]));
            start.push_back(draw.between(0, whole[axis] - part[axis]));
        }
        const DType dtype = i % 3 == 0 ? DType::u8 : i % 3 == 1 ? DType::f32 : DType::i64;
        const auto values = [&](const Shape& shape) {
            return absolute(draw.tensor(shape)).to(DType::f64).to(dtype);
        };
        const Tensor large = values(whole);
        const Tensor small = values(part);
        CAPTURE(whole);
        CAPTURE(part);
        const auto same = [&](const Shape& shape, const auto& run) {
            check_close(output_of(cpu_backend(), shape, run, dtype),
                        output_of(reference_backend(), shape, run, dtype), 0);
        };
        same(part, [&](Backend& b, Tensor& y) { b.slice(large, start, y); });
        same(whole, [&](Backend& b, Tensor& y) { b.pad(small, start, y); });
        same(whole, [&](Backend& b, Tensor& y) {
            b.copy(large, y);
            b.write_slice(small, start, y);
        });
        if (whole.rank() == 0) {
            continue;
        }
        const int axis = static_cast<int>(draw.between(0, whole.rank() - 1));
        const Tensor parts[] = {large, values(whole.with(axis, draw.between(0, 5))),
                                values(whole.with(axis, 2))};
        same(whole.with(axis, whole[axis] + parts[1].dim(axis) + 2),
             [&](Backend& b, Tensor& y) { b.concat(parts, axis, y); });
        std::vector<int64_t> rows(static_cast<size_t>(draw.between(0, 20)));
        std::ranges::generate(rows, [&] { return draw.between(0, whole[0] - 1); });
        const Tensor index = Tensor::from(rows, {static_cast<int64_t>(rows.size())});
        same(whole.with(0, index.numel()), [&](Backend& b, Tensor& y) { b.gather_rows(large, index, y); });
    }
    Tensor y = Tensor::empty({1, 2});
    CHECK_THROWS_WITH_AS(cpu_backend().gather_rows(Tensor::ones({3, 2}), Tensor::from({int64_t{3}}, {1}), y),
                         "gather_rows: expected an index in 0..2, got 3", Error);
}

TEST_CASE("cpu optimisers: the bits of the reference; Adam's quotient to rounding of f32") {
    Draw draw(11);
    const Shape shape{70001};
    const Tensor g = draw.tensor(shape);
    const Tensor start[] = {draw.tensor(shape), absolute(draw.tensor(shape)), absolute(draw.tensor(shape))};
    const auto same = [&](const auto& step, double tolerance = 0.0) {
        Tensor state[2][3];
        Backend* backends[] = {&cpu_backend(), &reference_backend()};
        for (size_t i = 0; i < 2; ++i) {
            for (size_t k = 0; k < 3; ++k) {
                state[i][k] = start[k].clone();
            }
            step(*backends[i], state[i]);
        }
        for (size_t k = 0; k < 3; ++k) {
            check_close(state[0][k], state[1][k], k == 0 ? tolerance : 0.0, k == 0 ? tolerance : 0.0);
        }
    };
    for (const double momentum : {0.0, 0.9}) {
        for (int variant = 0; variant < 4; ++variant) {
            const SgdAttrs attrs{0.1, momentum, 1e-2, 0.1, (variant & 1) != 0, (variant & 2) != 0};
            same([&](Backend& b, Tensor* s) { b.sgd_step(attrs, s[0], g, s[1]); });
        }
    }
    for (const bool decoupled : {false, true}) {
        const AdamAttrs attrs{.lr = 1e-2, .weight_decay = 0.1, .decoupled = decoupled, .step = 3};
        same([&](Backend& b, Tensor* s) { b.adam_step(attrs, s[0], g, s[1], s[2]); }, 2e-7);
    }
    same([&](Backend& b, Tensor* s) { b.adadelta_step({.weight_decay = 0.01}, s[0], g, s[1], s[2]); });
    for (const double momentum : {0.0, 0.9}) {
        for (const bool centered : {false, true}) {
            const RmspropAttrs attrs{.momentum = momentum, .weight_decay = 0.01, .centered = centered};
            same([&](Backend& b, Tensor* s) {
                Tensor velocity = s[2].clone();
                b.rmsprop_step(attrs, s[0], g, s[1], s[2], velocity);
            });
        }
    }
}

TEST_CASE("cpu random: the bits of the reference; normals to rounding") {
    const RandomKey key{.seed = 5, .purpose = 3, .step = uint64_t{1} << 35, .sample = 9};
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{255}, int64_t{1026}, int64_t{100003}}) {
        compare(
            {count}, [&](Backend& b, Tensor& y) { b.random_uniform(y, key); }, 0);
        compare(
            {count}, [&](Backend& b, Tensor& y) { b.random_bernoulli(y, 0.3, key); }, 0);
        // |z| <= 6.8; cosine and sine of an angle up to 2 pi that was rounded to f32, then a product.
        compare(
            {count}, [&](Backend& b, Tensor& y) { b.random_normal(y, key); }, 1e-6, 2e-6);
    }
}
