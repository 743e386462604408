// Concept relevance propagation: relevance that passes through chosen channels of chosen layers only.
//   R <- m ⊙ R   as it arrives at the layer's output, m in {0,1} one a channel
// Channels of one condition add up (or), conditions at several layers hold together (and): what is left went
// through all of them. Source: Achtibat et al., "From attribution maps to human-understandable explanations
// through concept relevance propagation", Nature Machine Intelligence, 2023.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "autograd/grad.h"
#include "explain/explainer.h"

namespace backlight {

struct CrpCondition {
    std::string layer;                // its output; "L:in": its input
    std::vector<int64_t> channels{};  // along the last axis
    Tensor mask{};  // in place of channels: what relevance is multiplied with, broadcasts to (N,...,C)
};

/// "features.6:3:5; features.2:1": channels 3 and 5 of the one layer and channel 1 of the other. "6:in:0": of
/// the input of layer 6. Throws Error on malformed text.
[[nodiscard]] std::vector<CrpCondition> parse_conditions(const std::string& text);

/// Other rules, under conditions. With `exclude_parallel` paths that run around a named layer carry nothing,
/// so that all relevance below went through it.
class CrpRules final : public BackwardRules {
public:
    /// `layers`: of the forward pass that is explained. Throws Error on an unknown layer, a channel out of
    /// range, a mask that does not fit and on a layer that does not depend on the input, or is the input.
    CrpRules(BackwardRules& rules, const std::vector<CrpCondition>& conditions,
             const Recording::Layers& layers, bool exclude_parallel = true);

    /// Throws Error when a layer does not lie on the way, or no path leads through all of them.
    void prepare(const Traversal& traversal) override;
    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& r_y,
                                                    InputMask mask) override;
    [[nodiscard]] Variable arrived(const NodeView& node, const Variable& r_y) override;
    void finish() override { rules_->finish(); }

private:
    struct Gate {
        std::string layer;
        NodePtr node;
        Tensor mask;
        std::set<const Node*> above{};  // nodes whose value was computed from the layer's
    };
    BackwardRules* rules_;
    std::vector<Gate> gates_;  // latest layer first
    bool exclude_parallel_;
};

/// Relevance of each channel: the sum over positions, R (N,...,C) -> (N,C), f64; divided by Σ_c |R_c| + 1e-10
/// of its sample when `normalize`.
[[nodiscard]] Tensor channel_relevance(const Tensor& relevance, bool normalize = true);

/// As the method `crp` with these conditions. `composite` names the rules: "epsilon_plus_flat".
[[nodiscard]] std::unique_ptr<Explainer> crp_explainer(std::vector<CrpCondition> conditions,
                                                       const std::string& composite = "epsilon_plus_flat",
                                                       bool exclude_parallel = true,
                                                       const ExplainContext& context = {});

}  // namespace backlight
