#include "explain/composite.h"

#include <algorithm>
#include <array>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/glob.h"

namespace backlight {
namespace {

constexpr std::array<std::string_view, 16> kActivations = {
    "relu",          "relu6",   "leaky_relu", "elu",        "softplus",
    "gelu",          "silu",    "sigmoid",    "tanh",       "clamp_min",
    "clamp_max",     "dropout", "abs",        "add_scalar", "multiply_scalar",
    "scale_gradient"};
constexpr std::array<std::string_view, 6> kAverages = {
    "add", "subtract", "avg_pool2d", "adaptive_avg_pool2d", "resize", "sum"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& kinds, std::string_view kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

bool is_rectifier(const Node& node) {
    return !node.is_leaf() && (node.op->kind() == "relu" || node.op->kind() == "relu6");
}

/// These nodes and all below them, earliest first.
std::vector<const Node*> with_ancestors(std::vector<const Node*> pending) {
    std::set<const Node*> seen;
    while (!pending.empty()) {
        const Node* node = pending.back();
        pending.pop_back();
        if (node != nullptr && seen.insert(node).second) {
            for (const Variable& input : node->inputs) {
                pending.push_back(input.node().get());
            }
        }
    }
    std::vector<const Node*> nodes(seen.begin(), seen.end());
    std::sort(nodes.begin(), nodes.end(),
              [](const Node* a, const Node* b) { return a->sequence < b->sequence; });
    return nodes;
}

}  // namespace

Composite Composite::overridden_by(CompositePart part) const {
    Composite changed = *this;
    changed.parts.insert(changed.parts.begin(), std::move(part));
    return changed;
}

Composite Composite::overridden_by(const Composite& front) const {
    Composite changed = *this;
    changed.parts.insert(changed.parts.begin(), front.parts.begin(), front.parts.end());
    return changed;
}

bool CompositePart::matches(const NodeView& node, const Place* place) const {
    const bool kind_fits = kinds.empty() ? place != nullptr : kinds.contains(node.kind());
    if (!kind_fits || (!layer.empty() && !glob_match(layer, node.name()))) {
        return false;
    }
    if (!first_only && !last_only && !rectified && !min_depth && !max_depth) {
        return true;
    }
    if (place == nullptr) {  // positions are counted among linear ops with weights
        return false;
    }
    const auto at_least = [&](int64_t bound) {
        return (bound >= 0 ? place->depth : place->depth - place->count) >= bound;
    };
    const auto at_most = [&](int64_t bound) {
        return (bound >= 0 ? place->depth : place->depth - place->count) <= bound;
    };
    return (!first_only || place->first) && (!last_only || place->last) &&
           (!rectified || *rectified == place->rectified) && (!min_depth || at_least(*min_depth)) &&
           (!max_depth || at_most(*max_depth));
}

void LrpRules::prepare(const Traversal& traversal) {
    matched_.clear();
    met_.clear();
    parameters_.clear();
    places_.clear();
    std::vector<Merging::Entry> entries;
    for (const auto& entry : traversal.entries()) {
        if (entry.needed) {
            entries.push_back({entry.node, entry.consumers});
        }
    }
    merging_ = Merging(entries);
    find_places(entries);
}

void LrpRules::finish() {
    merging_ = {};
    places_.clear();
}

void LrpRules::find_places(const std::vector<Merging::Entry>& entries) {
    // A traversal ends at the layer that is asked for, but places are counted from the input: a rule for the
    // first layer must not move up with the request.
    std::vector<const Node*> visited;
    for (const Merging::Entry& entry : entries) {
        visited.push_back(entry.node.get());
    }
    std::set<const Node*> above_weights;  // a weighted op lies below the value
    int64_t count = 0;
    for (const Node* node : with_ancestors(std::move(visited))) {
        const bool above = std::any_of(node->inputs.begin(), node->inputs.end(), [&](const Variable& input) {
            return above_weights.contains(input.node().get());
        });
        if (is_weighted(*node)) {
            places_[node] = {.first = !above, .last = true, .depth = count++};
        }
        if (above || is_weighted(*node)) {
            above_weights.insert(node);
        }
    }
    std::set<const Node*> below_weights;  // the value is read by a weighted op, directly or not
    std::set<const Node*> read_by_rectifier;
    for (const Merging::Entry& entry : entries) {  // latest first
        const Node& node = *entry.node;
        const auto place = places_.find(&node);
        if (place != places_.end()) {
            place->second.count = count;
            place->second.last = !below_weights.contains(&node);
            place->second.rectified = read_by_rectifier.contains(merging_.end_of(&node));
        }
        const bool weighted_above = place != places_.end() || below_weights.contains(&node);
        for (const Variable& input : node.inputs) {
            if (weighted_above) {
                below_weights.insert(input.node().get());
            }
            if (is_rectifier(node)) {
                read_by_rectifier.insert(input.node().get());
            }
        }
    }
}

void LrpRules::check_layers(const Variable& output) const {
    std::vector<const Node*> nodes;
    for (const CompositePart& part : composite_.parts) {
        if (part.layer.empty()) {
            continue;
        }
        if (nodes.empty()) {
            nodes = with_ancestors({output.node().get()});
        }
        std::vector<std::string> known;
        for (const Node* node : nodes) {
            const bool fits = part.kinds.empty() ? is_weighted(*node)
                                                 : !node->is_leaf() && part.kinds.contains(node->op->kind());
            if (fits) {
                known.push_back(node->name);
            }
        }
        const bool any = std::any_of(known.begin(), known.end(),
                                     [&](const std::string& name) { return glob_match(part.layer, name); });
        BACKLIGHT_CHECK(any, "composite ", composite_.name, ": ",
                        unknown_name(part.kinds.empty() ? "layer with weights" : "layer of this kind",
                                     part.layer, known));
    }
}

std::vector<std::string> LrpRules::unmet() const {
    std::vector<std::string> texts;
    for (const CompositePart& part : composite_.parts) {
        if (!part.text.empty() && !met_.contains(&part)) {
            texts.push_back(part.text);
        }
    }
    return texts;
}

const Rule& LrpRules::rule_for(const NodeView& node) {
    const auto found = places_.find(node.node().get());
    const CompositePart::Place* place = found == places_.end() ? nullptr : &found->second;
    for (const CompositePart& part : composite_.parts) {
        if (part.matches(node, place)) {
            met_.insert(&part);
            return part.rule;
        }
    }
    static const Rule pass = rules::pass();
    static const Rule gradient = rules::gradient();
    static const Rule diagonal = rules::epsilon();  // layer and group norm with their statistics constant
    BACKLIGHT_CHECK(place == nullptr, "composite ", composite_.name, ": no part of it matches ", node.kind(),
                    " ", node.name());
    if (contains(kAverages, node.kind())) {
        return composite_.sum_rule;
    }
    if (node.kind() == "layer_norm" || node.kind() == "group_norm") {
        return diagonal;
    }
    return contains(kActivations, node.kind()) || node.kind() == "batch_norm" ? pass : gradient;
}

Variables LrpRules::product(const NodeView& node, const Variable& r_y, InputMask mask) {
    // Signal takes all: the gate (a sigmoid or softmax) gets nothing. Without a gate both factors get half.
    const auto is_gate = [&](int i) {
        const Node* producer = node.node()->inputs[static_cast<size_t>(i)].node().get();
        return producer != nullptr && !producer->is_leaf() &&
               (producer->op->kind() == "sigmoid" || producer->op->kind() == "softmax");
    };
    Variables r(2);
    for (const int i : {0, 1}) {
        const bool other_is_signal = wants(mask, 1 - i) && !is_gate(1 - i);
        if (!wants(mask, i) || (is_gate(i) && other_is_signal)) {
            continue;
        }
        const bool takes_all = !other_is_signal;
        const bool both_gates = is_gate(i) && wants(mask, 1 - i) && is_gate(1 - i);
        r[static_cast<size_t>(i)] = sum_to(takes_all && !both_gates ? r_y : r_y * 0.5, node.input_shape(i));
    }
    return r;
}

/// R_i = a_i ⊙ vjp_i(R / stab(y)), with ones in the place of a and y where the share is even.
Variables LrpRules::shared(const Rule& rule, const NodeView& node, const Variable& r_y, InputMask mask) {
    const bool even = rule.kind() == Rule::Kind::even;
    const auto value = [&](int i) {
        return even ? Variable(Tensor::ones(node.input_shape(i), r_y.dtype(), r_y.data().device()))
                    : node.input(i);
    };
    if (const auto window = node.op().as_window(node)) {
        const Variable a = value(0);
        return {a * window->spread(rule.stabilizer().divide(r_y, window->total(a)))};
    }
    Variables values;
    for (int i = 0; i < node.input_count(); ++i) {
        values.push_back(value(i));
    }
    const Variable y = even ? call(node.node()->op, values) : node.output();
    Variables r = node.op().sample_vjp(node, rule.stabilizer().divide(r_y, y), mask);
    for (size_t i = 0; i < r.size(); ++i) {
        if (r[i].defined()) {
            r[i] = values[i] * r[i];
        }
    }
    return r;
}

std::optional<Variables> LrpRules::backward(const NodeView& node, const Variable& r_y, InputMask mask) {
    const auto count = static_cast<size_t>(node.input_count());
    if (merging_.is_merged(node.node().get())) {
        matched_.emplace_back(node.name(), "merged");
        Variables r(count);
        r[0] = r_y;
        return r;
    }
    if (node.kind() == "multiply") {
        matched_.emplace_back(node.name(), "product");
        return product(node, r_y, mask);
    }
    const Rule& rule = rule_for(node);
    matched_.emplace_back(node.name(), rule.name());
    Variables r(count);
    switch (rule.kind()) {
        case Rule::Kind::zero:
            return r;
        case Rule::Kind::gradient:
            return std::nullopt;
        case Rule::Kind::pass:
            BACKLIGHT_CHECK(node.input_shape(0) == r_y.shape(), node.kind(), ": relevance of shape ",
                            r_y.shape(), " cannot pass unchanged to an input of shape ", node.input_shape(0));
            r[0] = r_y;
            return r;
        case Rule::Kind::linear: {
            const RuleInput in = merging_.input_of(node, &weights_);
            r[static_cast<size_t>(in.linear.input)] = rule.relevance(in, r_y);
            if (collects_) {
                parameters_[node.name()] = magnitudes_
                                               ? ParameterRelevance{rule.weight_magnitudes(in, r_y), {}}
                                               : rule.parameter_relevance(in, r_y);
            }
            return r;
        }
        case Rule::Kind::norm:
        case Rule::Kind::even:
            BACKLIGHT_CHECK(!is_weighted(*node.node()), "composite ", composite_.name, ": rule ", rule.name(),
                            " is for sums, averages and max pools, not for ", node.kind(), " ", node.name());
            break;
    }
    // A constant that is added carries no activation: what the sum received belongs to the other input.
    if (node.kind() == "add") {
        for (const int i : {0, 1}) {
            if (!wants(mask, 1 - i) && wants(mask, i) && !node.input_requires_grad(1 - i)) {
                r[static_cast<size_t>(i)] = sum_to(r_y, node.input_shape(i));
                return r;
            }
        }
    }
    return shared(rule, node, r_y, mask);
}

}  // namespace backlight
