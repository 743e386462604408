// The methods by name. Each is a choice of rules for the one traversal, or a few lines around it.
#include "autograd/functions.h"
#include "core/error.h"
#include "explain/backprop.h"
#include "explain/cam.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

/// The tensor that is explained: the input, or a layer's output or input.
Variable explained(const Recording::Layers& layers, const Variable& input, const ExplainRequest& request) {
    const Variable at = request.layer.empty() ? input : layers.at(request.layer);
    BACKLIGHT_CHECK(at.requires_grad(), "layer ", request.layer, " does not depend on the input");
    return at;
}

/// One traversal with rules (or none), perhaps multiplied with the explained values.
class TraversalExplainer final : public Explainer {
public:
    TraversalExplainer(std::string name, Start start, std::unique_ptr<BackwardRules> rules, bool times_input)
        : name_(std::move(name)), start_(start), rules_(std::move(rules)), times_input_(times_input) {}
    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Variable explain(const Recording::Layers& layers, const Variable& input,
                                   const Variable& logits, const ExplainRequest& request,
                                   bool create_graph) override {
        const Variable at = explained(layers, input, request);
        const Variable seed = start_values(start_, create_graph ? logits : logits.detach(), request.targets);
        const Variable r =
            grad(logits, seed, {at},
                 {.create_graph = create_graph, .retain_graph = true, .rules = rules_.get()})[0];
        return times_input_ ? (create_graph ? at : at.detach()) * r : r;
    }

private:
    std::string name_;
    Start start_;
    std::unique_ptr<BackwardRules> rules_;
    bool times_input_;
};

