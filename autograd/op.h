// Op: a function with its derivative. Node: one application of an op in the graph. NodeView: what a vjp and a
// rule see.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/variable.h"

namespace backlight {

class NodeView;

using Inputs = std::span<const Variable>;
/// Bit i: the gradient of input i is asked for.
using InputMask = uint32_t;
inline constexpr InputMask kAllInputs = ~InputMask{0};
inline constexpr size_t kMaxInputs = 32;  // bits of an InputMask
[[nodiscard]] constexpr bool wants(InputMask mask, int input) { return ((mask >> input) & 1U) != 0; }

/// What `vjp` reads; all else is freed after the forward pass.
struct Saves {
    InputMask inputs = kAllInputs;
    bool output = false;
};

/// Of a function that is linear in each of its first two inputs: the gradient of one reads the other.
[[nodiscard]] constexpr Saves saves_of_product(InputMask differentiable) {
    return {.inputs = (wants(differentiable, 1) ? 0b01U : 0U) | (wants(differentiable, 0) ? 0b10U : 0U)};
}

/// What an op's forward returns: the value, and tensors that its vjp needs (pool indices, batch statistics).
struct Forward {
    Tensor value;
    std::vector<Tensor> kept;
};

/// A node that is linear in one input, with the weight in view: z = apply(x, W) + b. Rules see ops through
/// this only. apply, adjoint and adjoint_params are differentiable in both arguments and honour all
/// attributes of the op:
///   <apply(x, W), s> = <x, adjoint(s, W)> = <W, adjoint_params(x, s)>
struct LinearView {
    int input = 0;        // which input of the node x is
    Variable x;           // recorded input
    Variable weight;      // split by sign by the rules
    Variable bias;        // (O); undefined: none
    int output_axis = 0;  // axis of `weight` that the output channels index
    int input_axis = 1;  // axis of `weight` that the input channels index; equal to output_axis when diagonal
    std::function<Variable(const Variable& x, const Variable& weight)> apply;
    /// With a bias (O) in the same kernel; empty where the op has none.
    std::function<Variable(const Variable& x, const Variable& weight, const Variable& bias)> apply_biased{};
    std::function<Variable(const Variable& s, const Variable& weight)> adjoint;
    std::function<Variable(const Variable& x, const Variable& s)> adjoint_params;
};

/// A node that takes one element of each window of its input (max pooling), for who treats it otherwise. All
/// are differentiable; spread is the adjoint of total.
struct WindowView {
    std::function<Variable(const Variable& x)> pick;    // x at the winners of the forward pass
    std::function<Variable(const Variable& x)> total;   // sums over the windows, times a constant per window
    std::function<Variable(const Variable& s)> spread;  // (of the output's shape) -> of the input's
};

/// Immutable attributes with a forward and a derivative; shared by the nodes that use it.
class Op {
public:
    Op() = default;
    virtual ~Op() = default;
    Op(const Op&) = delete;
    Op& operator=(const Op&) = delete;

