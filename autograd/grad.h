// The one reverse traversal. It asks each node, latest first, for what leaves its inputs, given what arrived
// at its output. The default answer is the op's vjp; rules give other answers, and that is what an
// explanation is.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "autograd/op.h"

namespace backlight {

/// The part of a graph that one traversal visits.
class Traversal {
public:
    struct Entry {
        NodePtr node;
        int consumers = 0;       // edges that read the node's output inside this graph
        bool requested = false;  // the caller asked for what arrives here
        bool needed = false;     // leads to a requested node
        Variable cotangent;
        bool owned = false;  // `cotangent` is ours to add to in place
    };

    /// Latest node first.
    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
    [[nodiscard]] const Entry* find(const Node* node) const;

private:
    friend class TraversalRunner;
    std::vector<Entry> entries_;
    std::unordered_map<const Node*, size_t> index_;
};

/// Other answers than the vjp. Given as an argument to `grad`; nothing is installed anywhere.
class BackwardRules {
public:
    virtual ~BackwardRules() = default;
    /// Called once before the traversal, with everything it will visit: merging and positions are planned
    /// here.
    virtual void prepare(const Traversal& /*traversal*/) {}
    /// One entry per input (undefined: nothing flows), or nullopt for the op's vjp. Built from differentiable
    /// ops.
    [[nodiscard]] virtual std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                            InputMask mask) = 0;
    /// Called for what has arrived at a node in full, before it is passed on; may replace it (masks of
    /// channels).
    [[nodiscard]] virtual Variable arrived(const NodeView& /*node*/, const Variable& r_y) { return r_y; }
    /// Called at the end: what belongs to this graph is let go, so that it does not outlive its owner.
    virtual void finish() {}
};

struct GradOptions {
    bool create_graph = false;  // the results have a history of their own
    bool retain_graph = false;  // keep the graph for another traversal (implied by create_graph and by rules)
    BackwardRules* rules = nullptr;
    bool by_sample = false;  // an explanation: Op::sample_vjp where the rules have no answer
    /// Told of each node what arrived at its output and what it sent to its inputs, undefined where nothing.
    std::function<void(const NodeView& node, const Variable& arrived, const Variables& sent)> watch{};
    bool allow_unused =
        false;  // an input that the outputs do not depend on gets an undefined result, not an Error
};

/// Sums of what arrives at `inputs` when `seeds` start at `outputs` (default seed: ones, for one element
/// only). Inputs may be leaves or the results of any op of the graph. Throws Error on shapes that do not fit,
/// on a graph that was already freed, and on data that was overwritten since the forward pass. Results may
/// share memory with each other and with the seeds: clone before updating one in place.
[[nodiscard]] Variables grad(std::span<const Variable> outputs, std::span<const Variable> seeds,
                             std::span<const Variable> inputs, const GradOptions& options = {});
[[nodiscard]] Variables grad(const Variable& output, const Variable& seed, const Variables& inputs,
                             const GradOptions& options = {});

/// Accumulates detached gradients of a scalar into the `grad` of all its leaves. Gradients of different
/// leaves share no memory, so that each may be updated in place.
void backward(const Variable& loss, bool retain_graph = false);

}  // namespace backlight
