// The layers. Shapes: images (N,H,W,C), rows (..,D). Weights are created zero; see layers/init.h for
// initialisation.
#pragma once

#include <optional>

#include "autograd/functions.h"
#include "core/backend.h"
#include "layers/module.h"

namespace backlight {

class BatchNorm;

/// given: `attrs.padding`. same: TensorFlow's SAME, so that the output has ceil(H / stride) rows; the zeros
/// depend on the input's extents, and the odd one lies below and to the right.
enum class PaddingMode : uint8_t { given, same };

/// weight (O,Kh,Kw,I/groups), bias (O). (N,H,W,I) -> (N,Ho,Wo,O).
class Conv2d final : public Module {
public:
    struct Config {
        int64_t in, out;
        std::array<int64_t, 2> kernel{3, 3};
        Conv2dAttrs attrs;
        bool bias = true;
        PaddingMode padding_mode = PaddingMode::given;
    };
    explicit Conv2d(const Config& config);
    [[nodiscard]] std::string describe() const override;
    /// Nothing where there are groups.
    [[nodiscard]] std::optional<Width> width() const override;
    void set_width(const Width& width) override;

    /// activation(norm(conv(x)) + residual) without a history: the norm's running statistics are folded into
    /// the weights, once per version of the parameters. `norm` may be null, `residual` undefined.
    [[nodiscard]] Tensor infer(const Tensor& x, BatchNorm* norm, const ConvEpilogue& epilogue);

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    struct Folded {
        std::vector<uint64_t> made_from;  // storages and versions
        Tensor weight, bias;
    };
    [[nodiscard]] Conv2dAttrs attrs_for(const Shape& x) const;
    Config config_;
    Folded folded_;
};

/// weight (I,Kh,Kw,O/groups), bias (O). The adjoint of a Conv2d of the same attributes.
class ConvTranspose2d final : public Module {
public:
    struct Config {
        int64_t in, out;
        std::array<int64_t, 2> kernel{3, 3};
        Conv2dAttrs attrs;
        std::array<int64_t, 2> output_padding{0, 0};
        bool bias = true;
    };
    explicit ConvTranspose2d(const Config& config);
    [[nodiscard]] std::string describe() const override;

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    Config config_;
};

/// weight (O,I), bias (O). (..,I) -> (..,O). `flattened_image` (H,W,C): the input is such an image,
/// flattened; weight files then order its features as (C,H,W).
class Linear final : public Module {
public:
    struct Config {
        int64_t in, out;
        bool bias = true;
        Shape flattened_image;
    };
    explicit Linear(const Config& config);
    [[nodiscard]] std::string describe() const override;
    [[nodiscard]] std::optional<Width> width() const override { return Width{config_.in, config_.out}; }
    /// Behind a flatten the image keeps its height and width.
    void set_width(const Width& width) override;

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    Config config_;
};

/// Over all axes but the last, for images and rows. Training: statistics of the batch; the running ones move
/// by `momentum` (the variance unbiased, as PyTorch's). Evaluation: the running statistics.
class BatchNorm final : public Module {
public:
    struct Config {
        int64_t channels;
        double eps = 1e-5;
        double momentum = 0.1;
    };
    explicit BatchNorm(const Config& config);
    [[nodiscard]] std::string describe() const override;
    [[nodiscard]] std::optional<Width> width() const override {
        return Width{config_.channels, config_.channels};
    }
    void set_width(const Width& width) override;

