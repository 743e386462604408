#include "explain/rule.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"

namespace backlight {

namespace {
Variable scaled(const Variable& v, double factor) { return factor == 1 ? v : v * factor; }
}  // namespace

Variable Stabilizer::divide(const Variable& r, const Variable& z, double factor) const {
    if (scale_by_rms) {
        std::vector<int> axes;
        for (int i = 1; i < z.rank(); ++i) {
            axes.push_back(i);
        }
        const Variable rms = axes.empty() ? abs(z) : sqrt(mean(square(z), axes, true));
        const Variable sign = Variable(stabilize(z.detach(), 1.0).data()) - z.detach();  // sgn*(z)
        const Variable band = rms * eps;
        return divide_or_zero(scaled(r, factor),
                              form == Form::add ? z + sign * band : sign * maximum(abs(z), band));
    }
    if (eps < 1e-12) {  // R / eps would be infinite in f32: an output without contributions passes nothing
        const Variable zero = z * 0.0;
        return divide_or_zero(scaled(r, factor),
                              where(mask(UnaryOp::is_zero, z.data()), zero, stabilize(z, eps)));
    }
    return divide_stabilized(r, z, {.eps = eps, .factor = factor, .clip = form == Form::clip});
}

namespace {

Variable kept(Variable& form, const Variable& weight, Variable (*make)(const Variable&)) {
    if (!form.defined()) {
        form = make(weight).detach();
    }
    return form;
}

}  // namespace

Variable RuleInput::positive_weight() const {
    return forms && !grad_enabled() ? kept(forms->positive, linear.weight, positive_part)
                                    : positive_part(linear.weight);
}

Variable RuleInput::negative_weight() const {
    return forms && !grad_enabled() ? kept(forms->negative, linear.weight, negative_part)
                                    : negative_part(linear.weight);
}

Variable RuleInput::raised_weight(double gamma) const {
    if (!forms || grad_enabled()) {
        return linear.weight + positive_weight() * gamma;
    }
    if (!forms->raised.defined() || forms->raised_by != gamma) {
        forms->raised = (linear.weight + positive_weight() * gamma).detach();
        forms->raised_by = gamma;
    }
    return forms->raised;
}

bool RuleInput::only_positive_get_relevance() const {
    return !grad_enabled() && r_y.defined() && !any_where_not_positive(r_y.data(), z.data());
}

Rule Rule::with_stabilizer(const Stabilizer& stabilizer) const {
    Rule changed = *this;
    changed.stabilizer_ = stabilizer;
    return changed;
}

Rule Rule::with_constant_denominators(bool on) const {
    Rule changed = *this;
    changed.constant_denominators_ = on;
    return changed;
}

Rule Rule::with_distributed_bias(bool on) const {
    Rule changed = *this;
    changed.distributed_bias_ = on;
    return changed;
}

std::vector<RuleGroup> Rule::groups_of(const RuleInput& input, const Variable& r_y) const {
    RuleInput told = input;
    told.r_y = r_y;
    told.zero_bias = zero_bias_;
    return groups_(told);
}

namespace {

/// What a term without x stands for: ones, one sample of them for all.
Variable ones_like_input(const LinearView& op) {
    return Tensor::ones(op.x.shape().with(0, 1), op.x.dtype(), op.x.data().device());
}

void add_to(Variable& total, const Variable& part) { total = total.defined() ? total + part : part; }

/// F(x; scale W) + b.
Variable forward_of(const RuleTerm& term, const LinearView& op) {
    const Variable x = term.x.defined() ? term.x : ones_like_input(op);
    if (term.bias.defined() && term.bias.rank() == 1 && term.scale == 1 && op.apply_biased) {
        return op.apply_biased(x, term.weight, term.bias);
    }
    const Variable z = scaled(op.apply(x, term.weight), term.scale);
    return term.bias.defined() ? z + term.bias : z;
}

/// x ⊙ B(s; W): terms of several groups with the same x and W need one B, of the sum of their s.
struct Sent {
    Variable x, weight, s;
};
bool is_same(const Variable& a, const Variable& b) {
    return a.defined() == b.defined() && a.node() == b.node() &&
           (!a.defined() || a.data().storage_id() == b.data().storage_id());
}
void add_sent(std::vector<Sent>& all, const RuleTerm& term, const Variable& s) {
    for (Sent& sent : all) {
        if (is_same(sent.x, term.x) && is_same(sent.weight, term.weight)) {
            sent.s = sent.s + scaled(s, term.scale);
            return;
        }
    }
    all.push_back({term.x, term.weight, scaled(s, term.scale)});
}

}  // namespace

Rule::Share Rule::share(const RuleGroup& group, const LinearView& op, const Variable& r_y) const {
    Variable denominator = group.denominator;
    if (!denominator.defined()) {
        for (const RuleTerm& term : group.terms) {
            add_to(denominator, forward_of(term, op));
        }
    }
    denominator = broadcast_to(denominator, r_y.shape());
    if (constant_denominators_) {
        denominator = denominator.detach();
    }
    const Variable s = stabilizer_.divide(r_y, denominator, group.coefficient);
    return {denominator, group.gate.defined() ? where_positive(s, group.gate) : s};
}

namespace {

/// Samples that a rule takes at once. It needs some five tensors of its op's size, which for the first layers
/// of a large network is more than all that the forward pass keeps; without a history a part of the batch
/// after the other needs a part of that. Diagonal maps, whose weights may be a sample's own, are cheap.
int64_t samples_at_once(const LinearView& op, const Variable& r_y) {
    constexpr int64_t kWhole = int64_t{64} << 20, kPart = int64_t{32} << 20;  // bytes
    const int64_t samples = r_y.rank() > 1 ? r_y.dim(0) : 1;
    const auto bytes = static_cast<int64_t>(r_y.data().bytes());
    if (grad_enabled() || op.input_axis == op.output_axis || op.x.dim(0) != samples || bytes <= kWhole) {
        return samples;
    }
    return std::max<int64_t>(1, samples * kPart / bytes);
}

}  // namespace

Variable Rule::relevance(const RuleInput& input, const Variable& r_y) const {
    const int64_t samples = input.linear.x.dim(0), step = samples_at_once(input.linear, r_y);
    if (step >= samples) {
        return relevance_at_once(input, r_y);
    }
    const Tensor& x = input.linear.x.data();
    Tensor r_x = Tensor::empty_like(x);  // two of that size, as concat needs, would be the peak
    Shape at = x.shape();
    for (int axis = 0; axis < at.rank(); ++axis) {
        at = at.with(axis, 0);
    }
    for (int64_t first = 0; first < samples; first += step) {
        const int64_t count = std::min(step, samples - first);
        RuleInput part = input;
        part.linear.x = slice(input.linear.x, 0, first, count);
        part.z = slice(input.z, 0, first, count);
        const Variable r = relevance_at_once(part, slice(r_y, 0, first, count));
        r_x.backend().write_slice(r.data(), at.with(0, first), r_x);
    }
    return r_x;
}

Variable Rule::relevance_at_once(const RuleInput& input, const Variable& r_y) const {
    const LinearView& op = input.linear;
    Variable absorbed = r_y;
    std::vector<Sent> sent;
    for (const RuleGroup& group : groups_of(input, r_y)) {
        const auto [denominator, s] = share(group, op, r_y);
        if (distributed_bias_) {
            absorbed = absorbed - denominator * s;
        }
        for (const RuleTerm& term : group.terms) {
            add_sent(sent, term, s);
            if (distributed_bias_ && term.bias.defined()) {
                absorbed = absorbed + term.bias * s;
            }
        }
    }
    Variable r_x;
    for (size_t i = 0;
         i < sent.size();) {  // x ⊙ (B(s; W) + B(s'; W')): one product for neighbours with the same x
        const Variable x = sent[i].x;
        Variable below;
        for (; i < sent.size() && is_same(sent[i].x, x); ++i) {
            add_to(below, op.adjoint(sent[i].s, sent[i].weight));
        }
        add_to(r_x, x.defined() ? x * below : below);
    }
    if (distributed_bias_) {
        const Tensor& w = op.weight.data();
        const Variable ones = Tensor::ones(w.shape(), w.dtype(), w.device());
        const Variable taps = broadcast_to(op.apply(ones_like_input(op), ones), r_y.shape());
        r_x = r_x + op.adjoint(divide_or_zero(absorbed, taps), ones);
    }
    return r_x;
}

namespace {

/// x of a term as the adjoint in the weight takes it: of the op's input's shape.
Variable full_input(const RuleTerm& term, const LinearView& op) {
    return broadcast_to(term.x.defined() ? term.x : ones_like_input(op), op.x.shape());
}

}  // namespace

ParameterRelevance Rule::parameter_relevance(const RuleInput& input, const Variable& r_y) const {
    const LinearView& op = input.linear;
    ParameterRelevance r;
    for (const RuleGroup& group : groups_of(input, r_y)) {
        const Variable s = share(group, op, r_y).s;
        for (const RuleTerm& term : group.terms) {
            add_to(r.weight, term.weight * op.adjoint_params(full_input(term, op), scaled(s, term.scale)));
            if (term.bias.defined()) {
                add_to(r.bias, sum_to(term.bias * s, input.linear.bias.shape()));
            }
        }
    }
    return r;
}

Variable Rule::weight_magnitudes(const RuleInput& input, const Variable& r_y) const {
    const LinearView& op = input.linear;
    Variable flow;
    for (const RuleGroup& group : groups_of(input, r_y)) {
        const Variable s = abs(share(group, op, r_y).s);
        for (const RuleTerm& term : group.terms) {
            add_to(flow, abs(term.weight) *
                             op.adjoint_params(abs(full_input(term, op)), scaled(s, std::abs(term.scale))));
        }
    }
    return flow;
}

namespace rules {
namespace {

Stabilizer stabilizer_of(const RuleOptions& options, double eps) {
    return {.eps = eps, .form = options.form, .scale_by_rms = options.scale_by_rms};
}

Rule linear_rule(std::string name, const RuleOptions& options, Rule::Groups groups) {
    return Rule(std::move(name), std::move(groups), stabilizer_of(options, options.stabilizer),
                options.zero_bias)
        .with_constant_denominators(options.stop_denominator)
        .with_distributed_bias(options.distribute_bias);
}

Variable bias_of(const RuleInput& in) { return in.zero_bias ? Variable() : in.linear.bias; }

Variable positive(const Variable& v) { return v.defined() ? positive_part(v) : v; }
Variable negative(const Variable& v) { return v.defined() ? negative_part(v) : v; }

/// What the rule calls z: without the bias where that is left out.
Variable z_of(const RuleInput& in) {
    return in.zero_bias && in.linear.bias.defined() ? in.z - in.linear.bias : in.z;
}

/// In f64 the direct form costs little and is exact; in f32 it saves a forward pass and loses a few digits.
bool takes_difference(const RuleInput& in) { return in.z.dtype() == DType::f32; }

/// Terms (x⁺, same, bias), (x⁻, opposite): the second is absent where x is known to be non-negative.
std::vector<RuleTerm> split_terms(const RuleInput& in, const Variable& with_positive,
                                  const Variable& with_negative, const Variable& bias) {
    if (in.x_is_nonnegative) {
        return {{in.linear.x, with_positive, bias}};
    }
    return {{positive_part(in.linear.x), with_positive, bias},
            {negative_part(in.linear.x), with_negative, {}}};
}

Variable scaled_sum(const Variable& a, double factor, const Variable& b) {
    return a.defined() ? a + b * factor : a;
}

/// A value per channel as a tensor of x's shape with batch 1: the padding of a convolution then adds nothing.
Variable constant_image(const std::vector<double>& values, const Variable& x, std::string_view what) {
    const auto channels = static_cast<size_t>(x.dim(-1));
    BACKLIGHT_CHECK(values.size() == 1 || values.size() == channels, "zbox: expected 1 or ", channels,
                    " values for ", what, ", got ", values.size());
    std::vector<double> row(channels, values[0]);
    if (values.size() == channels) {
        row = values;
    }
    const Tensor channel_row = Tensor::from(row, {x.dim(-1)}, x.data().device()).to(x.dtype());
    return broadcast_to(Variable(channel_row), x.shape().with(0, 1));
}

}  // namespace

Rule epsilon(double epsilon, RuleOptions options) {
    options.stabilizer = epsilon;
    return linear_rule("epsilon", options, [](const RuleInput& in) -> std::vector<RuleGroup> {
        return {{.terms = {{in.linear.x, in.linear.weight, bias_of(in)}}, .denominator = z_of(in)}};
    });
}

Rule zplus(const RuleOptions& options) {
    return linear_rule("zplus", options, [](const RuleInput& in) -> std::vector<RuleGroup> {
        const Variable w_negative = in.x_is_nonnegative ? Variable() : in.negative_weight();
        return {{.terms = split_terms(in, in.positive_weight(), w_negative, positive(bias_of(in)))}};
    });
}

Rule alpha_beta(double alpha, double beta, const RuleOptions& options) {
    BACKLIGHT_CHECK(std::abs(alpha - beta - 1) < 1e-9 && alpha >= 1 && beta >= 0,
                    "alpha_beta: expected alpha - beta = 1 with alpha >= 1 and beta >= 0, got alpha=", alpha,
                    " beta=", beta);
    return linear_rule("alpha_beta", options, [alpha, beta](const RuleInput& in) -> std::vector<RuleGroup> {
        RuleGroup excite{
            .coefficient = alpha,
            .terms = split_terms(in, in.positive_weight(),
                                 in.x_is_nonnegative && beta == 0 ? Variable() : in.negative_weight(),
                                 positive(bias_of(in)))};
        if (beta == 0) {
            return {excite};
        }
        RuleGroup inhibit{
            .coefficient = -beta,
            .terms = split_terms(in, in.negative_weight(), in.positive_weight(), negative(bias_of(in)))};
        if (in.x_is_nonnegative && takes_difference(in)) {
            // z is known: its negative part is what the positive one leaves, and never above 0.
            excite.denominator = forward_of(excite.terms[0], in.linear);
            inhibit.denominator = negative_part(z_of(in) - excite.denominator);
        }
        return {excite, inhibit};
    });
}

Rule gamma(double gamma, const RuleOptions& options) {
    BACKLIGHT_CHECK(gamma >= 0, "gamma: expected gamma >= 0, got ", gamma);
    return linear_rule("gamma", options, [gamma](const RuleInput& in) -> std::vector<RuleGroup> {
        const Variable& x = in.linear.x;
        const Variable b = bias_of(in);
        const Variable b_up = scaled_sum(b, gamma, positive(b));
        if (in.only_positive_get_relevance()) {
            const Variable up = in.raised_weight(gamma);
            const Variable down =
                in.x_is_nonnegative ? Variable() : in.linear.weight + in.negative_weight() * gamma;
            return {{.terms = split_terms(in, up, down, b_up)}};
        }
        if (in.x_is_nonnegative) {
            // W = W⁺ + W⁻ and z = p + n + b: one forward pass gives both denominators.
            const Variable p = in.linear.apply(x, in.positive_weight());
            const Variable z = z_of(in);
            const Variable with_bias_up = b.defined() ? p + positive(b) : p;
            const Variable n = z - with_bias_up;  // with b⁻
            return {{.terms = {{x, in.positive_weight(), b_up, 1 + gamma}, {x, in.negative_weight()}},
                     .denominator = z + with_bias_up * gamma,
                     .gate = in.z.detach()},
                    {.terms = {{x, in.positive_weight(), scaled_sum(b, gamma, negative(b))},
                               {x, in.negative_weight(), {}, 1 + gamma}},
                     .denominator = z + n * gamma,
                     .gate = -in.z.detach()}};
        }
        const Variable up = in.raised_weight(gamma);
        const Variable down = in.linear.weight + in.negative_weight() * gamma;
        return {
            {.terms = split_terms(in, up, down, b_up), .gate = in.z.detach()},
            {.terms = split_terms(in, down, up, scaled_sum(b, gamma, negative(b))), .gate = -in.z.detach()}};
    });
}

Rule zbox(std::vector<double> low, std::vector<double> high, const RuleOptions& options, bool expand) {
    BACKLIGHT_CHECK(!low.empty() && !high.empty(), "zbox: expected low and high");
    for (size_t i = 0; i < std::max(low.size(), high.size()); ++i) {
        const double l = low[low.size() == 1 ? 0 : std::min(i, low.size() - 1)];
        const double h = high[high.size() == 1 ? 0 : std::min(i, high.size() - 1)];
        BACKLIGHT_CHECK(l <= h, "zbox: expected low <= high, got low=", l, " high=", h);
    }
    return linear_rule(
        "zbox", options,
        [low = std::move(low), high = std::move(high),
         expand](const RuleInput& in) -> std::vector<RuleGroup> {
            const Variable& x = in.linear.x;
            Variable above_low = x - constant_image(low, x, "low");
            Variable below_high = x - constant_image(high, x, "high");
            if (expand) {  // the edge is then the sample itself
                above_low = positive_part(above_low);
                below_high = negative_part(below_high);
            }
            return {{.terms = {{above_low, in.positive_weight()}, {below_high, in.negative_weight()}}}};
        });
}

Rule w_square(const RuleOptions& options) {
    return linear_rule("w2", options, [](const RuleInput& in) -> std::vector<RuleGroup> {
        const Variable b = bias_of(in);
        return {{.terms = {{{}, square(in.linear.weight), b.defined() ? square(b) : b}}}};
    });
}

Rule flat(const RuleOptions& options) {
    return linear_rule("flat", options, [](const RuleInput& in) -> std::vector<RuleGroup> {
        const Tensor& w = in.linear.weight.data();
        return {{.terms = {{{}, Tensor::ones(w.shape(), w.dtype(), w.device()), {}}}}};
    });
}

Rule norm(const Stabilizer& stabilizer) { return Rule("norm", Rule::Kind::norm).with_stabilizer(stabilizer); }
Rule even() { return Rule("even", Rule::Kind::even).with_stabilizer({.eps = 0}); }
Rule pass() { return {"pass", Rule::Kind::pass}; }
Rule gradient() { return {"gradient", Rule::Kind::gradient}; }
Rule winner() { return {"winner", Rule::Kind::gradient}; }
Rule zero() { return {"zero", Rule::Kind::zero}; }

}  // namespace rules

}  // namespace backlight
