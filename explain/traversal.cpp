// Methods that are one traversal: the gradient and its kin, and every composite of rules.
#include "autograd/functions.h"
#include "core/error.h"
#include "explain/methods.h"
#include "explain/paths.h"

namespace backlight {
namespace {

std::vector<double> sums_of(const Variable& start) {
    const NoGrad off;
    return sum(Variable(start.data().to(DType::f64)), {1}).data().to_vector<double>();
}

class TraversalExplainer final : public Explainer {
public:
    /// `lrp`: within `rules`, where they are of this kind.
    TraversalExplainer(std::string name, Start start, bool detach_start, std::unique_ptr<BackwardRules> rules,
                       bool times_input, LrpRules* lrp = nullptr)
        : name_(std::move(name)),
          start_(start),
          detach_start_(detach_start),
          rules_(std::move(rules)),
          times_input_(times_input),
          lrp_(lrp) {}
    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] bool reads_values() const override { return reads_values_ || times_input_; }
    void derivatives_only() { reads_values_ = false; }
    /// Which paths are left out; empty: none.
    void partial(std::string paths) { partial_ = std::move(paths); }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const auto [output, start] = forward.begin(request, start_, create_graph && !detach_start_);
        const Variables points = times_input_ ? forward.points(request) : forward.handles(request);
        BACKLIGHT_CHECK(!request.parameters || lrp_ != nullptr, name_,
                        ": relevance of parameters is defined for LRP methods");
        if (lrp_ != nullptr) {
            lrp_->check_layers(forward.logits());
            lrp_->collect_parameters(request.parameters, request.magnitudes);
        }
        Variables maps = grad(output, start, points,
                              {.create_graph = create_graph,
                               .retain_graph = true,
                               .rules = rules_.get(),
                               .by_sample = true,
                               .watch = request.watch});
        for (size_t i = 0; times_input_ && i < maps.size(); ++i) {
            maps[i] = (create_graph ? points[i] : points[i].detach()) * maps[i];
        }
        Explanation found{.maps = std::move(maps)};
        if (request.parameters) {
            found.parameters = lrp_->parameters();
        }
        if (lrp_ != nullptr) {
            for (const std::string& part : lrp_->unmet()) {
                found.notes.push_back("no op met " + part);
            }
        }
        if (!partial_.empty()) {
            found.notes.push_back("a partial explanation: " + partial_);
        } else if (lrp_ != nullptr && request.neuron.empty() && !request.start.defined()) {
            found.expected = sums_of(start);
        }
        return found;
    }

private:
    std::string name_;
    Start start_;
    bool detach_start_;  // inside a loss: only the map moves, not what it starts with
    std::unique_ptr<BackwardRules> rules_;
    bool times_input_;
    LrpRules* lrp_;
    bool reads_values_ = true;
    std::string partial_;
};

}  // namespace

std::string left_out_paths(const Options& options, const char* handling) {
    const std::string paths = options.get("paths", "all");
    return paths == "all" ? "" : "paths=" + paths + ", handling=" + options.get("handling", handling);
}

