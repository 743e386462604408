// ReferenceBackend: every kernel as plain loops over f32 and f64, no library. The definition of right: what
// another backend computes is compared with this one. Data movement and simple arithmetic also take integers.
// Sums of floating numbers are accumulated in double, whatever the element type.
#pragma once

#include "core/backend.h"

namespace backlight {

class ReferenceBackend : public Backend {
public:
    [[nodiscard]] std::string_view name() const override { return "reference"; }

    // memory.cpp
    [[nodiscard]] void* allocate(size_t bytes) override;
    void deallocate(void* data, size_t bytes) noexcept override;
    void copy_from_host(Tensor& y, const void* host) override;
    void copy_to_host(void* host, const Tensor& x) override;
    void copy(const Tensor& x, Tensor& y) override;
    void fill(Tensor& y, double value) override;
    void cast(const Tensor& x, Tensor& y) override;

    // random.cpp
    void random_uniform(Tensor& y, const RandomKey& key) override;
    void random_normal(Tensor& y, const RandomKey& key) override;
    void random_bernoulli(Tensor& y, double probability, const RandomKey& key) override;

    // elementwise.cpp
    void unary(UnaryOp op, const Tensor& x, double p, Tensor& y) override;
    void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& y) override;
    void divide_stabilized(const StabilizedAttrs& attrs, const Tensor& a, const Tensor& b,
                           Tensor& y) override;
    void select(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) override;
    void rectify(UnaryOp kind, const Tensor& x, Tensor& y, Tensor& passed) override;
    void gate(const Tensor& x, const Tensor& passed, Tensor& y) override;
    [[nodiscard]] bool any_where_not_positive(const Tensor& x, const Tensor& z) override;
    void accumulate(Tensor& y, const Tensor& x) override;

    // reduce.cpp
    void reduce(ReduceOp op, const Tensor& x, AxisMask axes, Tensor& y) override;
    void arg_reduce(ArgReduceOp op, const Tensor& x, int axis, Tensor& y) override;
    void top_k(const Tensor& x, int64_t k, Tensor& values, Tensor& index) override;

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

    // pooling.cpp
    void max_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y, Tensor& index) override;
    void max_pool_scatter(const PoolAttrs& attrs, const Tensor& d_y, const Tensor& index,
                          Tensor& d_x) override;
    void max_pool_gather(const PoolAttrs& attrs, const Tensor& x, const Tensor& index, Tensor& y) override;
    void avg_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y) override;
    void avg_pool_adjoint(const PoolAttrs& attrs, const Tensor& d_y, Tensor& d_x) override;
    void adaptive_avg_pool(const Tensor& x, Tensor& y) override;
    void adaptive_avg_pool_adjoint(const Tensor& d_y, Tensor& d_x) override;

    // resize.cpp
    void resize(ResizeMode mode, const Tensor& x, Tensor& y) override;
    void resize_adjoint(ResizeMode mode, const Tensor& d_y, Tensor& d_x) override;

    // normalization.cpp
    void softmax(const Tensor& x, Tensor& y) override;
    void log_softmax(const Tensor& x, Tensor& y) override;
    void channel_statistics(const Tensor& x, Tensor& mean, Tensor& variance) override;
    void channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual,
                        bool relu, Tensor& y) override;
    void batch_norm_backward(const Tensor& x, const Tensor& d_y, const Tensor& mean, const Tensor& inv_std,
                             const Tensor& scale, const ReluMask& mask, Tensor& d_x, Tensor& d_scale,
                             Tensor& d_shift, Tensor& d_residual) override;

    // movement.cpp
    void broadcast(const Tensor& x, Tensor& y) override;
    void permute(const Tensor& x, std::span<const int> axes, Tensor& y) override;
    void slice(const Tensor& x, const Shape& start, Tensor& y) override;
    void pad(const Tensor& x, const Shape& start, Tensor& y) override;
    void write_slice(const Tensor& x, const Shape& start, Tensor& y) override;
    void concat(std::span<const Tensor> parts, int axis, Tensor& y) override;
    void gather_rows(const Tensor& x, const Tensor& index, Tensor& y) override;
    void scatter_add_rows(const Tensor& d_y, const Tensor& index, Tensor& d_x) override;
    void gather_last(const Tensor& x, const Tensor& index, Tensor& y) override;
    void scatter_last(const Tensor& d_y, const Tensor& index, Tensor& d_x) override;

    // optimizer.cpp
    void sgd_step(const SgdAttrs& attrs, Tensor& w, const Tensor& g, Tensor& velocity) override;
    void adam_step(const AdamAttrs& attrs, Tensor& w, const Tensor& g, Tensor& m, Tensor& v) override;
    void adadelta_step(const AdadeltaAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                       Tensor& delta_mean) override;
    void rmsprop_step(const RmspropAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                      Tensor& mean, Tensor& velocity) override;
};

}  // namespace backlight
