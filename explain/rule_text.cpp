// Rules from text, and the table of their names.
#include "core/error.h"
#include "explain/rule.h"

namespace backlight {

RuleOptions read_rule_options(const Options& options, double stabilizer) {
    RuleOptions read;
    read.stabilizer = options.get_within("stabilizer", stabilizer, 0.0, 1e6);
    const std::string form = options.choose("form", "add", {"add", "clip"});
    read.form = form == "add" ? Stabilizer::Form::add : Stabilizer::Form::clip;
    read.scale_by_rms = options.get("norm_scale", false);
    read.zero_bias = options.get("zero_bias", false);
    read.stop_denominator = options.get("stop_denominator", false);
    read.distribute_bias = options.choose("bias", "keep", {"keep", "distribute"}) == "distribute";
    return read;
}

const std::vector<RuleEntry>& list_rules() {
    static const std::vector<RuleEntry> entries = {
        {"zero", "nothing passes", [](const Options&) { return rules::zero(); }},
        {"epsilon",
         "LRP-0 and LRP-epsilon: epsilon=1e-6; like all of them form=add|clip, norm_scale, zero_bias, "
         "bias=keep|distribute, stop_denominator",
         [](const Options& o) {
             return rules::epsilon(o.get_within("epsilon", 1e-6, 0.0, 1e6), read_rule_options(o));
         }},
        {"zplus", "positive contributions only: stabilizer, zero_bias",
         [](const Options& o) { return rules::zplus(read_rule_options(o)); }},
        {"alpha_beta", "alpha times the positive, beta times the negative part: alpha=2, beta=1",
         [](const Options& o) {
             const double alpha = o.get("alpha", 2.0);
             return rules::alpha_beta(alpha, o.get("beta", alpha - 1.0), read_rule_options(o));
         }},
        {"gamma", "favours contributions of the output's sign: gamma=0.25",
         [](const Options& o) { return rules::gamma(o.get("gamma", 0.25), read_rule_options(o)); }},
        {"zbox", "inputs in a box: low, high (a number, or one a channel a:b:c), expand=false",
         [](const Options& o) {
             const auto low = o.get("low", std::vector<double>{});
             const auto high = o.get("high", std::vector<double>{});
             BACKLIGHT_CHECK(!low.empty() && !high.empty(), "zbox: expected zbox(low=L, high=H)");
             return rules::zbox(low, high, read_rule_options(o), o.get("expand", false));
         }},
        {"w2", "by squared weights, independent of the input: zero_bias",
         [](const Options& o) { return rules::w_square(read_rule_options(o)); }},
        {"flat", "evenly over the receptive field",
         [](const Options& o) { return rules::flat(read_rule_options(o)); }},
        {"pass", "unchanged", [](const Options&) { return rules::pass(); }},
        {"norm", "sums, averages and max pools, by share: stabilizer, form, norm_scale",
         [](const Options& o) {
             const RuleOptions read = read_rule_options(o);
             return rules::norm({read.stabilizer, read.form, read.scale_by_rms});
         }},
        {"even", "sums, averages and max pools, the same for every input",
         [](const Options&) { return rules::even(); }},
        {"gradient", "the op's vector-Jacobian product", [](const Options&) { return rules::gradient(); }},
        {"winner", "winner takes all of max pooling", [](const Options&) { return rules::winner(); }},
    };
    return entries;
}

Rule build_rule(const std::string& text) {
    Spec spec;
    // gamma(0.25): a sole value belongs to the rule's own key.
    const size_t open = text.find('(');
    if (open != std::string::npos && text.ends_with(')') && text.find('=') == std::string::npos &&
        text.find_first_not_of(" ", open + 1) != text.size() - 1) {
        spec.name = text.substr(0, open);
        const std::string key = spec.name == "alpha_beta" ? "alpha"
                                : spec.name == "zplus"    ? "stabilizer"
                                                          : spec.name;
        spec.values[key] = text.substr(open + 1, text.size() - open - 2);
    } else {
        spec = parse_spec(text);
    }
    std::vector<std::string> known;
    for (const RuleEntry& entry : list_rules()) {
        if (entry.name == spec.name) {
            const Options options(spec);
            Rule rule = entry.build(options);
            options.finish();
            return rule;
        }
        known.push_back(entry.name);
    }
    throw_error(unknown_name("rule", spec.name, known) + " (backlight list rules)");
}

}  // namespace backlight
