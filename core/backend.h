// Backend: the kernels of one device, and the owner of its memory. Outputs are allocated by the caller;
// shapes, types and devices were checked by the op that calls, kernels trust them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/tensor.h"

namespace backlight {

/// Elementwise functions of one tensor; `p` is the kernel's parameter. Bodies: core/backends/functors.h.
enum class UnaryOp : uint8_t {
    identity,
    negative,
    absolute,
    sign,
    exp,
    log,
    sqrt,
    square,
    reciprocal,
    sin,
    cos,
    tanh,
    sigmoid,
    erf,
    gelu,
    silu,
    relu,             // max(x, 0)
    relu6,            // min(max(x, 0), 6)
    negative_part,    // min(x, 0)
    stabilizer_sign,  // +1 if x >= 0, else -1
    is_positive,      // 1[x > 0]
    is_negative,      // 1[x < 0]
    is_zero,          // 1[x = 0]
    is_finite,        // 1[x is neither infinite nor NaN]
    add_scalar,       // x + p
    multiply_scalar,  // x p
    power_scalar,     // x^p
    leaky_relu,       // x > 0 ? x : p x
    elu,              // x > 0 ? x : p (exp x - 1)
    softplus,         // log(1 + exp(p x)) / p
    stabilize,        // x + p sgn*(x), sgn* as stabilizer_sign
    stabilize_clip,   // sgn*(x) max(|x|, p)
    clamp_min,        // max(x, p)
    clamp_max,        // min(x, p)
    floor,
};

/// Elementwise functions of two tensors that broadcast.
enum class BinaryOp : uint8_t {
    add,
    subtract,
    multiply,
    divide,
    power,
    maximum,
    minimum,
    greater,
    greater_equal,
    less,
    less_equal,
    equal,           // 1 or 0
    divide_or_zero,  // b = 0 ? 0 : a / b
    where_positive,  // b > 0 ? a : 0
};

enum class ReduceOp : uint8_t { sum, maximum, minimum };
enum class ArgReduceOp : uint8_t { argmax, argmin };

/// Which axes a reduction runs over; bit i is axis i.
using AxisMask = uint32_t;

/// y = op(a) op(b) over the last two axes; batches (leading axes) are equal or absent.
struct MatmulAttrs {
    bool transpose_a = false;
    bool transpose_b = false;
};

/// Zeros added around an image. Built from {height, width} or from four sides.
struct Padding {
    int64_t top = 0, left = 0, bottom = 0, right = 0;
    constexpr Padding() = default;
    constexpr Padding(int64_t height, int64_t width)
        : top(height), left(width), bottom(height), right(width) {}
    constexpr Padding(int64_t t, int64_t l, int64_t b, int64_t r) : top(t), left(l), bottom(b), right(r) {}
    bool operator==(const Padding&) const = default;
};

/// x (N,H,W,C), weight (O,Kh,Kw,C/groups), y (N,Ho,Wo,O).
struct Conv2dAttrs {
    std::array<int64_t, 2> stride{1, 1};
    Padding padding{};
    std::array<int64_t, 2> dilation{1, 1};
    int64_t groups = 1;
    bool operator==(const Conv2dAttrs&) const = default;
};

/// Windows of pooling over (N,H,W,C).
struct PoolAttrs {
    std::array<int64_t, 2> kernel{1, 1};
    std::array<int64_t, 2> stride{1, 1};
    Padding padding{};
    bool count_padding = true;  // average: divide by the whole window, as PyTorch does by default
    bool ceil_mode =
        false;  // round the output size up, as PyTorch does: a window starts inside input or left padding
    bool operator==(const PoolAttrs&) const = default;
};

enum class ResizeMode : uint8_t { nearest, bilinear };  // bilinear: half-pixel centres, edges clamped

/// v = momentum v + (g + weight_decay w); w -= lr v, or with Nesterov w -= lr (g' + momentum v).
struct SgdAttrs {
    double lr = 0.01, momentum = 0, weight_decay = 0, dampening = 0;
    bool nesterov = false;
    bool first_step = false;  // the buffer starts as the gradient, as PyTorch does
};
/// Adam (Kingma and Ba, 2015); `decoupled` decay is AdamW (Loshchilov and Hutter, 2019). `step` counts
/// from 1.
struct AdamAttrs {
    double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
    bool decoupled = false;
    int64_t step = 1;
};
/// Adadelta (Zeiler, 2012).
struct AdadeltaAttrs {
    double lr = 1.0, rho = 0.9, eps = 1e-6, weight_decay = 0;
};

/// RMSprop (Hinton, lecture 6e, 2012); centered: Graves, 2013.
struct RmspropAttrs {
    double lr = 1e-2, alpha = 0.99, eps = 1e-8, momentum = 0, weight_decay = 0;
    bool centered = false;
};

/// Keys counter-based random numbers: the same key gives the same bits on every backend.
struct RandomKey {
    uint64_t seed = 0;
    uint32_t purpose = 0;  // what the numbers are for: streams of different purposes never meet
    uint64_t step = 0;
    uint32_t sample = 0;
};

/// factor a / stab(b) with stab(b) = b + eps sgn*(b), or where `clip` sgn*(b) max(|b|, eps); sgn*(0) = +1.
struct StabilizedAttrs {
    double eps = 0;
    double factor = 1;
    bool clip = false;
};

/// Where the ReLU behind a batch norm passed: where `output` is positive, or, if nobody kept it, where
/// x (scale inv_std) + shift is, computed as channel_affine does. At most one is defined; none: no ReLU.
struct ReluMask {
    Tensor output;
    Tensor shift;  // (C)
};

enum class Activation : uint8_t { none, relu, relu6 };

/// What a fused convolution does to its result before it is written: adds `residual` (of the result's shape;
/// may be undefined), then applies the activation.
struct ConvEpilogue {
    Tensor residual;
    Activation activation = Activation::none;
};

class Backend {
public:
    virtual ~Backend() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;

