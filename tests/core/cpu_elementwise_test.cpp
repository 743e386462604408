// The elementwise kernels of the CPU backend against the reference: special values, every way to broadcast,
// in-place use, and sizes that reach the parallel and the streaming paths.
#include "core/passed_bits.h"
#include "tests/core/kernel_comparison.h"

using namespace backlight;
using namespace backlight::kernel_test;

namespace {

constexpr int kUnaryOps = static_cast<int>(UnaryOp::floor) + 1;
constexpr int kBinaryOps = static_cast<int>(BinaryOp::where_positive) + 1;
// Two roundings of f32; the vectorised exp, log and tanh are within 2.3 units in the last place.
constexpr double kElementwise = 5e-7;

}  // namespace

TEST_CASE("cpu unary: agrees with the reference, special values included") {
    Draw draw(1);
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{1000}, int64_t{70001}}) {
        const Tensor x = with_specials(draw, {count});
        for (int op = 0; op < kUnaryOps; ++op) {
            for (const double p : {1.0, -0.3, 2.0}) {
                CAPTURE(op);
                CAPTURE(p);
                CAPTURE(count);
                // The absolute term is for results near the end of the normal range, which exp flushes.
                compare(
                    x.shape(), [&](Backend& b, Tensor& y) { b.unary(static_cast<UnaryOp>(op), x, p, y); },
                    kElementwise, 3e-38);
            }
        }
    }
}

TEST_CASE("cpu unary: large outputs, which bypass the caches, and in-place use") {
    Draw draw(2);
    const Tensor x = draw.tensor({(int64_t{4} << 20) + 37});
    for (const UnaryOp op : {UnaryOp::relu, UnaryOp::multiply_scalar, UnaryOp::identity}) {
        compare(
            x.shape(), [&](Backend& b, Tensor& y) { b.unary(op, x, 0.7, y); }, 0);
    }
    const Tensor expected = output_of(reference_backend(), x.shape(),
                                      [&](Backend& b, Tensor& y) { b.unary(UnaryOp::exp, x, 0, y); });
    Tensor in_place = x.clone();
    cpu_backend().unary(UnaryOp::exp, in_place, 0, in_place);
    check_close(in_place, expected, kElementwise);
}

TEST_CASE("cpu rectify and gate: values and bits of the reference, in float and bfloat16") {
    Draw draw(7);
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{255}, int64_t{256}, int64_t{70001},
                                (int64_t{8} << 20) + 300}) {  // the last bypasses the caches
        const Tensor wide = count < 100000 ? with_specials(draw, {count}) : draw.tensor({count});
        const Tensor gradient = draw.tensor({count});
        for (const DType type : {DType::f32, DType::bf16}) {
            const Tensor x = wide.to(type), d_y = gradient.to(type);
            for (const UnaryOp kind : {UnaryOp::relu, UnaryOp::relu6}) {
                CAPTURE(count);
                Tensor passed[2];
                size_t run = 0;
                compare(
                    {count},
                    [&](Backend& b, Tensor& y) {
                        passed[run] = Tensor::full({PassedBits::bytes(count)}, 170, DType::u8);
                        Tensor typed = Tensor::empty({count}, type);
                        b.rectify(kind, x, typed, passed[run++]);
                        b.cast(typed, y);
                    },
                    0);
                CHECK(passed[0].to_vector<uint8_t>() == passed[1].to_vector<uint8_t>());
                compare(
                    {count},
                    [&](Backend& b, Tensor& y) {
                        Tensor typed = Tensor::empty({count}, type);
                        b.gate(d_y, passed[0], typed);
                        b.cast(typed, y);
                    },
                    0);
            }
        }
    }
}

TEST_CASE("cpu any_where_not_positive: one element among many, wherever it lies") {
    constexpr int64_t kCount = 300'001;
    const std::vector<float> zeros(kCount, 0.0f);
    std::vector<float> signs(kCount, -1.0f);
    signs[7] = 1;
    const Tensor z = Tensor::from(signs, {kCount});
    for (const int64_t at : {int64_t{0}, int64_t{7}, int64_t{2048}, kCount / 2, kCount - 1}) {
        CAPTURE(at);
        std::vector<float> values = zeros;
        values[static_cast<size_t>(at)] = 1e-40f;  // denormal, and something
        const Tensor x = Tensor::from(values, {kCount});
        CHECK(cpu_backend().any_where_not_positive(x, z) == (at != 7));
        CHECK(reference_backend().any_where_not_positive(x, z) == (at != 7));
    }
    CHECK_FALSE(cpu_backend().any_where_not_positive(Tensor::from(zeros, {kCount}), z));
}

