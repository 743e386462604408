// bfloat16 for kernels that have no loop of their own: operands become float, the kernel runs, and what it
// wrote is rounded. The kernel is called through the backend, so a faster one for float serves here too.
#pragma once

#include "core/tensor.h"

namespace backlight {

/// The operand in float; undefined stays undefined.
[[nodiscard]] inline Tensor widened(const Tensor& x) {
    return x.defined() && x.dtype() == DType::bf16 ? x.to(DType::f32) : x;
}

/// A float tensor of y's shape, which round() rounds into y, where y is bfloat16; y itself elsewhere.
class WidenedOutput {
public:
    explicit WidenedOutput(Tensor& y)
        : target_(&y),
          wide_(y.defined() && y.dtype() == DType::bf16 ? Tensor::empty(y.shape(), DType::f32, y.device())
                                                        : y) {}
    [[nodiscard]] Tensor& tensor() { return wide_; }
    /// Call once the kernel has run.
    void round() {
        if (target_->defined() && target_->dtype() == DType::bf16) {
            wide_.backend().cast(wide_, *target_);
        }
    }

private:
    Tensor* target_;
    Tensor wide_;
};

/// kernel(wide y)
template <typename Kernel>
void widened_into(Tensor& y, Kernel&& kernel) {
    WidenedOutput wide(y);
    kernel(wide.tensor());
    wide.round();
}

}  // namespace backlight
