#include "explain/concepts/crp.h"

#include <algorithm>
#include <charconv>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"
#include "explain/methods.h"
#include "explain/paths.h"

namespace backlight {
namespace {

std::optional<int64_t> whole_number(const std::string& text) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool good = error == std::errc() && end == text.data() + text.size();
    return good ? std::optional(value) : std::nullopt;
}

/// (C): ones at the channels.
Tensor channel_mask(const CrpCondition& condition, const Variable& output) {
    const int64_t count = output.dim(-1);
    std::vector<double> values(static_cast<size_t>(count), 0.0);
    for (const int64_t channel : condition.channels) {
        BACKLIGHT_CHECK(channel >= 0 && channel < count, "crp: layer ", condition.layer, " has no channel ",
                        channel, ", it has channels 0..", count - 1);
        values[static_cast<size_t>(channel)] = 1;
    }
    return Tensor::from(values, {count});
}

Tensor mask_of(const CrpCondition& condition, const Variable& output) {
    BACKLIGHT_CHECK(condition.mask.defined() != !condition.channels.empty(), "crp: the condition at layer ",
                    condition.layer, " needs channels or a mask, and not both");
    if (!condition.mask.defined()) {
        return channel_mask(condition, output).to(output.dtype());
    }
    const Shape& shape = condition.mask.shape();
    bool fits = shape.rank() <= output.rank();
    for (int axis = 1; fits && axis <= shape.rank(); ++axis) {
        fits = shape[-axis] == 1 || shape[-axis] == output.dim(-axis);
    }
    BACKLIGHT_CHECK(fits, "crp: a mask of shape ", shape, " does not fit the output of layer ",
                    condition.layer, ", ", output.shape());
    return condition.mask.to(output.dtype());
}

std::string describe(const std::vector<CrpCondition>& conditions) {
    std::string text;
    for (const CrpCondition& condition : conditions) {
        text += text.empty() ? "" : ", then ";
        text += condition.mask.defined() ? "a mask" : condition.channels.size() == 1 ? "channel" : "channels";
        for (const int64_t channel : condition.channels) {
            text += " " + std::to_string(channel);
        }
        text += " of " + condition.layer;
    }
    return text;
}

class CrpExplainer final : public Explainer {
public:
    struct Config {
        std::vector<CrpCondition> conditions;
        Start start = Start::logit;
        bool detach_start = false;
        bool exclude_parallel = true;
        std::string paths;  // which are left out; empty: none
    };
    /// `lrp`: within `rules`.
    CrpExplainer(Config config, LrpRules* lrp, std::unique_ptr<BackwardRules> rules)
        : config_(std::move(config)), lrp_(lrp), rules_(std::move(rules)) {}
    [[nodiscard]] std::string name() const override { return "crp"; }
    [[nodiscard]] Start start() const override { return config_.start; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const auto [output, start] =
            forward.begin(request, config_.start, create_graph && !config_.detach_start);
        lrp_->check_layers(forward.logits());
        lrp_->collect_parameters(request.parameters, request.magnitudes);
        CrpRules rules(*rules_, config_.conditions, forward.layers(), config_.exclude_parallel);
        Explanation found{.maps = grad(output, start, forward.points(request),
                                       {.create_graph = create_graph,
                                        .retain_graph = true,
                                        .rules = &rules,
                                        .by_sample = true,
                                        .watch = request.watch}),
                          .notes = {"partial: only relevance through " + describe(config_.conditions) +
                                    (config_.exclude_parallel ? "" : " or around it") +
                                    (config_.paths.empty() ? "" : ", " + config_.paths)}};
        found.parameters = lrp_->parameters();
        return found;
    }

private:
    Config config_;
    LrpRules* lrp_;
    std::unique_ptr<BackwardRules> rules_;
};

}  // namespace

std::vector<CrpCondition> parse_conditions(const std::string& text) {
    std::vector<CrpCondition> conditions;
    for (const std::string& item : split_list(text, ';')) {
        if (item.empty()) {
            continue;
        }
        const std::vector<std::string> parts = split_list(item, ':');
        CrpCondition condition{.layer = parts[0]};
        size_t first = 1;
        if (parts.size() > 1 && parts[1] == "in") {
            condition.layer += ":in";
            first = 2;
        }
        for (size_t i = first; i < parts.size(); ++i) {
            const auto channel = whole_number(parts[i]);
            BACKLIGHT_CHECK(channel.has_value(), "crp: expected LAYER:CHANNEL:CHANNEL, got \"", item, "\"");
            condition.channels.push_back(*channel);
        }
        BACKLIGHT_CHECK(!condition.channels.empty(), "crp: expected LAYER:CHANNEL:CHANNEL, got \"", item,
                        "\"");
        conditions.push_back(std::move(condition));
    }
    BACKLIGHT_CHECK(!conditions.empty(), "crp: expected conditions like features.6:3:5; features.2:1");
    return conditions;
}

