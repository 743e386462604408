#include <algorithm>
#include <atomic>

#include "autograd/op.h"
#include "autograd/precision.h"
#include "autograd/recording.h"
#include "core/error.h"
#include "core/profile.h"

namespace backlight {
namespace {

std::atomic<uint64_t> next_sequence{1};
thread_local bool grad_mode = true;
// Nodes whose last handle is gone wait in a list while one destruction is running: no recursion along a
// chain. A list and not a container: variables of static lifetime are destroyed after the containers of their
// thread.
thread_local Node* graveyard = nullptr;
thread_local bool burying = false;

void retire(Node* node) {
    node->next_retired = graveyard;
    graveyard = node;
    if (burying) {
        return;
    }
    burying = true;
    while (graveyard != nullptr) {
        Node* last = graveyard;
        graveyard = last->next_retired;
        delete last;  // its inputs' handles may add to the graveyard
    }
    burying = false;
}

/// Data stays where vjp reads it and cannot have it made again; elsewhere only shape and type.
Variable keep(const Variable& input, bool with_data) {
    return with_data ? input : Variable(input.data().without_data(), input.node());
}

bool reads_all(InputMask mask, size_t count) { return (~mask & ((uint64_t{1} << count) - 1)) == 0; }

bool is_bf16(const Variable& x) { return x.dtype() == DType::bf16; }

}  // namespace

NodePtr::NodePtr(Node* node) : node_(node) {
    if (node_ != nullptr) {
        node_->references.fetch_add(1, std::memory_order_relaxed);
    }
}

NodePtr::NodePtr(const NodePtr& other) : NodePtr(other.node_) {}

NodePtr::~NodePtr() {
    if (node_ != nullptr && node_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        retire(node_);
    }
}

bool is_remade(const Variable& x) {
    return x.node() && x.node()->remakes != Node::Remakes::never &&
           x.data().version() == x.node()->made_version;
}

Variable Variable::leaf(Tensor data) {
    BACKLIGHT_CHECK(is_floating(data.dtype()), "leaf: gradients need a floating type, got ", data.dtype());
    NodePtr node(new Node);
    node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
    node->output = data.without_data();
    return {std::move(data), std::move(node)};
}

const Tensor& Variable::grad() const {
    BACKLIGHT_CHECK(node_ && node_->is_leaf(),
                    "grad: only leaves accumulate gradients; use grad(...) for others");
    return node_->grad;
}

void Variable::set_grad(Tensor gradient) const {
    BACKLIGHT_CHECK(node_ && node_->is_leaf(), "set_grad: only leaves accumulate gradients");
    node_->grad = std::move(gradient);
}

void Node::release() {
    inputs.clear();
    kept.clear();
    kept_versions.clear();
    output = output.without_data();
    released = true;
}

Variable NodeView::input(int i) const {
    const auto k = static_cast<size_t>(i);
    const Variable& input = node_->inputs[k];
    if (!input.data().has_data() && input.node() && input.node()->remakes != Node::Remakes::never) {
        return NodeView(input.node()).output();
    }
    BACKLIGHT_CHECK(input.data().has_data(), kind(), ": input ", i,
                    " was not kept by the forward pass; run it inside a Recording to explain it");
    BACKLIGHT_CHECK(input.data().version() == node_->input_versions[k], kind(), ": input ", i, " of shape ",
                    input.shape(), " was changed in place after the forward pass that used it");
    return input;
}

Variable NodeView::output() const {
    if (!node_->output.has_data() && node_->remakes != Node::Remakes::never && !node_->released) {
        const Span span(kind(), " remade");
        Tensor made = op().remake_output(*this);
        if (node_->remakes == Node::Remakes::for_each_reader) {
            return {std::move(made), node_};
        }
        node_->output = std::move(made);
        node_->output_version = node_->output.version();
    }
    BACKLIGHT_CHECK(node_->output.has_data(), kind(),
                    ": its output was not kept by the forward pass; run it inside a Recording to explain it");
    BACKLIGHT_CHECK(node_->output.version() == node_->output_version, kind(), ": its output of shape ",
                    node_->output.shape(), " was changed in place after the forward pass");
    return {node_->output, node_};
}

const Tensor& NodeView::kept(int i) const {
    const auto k = static_cast<size_t>(i);
    BACKLIGHT_CHECK(node_->kept[k].version() == node_->kept_versions[k], kind(),
                    ": what it kept was changed in place after the forward pass");
    return node_->kept[k];
}

Variable call(const OpPtr& op, Inputs inputs, std::vector<Tensor>& kept) {
    Variables wide;
    if (std::any_of(inputs.begin(), inputs.end(), is_bf16) && !op->takes_bf16(inputs)) {
        for (const Variable& input : inputs) {
            wide.push_back(is_bf16(input) ? convert(input, DType::f32) : input);
        }
        inputs = wide;
    }
    BACKLIGHT_CHECK(inputs.size() <= kMaxInputs, op->kind(), ": an op has at most ", kMaxInputs,
                    " inputs, got ", inputs.size());
    Forward result = [&] {
        const Span span(op->kind());
        return op->forward(inputs);
    }();
    InputMask differentiable = 0;
    for (size_t i = 0; grad_mode && i < inputs.size(); ++i) {
        differentiable |= inputs[i].requires_grad() ? InputMask{1} << i : 0;
    }
    if (differentiable == 0) {
        kept = std::move(result.kept);
        return {std::move(result.value)};
    }
    NodePtr node(new Node);
    node->sequence = next_sequence.fetch_add(1, std::memory_order_relaxed);
    node->op = op;
    Recording* recording = Recording::current();
    const bool keeps_all = recording != nullptr && recording->keeps() == Recording::Keeps::values;
    const Saves saves = keeps_all ? Saves{kAllInputs, true} : op->saves(differentiable);
    const bool can_remake = op->remakes_output(inputs) && reads_all(saves.inputs, inputs.size());
    node->remakes = !can_remake ? Node::Remakes::never
                    : keeps_all ? Node::Remakes::for_each_reader
                                : Node::Remakes::once;
    node->inputs.reserve(inputs.size());
    node->input_versions.reserve(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        const bool with_data = wants(saves.inputs, static_cast<int>(i));
        node->inputs.push_back(keep(inputs[i], with_data && !is_remade(inputs[i])));
        node->input_versions.push_back(inputs[i].data().version());
    }
    node->output = saves.output && !can_remake ? result.value : result.value.without_data();
    node->output_version = node->made_version = result.value.version();
    for (const Tensor& tensor : result.kept) {
        node->kept_versions.push_back(tensor.version());
    }
    kept = result.kept;
    node->kept = std::move(result.kept);
    if (recording != nullptr) {
        recording->name_node(*node);
    }
    return {std::move(result.value), std::move(node)};
}

Variable call(const OpPtr& op, Inputs inputs) {
    std::vector<Tensor> kept;
    return call(op, inputs, kept);
}

NoGrad::NoGrad() : previous_(grad_mode) { grad_mode = false; }
NoGrad::~NoGrad() { grad_mode = previous_; }
EnableGrad::EnableGrad() : previous_(grad_mode) { grad_mode = true; }
EnableGrad::~EnableGrad() { grad_mode = previous_; }
bool grad_enabled() { return grad_mode; }

}  // namespace backlight
