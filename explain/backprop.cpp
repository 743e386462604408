#include "explain/backprop.h"

#include "autograd/functions.h"
#include "explain/methods.h"

namespace backlight {

std::optional<Variables> RectifierRules::backward(const NodeView& node, const Variable& r_y, InputMask mask) {
    if (node.kind() != "relu" && node.kind() != "relu6") {
        return std::nullopt;
    }
    const Variable positive = positive_part(r_y);
    return kind_ == Kind::deconvnet ? Variables{positive} : node.op().vjp(node, positive, mask);
}

std::unique_ptr<Explainer> build_guided_backprop(const Options& options, const ExplainContext&) {
    return traversal_explainer("guided_backprop", start_option(options, "one"),
                               std::make_unique<RectifierRules>(RectifierRules::Kind::guided));
}

std::unique_ptr<Explainer> build_deconvnet(const Options& options, const ExplainContext&) {
    return traversal_explainer("deconvnet", start_option(options, "one"),
                               std::make_unique<RectifierRules>(RectifierRules::Kind::deconvnet));
}

}  // namespace backlight
