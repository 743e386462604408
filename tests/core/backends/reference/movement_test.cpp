#include <functional>

#include "tests/core/backends/kernel_testing.h"

using namespace backlight;
using namespace backlight::kernel_testing;

namespace {

Tensor moved(const Shape& shape, DType dtype, const std::function<void(Tensor&)>& kernel) {
    Tensor y = output(shape, dtype);
    kernel(y);
    return y;
}

Tensor rows_index(const std::vector<int64_t>& values, const Shape& shape) {
    return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE_TEMPLATE("broadcast: extents of one and missing axes are read again", T, float, double, int64_t,
                   uint8_t) {
    const auto stretched = [](const Tensor& x, const Shape& shape) {
        return moved(shape, x.dtype(), [&](Tensor& y) { reference_backend().broadcast(x, y); });
    };
    check_values(stretched(tensor<T>({1, 2}, {2, 1}), {2, 3}), {1, 1, 1, 2, 2, 2});
    check_values(stretched(tensor<T>({1, 2}, {2}), {2, 2}), {1, 2, 1, 2});
    check_values(stretched(tensor<T>({7}, {}), {1, 2, 2}), {7, 7, 7, 7});
    check_values(stretched(tensor<T>({1, 2}, {2, 1, 1}), {2, 2, 1}), {1, 1, 2, 2});
}

TEST_CASE_TEMPLATE("permute: axis i of y is axis axes[i] of x", T, float, double, int64_t, uint8_t) {
    const Tensor x = tensor<T>({1, 2, 3, 4, 5, 6}, {1, 2, 3});
    const auto permuted = [&](const std::vector<int>& axes, const Shape& shape) {
        return moved(shape, x.dtype(), [&](Tensor& y) { reference_backend().permute(x, axes, y); });
    };
    check_values(permuted({0, 2, 1}, {1, 3, 2}), {1, 4, 2, 5, 3, 6});
    check_values(permuted({2, 0, 1}, {3, 1, 2}), {1, 4, 2, 5, 3, 6});
    check_values(permuted({1, 2, 0}, {2, 3, 1}), {1, 2, 3, 4, 5, 6});
    check_values(permuted({0, 1, 2}, {1, 2, 3}), {1, 2, 3, 4, 5, 6});
}

TEST_CASE("permute: a cycle of the axes, applied four times, is the identity") {
    BACKLIGHT_CAPTURE_SEED();
    const Tensor x = random_tensor<double>({2, 3, 4, 5}, 1);
    Tensor y = x;
    for (int round = 0; round < 4; ++round) {
        const Shape shape{y.dim(1), y.dim(2), y.dim(3), y.dim(0)};
        y = moved(shape, DType::f64, [&](Tensor& out) {
            reference_backend().permute(y, std::vector<int>{1, 2, 3, 0}, out);
        });
        CHECK((round == 3) == (values_of(y) == values_of(x)));
    }
}

TEST_CASE_TEMPLATE("slice and pad: a block is cut out and put back among zeros", T, float, double, int64_t,
                   uint8_t) {
    const Tensor x = tensor<T>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {3, 4});
    const Tensor cut = moved({2, 2}, x.dtype(), [&](Tensor& y) { reference_backend().slice(x, {1, 1}, y); });
    check_values(cut, {6, 7, 10, 11});
    const Tensor back = moved({3, 4}, x.dtype(), [&](Tensor& y) { reference_backend().pad(cut, {1, 1}, y); });
    check_values(back, {0, 0, 0, 0, 0, 6, 7, 0, 0, 10, 11, 0});
    const Tensor written = moved({3, 4}, x.dtype(), [&](Tensor& y) {
        reference_backend().copy(x, y);
        reference_backend().write_slice(cut, {0, 2}, y);
    });
    check_values(written, {1, 2, 6, 7, 5, 6, 10, 11, 9, 10, 11, 12});
    CHECK(moved({0, 4}, x.dtype(), [&](Tensor& y) { reference_backend().slice(x, {2, 0}, y); }).numel() == 0);
}

TEST_CASE_TEMPLATE("concat: parts follow each other along the axis", T, float, double, int64_t, uint8_t) {
    const std::vector<Tensor> rows{tensor<T>({1, 2}, {1, 2}), tensor<T>({}, {0, 2}),
                                   tensor<T>({3, 4, 5, 6}, {2, 2})};
    check_values(moved({3, 2}, kType<T>, [&](Tensor& y) { reference_backend().concat(rows, 0, y); }),
                 {1, 2, 3, 4, 5, 6});
    const std::vector<Tensor> columns{tensor<T>({1, 2}, {2, 1}), tensor<T>({3, 4, 5, 6}, {2, 2})};
    check_values(moved({2, 3}, kType<T>, [&](Tensor& y) { reference_backend().concat(columns, 1, y); }),
                 {1, 3, 4, 2, 5, 6});
    check_values(moved({2, 3}, kType<T>, [&](Tensor& y) { reference_backend().concat(columns, -1, y); }),
                 {1, 3, 4, 2, 5, 6});
    const std::vector<Tensor> middle{tensor<T>({1, 2, 3, 4}, {2, 1, 2}), tensor<T>({5, 6, 7, 8}, {2, 1, 2})};
    check_values(moved({2, 2, 2}, kType<T>, [&](Tensor& y) { reference_backend().concat(middle, 1, y); }),
                 {1, 2, 5, 6, 3, 4, 7, 8});
}

TEST_CASE_TEMPLATE("gather_rows: rows in any order, also twice", T, float, double, int64_t, uint8_t) {
    const Tensor x = tensor<T>({1, 2, 3, 4, 5, 6}, {3, 2});
    const auto gathered = [&](const Tensor& index, const Shape& shape) {
        return moved(shape, x.dtype(), [&](Tensor& y) { reference_backend().gather_rows(x, index, y); });
    };
    check_values(gathered(rows_index({2, 0, 2}, {3}), {3, 2}), {5, 6, 1, 2, 5, 6});
    CHECK(gathered(rows_index({}, {0}), {0, 2}).numel() == 0);
    CHECK(error_text([&] {
              (void)gathered(rows_index({0, 3}, {2}), {2, 2});
          }) == "gather_rows: expected an index in 0..2, got 3");
    CHECK(error_text([&] {
              (void)gathered(rows_index({-1}, {1}), {1, 2});
          }) == "gather_rows: expected an index in 0..2, got -1");
}

TEST_CASE_TEMPLATE("scatter_add_rows: adds what falls together and starts from zero", T, float, double,
                   int64_t) {
    const Tensor d_y = tensor<T>({1, 2, 10, 20, 100, 200}, {3, 2});
    const Tensor index = rows_index({2, 0, 2}, {3});
    const Tensor d_x =
        moved({3, 2}, kType<T>, [&](Tensor& y) { reference_backend().scatter_add_rows(d_y, index, y); });
    check_values(d_x, {10, 20, 0, 0, 101, 202});
    CHECK(error_text([&] {
              Tensor y = output<T>({2, 2});
              reference_backend().scatter_add_rows(d_y, index, y);
          }) == "scatter_add_rows: expected an index in 0..1, got 2");
}

TEST_CASE_TEMPLATE("gather_last and scatter_last: one element of each row", T, float, double, int64_t) {
    const Tensor x = tensor<T>({1, 2, 3, 4, 5, 6}, {2, 3});
    const Tensor index = rows_index({2, 0}, {2});
    check_values(moved({2}, kType<T>, [&](Tensor& y) { reference_backend().gather_last(x, index, y); }),
                 {3, 4});
    const Tensor d_y = tensor<T>({7, 8}, {2});
    check_values(moved({2, 3}, kType<T>, [&](Tensor& y) { reference_backend().scatter_last(d_y, index, y); }),
                 {0, 0, 7, 8, 0, 0});
    const Tensor wrong = rows_index({2, 3}, {2});
    CHECK(error_text([&] {
              Tensor y = output<T>({2});
              reference_backend().gather_last(x, wrong, y);
          }) == "gather_last: expected an index in 0..2, got 3");
    CHECK(error_text([&] {
              Tensor y = output<T>({2, 3});
              reference_backend().scatter_last(d_y, wrong, y);
          }) == "scatter_last: expected an index in 0..2, got 3");
}

TEST_CASE_TEMPLATE("gathers: their scatters are their adjoints", T, float, double) {
    BACKLIGHT_CAPTURE_SEED();
    auto& kernels = reference_backend();
    const Tensor x = random_tensor<T>({5, 2, 3}, 1);
    const Tensor rows = rows_index({4, 1, 1, 0, 4, 4}, {6});
    const Tensor s = random_tensor<T>({6, 2, 3}, 2);
    check_adjoint(moved(s.shape(), kType<T>, [&](Tensor& y) { kernels.gather_rows(x, rows, y); }), s, x,
                  moved(x.shape(), kType<T>, [&](Tensor& y) { kernels.scatter_add_rows(s, rows, y); }),
                  100 * kTolerance<T>);
    const Tensor last = rows_index({0, 1, 2, 2, 1, 0, 0, 0, 1, 2}, {5, 2});
    const Tensor t = random_tensor<T>({5, 2}, 3);
    check_adjoint(moved(t.shape(), kType<T>, [&](Tensor& y) { kernels.gather_last(x, last, y); }), t, x,
                  moved(x.shape(), kType<T>, [&](Tensor& y) { kernels.scatter_last(t, last, y); }),
                  100 * kTolerance<T>);
    const Tensor block = random_tensor<T>({2, 1, 2}, 4);
    check_adjoint(moved(block.shape(), kType<T>,
                        [&](Tensor& y) {
                            kernels.slice(x, {3, 1, 0}, y);
                        }),
                  block, x,
                  moved(x.shape(), kType<T>,
                        [&](Tensor& y) {
                            kernels.pad(block, {3, 1, 0}, y);
                        }),
                  100 * kTolerance<T>);
}

TEST_CASE("copies: to the host, from the host, between tensors, and converted") {
    const Tensor x = Tensor::from<float>({1.5f, -2.5f, 300}, {3});
    Tensor y = output({3}, DType::f32);
    reference_backend().copy(x, y);
    check_values(y, {1.5, -2.5, 300});
    reference_backend().fill(y, -7);
    check_values(y, {-7, -7, -7});
    Tensor whole = output({3}, DType::i64);
    reference_backend().cast(x, whole);
    check_values(whole, {1, -2, 300});
    Tensor bytes = output({3}, DType::u8);
    reference_backend().cast(x, bytes);
    check_values(bytes, {1, 0, 255});
}