    // Memory. `allocate` never returns null: it throws SystemError. Blocks are 64-byte aligned and cached.
    [[nodiscard]] virtual void* allocate(size_t bytes) = 0;
    virtual void deallocate(void* data, size_t bytes) noexcept = 0;
    virtual void copy_from_host(Tensor& y, const void* host) = 0;
    virtual void copy_to_host(void* host, const Tensor& x) = 0;
    virtual void copy(const Tensor& x, Tensor& y) = 0;
    virtual void fill(Tensor& y, double value) = 0;
    virtual void cast(const Tensor& x, Tensor& y) = 0;

    // Random numbers (floating y).
    virtual void random_uniform(Tensor& y, const RandomKey& key) = 0;                        // [0, 1)
    virtual void random_normal(Tensor& y, const RandomKey& key) = 0;                         // N(0, 1)
    virtual void random_bernoulli(Tensor& y, double probability, const RandomKey& key) = 0;  // 1 or 0

    // Elementwise.
    virtual void unary(UnaryOp op, const Tensor& x, double p, Tensor& y) = 0;
    virtual void binary(BinaryOp op, const Tensor& a, const Tensor& b,
                        Tensor& y) = 0;  // y has the broadcast shape
    virtual void divide_stabilized(const StabilizedAttrs& attrs, const Tensor& a, const Tensor& b,
                                   Tensor& y) = 0;  // equal shapes
    virtual void select(const Tensor& condition, const Tensor& a, const Tensor& b,
                        Tensor& y) = 0;  // equal shapes; != 0
    /// y = relu(x) or relu6(x), as `kind` says. passed (u8, PassedBits::bytes(numel) of them): where the
    /// slope is 1 (0 < x, and x < 6), in the order of core/passed_bits.h.
    virtual void rectify(UnaryOp kind, const Tensor& x, Tensor& y, Tensor& passed) = 0;
    /// y = passed ? x : 0 with these bits.
    virtual void gate(const Tensor& x, const Tensor& passed, Tensor& y) = 0;
    /// Whether some x_i != 0 where not z_i > 0; equal shapes.
    [[nodiscard]] virtual bool any_where_not_positive(const Tensor& x, const Tensor& z) = 0;
    virtual void accumulate(Tensor& y, const Tensor& x) = 0;  // y += x, equal shapes

    // Reductions. y has the shape of x with the reduced axes at extent 1 (or any shape with as many
    // elements).
    virtual void reduce(ReduceOp op, const Tensor& x, AxisMask axes, Tensor& y) = 0;
    virtual void arg_reduce(ArgReduceOp op, const Tensor& x, int axis,
                            Tensor& y) = 0;                  // y i64; first of equals
    virtual void broadcast(const Tensor& x, Tensor& y) = 0;  // x stretched to y's shape

