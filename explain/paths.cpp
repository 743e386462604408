#include "explain/paths.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <unordered_map>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {
namespace {

bool is_convolution(const Node& node) { return !node.is_leaf() && node.op->kind() == "conv2d"; }

bool is_linear_op(const Node& node) {
    return is_convolution(node) ||
           (!node.is_leaf() && (node.op->kind() == "linear" || node.op->kind() == "conv_transpose2d"));
}

/// What lies between a node and each of its ancestors: the fewest linear ops on the way.
using Distances = std::unordered_map<const Node*, int>;
Distances distances_below(const Node* start) {
    Distances found;
    std::vector<std::pair<const Node*, int>> pending{{start, 0}};
    while (!pending.empty()) {
        const auto [node, passed] = pending.back();
        pending.pop_back();
        if (node == nullptr) {
            continue;
        }
        const auto known = found.find(node);
        if (known != found.end() && known->second <= passed) {
            continue;
        }
        found[node] = passed;
        const int below = passed + (is_linear_op(*node) ? 1 : 0);
        for (const Variable& input : node->inputs) {
            pending.emplace_back(input.node().get(), below);
        }
    }
    return found;
}

struct Shortcut {
    int input = -1;  // of the sum; -1: none of them is a shortcut
    int convolutions = 0;
    bool strided = false;
};

/// The inputs of a sum meet at their latest common ancestor that is not a parameter.
Shortcut shortcut_of(const Node& add) {
    if (add.inputs.size() != 2 || !add.inputs[0].requires_grad() || !add.inputs[1].requires_grad()) {
        return {};
    }
    const std::array<Distances, 2> below = {distances_below(add.inputs[0].node().get()),
                                            distances_below(add.inputs[1].node().get())};
    const Node* meeting = nullptr;
    for (const auto& [node, passed] : below[0]) {
        const bool common = below[1].contains(node) && !node->is_leaf();
        if (common && (meeting == nullptr || node->sequence > meeting->sequence)) {
            meeting = node;
        }
    }
    for (const auto& [node, passed] : below[0]) {  // a block that begins at the input itself
        const bool is_image = node->is_leaf() && below[1].contains(node) && meeting == nullptr;
        meeting = is_image ? node : meeting;
    }
    if (meeting == nullptr) {
        return {};
    }
    const std::array<int, 2> passed = {below[0].at(meeting), below[1].at(meeting)};
    // The meeting point's own op does not lie on the way.
    if (passed[0] == passed[1]) {
        return {};
    }
    Shortcut found{.input = passed[0] < passed[1] ? 0 : 1};
    found.convolutions = std::min(passed[0], passed[1]);
    const Node* node = add.inputs[static_cast<size_t>(found.input)].node().get();
    while (node != nullptr && node != meeting) {
        if (is_convolution(*node)) {
            const Shape& from = node->inputs[0].shape();
            found.strided = found.strided || node->output.dim(1) < from[1] || node->output.dim(2) < from[2];
        }
        node = node->is_leaf() ? nullptr : node->inputs[0].node().get();
    }
    return found;
}

}  // namespace

void PathRules::prepare(const Traversal& traversal) {
    if (rules_) {
        rules_->prepare(traversal);
    }
    excluded_.clear();
    for (const auto& entry : traversal.entries()) {
        const Node& node = *entry.node;
        if (!entry.needed || node.is_leaf() || node.op->kind() != "add") {
            continue;
        }
        const Shortcut shortcut = shortcut_of(node);
        if (shortcut.input < 0) {
            continue;
        }
        const bool downsamples = shortcut.convolutions == 1;
        const bool strided = downsamples && shortcut.strided;
        if ((paths_ == Paths::exclude_strided_shortcuts && strided) ||
            (paths_ == Paths::exclude_downsample && downsamples) || paths_ == Paths::exclude_shortcuts) {
            excluded_[&node] = shortcut.input;
        } else if (paths_ == Paths::only_strided_shortcuts && strided) {
            excluded_[&node] = 1 - shortcut.input;
        }
    }
    BACKLIGHT_CHECK(
        !excluded_.empty(),
        "paths: this network has no such shortcut; a block must add two branches of which one passes "
        "fewer convolutions");
}

Variable PathRules::arrived(const NodeView& node, const Variable& r_y) {
    return rules_ ? rules_->arrived(node, r_y) : r_y;
}

void PathRules::finish() {
    excluded_.clear();
    if (rules_) {
        rules_->finish();
    }
}

std::optional<Variables> PathRules::backward(const NodeView& node, const Variable& r_y, InputMask mask) {
    const auto found = excluded_.find(node.node().get());
    if (found == excluded_.end()) {
        return rules_ ? rules_->backward(node, r_y, mask) : std::nullopt;
    }
    const auto left_out = static_cast<size_t>(found->second);
    if (handling_ == Handling::reroute) {
        Variables r(2);
        r[1 - left_out] = sum_to(r_y, node.input_shape(1 - found->second));
        return r;
    }
    std::optional<Variables> shared = rules_ ? rules_->backward(node, r_y, mask) : std::nullopt;
    Variables r = shared ? std::move(*shared) : node.op().sample_vjp(node, r_y, mask);
    r[left_out] = {};
    return r;
}

std::unique_ptr<BackwardRules> with_paths(std::unique_ptr<BackwardRules> rules, const Options& options,
                                          const char* handling) {
    static const std::vector<std::string> kPaths = {"all", "exclude_strided_shortcuts", "exclude_downsample",
                                                    "exclude_shortcuts", "only_strided_shortcuts"};
    const std::string chosen = options.choose("paths", "all", kPaths);
    const bool reroute = options.choose("handling", handling, {"reroute", "drop"}) == "reroute";
    if (chosen == "all") {
        return rules;
    }
    const auto index = std::find(kPaths.begin(), kPaths.end(), chosen) - kPaths.begin();
    return std::make_unique<PathRules>(std::move(rules), static_cast<Paths>(index),
                                       reroute ? Handling::reroute : Handling::drop);
}

}  // namespace backlight
