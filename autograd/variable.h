// Variable: data with a history. A handle to a tensor and to the graph node that made it; copying shares
// both.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace backlight {

class Node;

/// Intrusive handle of a graph node. Destruction is iterative: a chain of any length does not overflow the
/// stack.
class NodePtr {
public:
    NodePtr() = default;
    explicit NodePtr(Node* node);
    NodePtr(const NodePtr& other);
    NodePtr(NodePtr&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
    NodePtr& operator=(NodePtr other) noexcept {
        std::swap(node_, other.node_);
        return *this;
    }
    ~NodePtr();

    [[nodiscard]] Node* get() const { return node_; }
    Node* operator->() const { return node_; }
    Node& operator*() const { return *node_; }
    explicit operator bool() const { return node_ != nullptr; }
    bool operator==(const NodePtr&) const = default;

private:
    Node* node_ = nullptr;
};

class Variable {
public:
    /// Undefined: what a vjp returns where no gradient flows.
    Variable() = default;
    /// A constant: no history, no gradient.
    Variable(Tensor data)
        : data_(std::move(data)) {}  // NOLINT(google-explicit-constructor): constants read as data
    Variable(Tensor data, NodePtr node) : data_(std::move(data)), node_(std::move(node)) {}

    [[nodiscard]] static Variable constant(Tensor data) { return Variable(std::move(data)); }
    /// A leaf whose gradient can be asked for: a parameter, or an input that is explained.
    [[nodiscard]] static Variable leaf(Tensor data);

    [[nodiscard]] bool defined() const { return data_.defined(); }
    [[nodiscard]] const Tensor& data() const { return data_; }
    [[nodiscard]] const Shape& shape() const { return data_.shape(); }
    [[nodiscard]] int rank() const { return data_.rank(); }
    [[nodiscard]] int64_t dim(int axis) const { return data_.dim(axis); }
    [[nodiscard]] int64_t numel() const { return data_.numel(); }
    [[nodiscard]] DType dtype() const { return data_.dtype(); }
    [[nodiscard]] double item() const { return data_.item(); }

    /// True when gradients can flow through this variable.
    [[nodiscard]] bool requires_grad() const { return static_cast<bool>(node_); }
    [[nodiscard]] const NodePtr& node() const { return node_; }
    /// The same data as a constant.
    [[nodiscard]] Variable detach() const { return Variable(data_); }

    /// What `backward` accumulated into this leaf; undefined before. Throws Error when this is not a leaf.
    [[nodiscard]] const Tensor& grad() const;
    void set_grad(Tensor gradient) const;

private:
    Tensor data_;
    NodePtr node_;
};

using Variables = std::vector<Variable>;

}  // namespace backlight
