// Contrastive excitation backprop: the marginal winning probability for a class minus that of the same
// classifier with its weights negated (Zhang et al., "Top-down neural attention by excitation backprop",
// 2018, section 3.3). Excitation backprop itself is a preset of composites.
#include "autograd/functions.h"
#include "core/error.h"
#include "explain/methods.h"

namespace backlight {
namespace {

/// z+ without bias for the negated weight.
Rule negated_zplus() {
    return {"zplus of -W",
            [](const RuleInput& in) -> std::vector<RuleGroup> {
                const Variable& x = in.linear.x;
                const Variable opposite = -in.linear.weight;
                return {{.terms = {{positive_part(x), positive_part(opposite), {}},
                                   {negative_part(x), negative_part(opposite), {}}}}};
            },
            Stabilizer{.eps = 1e-20}, true};
}

class ContrastiveExcitation final : public Explainer {
public:
    explicit ContrastiveExcitation(std::string contrast) : contrast_(std::move(contrast)) {}
    [[nodiscard]] std::string name() const override { return "contrastive_eb"; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const auto [output, start] = forward.begin(request, Start::one, create_graph);
        const NodePtr& last = output.node();
        BACKLIGHT_CHECK(request.neuron.empty() && !last->is_leaf() && last->op->kind() == "linear",
                        "contrastive_eb: needs a network that ends in a linear layer");
        const Variable contrast =
            contrast_.empty() ? NodeView(last).input(0) : forward.layers().at(contrast_);
        const Composite positive =
            composites::excitation_backprop({.epsilon = 1e-20, .rule = {.stabilizer = 1e-20}});
        const Composite negative =
            positive.overridden_by(CompositePart{.last_only = true, .rule = negated_zplus()});
        LrpRules for_it(positive);
        LrpRules against_it(negative);
        const auto down = [&](BackwardRules& rules) {
            return grad(output, start, {contrast},
                        {.create_graph = create_graph,
                         .retain_graph = true,
                         .rules = &rules,
                         .by_sample = true,
                         .watch = request.watch})[0];
        };
        const Variable difference = down(for_it) - down(against_it);
        return {.maps = grad(contrast, difference, forward.points(request),
                             {.create_graph = create_graph,
                              .retain_graph = true,
                              .rules = &for_it,
                              .by_sample = true,
                              .watch = request.watch})};
    }

private:
    std::string contrast_;
};

}  // namespace

std::unique_ptr<Explainer> build_contrastive_eb(const Options& options, const ExplainContext&) {
    return std::make_unique<ContrastiveExcitation>(options.get("contrast", ""));
}

}  // namespace backlight
