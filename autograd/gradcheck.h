// gradcheck: gradients as `grad` computes them against central differences, at first and at second order.
// For tests of ops, rules and losses, in f64: the differences carry about nine digits there, and three in
// f32.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "autograd/variable.h"

namespace backlight {

/// A differentiable function of several tensors. It may call `grad` itself (with create_graph) and must give
/// equal values for equal inputs: randomness comes from fixed keys.
using DifferentiableFunction = std::function<Variable(const Variables&)>;

struct GradcheckOptions {
    /// Step of the differences. The truncation error falls with step^2, the rounding error grows with 1e-16 /
    /// step: they meet near 1e-5. Inputs have to be farther than this from every kink.
    double step = 1e-5;
    /// An entry passes when |analytic - numeric| <= absolute + relative max(|analytic|, |numeric|).
    double relative = 1e-6;
    double absolute = 1e-8;
    /// Of the random cotangent, and of the choice of entries.
    uint64_t seed = 0;
    /// Entries that are checked of each input, chosen at random; 0: all of them.
    int64_t max_entries = 0;
};

struct GradcheckReport {
    bool passed = true;
    int64_t checked = 0;  // entries compared
    /// The worst entry: which input, its index in row-major order, and the two values of its derivative.
    int input = -1;
    int64_t entry = -1;
    double analytic = 0, numeric = 0;
    /// |analytic - numeric| of that entry over what was allowed: above 1 fails, infinite for NaN.
    double error = 0;
    uint64_t seed = 0;

    explicit operator bool() const { return passed; }
};
/// `input 1 entry 7: analytic 0.25, numeric 0.5 (error 4.9e+05 of what is allowed; 24 entries, seed 0)`
[[nodiscard]] std::string to_string(const GradcheckReport& report);

/// First order. With a random cotangent c of f's shape, for every entry x_i of every input:
///   d/dx_i <f(x), c>  by grad   =   <f(x + h e_i) - f(x - h e_i), c> / 2h
/// An input that f does not depend on has derivative 0. Throws Error unless all inputs are f64 leaves and f
/// returns f64.
[[nodiscard]] GradcheckReport gradcheck(const DifferentiableFunction& f, const Variables& inputs,
                                        const GradcheckOptions& options = {});

/// Second order: gradcheck of (x, d_y) -> grad(f(x), d_y, x, create_graph), in all inputs and in d_y, which
/// is drawn at random and reported as the input after the last. Throws as `gradcheck` does.
[[nodiscard]] GradcheckReport gradgradcheck(const DifferentiableFunction& f, const Variables& inputs,
                                            const GradcheckOptions& options = {});

}  // namespace backlight
