#include <doctest/doctest.h>
#include <omp.h>

#include <thread>

#include "core/backend.h"
#include "core/error.h"

using namespace backlight;

TEST_CASE("backends: the cpu serves by default, a scope changes that in its thread and ends") {
    CHECK(&backend_for({}) == &cpu_backend());
    {
        const BackendScope outer(reference_backend());
        CHECK(&backend_for({}) == &reference_backend());
        {
            const BackendScope inner(cpu_backend());
            CHECK(&backend_for({}) == &cpu_backend());
        }
        CHECK(&backend_for({}) == &reference_backend());
        CHECK(Tensor::ones({1}).backend().name() == "reference");
        std::thread([] { CHECK(&backend_for({}) == &cpu_backend()); }).join();
    }
    CHECK(&backend_for({}) == &cpu_backend());
}

TEST_CASE("backends: a device without a backend is an error that names it") {
    CHECK_THROWS_WITH_AS((void)backend_for({Device::Kind::cuda, 1}),
                         "backend: none for cuda:1; this build has cpu and reference", Error);
}

TEST_CASE("threads: the number that was set, and zero for what OpenMP decides") {
    const int before = threads();
    set_threads(3);
    CHECK(threads() == 3);
    CHECK(omp_get_max_threads() == 3);
    set_threads(0);
    CHECK(threads() == before);
    CHECK_THROWS_WITH_AS(set_threads(-1), "set_threads: expected a number >= 0, got -1", Error);
}

TEST_CASE("conv2d shape: stride, four-sided padding, dilation and groups") {
    CHECK(conv2d_output_shape({}, {2, 5, 6, 3}, {4, 1, 1, 3}) == Shape{2, 5, 6, 4});
    CHECK(conv2d_output_shape({.stride = {2, 2}, .padding = {3, 3}}, {8, 224, 224, 3}, {64, 7, 7, 3}) ==
          Shape{8, 112, 112, 64});
    CHECK(conv2d_output_shape({.padding = {1, 2, 0, 3}}, {1, 4, 4, 1}, {1, 3, 3, 1}) == Shape{1, 3, 7, 1});
    CHECK(conv2d_output_shape({.dilation = {2, 3}}, {1, 7, 7, 1}, {1, 3, 3, 1}) == Shape{1, 3, 1, 1});
    CHECK(conv2d_output_shape({.groups = 2}, {0, 3, 3, 4}, {6, 3, 3, 2}) == Shape{0, 1, 1, 6});
}

TEST_CASE("conv2d shape: each kind of wrong use says what was expected and what came") {
    const auto check = [](const Conv2dAttrs& attrs, const Shape& x, const Shape& weight, const char* text) {
        CHECK_THROWS_WITH_AS((void)conv2d_output_shape(attrs, x, weight), text, Error);
    };
    const Shape x{8, 56, 56, 3};
    const Shape weight{64, 3, 3, 3};
    check({}, x, {64, 3, 3, 64}, "conv2d: weight expects 64 input channels, got x of shape (8, 56, 56, 3)");
    check({.groups = 3}, x, {66, 3, 3, 3},
          "conv2d: weight expects 9 input channels, got x of shape (8, 56, 56, 3)");
    check({.groups = 3}, x, {64, 3, 3, 1},
          "conv2d: 3 groups do not divide the 64 output channels of the weight of shape (64, 3, 3, 1)");
    check({}, {56, 56, 3}, weight, "conv2d: expected x of shape (N, H, W, C), got shape (56, 56, 3)");
    check({}, x, {64, 27}, "conv2d: expected a weight of shape (O, Kh, Kw, C/groups), got shape (64, 27)");
    check({}, x, {64, 0, 3, 3}, "conv2d: expected a kernel >= 1, got 0 x 3");
    check({.stride = {1, 0}}, x, weight, "conv2d: expected a stride >= 1, got 1 x 0");
    check({.dilation = {-1, 1}}, x, weight, "conv2d: expected a dilation >= 1, got -1 x 1");
    check({.padding = {0, 0, -1, 0}}, x, weight,
          "conv2d: expected a padding >= 0, got top 0, left 0, bottom -1, right 0");
    check({.groups = 0}, x, weight, "conv2d: expected groups >= 1, got 0");
    check({.padding = {1, 0}, .dilation = {2, 1}}, {1, 2, 9, 3}, weight,
          "conv2d: a window of 5 x 3 does not fit x of shape (1, 2, 9, 3), with padding 4 x 9");
}

TEST_CASE("pool shape: floor and ceil as PyTorch counts") {
    CHECK(pool_output_shape({.kernel = {2, 2}, .stride = {2, 2}}, {1, 5, 4, 3}) == Shape{1, 2, 2, 3});
    CHECK(pool_output_shape({.kernel = {2, 2}, .stride = {2, 2}, .ceil_mode = true}, {1, 5, 4, 3}) ==
          Shape{1, 3, 2, 3});
    CHECK(pool_output_shape({.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, {2, 112, 112, 64}) ==
          Shape{2, 56, 56, 64});
    // The third window would start at 2*2 - 1 = 3, behind the three pixels: it is dropped.
    CHECK(pool_output_shape({.kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true},
                            {1, 3, 3, 1}) == Shape{1, 2, 2, 1});
    CHECK(pool_output_shape({.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true},
                            {1, 4, 4, 1}) == Shape{1, 3, 3, 1});
    CHECK(pool_output_shape({.kernel = {2, 2}, .stride = {1, 1}, .padding = {0, 0, 1, 1}}, {1, 3, 3, 1}) ==
          Shape{1, 3, 3, 1});
}

TEST_CASE("pool shape: each kind of wrong use says what was expected and what came") {
    const auto check = [](const PoolAttrs& attrs, const Shape& x, const char* text) {
        CHECK_THROWS_WITH_AS((void)pool_output_shape(attrs, x), text, Error);
    };
    check({}, {3, 3}, "pool: expected x of shape (N, H, W, C), got shape (3, 3)");
    check({.kernel = {0, 2}}, {1, 3, 3, 1}, "pool: expected a kernel >= 1, got 0 x 2");
    check({.stride = {0, 2}}, {1, 3, 3, 1}, "pool: expected a stride >= 1, got 0 x 2");
    check({.kernel = {2, 2}, .padding = {2, 0}}, {1, 3, 3, 1},
          "pool: expected a padding less than the kernel 2 x 2, got top 2, left 0, bottom 2, right 0");
    check({.kernel = {4, 1}}, {1, 3, 3, 1},
          "pool: a window of 4 x 1 does not fit x of shape (1, 3, 3, 1), with padding 3 x 3");
    check({}, {1, 0, 3, 1}, "pool: expected an image of at least one pixel, got x of shape (1, 0, 3, 1)");
}