CrpRules::CrpRules(BackwardRules& rules, const std::vector<CrpCondition>& conditions,
                   const Recording::Layers& layers, bool exclude_parallel)
    : rules_(&rules), exclude_parallel_(exclude_parallel) {
    for (const CrpCondition& condition : conditions) {
        const Variable output = layers.at(condition.layer);
        BACKLIGHT_CHECK(output.requires_grad(), "crp: layer ", condition.layer,
                        " does not depend on the input");
        BACKLIGHT_CHECK(!output.node()->is_leaf(), "crp: ", condition.layer,
                        " is the network's input; multiply the map itself");
        gates_.push_back({condition.layer, output.node(), mask_of(condition, output)});
    }
    std::sort(gates_.begin(), gates_.end(),
              [](const Gate& a, const Gate& b) { return a.node->sequence > b.node->sequence; });
}

void CrpRules::prepare(const Traversal& traversal) {
    rules_->prepare(traversal);
    for (Gate& gate : gates_) {
        const Traversal::Entry* at = traversal.find(gate.node.get());
        BACKLIGHT_CHECK(at != nullptr, "crp: layer ", gate.layer,
                        " does not lie between the output and what is explained");
        gate.above.clear();
        for (auto entry = traversal.entries().rbegin(); entry != traversal.entries().rend(); ++entry) {
            const auto& inputs = entry->node->inputs;
            if (std::any_of(inputs.begin(), inputs.end(), [&](const Variable& input) {
                    return input.node() == gate.node || gate.above.contains(input.node().get());
                })) {
                gate.above.insert(entry->node.get());
            }
        }
    }
    for (size_t i = 1; exclude_parallel_ && i < gates_.size(); ++i) {
        BACKLIGHT_CHECK(
            gates_[i - 1].node == gates_[i].node || gates_[i].above.contains(gates_[i - 1].node.get()),
            "crp: layers ", gates_[i - 1].layer, " and ", gates_[i].layer,
            " lie side by side, no relevance passes through both; exclude_parallel=false masks each");
    }
}

Variable CrpRules::arrived(const NodeView& node, const Variable& r_y) {
    Variable r = rules_->arrived(node, r_y);
    for (const Gate& gate : gates_) {
        if (gate.node == node.node()) {
            r = r * Variable(gate.mask);
        }
    }
    return r;
}

std::optional<Variables> CrpRules::backward(const NodeView& node, const Variable& r_y, InputMask mask) {
    std::optional<Variables> sent = rules_->backward(node, r_y, mask);
    if (!exclude_parallel_) {
        return sent;
    }
    for (const Gate& gate : gates_) {
        if (!gate.above.contains(node.node().get())) {
            continue;
        }
        for (int i = 0; i < node.input_count(); ++i) {  // above a layer only what leads to it is followed
            const Node* below = node.node()->inputs[static_cast<size_t>(i)].node().get();
            if (!wants(mask, i) || below == gate.node.get() || gate.above.contains(below)) {
                continue;
            }
            if (!sent) {
                sent = node.op().sample_vjp(node, r_y, mask);
            }
            sent->at(static_cast<size_t>(i)) = {};
        }
    }
    return sent;
}

Tensor channel_relevance(const Tensor& relevance, bool normalize) {
    const NoGrad off;
    BACKLIGHT_CHECK(relevance.rank() >= 2, "channel_relevance: expected (N,...,C), got ", relevance.shape());
    const int64_t samples = relevance.dim(0), channels = relevance.dim(-1);
    const Variable r = reshape(Variable(relevance.to(DType::f64)), {samples, -1, channels});
    const Variable of_channel = sum(r, {1});
    return (normalize ? of_channel / (sum(abs(of_channel), {1}, true) + 1e-10) : of_channel).data();
}

std::unique_ptr<Explainer> crp_explainer(std::vector<CrpCondition> conditions, const std::string& composite,
                                         bool exclude_parallel, const ExplainContext& context) {
    auto rules = std::make_unique<LrpRules>(named_composite(composite, context));
    LrpRules* const lrp = rules.get();
    return std::make_unique<CrpExplainer>(
        CrpExplainer::Config{.conditions = std::move(conditions), .exclude_parallel = exclude_parallel}, lrp,
        std::move(rules));
}

std::unique_ptr<Explainer> build_crp(const Options& options, const ExplainContext& context) {
    CrpExplainer::Config config;
    config.start = start_option(options, "logit");
    config.detach_start = options.get("detach_start", false);
    config.exclude_parallel = options.get("exclude_parallel", true);
    const std::string layer = options.get("layer", "");
    const auto channels = options.get("channels", std::vector<int64_t>{});
    const std::string mask = options.get("mask", "");
    if (options.has("conditions")) {
        BACKLIGHT_CHECK(layer.empty(), "crp: give layer and channels, or conditions");
        config.conditions = parse_conditions(inner_text(options.get("conditions", "")));
    } else {
        BACKLIGHT_CHECK(!layer.empty(),
                        "crp: expected crp(layer=L, channels=3:5) or crp(conditions=(L:3:5; M:1))");
        config.conditions = {
            {.layer = layer, .channels = channels, .mask = mask.empty() ? Tensor() : read_npy(mask)}};
    }
    config.paths = left_out_paths(options, "reroute");
    const std::string composite = options.get("composite", "epsilon_plus_flat");
    auto rules = std::make_unique<LrpRules>(named_composite(composite, context));
    LrpRules* const lrp = rules.get();
    return std::make_unique<CrpExplainer>(std::move(config), lrp,
                                          with_paths(std::move(rules), options, "reroute"));
}

}  // namespace backlight
