// Linear ops with the batch norms that belong to them: what an LRP rule, DeepLIFT's kin and contextual
// decomposition see is one op, W' = k W, b' = k (b - mean) + shift. On the graph, in differentiable ops;
// parameters stay.
#pragma once

#include <map>
#include <vector>

#include "explain/rule.h"

namespace backlight {

[[nodiscard]] bool is_weighted(const Node& node);  // linear, conv2d, conv_transpose2d
[[nodiscard]] bool is_batch_norm(const Node& node);

/// The view of a node that is linear in its input; throws Error for another.
[[nodiscard]] LinearView view_of(const NodeView& node);

/// By the storage of the op's own weight.
using WeightCache = std::map<uint64_t, std::shared_ptr<WeightForms>>;

/// Which batch norms of a graph are merged: directly behind a linear op, or directly before one, where
/// nothing else reads the value between. The relevance of that value is then the one of the merged op's
/// result (or input).
class Merging {
public:
    /// One node of the graph, in the order latest first or earliest first.
    struct Entry {
        NodePtr node;
        int consumers = 0;  // edges that read its output
    };
    Merging() = default;
    explicit Merging(const std::vector<Entry>& entries);

    /// Whether this batch norm is part of a linear op: it passes on what it receives.
    [[nodiscard]] bool is_merged(const Node* norm) const { return merged_.contains(norm); }
    /// A linear op as a rule sees it. `kept`: forms of weights that explanations without history share.
    [[nodiscard]] RuleInput input_of(const NodeView& node, WeightCache* kept = nullptr) const;
    /// The last node of a linear op: the batch norm behind it, or itself.
    [[nodiscard]] const Node* end_of(const Node* linear) const;

private:
    struct Plan {
        NodePtr behind;  // batch norm whose output is this linear op's z
        NodePtr before;  // batch norm whose input is this linear op's x
    };
    std::map<const Node*, Plan> plans_;
    std::map<const Node*, bool> merged_;
};

/// Whether a value is never negative, as its producers promise. Decided on the graph, not by looking at
/// values: an input that happens to be positive has other derivatives.
[[nodiscard]] bool is_nonnegative(const Variable& v);

}  // namespace backlight
