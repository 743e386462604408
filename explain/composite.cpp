#include "explain/composite.h"

#include <algorithm>
#include <array>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/glob.h"

namespace backlight {
namespace {

constexpr std::array<std::string_view, 3> kWeighted = {"linear", "conv2d", "conv_transpose2d"};
constexpr std::array<std::string_view, 15> kActivations = {
    "relu", "relu6",     "leaky_relu", "elu",     "softplus", "gelu",       "silu",           "sigmoid",
    "tanh", "clamp_min", "clamp_max",  "dropout", "abs",      "add_scalar", "multiply_scalar"};
constexpr std::array<std::string_view, 6> kAverages = {
    "add", "subtract", "avg_pool2d", "adaptive_avg_pool2d", "resize", "sum"};
// A value that is never negative, whatever it is fed.
constexpr std::array<std::string_view, 5> kNonNegative = {"relu", "relu6", "sigmoid", "softmax",
                                                          "positive_part"};
// A value that is not negative when its inputs are not.
constexpr std::array<std::string_view, 10> kKeepsSign = {
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "dropout", "reshape", "permute", "slice", "concat",
    "pad",        "add"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& kinds, std::string_view kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

bool is_weighted(const Node& node) { return !node.is_leaf() && contains(kWeighted, node.op->kind()); }

bool is_batch_norm(const Node& node) { return !node.is_leaf() && node.op->kind() == "batch_norm"; }

/// Decided on the graph, not by looking at values: an input that happens to be positive has other
/// derivatives.
bool is_nonnegative(const Variable& v) {
    std::vector<const Node*> pending{v.node().get()};
    std::set<const Node*> seen;
    while (!pending.empty()) {
        const Node* node = pending.back();
        pending.pop_back();
        if (node == nullptr || node->is_leaf()) {
            return false;
        }
        if (!seen.insert(node).second) {
            continue;
        }
        const std::string_view kind = node->op->kind();
        if (contains(kNonNegative, kind)) {
            continue;
        }
        if (!contains(kKeepsSign, kind)) {
            return false;
        }
        for (const Variable& input : node->inputs) {
            pending.push_back(input.node().get());
        }
    }
    return true;
}

/// No other weighted op lies between this one and the network's input.
bool is_first(const Node& node) {
    std::vector<const Node*> pending{node.inputs[0].node().get()};
    std::set<const Node*> seen;
    while (!pending.empty()) {
        const Node* below = pending.back();
        pending.pop_back();
        if (below == nullptr || below->is_leaf() || !seen.insert(below).second) {
            continue;
        }
        if (is_weighted(*below)) {
            return false;
        }
        for (const Variable& input : below->inputs) {
            pending.push_back(input.node().get());
        }
    }
    return true;
}

/// The weight with one factor a channel along `axis`. In a grouped convolution the last axis holds one
/// group's channels while the first runs over all groups: the factors then differ from group to group.
Variable scale_channels(const Variable& weight, const Variable& factors, int axis) {
    const int64_t channels = weight.dim(axis);
    const int64_t groups = channels > 0 ? factors.dim(0) / channels : 1;
    Shape shape;
    for (int i = 0; i < weight.rank(); ++i) {
        shape.push_back(i == axis ? channels : 1);
    }
    if (groups == 1) {
        return weight * reshape(factors, shape);
    }
    Shape grouped{groups, weight.dim(0) / groups};  // (G, O/G, Kh, Kw, C/G) times (G, 1, 1, 1, C/G)
    Shape grouped_factors{groups, 1};
    for (int i = 1; i < weight.rank(); ++i) {
        grouped.push_back(weight.dim(i));
        grouped_factors.push_back(shape[i]);
    }
    return reshape(reshape(weight, grouped) * reshape(factors, grouped_factors), weight.shape());
}

LinearView view_of(const NodeView& node) {
    auto view = node.op().as_linear(node);
    BACKLIGHT_CHECK(view.has_value(), node.kind(),
                    ": not linear in its input, so no LRP rule for weights acts on it");
    return std::move(*view);
}

}  // namespace

Composite Composite::overridden_by(CompositePart part) const {
    Composite changed = *this;
    changed.parts.insert(changed.parts.begin(), std::move(part));
    return changed;
}

void LrpRules::prepare(const Traversal& traversal) {
    plans_.clear();
    matched_.clear();
    parameters_.clear();
    for (const auto& entry : traversal.entries()) {
        const Node& norm = *entry.node;
        if (!entry.needed || !is_batch_norm(norm)) {
            continue;
        }
        // linear op -> batch norm
        const Traversal::Entry* below = traversal.find(norm.inputs[0].node().get());
        if (below != nullptr && is_weighted(*below->node) && below->consumers == 1 && !below->requested &&
            !plans_[below->node.get()].norm_behind) {
            plans_[below->node.get()].norm_behind = entry.node;
            plans_[&norm].passes = true;
        }
    }
    for (const auto& entry : traversal.entries()) {
        const Node& op = *entry.node;
        if (!entry.needed || !is_weighted(op)) {
            continue;
        }
        // batch norm -> linear op; a norm that is merged already stays where it is
        const Traversal::Entry* below = traversal.find(op.inputs[0].node().get());
        if (below != nullptr && is_batch_norm(*below->node) && below->consumers == 1 && !below->requested &&
            !plans_[below->node.get()].passes) {
            plans_[&op].norm_before = below->node;
            plans_[below->node.get()].passes = true;
        }
    }
}

const Rule& LrpRules::rule_for(const NodeView& node) const {
    const bool weighted = contains(kWeighted, node.kind());
    for (const CompositePart& part : composite_.parts) {
        const bool kind_fits = part.kinds.empty() ? weighted : part.kinds.contains(node.kind());
        if (kind_fits && (part.layer.empty() || glob_match(part.layer, node.name())) &&
            (!part.first_only || is_first(*node.node()))) {
            return part.rule;
        }
    }
    static const Rule pass = rules::pass();
    static const Rule gradient = rules::gradient();
    static const Rule diagonal = rules::epsilon();  // layer and group norm with their statistics constant
    BACKLIGHT_CHECK(!weighted, "composite ", composite_.name, ": no part of it matches ", node.kind(), " ",
                    node.name());
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

RuleInput LrpRules::linear_input(const NodeView& node) const {
    RuleInput in{.linear = view_of(node), .z = node.output()};
    const auto found = plans_.find(node.node().get());
    if (found != plans_.end() && found->second.norm_before) {  // x -> k x + c -> W: one op on x
        const LinearView norm = view_of(NodeView(found->second.norm_before));
        LinearView& op = in.linear;
        const Variable offset = broadcast_to(norm.bias, op.x.shape().with(0, 1));
        const Variable shift = op.apply(offset, op.weight);
        op.bias = op.bias.defined() ? op.bias + shift : shift;
        op.weight = scale_channels(op.weight, norm.weight, op.input_axis);
        op.x = norm.x;
    }
    if (found != plans_.end() &&
        found->second.norm_behind) {  // W x + b -> k (W x + b) + c: one op with output z
        const NodeView norm_node(found->second.norm_behind);
        const LinearView norm = view_of(norm_node);
        LinearView& op = in.linear;
        op.weight = scale_channels(op.weight, norm.weight, op.output_axis);
        op.bias = op.bias.defined() ? op.bias * norm.weight + norm.bias : norm.bias;
        in.z = norm_node.output();
    }
    in.x_is_nonnegative = is_nonnegative(in.linear.x);
    return in;
}

std::optional<Variables> LrpRules::backward(const NodeView& node, const Variable& r_y, InputMask mask) {
    const auto count = static_cast<size_t>(node.input_count());
    const auto plan = plans_.find(node.node().get());
    if (plan != plans_.end() && plan->second.passes) {
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
            const RuleInput in = linear_input(node);
            r[static_cast<size_t>(in.linear.input)] = rule.relevance(in, r_y);
            if (collects_) {
                parameters_[node.name()] = rule.parameter_relevance(in, r_y);
            }
            return r;
        }
        case Rule::Kind::norm:
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
    const Variable s = rule.stabilizer().divide(r_y, node.output());
    r = node.op().vjp(node, s, mask);
    for (size_t i = 0; i < r.size(); ++i) {
        if (r[i].defined()) {
            r[i] = node.input(static_cast<int>(i)) * r[i];
        }
    }
    return r;
}

namespace composites {
namespace {

RuleOptions rule_options(const PresetOptions& options) {
    RuleOptions read;
    read.stabilizer = options.stabilizer.value_or(options.epsilon);
    read.zero_bias = options.zero_bias;
    return read;
}

/// ε on linear layers, `convolution` on convolutions, `first` (if any) on the first weighted op of
/// `first_kinds`.
Composite preset(std::string name, const PresetOptions& options, const Rule& convolution,
                 const std::optional<Rule>& first = {}, std::set<std::string, std::less<>> first_kinds = {}) {
    const RuleOptions common = rule_options(options);
    Composite composite{
        .name = std::move(name),
        .parts = {{.kinds = {"linear"}, .layer = {}, .rule = rules::epsilon(options.epsilon, common)},
                  {.kinds = {"conv2d", "conv_transpose2d"}, .layer = {}, .rule = convolution}},
        .sum_rule = rules::norm({.eps = common.stabilizer})};
    return first ? composite.overridden_by(
                       {.kinds = std::move(first_kinds), .layer = {}, .first_only = true, .rule = *first})
                 : composite;
}

Composite uniform(std::string name, const PresetOptions& options, const Rule& rule) {
    return {.name = std::move(name),
            .parts = {{.kinds = {}, .layer = {}, .rule = rule}},
            .sum_rule = rules::norm({.eps = rule_options(options).stabilizer})};
}

}  // namespace

Composite epsilon(const PresetOptions& o) {
    return uniform("epsilon", o, rules::epsilon(o.epsilon, rule_options(o)));
}
Composite epsilon_plus(const PresetOptions& o) {
    return preset("epsilon_plus", o, rules::zplus(rule_options(o)));
}
Composite epsilon_plus_flat(const PresetOptions& o) {
    return preset("epsilon_plus_flat", o, rules::zplus(rule_options(o)), rules::flat(rule_options(o)));
}
Composite epsilon_alpha2_beta1(const PresetOptions& o) {
    return preset("epsilon_alpha2_beta1", o, rules::alpha_beta(2, 1, rule_options(o)));
}
Composite epsilon_alpha2_beta1_flat(const PresetOptions& o) {
    return preset("epsilon_alpha2_beta1_flat", o, rules::alpha_beta(2, 1, rule_options(o)),
                  rules::flat(rule_options(o)));
}
Composite epsilon_gamma_box(const PresetOptions& o) {
    BACKLIGHT_CHECK(!o.low.empty() && !o.high.empty(),
                    "epsilon_gamma_box: the input range is not stated by the model or the data; give it as "
                    "epsilon_gamma_box(low=L, high=H), a number or one a channel (a:b:c)");
    return preset("epsilon_gamma_box", o, rules::gamma(o.gamma, rule_options(o)),
                  rules::zbox(o.low, o.high, rule_options(o)), {"conv2d", "conv_transpose2d"});
}
Composite z_plus(const PresetOptions& o) { return uniform("z_plus", o, rules::zplus(rule_options(o))); }
Composite gamma(const PresetOptions& o) {
    Composite composite = uniform("gamma", o, rules::gamma(o.gamma, rule_options(o)));
    return o.box_first ? composite.overridden_by({.kinds = {},
                                                  .layer = {},
                                                  .first_only = true,
                                                  .rule = rules::zbox(o.low, o.high, rule_options(o))})
                       : composite;
}
Composite w2_first(const PresetOptions& o) {
    return preset("w2_first", o, rules::zplus(rule_options(o)), rules::w_square(rule_options(o)));
}

}  // namespace composites

const std::vector<CompositeEntry>& list_composites() {
    static const std::vector<CompositeEntry> entries = {
        {"epsilon", "epsilon rule everywhere (LRP-0 with a small epsilon)", composites::epsilon},
        {"epsilon_plus", "epsilon on linear layers, z+ on convolutions", composites::epsilon_plus},
        {"epsilon_plus_flat", "epsilon_plus with the flat rule on the first layer",
         composites::epsilon_plus_flat},
        {"epsilon_alpha2_beta1", "epsilon on linear layers, alpha=2 beta=1 on convolutions",
         composites::epsilon_alpha2_beta1},
        {"epsilon_alpha2_beta1_flat", "epsilon_alpha2_beta1 with the flat rule on the first layer",
         composites::epsilon_alpha2_beta1_flat},
        {"epsilon_gamma_box",
         "epsilon on linear layers, gamma on convolutions, box rule on the first: low, high",
         composites::epsilon_gamma_box},
        {"z_plus", "z+ everywhere", composites::z_plus},
        {"gamma", "gamma everywhere", composites::gamma},
        {"w2_first", "epsilon_plus with the w2 rule on the first layer", composites::w2_first},
    };
    return entries;
}

}  // namespace backlight
