#include "core/types.h"

#include <doctest/doctest.h>

#include <sstream>

#include "core/error.h"

using namespace backlight;

namespace {
std::string text_of(const Shape& shape) {
    std::ostringstream out;
    out << shape;
    return out.str();
}
}  // namespace

TEST_CASE("shape: extents, rank and number of elements") {
    const Shape shape{2, 3, 4};
    CHECK(shape.rank() == 3);
    CHECK(shape.numel() == 24);
    CHECK(shape[0] == 2);
    CHECK(shape[-1] == 4);
    CHECK(Shape{}.numel() == 1);
    CHECK(Shape{}.rank() == 0);
    CHECK(Shape{3, 0, 2}.numel() == 0);
}

TEST_CASE("shape: an axis that does not exist is an error that names it") {
    const Shape shape{2, 3};
    CHECK(shape.axis(-2) == 0);
    CHECK_THROWS_WITH_AS((void)shape.axis(2), "shape: axis 2 is out of range for (2, 3)", Error);
    CHECK_THROWS_WITH_AS((void)shape[-3], "shape: axis -3 is out of range for (2, 3)", Error);
    CHECK_THROWS_AS((void)Shape{}[0], Error);
}

TEST_CASE("shape: a negative extent or a seventh axis is refused") {
    CHECK_THROWS_WITH_AS((Shape{2, -1}), "shape: expected extents >= 0, got -1", Error);
    CHECK_NOTHROW((Shape{1, 1, 1, 1, 1, 1}));
    CHECK_THROWS_WITH_AS((Shape{1, 1, 1, 1, 1, 1, 1}), "shape: expected at most 6 axes", Error);
}

TEST_CASE("shape: equality compares the extents and their number") {
    CHECK(Shape{2, 3} == Shape{2, 3});
    CHECK_FALSE(Shape{2, 3} == Shape{3, 2});
    CHECK_FALSE(Shape{2, 3} == Shape{2, 3, 1});
    CHECK(Shape{2, 3}.with(-1, 7) == Shape{2, 7});
}

TEST_CASE("shape: prints as Python prints a tuple") {
    CHECK(text_of({}) == "()");
    CHECK(text_of({5}) == "(5,)");
    CHECK(text_of({8, 56, 56, 3}) == "(8, 56, 56, 3)");
}

TEST_CASE("shape: broadcasting aligns at the last axis and stretches extents of one") {
    CHECK(broadcast_shapes({2, 3}, {3}, "add") == Shape{2, 3});
    CHECK(broadcast_shapes({2, 1, 4}, {5, 1}, "add") == Shape{2, 5, 4});
    CHECK(broadcast_shapes({}, {2, 2}, "add") == Shape{2, 2});
    CHECK(broadcast_shapes({1, 3}, {0, 1}, "add") == Shape{0, 3});
    CHECK_THROWS_WITH_AS((void)broadcast_shapes({2, 3}, {2}, "add"),
                         "add: shapes (2, 3) and (2,) do not broadcast", Error);
}

TEST_CASE("dtype: sizes and names") {
    CHECK(size_of(DType::f32) == 4);
    CHECK(size_of(DType::f64) == 8);
    CHECK(size_of(DType::i64) == 8);
    CHECK(size_of(DType::u8) == 1);
    CHECK(name_of(DType::f32) == "float32");
    CHECK(name_of(Device{}) == "cpu");
    CHECK(name_of(Device{Device::Kind::cuda, 1}) == "cuda:1");
}
