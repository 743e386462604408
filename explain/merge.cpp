#include "explain/merge.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {
namespace {

constexpr std::array<std::string_view, 3> kWeighted = {"linear", "conv2d", "conv_transpose2d"};
// A value that is never negative, whatever it is fed.
constexpr std::array<std::string_view, 5> kNonNegative = {"relu", "relu6", "sigmoid", "softmax",
                                                          "positive_part"};
// A value that is not negative when its inputs are not.
constexpr std::array<std::string_view, 11> kKeepsSign = {
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "dropout", "reshape", "permute", "slice", "concat",
    "pad",        "add",        "scale_gradient"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& kinds, std::string_view kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
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

}  // namespace

bool is_weighted(const Node& node) { return !node.is_leaf() && contains(kWeighted, node.op->kind()); }

bool is_batch_norm(const Node& node) { return !node.is_leaf() && node.op->kind() == "batch_norm"; }

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

LinearView view_of(const NodeView& node) {
    auto view = node.op().as_linear(node);
    BACKLIGHT_CHECK(view.has_value(), node.kind(),
                    ": not linear in its input, so no LRP rule for weights acts on it");
    return std::move(*view);
}

Merging::Merging(const std::vector<Entry>& entries) {
    std::map<const Node*, const Entry*> known;
    for (const Entry& entry : entries) {
        known[entry.node.get()] = &entry;
    }
    const auto below = [&](const Node& node) -> const Entry* {
        const auto found = known.find(node.inputs[0].node().get());
        return found == known.end() || found->second->consumers != 1 ? nullptr : found->second;
    };
    for (const Entry& entry : entries) {  // linear op -> batch norm
        const Entry* linear = is_batch_norm(*entry.node) ? below(*entry.node) : nullptr;
        if (linear != nullptr && is_weighted(*linear->node) && !plans_[linear->node.get()].behind) {
            plans_[linear->node.get()].behind = entry.node;
            merged_[entry.node.get()] = true;
        }
    }
    for (const Entry& entry : entries) {  // batch norm -> linear op; a norm that is merged already stays so
        const Entry* norm = is_weighted(*entry.node) ? below(*entry.node) : nullptr;
        if (norm != nullptr && is_batch_norm(*norm->node) && !is_merged(norm->node.get())) {
            plans_[entry.node.get()].before = norm->node;
            merged_[norm->node.get()] = true;
        }
    }
}

const Node* Merging::end_of(const Node* linear) const {
    const auto plan = plans_.find(linear);
    return plan != plans_.end() && plan->second.behind ? plan->second.behind.get() : linear;
}

namespace {

/// x -> k x + c -> W: one op on x.
void put_before(LinearView& op, const LinearView& norm, bool weights) {
    if (weights) {
        const Variable offset = broadcast_to(norm.bias, op.x.shape().with(0, 1));
        const Variable shift = op.apply(offset, op.weight);
        op.bias = op.bias.defined() ? op.bias + shift : shift;
        op.weight = scale_channels(op.weight, norm.weight, op.input_axis);
    }
    op.x = norm.x;
}

/// W x + b -> k (W x + b) + c: one op.
void put_behind(LinearView& op, const LinearView& norm) {
    op.weight = scale_channels(op.weight, norm.weight, op.output_axis);
    op.bias = op.bias.defined() ? op.bias * norm.weight + norm.bias : norm.bias;
}

/// What the merged weight is made of; the statistics of batch norms show in their factors and shifts.
void describe(WeightForms& forms, const LinearView& op, const std::vector<const LinearView*>& norms) {
    for (const Variable& v : {op.weight, op.bias}) {
        forms.versions.push_back(v.defined() ? v.data().storage_id() : 0);
        forms.versions.push_back(v.defined() ? v.data().version() : 0);
    }
    for (const LinearView* norm : norms) {
        forms.norms.push_back(norm->weight.data().to(DType::f64).to_vector<double>());
        forms.norms.push_back(norm->bias.data().to(DType::f64).to_vector<double>());
    }
}

}  // namespace

RuleInput Merging::input_of(const NodeView& node, WeightCache* kept) const {
    RuleInput in{.linear = view_of(node), .z = node.output()};
    const auto found = plans_.find(node.node().get());
    const Plan none;
    const Plan& plan = found == plans_.end() ? none : found->second;
    const std::optional<LinearView> before =
        plan.before ? std::optional(view_of(NodeView(plan.before))) : std::nullopt;
    const std::optional<LinearView> behind =
        plan.behind ? std::optional(view_of(NodeView(plan.behind))) : std::nullopt;
    std::shared_ptr<WeightForms> forms;
    if (kept != nullptr && !grad_enabled()) {
        std::vector<const LinearView*> norms;
        for (const auto& norm : {&before, &behind}) {
            if (*norm) {
                norms.push_back(&**norm);
            }
        }
        auto now = std::make_shared<WeightForms>();
        describe(*now, in.linear, norms);
        if (before) {  // the merged bias is a value per position
            now->versions.push_back(static_cast<uint64_t>(in.linear.x.dim(1)));
            now->versions.push_back(static_cast<uint64_t>(in.linear.x.dim(-2)));
        }
        forms = (*kept)[in.linear.weight.data().storage_id()];
        if (!forms || forms->versions != now->versions || forms->norms != now->norms) {
            forms = now;
            (*kept)[in.linear.weight.data().storage_id()] = now;
        }
    }
    const bool known = forms && forms->weight.defined();
    if (before) {
        put_before(in.linear, *before, !known);
    }
    if (behind) {
        if (!known) {
            put_behind(in.linear, *behind);
        }
        in.z = NodeView(plan.behind).output();
    }
    if (known) {
        in.linear.weight = forms->weight;
        in.linear.bias = forms->bias;
    } else if (forms) {
        forms->weight = in.linear.weight;
        forms->bias = in.linear.bias;
    }
    in.forms = std::move(forms);
    in.x_is_nonnegative = is_nonnegative(in.linear.x);
    return in;
}

}  // namespace backlight
