// Composite: which rule acts where. An ordered list of (op kinds, layer name, position) -> rule; the first
// match wins. Ops that no part names get the base map: activations and unmerged batch norm pass, sums and
// averages share by norm, max pooling and data movement route like a gradient, inner softmax uses its
// gradient.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "autograd/grad.h"
#include "explain/rule.h"

namespace backlight {

struct CompositePart {
    std::set<std::string, std::less<>> kinds;  // empty: all linear ops with a learned weight
    std::string layer;                         // glob over layer names ("features.*"); empty: any
    bool first_only = false;  // only where no other linear op lies between the op and the network's input
    Rule rule;
};

struct Composite {
    std::string name;
    std::vector<CompositePart> parts;
    Rule sum_rule = rules::norm();  // sums of activations, average pools, resizing

    /// The same with `part` in front: it overrides.
    [[nodiscard]] Composite overridden_by(CompositePart part) const;
};

/// LRP as rules of the one traversal. Batch norm directly behind (or before) a linear op is merged with it
/// where nothing else reads the value between and nobody asked for it. One object may serve any number of
/// traversals; it keeps what it matched in the last one.
class LrpRules final : public BackwardRules {
public:
    explicit LrpRules(Composite composite) : composite_(std::move(composite)) {}

    void prepare(const Traversal& traversal) override;
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override;

    /// From now on each traversal also collects the relevance of weights and biases, by the name of the
    /// linear op's node ("features.3"): `parameters` has those of the last one. Merged weights are meant
    /// where batch norm is merged.
    void collect_parameters(bool on = true) { collects_ = on; }
    [[nodiscard]] const std::map<std::string, ParameterRelevance>& parameters() const { return parameters_; }

    /// What the last traversal did: layer (or node) name -> rule, in the order visited, latest layer first.
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& matched() const { return matched_; }

private:
    struct Plan {
        NodePtr norm_behind;  // batch norm whose output is this linear op's z
        NodePtr norm_before;  // batch norm whose input is this linear op's x
        bool passes = false;  // a merged batch norm: its partner does the work
    };
    [[nodiscard]] const Rule& rule_for(const NodeView& node) const;
    [[nodiscard]] RuleInput linear_input(const NodeView& node) const;
    [[nodiscard]] static Variables product(const NodeView& node, const Variable& r_y, InputMask mask);

    Composite composite_;
    std::map<const Node*, Plan> plans_;
    bool collects_ = false;
    std::map<std::string, ParameterRelevance> parameters_;
    std::vector<std::pair<std::string, std::string>> matched_;
};

/// What presets take. Unset low/high: the input range that the model or the data set states.
struct PresetOptions {
    double epsilon = 1e-6;  // of the epsilon rule, and the stabilizer of all others unless given
    std::optional<double> stabilizer;
    double gamma = 0.25;
    bool zero_bias = false;
    std::vector<double> low, high;
    bool box_first = false;  // gamma: the box rule on the first layer; asked for by giving low and high
};

namespace composites {
[[nodiscard]] Composite epsilon(const PresetOptions& options = {});
[[nodiscard]] Composite epsilon_plus(const PresetOptions& options = {});
[[nodiscard]] Composite epsilon_plus_flat(const PresetOptions& options = {});
[[nodiscard]] Composite epsilon_alpha2_beta1(const PresetOptions& options = {});
[[nodiscard]] Composite epsilon_alpha2_beta1_flat(const PresetOptions& options = {});
/// Throws Error unless low and high are set.
[[nodiscard]] Composite epsilon_gamma_box(const PresetOptions& options = {});
[[nodiscard]] Composite z_plus(const PresetOptions& options = {});
[[nodiscard]] Composite gamma(const PresetOptions& options = {});
/// First layer w², convolutions z+, linear layers ε.
[[nodiscard]] Composite w2_first(const PresetOptions& options = {});
}  // namespace composites

struct CompositeEntry {
    std::string name;
    std::string description;
    Composite (*build)(const PresetOptions& options);
};
[[nodiscard]] const std::vector<CompositeEntry>& list_composites();

}  // namespace backlight
