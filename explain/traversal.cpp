// Methods that are one traversal: the gradient and its kin, and every composite of rules.
#include "autograd/functions.h"
#include "core/error.h"
#include "explain/methods.h"

namespace backlight {
namespace {

class TraversalExplainer final : public Explainer {
public:
    TraversalExplainer(std::string name, Start start, std::unique_ptr<BackwardRules> rules, bool times_input)
        : name_(std::move(name)), start_(start), rules_(std::move(rules)), times_input_(times_input) {}
    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const auto [output, start] = forward.begin(request, start_, create_graph);
        const Variables points = forward.points(request);
        Variables maps = grad(output, start, points,
                              {.create_graph = create_graph, .retain_graph = true, .rules = rules_.get()});
        for (size_t i = 0; times_input_ && i < maps.size(); ++i) {
            maps[i] = (create_graph ? points[i] : points[i].detach()) * maps[i];
        }
        return {.maps = std::move(maps)};
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
    SaliencyExplainer(std::unique_ptr<Explainer> gradient, std::string reduce)
        : gradient_(std::move(gradient)), reduce_(std::move(reduce)) {}
    [[nodiscard]] std::string name() const override { return "saliency"; }
    [[nodiscard]] Start start() const override { return gradient_->start(); }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        Explanation found = gradient_->explain(forward, request, create_graph);
        for (Variable& map : found.maps) {
            map = reduce_ == "none" ? abs(map) : amax(abs(map), {-1}, true);
        }
        return found;
    }

private:
    std::unique_ptr<Explainer> gradient_;
    std::string reduce_;
};

}  // namespace

Start start_option(const Options& options, const char* fallback) {
    return parse_start(options.get("start", fallback));
}

std::unique_ptr<Explainer> traversal_explainer(std::string name, Start start,
                                               std::unique_ptr<BackwardRules> rules, bool times_input) {
    return std::make_unique<TraversalExplainer>(std::move(name), start, std::move(rules), times_input);
}

std::unique_ptr<Explainer> build_gradient(const Options& options, const ExplainContext&) {
    return traversal_explainer("gradient", start_option(options, "one"), nullptr);
}

std::unique_ptr<Explainer> build_saliency(const Options& options, const ExplainContext& context) {
    return std::make_unique<SaliencyExplainer>(build_gradient(options, context),
                                               options.choose("reduce", "max-abs", {"max-abs", "none"}));
}

std::unique_ptr<Explainer> build_input_x_gradient(const Options& options, const ExplainContext&) {
    return traversal_explainer("input_x_gradient", start_option(options, "one"), nullptr, true);
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
    return traversal_explainer(entry.name, start, std::make_unique<LrpRules>(entry.build(preset)));
}

}  // namespace backlight
