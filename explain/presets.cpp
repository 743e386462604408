// The composites by name.
#include "core/error.h"
#include "explain/composite.h"

namespace backlight {
namespace composites {
namespace {

using Kinds = std::set<std::string, std::less<>>;

Kinds convolutions() { return {"conv2d", "conv_transpose2d"}; }

Rule sums(const PresetOptions& o) {
    return rules::norm({.eps = o.rule.stabilizer, .form = o.rule.form, .scale_by_rms = o.rule.scale_by_rms});
}

/// ε on linear layers, `convolution` on convolutions.
Composite preset(std::string name, const PresetOptions& o, const Rule& convolution) {
    return {.name = std::move(name),
            .parts = {{.kinds = {"linear"}, .rule = rules::epsilon(o.epsilon, o.rule)},
                      {.kinds = convolutions(), .rule = convolution}},
            .sum_rule = sums(o)};
}

/// With another rule on the first op of `kinds`, or the first of any.
Composite with_first(const Composite& composite, const Rule& rule, Kinds kinds = {}) {
    return composite.overridden_by(
        CompositePart{.kinds = std::move(kinds), .first_only = true, .rule = rule});
}

Composite uniform(std::string name, const PresetOptions& o, const Rule& rule) {
    return {.name = std::move(name), .parts = {{.rule = rule}}, .sum_rule = sums(o)};
}

Rule box(const std::string& preset, const PresetOptions& o) {
    BACKLIGHT_CHECK(!o.low.empty() && !o.high.empty(), preset,
                    ": the input range is not stated by the model or the data; give it as ", preset,
                    "(low=L, high=H), a number or one a channel (a:b:c)");
    return rules::zbox(o.low, o.high, o.rule, o.expand);
}

PresetOptions without_bias(PresetOptions o) {
    o.rule.zero_bias = true;
    return o;
}

Composite taylor(const std::string& name, const PresetOptions& o, const Rule& first) {
    if (!o.innvestigate) {
        return with_first(uniform(name, o, rules::zplus(o.rule)), first);
    }
    Composite composite = with_first(uniform(name, o, rules::w_square(o.rule)), first);
    composite.parts.insert(composite.parts.begin() + 1,
                           CompositePart{.rectified = true, .rule = rules::alpha_beta(1, 0, o.rule)});
    composite.sum_rule = rules::gradient();
    return composite;
}

}  // namespace

Composite epsilon(const PresetOptions& o) { return uniform("epsilon", o, rules::epsilon(o.epsilon, o.rule)); }
Composite epsilon_plus(const PresetOptions& o) { return preset("epsilon_plus", o, rules::zplus(o.rule)); }
Composite epsilon_plus_flat(const PresetOptions& o) {
    return with_first(preset("epsilon_plus_flat", o, rules::zplus(o.rule)), rules::flat(o.rule));
}
Composite epsilon_alpha2_beta1(const PresetOptions& o) {
    return preset("epsilon_alpha2_beta1", o, rules::alpha_beta(2, 1, o.rule));
}
Composite epsilon_alpha2_beta1_flat(const PresetOptions& o) {
    return with_first(preset("epsilon_alpha2_beta1_flat", o, rules::alpha_beta(2, 1, o.rule)),
                      rules::flat(o.rule));
}
Composite epsilon_gamma_box(const PresetOptions& o) {
    return with_first(preset("epsilon_gamma_box", o, rules::gamma(o.gamma, o.rule)),
                      box("epsilon_gamma_box", o), convolutions());
}
Composite z_plus(const PresetOptions& o) { return uniform("z_plus", o, rules::zplus(o.rule)); }
Composite gamma(const PresetOptions& o) {
    const Composite composite = uniform("gamma", o, rules::gamma(o.gamma, o.rule));
    return o.box_first ? with_first(composite, box("gamma", o)) : composite;
}
Composite w2_first(const PresetOptions& o) {
    return with_first(preset("w2_first", o, rules::zplus(o.rule)), rules::w_square(o.rule));
}
Composite excitation_backprop(const PresetOptions& options) {
    const PresetOptions o = without_bias(options);
    return uniform("excitation_backprop", o, rules::zplus(o.rule));
}
Composite deep_taylor(const PresetOptions& options) {
    const PresetOptions o = without_bias(options);
    return taylor("deep_taylor", o, rules::w_square(o.rule));
}
Composite deep_taylor_bounded(const PresetOptions& options) {
    const PresetOptions o = without_bias(options);
    return taylor("deep_taylor_bounded", o, box("deep_taylor_bounded", o));
}
Composite preset_a(const PresetOptions& o) { return preset("preset_a", o, rules::alpha_beta(1, 0, o.rule)); }
Composite preset_a_flat(const PresetOptions& o) {
    return with_first(preset("preset_a_flat", o, rules::alpha_beta(1, 0, o.rule)), rules::flat(o.rule));
}
Composite preset_b(const PresetOptions& o) { return preset("preset_b", o, rules::alpha_beta(2, 1, o.rule)); }
Composite preset_b_flat(const PresetOptions& o) {
    return with_first(preset("preset_b_flat", o, rules::alpha_beta(2, 1, o.rule)), rules::flat(o.rule));
}
Composite preset_b_flat_until(const PresetOptions& o) {
    BACKLIGHT_CHECK(o.flat_until >= 0, "preset_b_flat_until: expected preset_b_flat_until(k=N), N >= 0");
    return preset("preset_b_flat_until", o, rules::alpha_beta(2, 1, o.rule))
        .overridden_by(CompositePart{.max_depth = o.flat_until, .rule = rules::flat(o.rule)});
}

}  // namespace composites

const std::vector<CompositeEntry>& list_composites() {
    static const std::vector<CompositeEntry> entries = {
        {"epsilon", "epsilon rule everywhere (LRP-0 with a small epsilon)", composites::epsilon, 1e-6,
         "logit", "epsilon"},
        {"epsilon_plus", "epsilon on linear layers, z+ on convolutions", composites::epsilon_plus},
        {"epsilon_plus_flat", "epsilon_plus with the flat rule on the first layer",
         composites::epsilon_plus_flat},
        {"epsilon_alpha2_beta1", "epsilon on linear layers, alpha=2 beta=1 on convolutions",
         composites::epsilon_alpha2_beta1},
        {"epsilon_alpha2_beta1_flat", "epsilon_alpha2_beta1 with the flat rule on the first layer",
         composites::epsilon_alpha2_beta1_flat},
        {"epsilon_gamma_box",
         "epsilon on linear layers, gamma on convolutions, box rule on the first: low, high, expand=false",
         composites::epsilon_gamma_box},
        {"z_plus", "z+ everywhere", composites::z_plus},
        {"gamma", "gamma everywhere; with low, high or expand the box rule on the first layer",
         composites::gamma, 1e-6, "logit", "gamma"},
        {"w2_first", "epsilon_plus with the w2 rule on the first layer", composites::w2_first},
        {"excitation_backprop", "z+ without biases everywhere: probabilities of a winner; start=one",
         composites::excitation_backprop, 1e-20, "one"},
        {"deep_taylor",
         "z+ without biases, the first layer w2: variant=standard|innvestigate; start=relu-logit",
         composites::deep_taylor, 1e-6, "relu-logit", "variant"},
        {"deep_taylor_bounded", "deep_taylor with the box rule on the first layer: low, high, expand=false",
         composites::deep_taylor_bounded, 1e-6, "relu-logit", "variant"},
        {"preset_a", "iNNvestigate: epsilon=0.1 on linear layers, alpha=1 beta=0 on convolutions",
         composites::preset_a, 0.1},
        {"preset_a_flat", "preset_a with the flat rule on the first layer", composites::preset_a_flat, 0.1},
        {"preset_b", "iNNvestigate: epsilon=0.1 on linear layers, alpha=2 beta=1 on convolutions",
         composites::preset_b, 0.1},
        {"preset_b_flat", "preset_b with the flat rule on the first layer", composites::preset_b_flat, 0.1},
        {"preset_b_flat_until", "preset_b with the flat rule on the layers of depth 0 to k: k",
         composites::preset_b_flat_until, 0.1, "logit", "k"},
    };
    return entries;
}

}  // namespace backlight
