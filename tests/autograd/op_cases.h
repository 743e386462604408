// The one table of op cases. Every public function of autograd/functions.h has rows here; from them come the
// tests of its derivatives at first and second order, of every backend against reference, of equal bits, and
// the bench.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "autograd/functions.h"
#include "autograd/variable.h"

namespace backlight::test {

/// An input: its shape, and where its elements are drawn, so that the function is smooth around each of them.
struct Draw {
    Shape shape = {};
    double low = -1.5, high = 1.5;   // uniform
    std::vector<double> kinks = {};  // no element comes nearer than `margin` to one of these
    double margin = 0.1;
    /// If not 0: elements are different multiples of `lattice` in random order, centred at 0 and moved by
    /// `phase` lattice steps. Two inputs with phases 0 and 0.5 have no element in common.
    double lattice = 0;
    double phase = 0;
};

struct OpCase {
    std::string op;       // the public function: "conv2d"
    std::string variant;  // "stride 2, groups 2"
    std::vector<Draw> inputs;
    std::function<Variable(const Variables&)> run;
    bool same_values_in_f32 = true;  // false: random bits depend on the element type

    [[nodiscard]] std::string name() const { return op + ": " + variant; }
};

[[nodiscard]] const std::vector<OpCase>& op_cases();

/// Leaves of the given type, drawn by Philox; f32 inputs are the rounded f64 ones.
[[nodiscard]] Variables draw_inputs(const OpCase& op_case, DType dtype, uint64_t seed);

/// BACKLIGHT_SEED from the environment, or 1.
[[nodiscard]] uint64_t test_seed();

/// A constant tensor of the type of `like`.
[[nodiscard]] Tensor constant_like(const Variable& like, const std::vector<double>& values,
                                   const Shape& shape);

// The parts of the table.
void add_elementwise_cases(std::vector<OpCase>& cases);
void add_shape_cases(std::vector<OpCase>& cases);
void add_convolution_cases(std::vector<OpCase>& cases);
void add_image_cases(std::vector<OpCase>& cases);
void add_row_cases(std::vector<OpCase>& cases);

}  // namespace backlight::test
