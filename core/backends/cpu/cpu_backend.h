// CpuBackend: f32 kernels by oneDNN and OpenMP. Other element types, and kernels that nobody has asked to be
// faster, run as the reference runs them. The same seed and thread count give the same bits: work is cut at
// places that depend on shapes and thread count only, and partial sums are added in a fixed order.
#pragma once

#include "core/backends/reference/reference_backend.h"

namespace backlight {

class CpuBackend : public ReferenceBackend {
public:
    [[nodiscard]] std::string_view name() const override { return "cpu"; }

    // What is not listed here runs as the reference runs it: resize, arg_reduce, top_k, scatters,
    // gather_last.

    // elementwise.cpp
    void copy(const Tensor& x, Tensor& y) override;
    void fill(Tensor& y, double value) override;
    void cast(const Tensor& x, Tensor& y) override;
    void select(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) override;
    void accumulate(Tensor& y, const Tensor& x) override;

    // unary.cpp, binary.cpp
    void unary(UnaryOp op, const Tensor& x, double p, Tensor& y) override;
    void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) override;
    void divide_stabilized(const StabilizedAttrs& attrs, const Tensor& a, const Tensor& b,
                           Tensor& y) override;
    void broadcast(const Tensor& x, Tensor& y) override;

    // rectify.cpp
    void rectify(UnaryOp kind, const Tensor& x, Tensor& y, Tensor& passed) override;
    void gate(const Tensor& x, const Tensor& passed, Tensor& y) override;
    [[nodiscard]] bool any_where_not_positive(const Tensor& x, const Tensor& z) override;

    // random.cpp
    void random_uniform(Tensor& y, const RandomKey& key) override;
    void random_normal(Tensor& y, const RandomKey& key) override;
    void random_bernoulli(Tensor& y, double probability, const RandomKey& key) override;

    // reduce.cpp
    void reduce(ReduceOp op, const Tensor& x, AxisMask axes, Tensor& y) override;

    // matmul.cpp
    void matmul(const MatmulAttrs& attrs, const Tensor& a, const Tensor& b, const Tensor& bias,
                Tensor& y) override;

    // convolution.cpp
    void conv2d(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight, const Tensor& bias,
                Tensor& y) override;
    void conv2d_fused(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const ConvEpilogue& epilogue, Tensor& y) override;
    void conv2d_backward_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight,
                              Tensor& d_x) override;
    void conv2d_backward_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                 Tensor& d_weight) override;

    // max_pool.cpp, average_pool.cpp
    void max_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y, Tensor& index) override;
    void max_pool_scatter(const PoolAttrs& attrs, const Tensor& d_y, const Tensor& index,
                          Tensor& d_x) override;
    void max_pool_gather(const PoolAttrs& attrs, const Tensor& x, const Tensor& index, Tensor& y) override;
    void avg_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y) override;
    void avg_pool_adjoint(const PoolAttrs& attrs, const Tensor& d_y, Tensor& d_x) override;
    void adaptive_avg_pool(const Tensor& x, Tensor& y) override;
    void adaptive_avg_pool_adjoint(const Tensor& d_y, Tensor& d_x) override;

    // softmax.cpp
    void softmax(const Tensor& x, Tensor& y) override;
    void log_softmax(const Tensor& x, Tensor& y) override;

    // normalization.cpp
    void channel_statistics(const Tensor& x, Tensor& mean, Tensor& variance) override;
    void channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual,
                        bool relu, Tensor& y) override;
    void batch_norm_backward(const Tensor& x, const Tensor& d_y, const Tensor& mean, const Tensor& inv_std,
                             const Tensor& scale, const ReluMask& mask, Tensor& d_x, Tensor& d_scale,
                             Tensor& d_shift, Tensor& d_residual) override;

    // movement.cpp, permute.cpp
    void slice(const Tensor& x, const Shape& start, Tensor& y) override;
    void pad(const Tensor& x, const Shape& start, Tensor& y) override;
    void write_slice(const Tensor& x, const Shape& start, Tensor& y) override;
    void concat(std::span<const Tensor> parts, int axis, Tensor& y) override;
    void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) override;
    void permute(const Tensor& x, std::span<const int> axes, Tensor& y) override;

    // optimizer.cpp
    void sgd_step(const SgdAttrs& attrs, Tensor& w, const Tensor& g, Tensor& velocity) override;
    void adam_step(const AdamAttrs& attrs, Tensor& w, const Tensor& g, Tensor& m, Tensor& v) override;
    void adadelta_step(const AdadeltaAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                       Tensor& delta_mean) override;
    void rmsprop_step(const RmspropAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                      Tensor& mean, Tensor& velocity) override;
};

}  // namespace backlight
