// Mixed precision: convolutions and what lies between them in bfloat16, everything else in float.
// Parameters, their gradients, statistics and sums stay float.
#pragma once

#include "autograd/variable.h"

namespace backlight {

/// The same values in another floating type; the derivative is converted back.
[[nodiscard]] Variable convert(const Variable& x, DType dtype);

/// While it lives, convolutions of this thread that are given float compute on bfloat16, and their results,
/// and what norms, ReLUs, sums and max pools make of them, are bfloat16; an op without a kernel for it is
/// given float. With f32, nothing changes. The derivatives follow the types of the forward pass, outside the
/// scope too.
class PrecisionScope {
public:
    /// Throws Error unless f32 or bf16.
    explicit PrecisionScope(DType dtype);
    ~PrecisionScope();
    PrecisionScope(const PrecisionScope&) = delete;
    PrecisionScope& operator=(const PrecisionScope&) = delete;

    /// Of the innermost scope of this thread; float where there is none.
    [[nodiscard]] static DType current();
    /// What a convolution computes on: x in bfloat16 inside such a scope if it is float; x itself elsewhere.
    [[nodiscard]] static Variable narrowed(const Variable& x);

private:
    DType previous_;
};

}  // namespace backlight