    // Linear algebra.
    /// bias (may be undefined): a row added to every row of y.
    virtual void matmul(const MatmulAttrs& attrs, const Tensor& a, const Tensor& b, const Tensor& bias,
                        Tensor& y) = 0;
    virtual void conv2d(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Tensor& y) = 0;  // bias (O) or undefined
    virtual void conv2d_fused(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight,
                              const Tensor& bias, const ConvEpilogue& epilogue, Tensor& y) = 0;
    virtual void conv2d_backward_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight,
                                      Tensor& d_x) = 0;
    virtual void conv2d_backward_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                         Tensor& d_weight) = 0;

    // Pooling and resizing over (N,H,W,C).
    /// index (u8, shape of y): the winning tap a*Kw+b of each window; the first in row order on ties.
    virtual void max_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y, Tensor& index) = 0;
    virtual void max_pool_scatter(const PoolAttrs& attrs, const Tensor& d_y, const Tensor& index,
                                  Tensor& d_x) = 0;
    virtual void max_pool_gather(const PoolAttrs& attrs, const Tensor& x, const Tensor& index, Tensor& y) = 0;
    virtual void avg_pool(const PoolAttrs& attrs, const Tensor& x, Tensor& y) = 0;
    virtual void avg_pool_adjoint(const PoolAttrs& attrs, const Tensor& d_y, Tensor& d_x) = 0;
    /// Windows [floor(i H/Ho), ceil((i+1) H/Ho)), as PyTorch's adaptive_avg_pool2d.
    virtual void adaptive_avg_pool(const Tensor& x, Tensor& y) = 0;
    virtual void adaptive_avg_pool_adjoint(const Tensor& d_y, Tensor& d_x) = 0;
    virtual void resize(ResizeMode mode, const Tensor& x, Tensor& y) = 0;
    virtual void resize_adjoint(ResizeMode mode, const Tensor& d_y, Tensor& d_x) = 0;

    // Rows (last axis).
    virtual void softmax(const Tensor& x, Tensor& y) = 0;
    virtual void log_softmax(const Tensor& x, Tensor& y) = 0;

    // Per channel (last axis), statistics over all other axes.
    virtual void channel_statistics(const Tensor& x, Tensor& mean, Tensor& variance) = 0;  // biased variance
    /// y = x scale + shift + residual (which may be undefined), then ReLU if asked.
    virtual void channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift,
                                const Tensor& residual, bool relu, Tensor& y) = 0;
    /// Batch norm's gradient with batch statistics. `d_scale`, `d_shift` (C). `mask` says where a fused ReLU
    /// passed d_y. `d_residual` (may be undefined) receives what passed.
    virtual void batch_norm_backward(const Tensor& x, const Tensor& d_y, const Tensor& mean,
                                     const Tensor& inv_std, const Tensor& scale, const ReluMask& mask,
                                     Tensor& d_x, Tensor& d_scale, Tensor& d_shift, Tensor& d_residual) = 0;

    // Data movement.
    virtual void permute(const Tensor& x, std::span<const int> axes,
                         Tensor& y) = 0;                                     // y axis i is x axis axes[i]
    virtual void slice(const Tensor& x, const Shape& start, Tensor& y) = 0;  // y's extents from `start` on
    virtual void pad(const Tensor& x, const Shape& start, Tensor& y) = 0;    // zeros, x placed at `start`
    virtual void write_slice(const Tensor& x, const Shape& start, Tensor& y) = 0;  // the rest of y stays
    virtual void concat(std::span<const Tensor> parts, int axis, Tensor& y) = 0;
    virtual void gather_rows(const Tensor& x, const Tensor& index,
                             Tensor& y) = 0;  // y[i] = x[index[i]] (axis 0)
    virtual void scatter_add_rows(const Tensor& d_y, const Tensor& index,
                                  Tensor& d_x) = 0;                                 // d_x zeroed, then +=
    virtual void gather_last(const Tensor& x, const Tensor& index, Tensor& y) = 0;  // y[r] = x[r, index[r]]
    virtual void scatter_last(const Tensor& d_y, const Tensor& index, Tensor& d_x) = 0;  // zeros elsewhere
    virtual void top_k(const Tensor& x, int64_t k, Tensor& values,
                       Tensor& index) = 0;  // last axis, descending

    // Optimisers, in place: the parameter and its state change, the gradient does not.
    virtual void sgd_step(const SgdAttrs& attrs, Tensor& w, const Tensor& g, Tensor& velocity) = 0;
    virtual void adam_step(const AdamAttrs& attrs, Tensor& w, const Tensor& g, Tensor& m, Tensor& v) = 0;
    virtual void adadelta_step(const AdadeltaAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                               Tensor& delta_mean) = 0;
    /// `mean` is undefined unless centered, `velocity` without momentum.
    virtual void rmsprop_step(const RmspropAttrs& attrs, Tensor& w, const Tensor& g, Tensor& square_mean,
                              Tensor& mean, Tensor& velocity) = 0;
};

/// The backend whose memory and kernels serve a device. Throws Error when there is none.
[[nodiscard]] Backend& backend_for(Device device);
/// Plain loops, f32 and f64: the definition of right.
[[nodiscard]] Backend& reference_backend();
/// oneDNN and OpenMP for f32; everything else as reference.
[[nodiscard]] Backend& cpu_backend();

/// While it lives, tensors on the CPU use `backend` (in this thread). For tests and for `--backend
/// reference`.
class BackendScope {
public:
    explicit BackendScope(Backend& backend);
    ~BackendScope();
    BackendScope(const BackendScope&) = delete;
    BackendScope& operator=(const BackendScope&) = delete;

private:
    Backend* previous_;
};

/// Output extents. Throw Error when a window does not fit.
[[nodiscard]] Shape conv2d_output_shape(const Conv2dAttrs& attrs, const Shape& x, const Shape& weight);
[[nodiscard]] Shape pool_output_shape(const PoolAttrs& attrs, const Shape& x);

/// How the CPU backend picks among oneDNN's implementations. A fixed rule by default; with tuning, each new
/// shape is timed once and the choice is recorded, so that a later run that loads the record repeats it.
struct ConvTuning {
    static void enable(bool on);
    [[nodiscard]] static std::string record();       // text, one line a shape and direction, sorted
    static void restore(const std::string& record);  // throws Error on a line that is not understood
};

/// Threads that kernels may use. 0 means: as OpenMP decides.
void set_threads(int threads);
[[nodiscard]] int threads();

}  // namespace backlight