/// |gradient|, the largest channel at each position (Simonyan et al., "Deep inside convolutional networks",
/// 2014).
class SaliencyExplainer final : public Explainer {
public:
    SaliencyExplainer(Start start, std::string reduce) : start_(start), reduce_(std::move(reduce)) {}
    [[nodiscard]] std::string name() const override { return "saliency"; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Variable explain(const Recording::Layers& layers, const Variable& input,
                                   const Variable& logits, const ExplainRequest& request,
                                   bool create_graph) override {
        TraversalExplainer gradient("gradient", start_, nullptr, false);
        const Variable g = abs(gradient.explain(layers, input, logits, request, create_graph));
        return reduce_ == "none" ? g : amax(g, {-1}, true);
    }

private:
    Start start_;
    std::string reduce_;
};

class GradCam final : public Explainer {
public:
    GradCam(Start start, std::string layer, bool rectify, bool upsample)
        : start_(start), layer_(std::move(layer)), rectify_(rectify), upsample_(upsample) {}
    [[nodiscard]] std::string name() const override { return "grad_cam"; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Variable explain(const Recording::Layers& layers, const Variable& input,
                                   const Variable& logits, const ExplainRequest& request,
                                   bool create_graph) override {
        const std::string layer = request.layer.empty() ? layer_ : request.layer;
        BACKLIGHT_CHECK(!layer.empty(),
                        "grad_cam: the model states no layer with a spatial extent; name one with --layer");
        const Variable activations = layers.at(layer);
        BACKLIGHT_CHECK(activations.rank() == 4, "grad_cam: layer ", layer,
                        " has no spatial extent, its output is ", activations.shape());
        const Variable seed = start_values(start_, create_graph ? logits : logits.detach(), request.targets);
        const Variable gradient =
            grad(logits, seed, {activations}, {.create_graph = create_graph, .retain_graph = true})[0];
        const Variable map =
            grad_cam_map(create_graph ? activations : activations.detach(), gradient, rectify_);
        return upsample_ && input.rank() == 4 ? resize(map, input.dim(1), input.dim(2)) : map;
    }

private:
    Start start_;
    std::string layer_;
    bool rectify_, upsample_;
};

Start start_option(const Options& options, const char* fallback) {
    return parse_start(options.get("start", fallback));
}

std::unique_ptr<Explainer> traversal(std::string name, Start start, std::unique_ptr<BackwardRules> rules,
                                     bool times_input = false) {
    return std::make_unique<TraversalExplainer>(std::move(name), start, std::move(rules), times_input);
}

std::unique_ptr<Explainer> build_preset(const CompositeEntry& entry, const Options& options,
                                        const ExplainContext& context) {
    PresetOptions preset;
    preset.epsilon = options.get_within("epsilon", 1e-6, 0.0, 1e6);
    if (options.has("stabilizer")) {
        preset.stabilizer = options.get_within("stabilizer", 1e-6, 0.0, 1e6);
    }
    preset.gamma = options.get_within("gamma", 0.25, 0.0, 1e6);
    preset.zero_bias = options.get("zero_bias", false);
    preset.box_first = options.has("low") || options.has("high");
    preset.low = options.get("low", context.low);
    preset.high = options.get("high", context.high);
    const Start start = start_option(options, "logit");
    return traversal(entry.name, start, std::make_unique<LrpRules>(entry.build(preset)));
}

}  // namespace

const std::vector<MethodEntry>& list_methods() {
    static const std::vector<MethodEntry> methods = {
        {"gradient", "signed gradient of the logit: start=one",
         [](const Options& o, const ExplainContext&) {
             return traversal("gradient", start_option(o, "one"), nullptr);
         }},
        {"saliency", "absolute gradient, largest channel: reduce=max-abs|none, start=one",
         [](const Options& o, const ExplainContext&) -> std::unique_ptr<Explainer> {
             const Start start = start_option(o, "one");
             return std::make_unique<SaliencyExplainer>(start,
                                                        o.choose("reduce", "max-abs", {"max-abs", "none"}));
         }},
        {"input_x_gradient", "input times gradient: start=one",
         [](const Options& o, const ExplainContext&) {
             return traversal("input_x_gradient", start_option(o, "one"), nullptr, true);
         }},
        {"guided_backprop", "gradient that passes rectifiers only where it is positive: start=one",
         [](const Options& o, const ExplainContext&) {
             return traversal("guided_backprop", start_option(o, "one"),
                              std::make_unique<RectifierRules>(RectifierRules::Kind::guided));
         }},
        {"deconvnet", "positive part at rectifiers, whatever the forward pass did: start=one",
         [](const Options& o, const ExplainContext&) {
             return traversal("deconvnet", start_option(o, "one"),
                              std::make_unique<RectifierRules>(RectifierRules::Kind::deconvnet));
         }},
        {"grad_cam", "activations weighted by their mean gradient: relu=true, upsample=true, start=one",
         [](const Options& o, const ExplainContext& context) -> std::unique_ptr<Explainer> {
             const Start start = start_option(o, "one");
             const bool rectify = o.get("relu", true);
             return std::make_unique<GradCam>(start, context.cam_layer, rectify, o.get("upsample", true));
         }},
    };
    return methods;
}

std::unique_ptr<Explainer> build_method(const std::string& text, const ExplainContext& context) {
    const Spec spec = parse_spec(text);
    const Options options(spec);
    const std::string name = spec.name == "lrp" ? "epsilon_plus" : spec.name;
    std::vector<std::string> known;
    std::unique_ptr<Explainer> explainer;
    for (const MethodEntry& entry : list_methods()) {
        known.push_back(entry.name);
        if (entry.name == name) {
            explainer = entry.build(options, context);
        }
    }
    known.emplace_back("lrp");
    for (const CompositeEntry& entry : list_composites()) {
        known.push_back(entry.name);
        if (entry.name == name) {
            explainer = build_preset(entry, options, context);
        }
    }
    BACKLIGHT_CHECK(explainer != nullptr, unknown_name("method", spec.name, known),
                    " (backlight list methods)");
    options.finish();
    return explainer;
}

}  // namespace backlight
