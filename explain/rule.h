// A rule says what relevance leaves an op's inputs. For ops that are linear in their input it is data:
//   z_i = F(x_i; W_i) + b_i      D_j = Σ_{i in j} z_i      s_j = c_j R_y / stab(D_j)
//   R_x = Σ_j Σ_{i in j} x_i ⊙ B(s_j; W_i)
// F, B: the op's forward and adjoint (autograd/op.h, LinearView). Nothing here names an op, and nothing is
// detached, so a relevance can stand in a loss and be differentiated with respect to the weights, the input
// and R_y.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "autograd/op.h"
#include "core/options.h"

namespace backlight {

/// sgn*(0) = +1. add: z + eps sgn*(z). clip: sgn*(z) max(|z|, eps).
struct Stabilizer {
    enum class Form { add, clip };
    double eps = 1e-6;
    Form form = Form::add;
    bool scale_by_rms = false;  // eps times the root mean square of z over all but the batch

    /// factor R / stab(z); 0 where z is exactly 0 and eps is too small to divide by (below 1e-12).
    [[nodiscard]] Variable divide(const Variable& r, const Variable& z, double factor = 1) const;
};

/// One summand of a denominator: F(x; scale W) + b. Undefined x: a tensor of ones. Undefined bias: none.
struct RuleTerm {
    Variable x;
    Variable weight;
    Variable bias{};
    double scale = 1;
};

struct RuleGroup {
    double coefficient = 1;
    std::vector<RuleTerm> terms;
    Variable denominator;  // when it is known without evaluating the terms
    Variable gate;         // R_y passes only where it is > 0; undefined: everywhere
};

/// Forms of one op's weight that explanations without history share, as long as the parameters stay as they
/// are.
struct WeightForms {
    std::vector<uint64_t> versions;          // of the storages that the forms were made from
    std::vector<std::vector<double>> norms;  // factors and shifts of the merged batch norms
    Variable weight, bias;                   // merged
    Variable positive, negative, raised;
    double raised_by = 0;  // raised = W + raised_by W⁺
};

/// What a rule is told about an op: its linear view, its full output and what is known of its input's sign.
struct RuleInput {
    LinearView linear;
    Variable z;  // output of the (merged) op, bias included
    bool x_is_nonnegative = false;
    bool zero_bias = false;
    std::shared_ptr<WeightForms> forms{};  // null: none are kept
    Variable r_y{};                        // what arrives at z

    /// W⁺ and W⁻. With gradients on they have their history, otherwise they are kept for the next
    /// explanation.
    [[nodiscard]] Variable positive_weight() const;
    [[nodiscard]] Variable negative_weight() const;
    /// W + γ W⁺, likewise.
    [[nodiscard]] Variable raised_weight(double gamma) const;
    /// Nothing arrives where z <= 0, as below a ReLU. False where a history is built: a derivative may arrive
    /// where the value is 0.
    [[nodiscard]] bool only_positive_get_relevance() const;
};

struct ParameterRelevance {
    Variable weight, bias;
};

class Rule {
public:
    enum class Kind {
        linear,    // groups of terms
        norm,      // R_i = a_i ⊙ vjp_i(R / stab(y)): sums, average pools, resizing; max pools by their sum
        even,      // as norm with ones in the place of a: every input gets the same
        pass,      // R_x = R_y
        gradient,  // the op's vjp: routing, winner takes all
        zero,      // nothing leaves
    };
    using Groups = std::function<std::vector<RuleGroup>(const RuleInput&)>;

    Rule(std::string name, Kind kind) : name_(std::move(name)), kind_(kind) {}
    Rule(std::string name, Groups groups, Stabilizer stabilizer, bool zero_bias)
        : name_(std::move(name)),
          kind_(Kind::linear),
          groups_(std::move(groups)),
          stabilizer_(stabilizer),
          zero_bias_(zero_bias) {}

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] Kind kind() const { return kind_; }
    [[nodiscard]] const Stabilizer& stabilizer() const { return stabilizer_; }
    [[nodiscard]] bool zero_bias() const { return zero_bias_; }
    [[nodiscard]] Rule with_stabilizer(const Stabilizer& stabilizer) const;
    /// Denominators are constants of a derivative: cheaper inside a loss, and only an approximation.
    [[nodiscard]] Rule with_constant_denominators(bool on = true) const;
    /// What the bias and the stabilizer absorb is spread evenly over each output's receptive field: conserves
    /// exactly, also on inputs that are 0.
    [[nodiscard]] Rule with_distributed_bias(bool on = true) const;

