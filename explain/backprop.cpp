#include "explain/backprop.h"

#include "autograd/functions.h"
#include "explain/methods.h"

namespace backlight {

Variable RectifierRules::smooth_slope(const NodeView& node) const {
    const Variable up = sigmoid(node.input(0) * beta_);
    return node.kind() == "relu6" ? up * sigmoid((6.0 - node.input(0)) * beta_) : up;  // flat again beyond 6
}

std::optional<Variables> RectifierRules::backward(const NodeView& node, const Variable& r_y, InputMask mask) {
    if (node.kind() != "relu" && node.kind() != "relu6") {
        return std::nullopt;
    }
    switch (kind_) {
        case Kind::guided:
            return node.op().sample_vjp(node, positive_part(r_y), mask);
        case Kind::deconvnet:
            return Variables{positive_part(r_y)};
        case Kind::smooth:
            return Variables{r_y * smooth_slope(node)};
    }
    return std::nullopt;
}

std::unique_ptr<Explainer> build_guided_backprop(const Options& options, const ExplainContext&) {
    return rules_explainer("guided_backprop", options, "one",
                           std::make_unique<RectifierRules>(RectifierRules::Kind::guided),
                           Reads::derivatives);
}

std::unique_ptr<Explainer> build_deconvnet(const Options& options, const ExplainContext&) {
    return rules_explainer("deconvnet", options, "one",
                           std::make_unique<RectifierRules>(RectifierRules::Kind::deconvnet),
                           Reads::derivatives);
}

std::unique_ptr<Explainer> build_smooth_relu(const Options& options, const ExplainContext&) {
    return rules_explainer("smooth_relu", options, "one",
                           std::make_unique<RectifierRules>(RectifierRules::Kind::smooth,
                                                            options.get_within("beta", 10.0, 1e-6, 1e6)),
                           Reads::values);
}

}  // namespace backlight