    /// relu(norm(x) + residual) of the training mode in one kernel; see norm_relu.
    [[nodiscard]] Variable forward_relu(const Variable& x, const Variable& residual);
    /// The evaluation mode as y = scale x + shift, both (C), from the running statistics.
    struct Affine {
        Tensor scale, shift;
    };
    [[nodiscard]] Affine affine();
    /// What `affine` is made from, in a fixed order.
    [[nodiscard]] std::vector<Tensor> sources();

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    void update_running(const BatchStatistics& statistics, int64_t count);
    Config config_;
};

/// Over the last axis.
class LayerNorm final : public Module {
public:
    struct Config {
        int64_t features;
        double eps = 1e-5;
    };
    explicit LayerNorm(const Config& config);
    [[nodiscard]] std::string describe() const override;

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    Config config_;
};

/// Over the positions and a group of channels of each sample; the same in training and evaluation.
class GroupNorm final : public Module {
public:
    struct Config {
        int64_t groups, channels;
        double eps = 1e-5;
    };
    explicit GroupNorm(const Config& config);
    [[nodiscard]] std::string describe() const override;

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    Config config_;
};

/// A layer without parameters: a named function of its input (activations, pooling, flatten).
class Function final : public Module {
public:
    Function(std::string description, std::function<Variable(const Variable&)> function)
        : description_(std::move(description)), function_(std::move(function)) {}
    [[nodiscard]] std::string describe() const override { return description_; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override { return function_(x); }

private:
    std::string description_;
    std::function<Variable(const Variable&)> function_;
};

class Relu final : public Module {
public:
    [[nodiscard]] std::string describe() const override { return "ReLU"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;
};

class Relu6 final : public Module {
public:
    [[nodiscard]] std::string describe() const override { return "ReLU6"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;
};

/// activation(norm(conv(x)) + residual); norm and activation may be null, `residual` undefined. Where no
/// history, recording or hook asks for what is between, evaluation is one convolution with folded weights.
[[nodiscard]] Variable conv_norm_relu(Module& conv, Module* norm, Module* activation, Variable x,
                                      const Variable& residual = {});

/// activation(norm(x) + residual); `residual` may be undefined. In training it is one kernel where the two
/// are BatchNorm and Relu and nobody looks between: no recording, no hooks.
[[nodiscard]] Variable norm_relu(Module& norm, Module& activation, const Variable& x,
                                 const Variable& residual = {});

[[nodiscard]] std::unique_ptr<Module> make_relu();
[[nodiscard]] std::unique_ptr<Module> make_relu6();
[[nodiscard]] std::unique_ptr<Module> make_leaky_relu(double slope = 0.01);
[[nodiscard]] std::unique_ptr<Module> make_elu(double alpha = 1.0);
[[nodiscard]] std::unique_ptr<Module> make_gelu();
[[nodiscard]] std::unique_ptr<Module> make_silu();
[[nodiscard]] std::unique_ptr<Module> make_sigmoid();
[[nodiscard]] std::unique_ptr<Module> make_tanh();
[[nodiscard]] std::unique_ptr<Module> make_softplus(double beta = 1.0);
[[nodiscard]] std::unique_ptr<Module> make_max_pool(const PoolAttrs& attrs);
[[nodiscard]] std::unique_ptr<Module> make_max_pool(int64_t size);  // size x size, stride size
[[nodiscard]] std::unique_ptr<Module> make_avg_pool(const PoolAttrs& attrs);
[[nodiscard]] std::unique_ptr<Module> make_adaptive_avg_pool(int64_t height, int64_t width);
[[nodiscard]] std::unique_ptr<Module> make_global_avg_pool();  // (N,H,W,C) -> (N,1,1,C)
[[nodiscard]] std::unique_ptr<Module> make_flatten();          // (N,...) -> (N,rest)

/// In training, zeroes with probability p and scales the rest by 1/(1-p); the mask depends on the random
/// context.
class Dropout final : public Module {
public:
    explicit Dropout(double p = 0.5);
    [[nodiscard]] std::string describe() const override;

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    double p_;
};

/// weight (V,D): rows picked by index. Its input holds whole numbers (any floating type): (N,T) -> (N,T,D).
class Embedding final : public Module {
public:
    Embedding(int64_t vocabulary, int64_t features);
    [[nodiscard]] std::string describe() const override;

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;
};

/// Children one after another, named "0", "1", ... or as given.
class Sequential : public Module {
public:
    Sequential() = default;
    Sequential& add(std::unique_ptr<Module> module) {
        return add(std::to_string(child_count()), std::move(module));
    }
    Sequential& add(std::string name, std::unique_ptr<Module> module);
    /// What was added since the last end is a segment for recomputation.
    Sequential& end_segment();
    [[nodiscard]] std::string describe() const override { return "Sequential"; }
    int64_t set_recompute(bool on) override;

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;

private:
    [[nodiscard]] Variable run(size_t begin, size_t end, const Variable& x);
    std::vector<size_t> segment_ends_;
    bool recompute_ = false;
};

/// body(x) + shortcut(x); without a shortcut, body(x) + x.
class Residual final : public Module {
public:
    explicit Residual(std::unique_ptr<Module> body, std::unique_ptr<Module> shortcut = nullptr);
    [[nodiscard]] std::string describe() const override { return "Residual"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override;
};

/// What random layers draw from: a training run sets seed and step, so that the same step gives the same
/// masks.
struct RandomContext {
    uint64_t seed = 0;
    uint64_t step = 0;
    uint32_t draws = 0;  // of this step so far
    /// The context of this thread.
    static RandomContext& current();
    void begin_step(uint64_t run_seed, uint64_t step_index) { *this = {run_seed, step_index, 0}; }
};

}  // namespace backlight
