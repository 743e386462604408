// The methods by name. Each is a choice of rules for the one traversal, or a few lines around it.
#include "explain/methods.h"

#include "core/error.h"

namespace backlight {

const std::vector<MethodEntry>& list_methods() {
    static const std::vector<MethodEntry> methods = {
        {"gradient", "signed gradient of the logit: start=one; like all traversals paths=all, handling",
         build_gradient},
        {"saliency", "absolute gradient, largest channel: reduce=max-abs|none, start=one", build_saliency},
        {"input_x_gradient", "input times gradient: start=one", build_input_x_gradient},
        {"smoothgrad", "mean over noisy inputs: method=gradient, n=20, noise_level=0.1", build_smoothgrad},
        {"smoothgrad_sq", "mean square over noisy inputs: as smoothgrad", build_smoothgrad_sq},
        {"vargrad", "variance over noisy inputs: as smoothgrad", build_vargrad},
        {"integrated_gradients",
         "gradients along the way from a baseline: n=50, rule=gauss-legendre|midpoint|right|left|trapezoid, "
         "baseline=zero|black|mean|blur|FILE.npy",
         build_integrated_gradients},
        {"expected_gradients", "the same from random training samples: k=200, stratified=false",
         build_expected_gradients},
        {"guided_backprop", "gradient that passes rectifiers only where it is positive: start=one",
         build_guided_backprop},
        {"deconvnet", "positive part at rectifiers, whatever the forward pass did: start=one",
         build_deconvnet},
        {"smooth_relu", "gradient with the slope of a softplus at rectifiers: beta=10, start=one",
         build_smooth_relu},
        {"cam",
         "last activations weighted by the linear layer behind their average: relu=false, upsample=true",
         build_cam},
        {"grad_cam",
         "activations weighted by their mean gradient: layer, relu=true, upsample=true, start=one",
         build_grad_cam},
        {"grad_cam_pp", "Grad-CAM++: as grad_cam", build_grad_cam_pp},
        {"hires_cam", "activations times gradient, element by element: as grad_cam", build_hires_cam},
        {"guided_grad_cam", "Grad-CAM times guided backprop: as grad_cam", build_guided_grad_cam},
        {"contrastive_eb", "excitation backprop, for the target minus against it: contrast=LAYER",
         build_contrastive_eb},
        {"deep_lift", "DeepLIFT, rescale rule: baseline=zero|black|mean|blur|FILE.npy", build_deep_lift},
        {"deep_shap", "mean of deep_lift over training samples", build_deep_shap},
        {"contextual_decomposition",
         "what each window contributes, carried forward: window=side/7, masks=FILE.npy",
         build_contextual_decomposition},
        {"crp",
         "relevance through chosen channels of a layer: layer=L, channels=3:5 (or conditions=(L:3:5; M:1)), "
         "composite=epsilon_plus_flat, exclude_parallel=true, start=logit",
         build_crp},
        {"prp",
         "similarity of a layer's best position to a prototype: layer=L, prototypes=FILE.npy, prototype=0, "
         "power=2, "
         "low, high",
         build_prp},
        {"occlusion",
         "what the score loses under a sliding window: window=side/14, stride=side/28, "
         "fill=zero|black|mean|blur|noise|min, score=logit|probability|sigmoid, share=false",
         build_occlusion},
        {"ablation",
         "what it loses without each region of masks=FILE.npy, or each value: layer, limit=20000, fill, "
         "score, "
         "share=false",
         build_ablation},
        {"representation_erasure", "share of -log p that each dimension accounts for (erasure): layer",
         build_representation_erasure},
        {"lime",
         "linear model on random subsets of segments: n=1000, segments=slic|grid, n_segments=50, "
         "compactness=10, "
         "masks=FILE.npy, fill=segment-mean, width=0.25, lambda=1, score, share=false",
         build_lime},
        {"kernel_shap",
         "Shapley values of segments by regression: n=2M+2048, segments, n_segments, compactness, masks, "
         "fill=segment-mean, score, share=true",
         build_kernel_shap},
        {"rise", "random soft masks, weighted by the score: n=4000, s=7, p=0.5, fill=zero, score=probability",
         build_rise},
        {"composite",
         "rules of your own: parts=(first:zbox(low=-2.1,high=2.6); conv:gamma(0.25); linear:epsilon)",
         build_composite},
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

Spec method_spec(const std::string& text) {
    const size_t open = text.find('('), close = text.rfind(')');
    if (open != std::string::npos && close != std::string::npos && open < close) {
        const auto given = split_list(text.substr(open + 1, close - open - 1), ',');
        if (!given.empty() && given[0].find('=') == std::string::npos) {
            const std::string name = parse_spec(text.substr(0, open)).name;
            for (const CompositeEntry& entry : list_composites()) {
                if (entry.name == name && !entry.main_option.empty()) {
                    return parse_spec(std::string(text).insert(open + 1, entry.main_option + "="));
                }
            }
        }
    }
    return parse_spec(text);
}

std::unique_ptr<Explainer> build_method(const std::string& text, const ExplainContext& context) {
    const Spec spec = method_spec(text);
    const Options options(spec);
    const std::string name = spec.name == "lrp"       ? "epsilon_plus"
                             : spec.name == "erasure" ? "representation_erasure"
                                                      : spec.name;
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