    /// The field's word for it: "conv2d". Composites match on it.
    [[nodiscard]] virtual std::string_view kind() const = 0;
    [[nodiscard]] virtual Forward forward(Inputs inputs) const = 0;
    /// Gradients of the inputs in `mask` (others may be undefined), in differentiable ops, so that any order
    /// follows. An undefined entry is a zero gradient.
    [[nodiscard]] virtual Variables vjp(const NodeView& node, const Variable& d_y, InputMask mask) const = 0;
    /// As vjp, with what the op knows of other samples (the statistics of a batch) held constant: what one
    /// sample's output owes to another's input is no part of its explanation.
    [[nodiscard]] virtual Variables sample_vjp(const NodeView& node, const Variable& d_y,
                                               InputMask mask) const {
        return vjp(node, d_y, mask);
    }
    /// For gradients of the inputs in `differentiable`, the others are constants.
    [[nodiscard]] virtual Saves saves(InputMask /*differentiable*/) const { return {}; }
    /// Whether its output is so cheap to make again from its inputs that nobody should keep it where these
    /// are kept anyway, because `vjp` reads them or a recording does: who reads it in the backward pass, as
    /// input or output, gets what remake_output makes then, the same bits.
    [[nodiscard]] virtual bool remakes_output(Inputs) const { return false; }
    [[nodiscard]] virtual Tensor remake_output(const NodeView&) const { return {}; }
    /// Whether forward computes on these inputs, of which some are bfloat16, as they are. Where it does not,
    /// `call` hands it float.
    [[nodiscard]] virtual bool takes_bf16(Inputs) const { return false; }
    [[nodiscard]] virtual std::optional<LinearView> as_linear(const NodeView&) const { return std::nullopt; }
    [[nodiscard]] virtual std::optional<WindowView> as_window(const NodeView&) const { return std::nullopt; }
};

using OpPtr = std::shared_ptr<const Op>;

/// One application of an op. Holds tensors and its inputs' handles, never its own Variable: no cycle can
/// arise.
class Node {
public:
    std::atomic<uint32_t> references{0};
    uint64_t sequence = 0;  // grows with creation: a node's inputs have smaller numbers
    OpPtr op;               // null for a leaf
    Variables inputs;       // with data only where `saves` says so, or while recording
    std::vector<uint64_t> input_versions;
    Tensor output;  // with data only where `saves` says so, or while recording
    uint64_t output_version = 0;
    std::vector<Tensor> kept;
    std::vector<uint64_t> kept_versions;
    /// Its output is not kept by anyone, but made again. A recording may be read for as long as it lives:
    /// what is made there is gone after the reader.
    enum class Remakes : uint8_t { never, once, for_each_reader };
    Remakes remakes = Remakes::never;
    uint64_t made_version = 0;
    std::string name;  // set while recording
    Tensor grad;       // of a leaf
    bool released = false;
    Node* next_retired = nullptr;  // of the list of nodes that wait for their destruction

    [[nodiscard]] bool is_leaf() const { return op == nullptr; }
    /// Frees what backward needs; the node can no longer be traversed.
    void release();
};

/// A node as its vjp and the rules see it: saved inputs and output with their history.
class NodeView {
public:
    explicit NodeView(NodePtr node) : node_(std::move(node)) {}

    [[nodiscard]] const Op& op() const { return *node_->op; }
    [[nodiscard]] std::string_view kind() const { return node_->op->kind(); }
    /// The layer's name where the node was recorded, else empty.
    [[nodiscard]] const std::string& name() const { return node_->name; }
    [[nodiscard]] int input_count() const { return static_cast<int>(node_->inputs.size()); }
    /// Throws Error when the data was not saved, or was changed in place since.
    [[nodiscard]] Variable input(int i) const;
    [[nodiscard]] const Shape& input_shape(int i) const {
        return node_->inputs[static_cast<size_t>(i)].shape();
    }
    [[nodiscard]] DType input_dtype(int i) const { return node_->inputs[static_cast<size_t>(i)].dtype(); }
    [[nodiscard]] bool input_requires_grad(int i) const {
        return node_->inputs[static_cast<size_t>(i)].requires_grad();
    }
    [[nodiscard]] Variable output() const;
    /// What the op's forward kept. Throws Error when it was changed in place since.
    [[nodiscard]] const Tensor& kept(int i) const;
    [[nodiscard]] const NodePtr& node() const { return node_; }

private:
    NodePtr node_;
};

/// Whether `x` need not be kept: its node makes it again. Who changed it in place since has a value of his
/// own, which is kept.
[[nodiscard]] bool is_remade(const Variable& x);

/// Runs the op; the result has a history when an input has one and gradients are on.
[[nodiscard]] Variable call(const OpPtr& op, Inputs inputs);
[[nodiscard]] inline Variable call(const OpPtr& op, std::initializer_list<Variable> inputs) {
    return call(op, Inputs(inputs.begin(), inputs.size()));
}
/// As `call`, and hands out what the op kept (the node keeps it too).
[[nodiscard]] Variable call(const OpPtr& op, Inputs inputs, std::vector<Tensor>& kept);

/// While it lives, ops of this thread record no history.
class NoGrad {
public:
    NoGrad();
    ~NoGrad();
    NoGrad(const NoGrad&) = delete;
    NoGrad& operator=(const NoGrad&) = delete;

private:
    bool previous_;
};
/// While it lives, ops of this thread record history, also inside a NoGrad.
class EnableGrad {
public:
    EnableGrad();
    ~EnableGrad();
    EnableGrad(const EnableGrad&) = delete;
    EnableGrad& operator=(const EnableGrad&) = delete;

private:
    bool previous_;
};
[[nodiscard]] bool grad_enabled();

}  // namespace backlight
