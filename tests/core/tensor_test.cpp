#include "core/tensor.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/backend.h"
#include "core/error.h"

using namespace backlight;

TEST_CASE("tensor: values go in and come out in row order") {
    const Tensor t = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
    CHECK(t.shape() == Shape{2, 3});
    CHECK(t.dtype() == DType::f32);
    CHECK(t.to_vector<float>() == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK_THROWS_WITH_AS(Tensor::from<float>({1, 2}, {3}), "tensor: shape (3,) expects 3 values, got 2",
                         Error);
    CHECK_THROWS_WITH_AS((void)t.to_vector<double>(), "tensor: expected float64, got float32", Error);
}

TEST_CASE("tensor: the constructors that fill") {
    CHECK(Tensor::zeros({2}).to_vector<float>() == std::vector<float>{0, 0});
    CHECK(Tensor::ones({2}, DType::i64).to_vector<int64_t>() == std::vector<int64_t>{1, 1});
    CHECK(Tensor::full({2}, 2.5, DType::f64).to_vector<double>() == std::vector<double>{2.5, 2.5});
    CHECK(Tensor::arange(3, DType::i64).to_vector<int64_t>() == std::vector<int64_t>{0, 1, 2});
    CHECK(Tensor::arange(0).numel() == 0);
    CHECK(Tensor::scalar(7).item() == 7);
    CHECK(Tensor::scalar(7).rank() == 0);
}

TEST_CASE("tensor: an undefined tensor and one without its data say what they are") {
    CHECK_FALSE(Tensor().defined());
    const Tensor gone = Tensor::ones({2, 2}).without_data();
    CHECK(gone.defined());
    CHECK_FALSE(gone.has_data());
    CHECK(gone.shape() == Shape{2, 2});
    CHECK_THROWS_WITH_AS((void)gone.to_vector<float>(),
                         "tensor: the elements of this tensor of shape (2, 2) were not kept", Error);
    CHECK(to_string(Tensor()) == "undefined");
    CHECK(to_string(gone) == "float32 (2, 2) (no data)");
    CHECK(to_string(Tensor::arange(9)) == "float32 (9,) [0, 1, 2, 3, 4, 5, 6, 7, ...]");
}

TEST_CASE("tensor: a reshape shares storage, infers one extent and keeps the order") {
    const Tensor t = Tensor::arange(6);
    const Tensor r = t.reshape({2, -1});
    CHECK(r.shape() == Shape{2, 3});
    CHECK(r.shares_storage_with(t));
    CHECK(r.to_vector<float>() == t.to_vector<float>());
    CHECK_THROWS_WITH_AS((void)t.reshape({4, -1}), "reshape: cannot infer -1 for 6 elements of (6,)", Error);
    CHECK_THROWS_WITH_AS((void)t.reshape({-1, -1}), "reshape: only one extent may be -1", Error);
    CHECK_THROWS_WITH_AS((void)t.reshape(Shape{5}), "reshape: (6,) has 6 elements, (5,) needs 5", Error);
}

TEST_CASE("tensor: a clone has its own storage, a copy of the handle does not") {
    Tensor t = Tensor::arange(3);
    const Tensor handle = t;
    const Tensor clone = t.clone();
    t.fill(9);
    CHECK(handle.to_vector<float>() == std::vector<float>{9, 9, 9});
    CHECK(clone.to_vector<float>() == std::vector<float>{0, 1, 2});
    CHECK_FALSE(clone.shares_storage_with(t));
    CHECK(clone.storage_id() != t.storage_id());
}

TEST_CASE("tensor: every update in place raises the version that all views see") {
    Tensor t = Tensor::zeros({2});
    const Tensor view = t.reshape({1, 2});
    const uint64_t before = view.version();
    t.fill(1);
    CHECK(view.version() == before + 1);
    t.copy_from(Tensor::ones({2}));
    CHECK(view.version() == before + 2);
    const float host[2] = {3, 4};
    t.copy_from_host(host);
    CHECK(view.version() == before + 3);
    CHECK(view.to_vector<float>() == std::vector<float>{3, 4});
    CHECK_THROWS_WITH_AS(t.copy_from(Tensor::ones({3})), "copy_from: expected float32 (2,), got float32 (3,)",
                         Error);
}

TEST_CASE("tensor: conversion rounds to floating, truncates to integers and stops at their ends") {
    const Tensor t = Tensor::from<double>({-1.7, 1.7, 300.0, -2e30, std::nan("")}, {5});
    CHECK(t.to(DType::i64).to_vector<int64_t>() ==
          std::vector<int64_t>{-1, 1, 300, std::numeric_limits<int64_t>::min(), 0});
    CHECK(t.to(DType::u8).to_vector<uint8_t>() == std::vector<uint8_t>{0, 1, 255, 0, 0});
    CHECK(t.to(DType::f32).to_vector<float>()[0] == -1.7f);
    CHECK(Tensor::from<int64_t>({-3, 256, 7}, {3}).to(DType::u8).to_vector<uint8_t>() ==
          std::vector<uint8_t>{0, 255, 7});
    CHECK(Tensor::from<double>({0x1p63, 256}, {2}).to(DType::i64).to_vector<int64_t>() ==
          std::vector<int64_t>{std::numeric_limits<int64_t>::max(), 256});
    CHECK(Tensor::from<double>({0x1p63, 256}, {2}).to(DType::u8).to_vector<uint8_t>() ==
          std::vector<uint8_t>{255, 255});
    CHECK(t.to(DType::f64).shares_storage_with(t));
}

TEST_CASE("tensor: item reads one element of any type and refuses more") {
    CHECK(Tensor::full({1, 1}, 2.5).item() == 2.5);
    CHECK(Tensor::full({1}, 200, DType::u8).item() == 200);
    CHECK_THROWS_WITH_AS((void)Tensor::ones({2}).item(), "item: expected one element, got shape (2,)", Error);
}

TEST_CASE("tensor: without elements all of this still works") {
    Tensor t = Tensor::empty({0, 4});
    t.fill(1);
    CHECK(t.to_vector<float>().empty());
    CHECK(t.clone().numel() == 0);
    CHECK(t.to(DType::f64).shape() == Shape{0, 4});
    CHECK(t.reshape(Shape{2, 0}).numel() == 0);
    CHECK(Tensor::from(std::vector<double>{}, {0}).numel() == 0);
}