TEST_CASE("cpu binary: agrees with the reference for every way to broadcast") {
    Draw draw(3);
    std::vector<std::pair<Shape, Shape>> shapes = {
        {{2, 7, 5, 64}, {64}},  {{4000, 3}, {3}},    {{3}, {4000, 3}},        {{500, 1}, {500, 33}},
        {{2, 3, 1, 5}, {4, 1}}, {{}, {70000}},       {{70000}, {1}},          {{0, 4}, {4}},
        {{1, 5000}, {17, 1}},   {{5}, {7, 3, 5}},    {{30, 40, 1}, {40, 50}}, {{20, 5000}, {5000}},
        {{9, 5000}, {9, 1}},    {{1, 1500}, {17, 1}}};
    for (int i = 0; i < 60; ++i) {
        const Shape full = draw.shape(5, 12);
        Shape a;
        Shape b;
        for (int axis = 0; axis < full.rank(); ++axis) {
            a.push_back(draw.coin(0.3) ? 1 : full[axis]);
            b.push_back(draw.coin(0.3) ? 1 : full[axis]);
        }
        shapes.emplace_back(a, b);
    }
    for (const auto& [shape_a, shape_b] : shapes) {
        const Tensor a = with_specials(draw, shape_a);
        const Tensor b = with_specials(draw, shape_b);
        const Shape shape = broadcast_shapes(shape_a, shape_b, "test");
        CAPTURE(shape_a);
        CAPTURE(shape_b);
        for (int op = 0; op < kBinaryOps; ++op) {
            CAPTURE(op);
            compare(
                shape, [&](Backend& k, Tensor& y) { k.binary(static_cast<BinaryOp>(op), a, b, y); },
                kElementwise);
        }
        compare(
            shape, [&](Backend& k, Tensor& y) { k.broadcast(a, y); }, 0);
    }
}

TEST_CASE("cpu binary: large outputs with a row and a column") {
    Draw draw(4);
    const Shape shape{66000, 64};
    const Tensor x = draw.tensor(shape);
    for (const Tensor& other :
         {draw.tensor({64}), draw.tensor({66000, 1}), draw.tensor(shape), draw.tensor({})}) {
        compare(
            shape, [&](Backend& b, Tensor& y) { b.binary(BinaryOp::add, x, other, y); }, 0);
        compare(
            shape, [&](Backend& b, Tensor& y) { b.binary(BinaryOp::divide, other, x, y); }, 0);
    }
}

TEST_CASE("cpu select, accumulate, fill, copy, cast") {
    Draw draw(5);
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{33}, int64_t{70001}}) {
        const Tensor a = with_specials(draw, {count});
        const Tensor b = draw.tensor({count});
        Tensor mask = Tensor::empty({count}, DType::u8);
        reference_backend().unary(UnaryOp::is_positive, b, 0, const_cast<Tensor&>(b));
        reference_backend().cast(b, mask);
        const Tensor c = draw.tensor({count});
        compare(
            {count}, [&](Backend& k, Tensor& y) { k.select(mask, a, c, y); }, 0);
        compare(
            {count}, [&](Backend& k, Tensor& y) { k.select(b, a, c, y); }, 0);
        compare(
            {count}, [&](Backend& k, Tensor& y) { k.fill(y, 0.1); }, 0);
        compare(
            {count}, [&](Backend& k, Tensor& y) { k.copy(a, y); }, 0);
        compare(
            {count},
            [&](Backend& k, Tensor& y) {
                k.copy(c, y);
                k.accumulate(y, a);
            },
            0);
        for (const DType from : {DType::f32, DType::f64, DType::i64, DType::u8}) {
            const Tensor x = a.to(from);
            for (const DType to : {DType::f32, DType::f64, DType::i64, DType::u8}) {
                const auto cast = [&](Backend& k, Tensor& y) { k.cast(x, y); };
                check_close(output_of(cpu_backend(), {count}, cast, to),
                            output_of(reference_backend(), {count}, cast, to), 0);
            }
        }
    }
}
