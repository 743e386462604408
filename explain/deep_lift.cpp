// DeepLIFT with the rescale rule: multipliers m with m_in (x - x') = (y - y') at every op, against the values
// of a reference input x'. DeepSHAP is its mean over many references.
//   Shrikumar et al., "Learning important features through propagating activation differences", 2017, Eq. 12;
//   Lundberg and Lee, "A unified approach to interpreting model predictions", 2017, section 4.2.
#include <algorithm>
#include <array>
#include <unordered_map>

#include "autograd/functions.h"
#include "core/error.h"
#include "explain/baseline.h"
#include "explain/methods.h"
#include "explain/rows.h"

namespace backlight {
namespace {

constexpr std::array<std::string_view, 17> kElementwise = {
    "relu", "relu6",     "leaky_relu", "elu", "softplus", "gelu", "silu",          "sigmoid",      "tanh",
    "abs",  "clamp_min", "clamp_max",  "exp", "log",      "sqrt", "positive_part", "negative_part"};
constexpr std::array<std::string_view, 17> kLinear = {
    "linear", "conv2d", "conv_transpose2d", "batch_norm", "avg_pool2d", "adaptive_avg_pool2d",
    "resize", "add",    "subtract",         "sum",        "reshape",    "permute",
    "slice",  "pad",    "concat",           "dropout",    "convert"};
constexpr std::array<std::string_view, 4> kLinearScalar = {"add_scalar", "multiply_scalar", "negative",
                                                           "broadcast"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& kinds, std::string_view kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

class DeepLiftRules final : public BackwardRules {
public:
    /// The graphs of the sample and of the reference must be those of one network.
    DeepLiftRules(const Variable& output, const Variable& reference) {
        std::vector<std::pair<NodePtr, NodePtr>> pending{{output.node(), reference.node()}};
        while (!pending.empty()) {
            const auto [of_x, of_reference] = std::move(pending.back());
            pending.pop_back();
            if (!of_x || !partner_.emplace(of_x.get(), of_reference).second) {
                continue;
            }
            BACKLIGHT_CHECK(of_reference && of_x->is_leaf() == of_reference->is_leaf() &&
                                of_x->inputs.size() == of_reference->inputs.size(),
                            "deep_lift: the network computes something else for the reference");
            for (size_t i = 0; i < of_x->inputs.size(); ++i) {
                pending.emplace_back(of_x->inputs[i].node(), of_reference->inputs[i].node());
            }
        }
    }

    [[nodiscard]] std::optional<Variables> backward(const NodeView& node, const Variable& m,
                                                    InputMask mask) override {
        const std::string_view kind = node.kind();
        const NodeView other(partner_.at(node.node().get()));
        if (contains(kElementwise, kind)) {
            return Variables{rescale(node, other, m, mask)};
        }
        if (kind == "max_pool2d") {
            return Variables{max_pool(node, other, m, mask)};
        }
        if (kind == "multiply") {
            return mean_of_both(node, other, m, mask);
        }
        BACKLIGHT_CHECK(contains(kLinear, kind) || contains(kLinearScalar, kind), "deep_lift: no rule for ",
                        kind, " (", node.name(), ")");
        return std::nullopt;
    }

private:
    static double threshold(DType dtype) { return dtype == DType::f64 ? 1e-10 : 1e-7; }

    /// a / b, and `otherwise` where |b| is below the threshold; finite derivatives everywhere.
    static Variable ratio_or(const Variable& a, const Variable& b, const Variable& otherwise) {
        const Tensor limit = Tensor::full({1}, threshold(b.dtype()), b.dtype(), b.data().device());
        const Tensor large = compare(BinaryOp::greater, abs(b.detach()).data(), limit);
        const Variable one = Tensor::ones({1}, b.dtype(), b.data().device());
        return where(large, a / where(large, b, one), otherwise);
    }

    static Variable rescale(const NodeView& node, const NodeView& other, const Variable& m, InputMask mask) {
        const Variable slope = node.op().sample_vjp(node, m, mask)[0];
        return ratio_or(m * (node.output() - other.output()), node.input(0) - other.input(0), slope);
    }

    /// Cross-max: with u, v the pooled values and c = max(u,v), m (c - v) goes to the winner in x and m (u -
    /// c) to the winner in x'.
    static Variable max_pool(const NodeView& node, const NodeView& other, const Variable& m, InputMask mask) {
        const Variable u = node.output();
        const Variable v = other.output();
        const Variable c = maximum(u, v);
        const Variable sent = node.op().sample_vjp(node, m * (c - v), mask)[0] +
                              other.op().sample_vjp(other, m * (u - c), mask)[0];
        const Variable none = Tensor::zeros({1}, m.dtype(), m.data().device());
        return ratio_or(sent, node.input(0) - other.input(0), none);
    }

    static Variables mean_of_both(const NodeView& node, const NodeView& other, const Variable& m,
                                  InputMask mask) {
        Variables here = node.op().sample_vjp(node, m, mask);
        const Variables there = other.op().sample_vjp(other, m, mask);
        for (size_t i = 0; i < here.size(); ++i) {
            if (here[i].defined()) {
                here[i] = (here[i] + there[i]) * 0.5;
            }
        }
        return here;
    }

    std::unordered_map<const Node*, NodePtr> partner_;
};

/// R = (x - x') ⊙ m at each requested layer, and what it should sum to.
Explanation against(const ExplainedForward& forward, const ExplainRequest& request, Start kind,
                    const Tensor& reference, bool create_graph) {
    const auto [output, start] = forward.begin(request, kind, create_graph);
    const ExplainedForward from = forward.at(reference);
    const Variable output_there = from.begin(request, Start::one, false).output;
    DeepLiftRules rules(output, output_there);
    const Variables here = forward.points(request);
    const Variables there = from.points(request);
    Explanation found{.maps = grad(output, start, here,
                                   {.create_graph = create_graph,
                                    .retain_graph = true,
                                    .rules = &rules,
                                    .by_sample = true,
                                    .watch = request.watch})};
    for (size_t i = 0; i < here.size(); ++i) {
        const Variable difference = create_graph ? here[i] - there[i] : here[i].detach() - there[i].detach();
        found.maps[i] = difference * found.maps[i];
    }
    const NoGrad off;
    const Variable gap =
        Variable(output.data().to(DType::f64)) - Variable(output_there.data().to(DType::f64));
    found.expected =
        sum(flatten(gap * Variable(start.data().to(DType::f64))), {1}).data().to_vector<double>();
    return found;
}

class DeepLift final : public Explainer {
public:
    DeepLift(Start start, Baseline baseline) : start_(start), baseline_(std::move(baseline)) {}
    [[nodiscard]] std::string name() const override { return "deep_lift"; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        return against(forward, request, start_, baseline_.of(forward.input().data()), create_graph);
    }

private:
    Start start_;
    Baseline baseline_;
};

class DeepShap final : public Explainer {
public:
    DeepShap(Start start, Tensor background, std::function<void(int64_t, int64_t)> progress)
        : start_(start), background_(std::move(background)), progress_(std::move(progress)) {}
    [[nodiscard]] std::string name() const override { return "deep_shap"; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const Tensor& x = forward.input().data();
        BACKLIGHT_CHECK(background_.shape().with(0, x.dim(0)) == x.shape(),
                        "deep_shap: the background holds samples of shape ", background_.shape(),
                        ", the input is ", x.shape());
        const int64_t count = background_.dim(0);
        const double share = 1.0 / static_cast<double>(count);
        Explanation total{.expected = std::vector<double>(static_cast<size_t>(x.dim(0)), 0.0)};
        const auto add = [&](int64_t first, int64_t pairs) {
            const Tensor references = references_of(x, first, pairs);
            const Explanation found =
                pairs == 1 ? against(forward, request, start_, references, create_graph)
                           : against(forward.at(repeat_rows(x, pairs)), repeat_request(request, pairs),
                                     start_, references, create_graph);
            total.maps.resize(found.maps.size());
            for (size_t i = 0; i < found.maps.size(); ++i) {
                const Variable part = sum_copies(found.maps[i], pairs) * share;
                total.maps[i] = total.maps[i].defined() ? total.maps[i] + part : part;
            }
            for (size_t row = 0; row < found.expected.size(); ++row) {
                total.expected[row % total.expected.size()] += share * found.expected[row];
            }
        };
        if (!create_graph) {  // a pair is two rows: the sample and its reference
            for_each_pass(count, x.shape().with(0, 2 * x.dim(0)), progress_, add);
            return total;
        }
        for (int64_t k = 0; k < count; ++k) {  // the history is that of the pass that is explained
            add(k, 1);
            if (progress_) {
                progress_(k + 1, count);
            }
        }
        return total;
    }

private:
    /// For each pair of a pass, the samples first: row p N + n is sample `first + p` of the background.
    [[nodiscard]] Tensor references_of(const Tensor& x, int64_t first, int64_t pairs) const {
        const NoGrad off;
        std::vector<int64_t> index;
        for (int64_t k = first; k < first + pairs; ++k) {
            index.insert(index.end(), static_cast<size_t>(x.dim(0)), k);
        }
        const auto rows = static_cast<int64_t>(index.size());
        return gather_rows(Variable(background_.to(x.dtype())), Tensor::from(index, {rows})).data();
    }

    Start start_;
    Tensor background_;
    std::function<void(int64_t, int64_t)> progress_;
};

}  // namespace

std::unique_ptr<Explainer> build_deep_lift(const Options& options, const ExplainContext& context) {
    return std::make_unique<DeepLift>(start_option(options, "one"), Baseline(options, context));
}

std::unique_ptr<Explainer> build_deep_shap(const Options& options, const ExplainContext& context) {
    BACKLIGHT_CHECK(context.background, "deep_shap: needs samples to compare with: --background DATA");
    return std::make_unique<DeepShap>(start_option(options, "one"), context.background(), context.progress);
}

}  // namespace backlight
