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
#include "explain/merge.h"
#include "explain/rule.h"

namespace backlight {

struct CompositePart {
    std::set<std::string, std::less<>> kinds{};  // empty: all linear ops with a learned weight
    std::string layer{};                         // glob over layer names ("features.*"); empty: any
    // Positions, among the linear ops with a weight on the way from the input to what is explained.
    bool first_only = false;          // no other lies between the op and the input
    bool last_only = false;           // no other lies between the op and the output
    std::optional<bool> rectified{};  // whether a ReLU reads its result (that of its batch norm)
    std::optional<int64_t> min_depth{}, max_depth{};  // index from 0 in execution order; -1 is the last
    Rule rule;
    std::string text{};  // as a user wrote it; empty: a preset's

    /// Where a weighted op stands.
    struct Place {
        bool first = false, last = false, rectified = false;
        int64_t depth = 0, count = 0;
    };
    /// `place` null: an op without weight.
    [[nodiscard]] bool matches(const NodeView& node, const Place* place) const;
};

struct Composite {
    std::string name;
    std::vector<CompositePart> parts;
    Rule sum_rule = rules::norm();  // sums of activations, average pools, resizing

    /// The same with `part`, or all parts of `front`, in front: they override.
    [[nodiscard]] Composite overridden_by(CompositePart part) const;
    [[nodiscard]] Composite overridden_by(const Composite& front) const;
};

/// From text: "first:zbox(low=-2.1, high=2.6); conv:gamma(0.25); layer=classifier.*:epsilon; sum:even". Parts
/// are separated by ";", each is a predicate, ":", a rule (build_rule). Predicates, joined by "&": first,
/// last, rectified, any (op with a weight), linear, conv, conv_transpose, norm (unmerged batch norm), sum,
/// average (pools), max_pool, activation, the kind of a single op of these ("conv2d", "gelu") or softmax,
/// layer=GLOB, depth<=N, depth>=N, depth=N (from 0 at the input; negative: from the output). The first match
/// wins. Throws Error that lists the known names.
[[nodiscard]] Composite parse_composite(const std::string& text);

/// LRP as rules of the one traversal. Batch norm directly behind (or before) a linear op is merged with it
/// where nothing else reads the value between. One object may serve any number of
/// traversals; it keeps what it matched in the last one.
class LrpRules final : public BackwardRules {
public:
    explicit LrpRules(Composite composite) : composite_(std::move(composite)) {}

    void prepare(const Traversal& traversal) override;
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override;
    void finish() override;

    /// From now on each traversal also collects the relevance of weights and biases, by the name of the
    /// linear op's node ("features.3"): `parameters` has those of the last one. Merged weights are meant
    /// where batch norm is merged. `magnitudes`: of weights Rule::weight_magnitudes, of biases nothing.
    void collect_parameters(bool on = true, bool magnitudes = false) {
        collects_ = on;
        magnitudes_ = magnitudes;
    }
    [[nodiscard]] const std::map<std::string, ParameterRelevance>& parameters() const { return parameters_; }

    /// Throws Error when the layer pattern of a part names none of the ops of its kinds that lead to
    /// `output`, the network's: a traversal that begins or ends further in need not meet all of them.
    void check_layers(const Variable& output) const;

    /// Parts that a user wrote and that no op met in the last traversal: others came first, or there is no
    /// such op on the way.
    [[nodiscard]] std::vector<std::string> unmet() const;

    /// What the last traversal did: layer (or node) name -> rule, in the order visited, latest layer first.
    [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& matched() const { return matched_; }

private:
    void find_places(const std::vector<Merging::Entry>& entries);
    [[nodiscard]] const Rule& rule_for(const NodeView& node);
    [[nodiscard]] static Variables product(const NodeView& node, const Variable& r_y, InputMask mask);
    [[nodiscard]] static Variables shared(const Rule& rule, const NodeView& node, const Variable& r_y,
                                          InputMask mask);

    Composite composite_;
    Merging merging_;
    WeightCache weights_;
    std::map<const Node*, CompositePart::Place> places_;
    bool collects_ = false, magnitudes_ = false;
    std::map<std::string, ParameterRelevance> parameters_;
    std::vector<std::pair<std::string, std::string>> matched_;
    std::set<const CompositePart*> met_;
};

/// What presets take. Unset low/high: the input range that the model or the data set states.
struct PresetOptions {
    double epsilon = 1e-6;  // of the epsilon rule, and the stabilizer of all others unless given
    double gamma = 0.25;
    RuleOptions rule;  // of every rule; its stabilizer is set by the caller
    std::vector<double> low, high;
    bool expand = false;        // the box reaches to the sample where the sample lies outside it
    bool box_first = false;     // gamma: the box rule on the first layer; asked for by giving low and high
    int64_t flat_until = -1;    // preset_b_flat_until: the flat rule on layers of this depth and before
    bool innvestigate = false;  // deep_taylor
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
/// z+ without biases everywhere, sums and pools by share (Zhang et al., "Top-down neural attention by
/// excitation backprop", 2018).
[[nodiscard]] Composite excitation_backprop(const PresetOptions& options = {});
/// z+ without biases, the first layer w² or, bounded, the box rule (Montavon et al., 2017); iNNvestigate's
/// variant: w² also on layers that no ReLU follows, sums by gradient.
[[nodiscard]] Composite deep_taylor(const PresetOptions& options = {});
[[nodiscard]] Composite deep_taylor_bounded(const PresetOptions& options = {});
/// iNNvestigate's presets: ε = 0.1 on linear layers, α1β0 or α2β1 on convolutions (Kohlbrenner et al.,
/// "Towards best practice in explaining neural network decisions with LRP", 2020).
[[nodiscard]] Composite preset_a(const PresetOptions& options = {});
[[nodiscard]] Composite preset_a_flat(const PresetOptions& options = {});
[[nodiscard]] Composite preset_b(const PresetOptions& options = {});
[[nodiscard]] Composite preset_b_flat(const PresetOptions& options = {});
[[nodiscard]] Composite preset_b_flat_until(const PresetOptions& options = {});
}  // namespace composites

struct CompositeEntry {
    std::string name;
    std::string description;
    Composite (*build)(const PresetOptions& options);
    double epsilon = 1e-6;  // unless given
    const char* start = "logit";
    std::string main_option{};  // whose value may stand alone, in front: deep_taylor(innvestigate)
};
[[nodiscard]] const std::vector<CompositeEntry>& list_composites();

}  // namespace backlight
