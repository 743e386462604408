#include "explain/replay.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"

namespace backlight {

std::vector<NodePtr> nodes_between(const std::vector<Variable>& from, const Variable& output) {
    std::unordered_set<const Node*> given;
    uint64_t oldest = ~uint64_t{0};
    for (const Variable& v : from) {
        given.insert(v.node().get());
        oldest = std::min(oldest, v.node()->sequence);
    }
    std::vector<NodePtr> found;
    std::vector<NodePtr> pending{output.node()};
    std::unordered_set<const Node*> seen;
    while (!pending.empty()) {
        const NodePtr node = std::move(pending.back());
        pending.pop_back();
        if (!node || node->sequence < oldest || given.contains(node.get()) ||
            !seen.insert(node.get()).second) {
            continue;
        }
        found.push_back(node);
        for (const Variable& input : node->inputs) {
            pending.push_back(input.node());
        }
    }
    std::sort(found.begin(), found.end(),
              [](const NodePtr& a, const NodePtr& b) { return a->sequence < b->sequence; });
    std::unordered_set<const Node*> depends = given;
    std::erase_if(found, [&](const NodePtr& node) {
        const bool on = std::any_of(node->inputs.begin(), node->inputs.end(), [&](const Variable& input) {
            return depends.contains(input.node().get());
        });
        if (on) {
            depends.insert(node.get());
        }
        return !on;
    });
    return found;
}

Variable replay(const Variable& output, const std::vector<std::pair<Variable, Variable>>& replaced) {
    std::vector<Variable> from;
    std::unordered_map<const Node*, Variable> values;
    for (const auto& [old, value] : replaced) {
        BACKLIGHT_CHECK(old.shape() == value.shape(), "replay: expected a value of shape ", old.shape(),
                        ", got ", value.shape());
        from.push_back(old);
        values[old.node().get()] = value;
    }
    const auto known = values.find(output.node().get());
    if (known != values.end()) {
        return known->second;
    }
    const std::vector<NodePtr> between = nodes_between(from, output);
    BACKLIGHT_CHECK(!between.empty() && between.back() == output.node(),
                    "replay: the output does not depend on the layer");
    for (const NodePtr& node : between) {
        const NodeView view(node);
        Variables inputs;
        for (int i = 0; i < view.input_count(); ++i) {
            const auto value = values.find(node->inputs[static_cast<size_t>(i)].node().get());
            inputs.push_back(value != values.end() ? value->second : view.input(i));
        }
        const Variable again = call(node->op, inputs);
        if (again.node()) {  // who watches a traversal of it reads where it is
            again.node()->name = node->name;
        }
        values[node.get()] = again;
    }
    return values.at(output.node().get());
}

}  // namespace backlight
