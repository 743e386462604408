// The methods by name. Each is a choice of rules for the one traversal, or a few lines around it.
#include "explain/methods.h"

#include "core/error.h"

namespace backlight {

const std::vector<MethodEntry>& list_methods() {
    static const std::vector<MethodEntry> methods = {
        {"gradient", "signed gradient of the logit: start=one", build_gradient},
        {"saliency", "absolute gradient, largest channel: reduce=max-abs|none, start=one", build_saliency},
        {"input_x_gradient", "input times gradient: start=one", build_input_x_gradient},
        {"guided_backprop", "gradient that passes rectifiers only where it is positive: start=one",
         build_guided_backprop},
        {"deconvnet", "positive part at rectifiers, whatever the forward pass did: start=one", build_deconvnet},
        {"grad_cam", "activations weighted by their mean gradient: relu=true, upsample=true, start=one",
         build_grad_cam},
    };
    return methods;
}

std::vector<std::string> method_names() {
    std::vector<std::string> names{"lrp"};
    for (const MethodEntry& entry : list_methods()) {
        names.push_back(entry.name);
    }
    for (const CompositeEntry& entry : list_composites()) {
        names.push_back(entry.name);
    }
    return names;
}

std::unique_ptr<Explainer> build_method(const std::string& text, const ExplainContext& context) {
    const Spec spec = parse_spec(text);
    const Options options(spec);
    const std::string name = spec.name == "lrp" ? "epsilon_plus" : spec.name;
    std::unique_ptr<Explainer> explainer;
    for (const MethodEntry& entry : list_methods()) {
        if (entry.name == name) {
            explainer = entry.build(options, context);
        }
    }
    for (const CompositeEntry& entry : list_composites()) {
        if (entry.name == name) {
            explainer = build_preset(entry, options, context);
        }
    }
    BACKLIGHT_CHECK(explainer != nullptr, unknown_name("method", spec.name, method_names()),
                    " (backlight list methods)");
    options.finish();
    return explainer;
}

}  // namespace backlight