namespace {

/// |gradient|, the largest channel at each position (Simonyan et al., "Deep inside convolutional networks",
/// 2014).
class SaliencyExplainer final : public Explainer {
public:
    SaliencyExplainer(std::unique_ptr<Explainer> gradient, std::string reduce)
        : gradient_(std::move(gradient)), reduce_(std::move(reduce)) {}
    [[nodiscard]] std::string name() const override { return "saliency"; }
    [[nodiscard]] Start start() const override { return gradient_->start(); }
    [[nodiscard]] bool reads_values() const override { return false; }
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

std::string inner_text(const std::string& value) {
    const bool wrapped = value.starts_with('(') && value.ends_with(')');
    return wrapped ? value.substr(1, value.size() - 2) : value;
}

std::unique_ptr<Explainer> rules_explainer(std::string name, const Options& options, const char* start,
                                           std::unique_ptr<BackwardRules> rules, Reads reads) {
    auto explainer = std::make_unique<TraversalExplainer>(
        std::move(name), start_option(options, start), options.get("detach_start", false),
        with_paths(std::move(rules), options, "drop"), reads == Reads::explained_values);
    explainer->partial(left_out_paths(options, "drop"));
    if (reads == Reads::derivatives) {
        explainer->derivatives_only();
    }
    return explainer;
}

std::unique_ptr<Explainer> build_gradient(const Options& options, const ExplainContext&) {
    return rules_explainer("gradient", options, "one", nullptr, Reads::derivatives);
}

std::unique_ptr<Explainer> build_saliency(const Options& options, const ExplainContext& context) {
    return std::make_unique<SaliencyExplainer>(build_gradient(options, context),
                                               options.choose("reduce", "max-abs", {"max-abs", "none"}));
}

std::unique_ptr<Explainer> build_input_x_gradient(const Options& options, const ExplainContext&) {
    return rules_explainer("input_x_gradient", options, "one", nullptr, Reads::explained_values);
}

namespace {

/// The option `composite`: parts in front.
Composite with_overrides(const Composite& composite, const Options& options) {
    return options.has("composite")
               ? composite.overridden_by(parse_composite(inner_text(options.get("composite", ""))))
               : composite;
}

std::unique_ptr<Explainer> lrp_explainer(const std::string& name, const Options& options, const char* start,
                                         const Composite& composite) {
    auto rules = std::make_unique<LrpRules>(with_overrides(composite, options));
    LrpRules* const lrp = rules.get();
    auto explainer = std::make_unique<TraversalExplainer>(
        name, start_option(options, start), options.get("detach_start", false),
        with_paths(std::move(rules), options, "reroute"), false, lrp);
    explainer->partial(left_out_paths(options, "reroute"));
    return explainer;
}

Composite preset_composite(const CompositeEntry& entry, const Options& options,
                           const ExplainContext& context) {
    PresetOptions preset;
    preset.epsilon = options.get_within("epsilon", entry.epsilon, 0.0, 1e6);
    preset.rule = read_rule_options(options, preset.epsilon);
    preset.gamma = options.get_within("gamma", 0.25, 0.0, 1e6);
    if (entry.name == "gamma" || entry.name == "epsilon_gamma_box" || entry.name == "deep_taylor_bounded") {
        preset.expand = options.get("expand", false);
    }
    preset.box_first = options.has("low") || options.has("high") || preset.expand;
    preset.low = options.get("low", context.low);
    preset.high = options.get("high", context.high);
    if (entry.name == "preset_b_flat_until") {
        preset.flat_until = options.get("k", int64_t{-1});
    }
    if (entry.name.starts_with("deep_taylor")) {
        preset.innvestigate =
            options.choose("variant", "standard", {"standard", "innvestigate"}) == "innvestigate";
    }
    return entry.build(preset);
}

Composite own_composite(const Options& options) {
    const std::string parts = options.get("parts", "");
    BACKLIGHT_CHECK(!parts.empty(), "composite: expected composite(parts=(conv:zplus; linear:epsilon))");
    Composite composite = parse_composite(inner_text(parts));
    composite.sum_rule = rules::norm({.eps = options.get_within("stabilizer", 1e-6, 0.0, 1e6)});
    return composite;
}

}  // namespace

std::unique_ptr<Explainer> build_preset(const CompositeEntry& entry, const Options& options,
                                        const ExplainContext& context) {
    return lrp_explainer(entry.name, options, entry.start, preset_composite(entry, options, context));
}

std::unique_ptr<Explainer> build_composite(const Options& options, const ExplainContext&) {
    return lrp_explainer("composite", options, "logit", own_composite(options));
}

Composite named_composite(const std::string& text, const ExplainContext& context) {
    const Spec spec = method_spec(text);
    const Options options(spec);
    const std::string name = spec.name == "lrp" ? "epsilon_plus" : spec.name;
    std::vector<std::string> known{"composite"};
    std::optional<Composite> found;
    for (const CompositeEntry& entry : list_composites()) {
        known.push_back(entry.name);
        if (entry.name == name) {
            found = preset_composite(entry, options, context);
        }
    }
    if (name == "composite") {
        found = own_composite(options);
    }
    BACKLIGHT_CHECK(found.has_value(), unknown_name("composite", spec.name, known),
                    " (backlight list composites)");
    const Composite composite = with_overrides(*found, options);
    options.finish();
    return composite;
}

}  // namespace backlight