    /// R_x of a linear op (kind linear only).
    [[nodiscard]] Variable relevance(const RuleInput& input, const Variable& r_y) const;
    /// Relevance of the (merged) weight and of its bias, summed over the batch (kind linear only):
    ///   R_W = Σ_j Σ_{i in j} W_i ⊙ G(x_i, s_j),   R_b = Σ_j Σ_{i in j} b_i ⊙ Σ_{n,h,w} s_j
    /// Σ R_W = Σ R_x for every rule. R_b is undefined for an op without bias.
    [[nodiscard]] ParameterRelevance parameter_relevance(const RuleInput& input, const Variable& r_y) const;
    /// How much flows through each (merged) weight, whatever its sign: Σ_j Σ_{i in j} |W_i| ⊙ G(|x_i|,
    /// |s_j|), summed over batch and positions (kind linear only). Of a dense layer Σ_n |x W s|.
    [[nodiscard]] Variable weight_magnitudes(const RuleInput& input, const Variable& r_y) const;

private:
    /// D_j of one group, and s_j.
    struct Share {
        Variable denominator, s;
    };
    [[nodiscard]] Share share(const RuleGroup& group, const LinearView& op, const Variable& r_y) const;
    [[nodiscard]] Variable relevance_at_once(const RuleInput& input, const Variable& r_y) const;
    [[nodiscard]] std::vector<RuleGroup> groups_of(const RuleInput& input, const Variable& r_y) const;

    std::string name_;
    Kind kind_;
    Groups groups_;
    Stabilizer stabilizer_;
    bool zero_bias_ = false;
    bool constant_denominators_ = false, distributed_bias_ = false;
};

/// Options that every rule of a linear op takes.
struct RuleOptions {
    double stabilizer = 1e-6;
    Stabilizer::Form form = Stabilizer::Form::add;
    bool scale_by_rms = false;
    bool zero_bias = false;         // b := 0 in denominators; conservation is then exact up to the stabilizer
    bool stop_denominator = false;  // Rule::with_constant_denominators
    bool distribute_bias = false;   // Rule::with_distributed_bias
};

namespace rules {

/// LRP-0 and LRP-ε: R_x = x ⊙ B(R_y / stab(z; ε); W), z with its bias.
/// Source: Bach et al., "On pixel-wise explanations ...", 2015, Eq. 58.
[[nodiscard]] Rule epsilon(double epsilon = 1e-6, RuleOptions options = {});
/// Only positive contributions: D = F(x⁺;W⁺) + F(x⁻;W⁻) + b⁺. R_y >= 0 gives R_x >= 0. For x of any sign.
/// Source: Montavon et al., "Explaining nonlinear classification decisions with deep Taylor decomposition",
/// 2017.
[[nodiscard]] Rule zplus(const RuleOptions& options = {});
/// α times the positive part minus β times the negative one; throws Error unless α - β = 1, α >= 1, β >= 0.
/// Source: Bach et al., 2015, Eq. 60.
[[nodiscard]] Rule alpha_beta(double alpha = 2, double beta = 1, const RuleOptions& options = {});
/// Favours contributions of the sign of z by γ, for x and z of any sign; where z = 0 nothing passes. γ >= 0.
/// Source: Montavon et al., "Layer-wise relevance propagation: an overview", 2019; the generalised form.
[[nodiscard]] Rule gamma(double gamma = 0.25, const RuleOptions& options = {});
/// Inputs in a box l <= x <= h (scalars, or one per channel): D = F(x-l;W⁺) + F(x-h;W⁻); biases cancel.
/// Source: Montavon et al., 2017 (z^B). Throws Error when a low exceeds its high.
/// `expand`: where an input lies outside, the box grows to it.
[[nodiscard]] Rule zbox(std::vector<double> low, std::vector<double> high, const RuleOptions& options = {},
                        bool expand = false);
/// R_x = B(R_y / stab(F(1;W²) + b²); W²): independent of x, for unbounded real inputs. Source: Montavon et
/// al., 2017.
[[nodiscard]] Rule w_square(const RuleOptions& options = {});
/// Every output spreads its relevance evenly over the inputs of its receptive field that are not padding.
[[nodiscard]] Rule flat(const RuleOptions& options = {});
/// Sums and averages: in proportion to each input's share. On a max pool: in proportion within the window.
[[nodiscard]] Rule norm(const Stabilizer& stabilizer = {});
/// Sums, averages and max pools: the same for every input.
[[nodiscard]] Rule even();
[[nodiscard]] Rule pass();
[[nodiscard]] Rule gradient();
/// Winner takes all of max pooling, which is its gradient.
[[nodiscard]] Rule winner();
[[nodiscard]] Rule zero();

}  // namespace rules

struct RuleEntry {
    std::string name;
    std::string description;
    Rule (*build)(const Options& options);
};
/// Rules by name, for text forms: "gamma(gamma=0.25)". A sole number may stand without its key:
/// "gamma(0.25)".
[[nodiscard]] const std::vector<RuleEntry>& list_rules();
[[nodiscard]] Rule build_rule(const std::string& text);
[[nodiscard]] RuleOptions read_rule_options(const Options& options, double stabilizer = 1e-6);

}  // namespace backlight
