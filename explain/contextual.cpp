#include "explain/contextual.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <unordered_map>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"
#include "explain/merge.h"
#include "explain/methods.h"
#include "explain/replay.h"

namespace backlight {
namespace {

constexpr std::array<std::string_view, 11> kLinearInAll = {"avg_pool2d", "adaptive_avg_pool2d",
                                                           "resize",     "add",
                                                           "subtract",   "sum",
                                                           "reshape",    "permute",
                                                           "slice",      "pad",
                                                           "concat"};
constexpr std::array<std::string_view, 2> kSigmoids = {"tanh", "sigmoid"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& kinds, std::string_view kind) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

struct Pair {
    Variable relevant, rest;
};

/// The bias goes to both in proportion to their absolute values; the rest gets the rest, so that nothing is
/// lost where both are 0.
Pair through_linear(const LinearView& op, const Pair& in) {
    const Variable a = op.apply(in.relevant, op.weight);
    const Variable b = op.apply(in.rest, op.weight);
    if (!op.bias.defined()) {
        return {a, b};
    }
    const Variable share = op.bias * (abs(a) / (abs(a) + abs(b) + 1e-19));
    return {a + share, b + (op.bias - share)};
}

Pair through(const NodeView& node, const std::vector<Pair>& in) {
    const std::string_view kind = node.kind();
    if (contains(kLinearInAll, kind)) {
        Variables relevant;
        Variables rest;
        for (const Pair& pair : in) {
            relevant.push_back(pair.relevant);
            rest.push_back(pair.rest);
        }
        return {call(node.node()->op, relevant), call(node.node()->op, rest)};
    }
    const Variable& a = in[0].relevant;
    const Variable& b = in[0].rest;
    const auto f = [&](const Variable& x) { return call(node.node()->op, {x}); };
    if (kind == "relu" || kind == "relu6") {
        const Variable of_relevant = f(a);
        return {of_relevant, f(a + b) - of_relevant};
    }
    if (contains(kSigmoids, kind)) {
        const Variable whole = f(a + b);
        const Variable of_relevant = (f(a) + whole - f(b)) * 0.5;
        return {of_relevant, whole - of_relevant};
    }
    if (const auto window = node.op().as_window(node)) {
        return {window->pick(a), window->pick(b)};
    }
    throw_error(concat_text("contextual_decomposition: no rule for ", kind, " (", node.name(), ")"));
}

}  // namespace

Decomposition contextual_decomposition(const ExplainedForward& forward, const Tensor& mask) {
    const EnableGrad enabled;
    const Variable& input = forward.input();
    const Variable x = input.detach();
    const Variable chosen = x * Variable(mask.to(x.dtype()));
    BACKLIGHT_CHECK(chosen.shape() == x.shape(), "contextual_decomposition: a mask of shape ", mask.shape(),
                    " does not fit inputs of shape ", x.shape());
    const std::vector<NodePtr> nodes = nodes_between({input}, forward.logits());
    std::vector<Merging::Entry> entries;
    std::unordered_map<const Node*, int> consumers;
    for (const NodePtr& node : nodes) {
        for (const Variable& in : node->inputs) {
            ++consumers[in.node().get()];
        }
    }
    for (const NodePtr& node : nodes) {
        entries.push_back({node, consumers[node.get()]});
    }
    const Merging merging(entries);
    std::unordered_map<const Node*, Pair> values;
    values[input.node().get()] = {chosen, x - chosen};
    for (const NodePtr& node : nodes) {
        const NodeView view(node);
        if (merging.is_merged(node.get())) {  // a batch norm hands on what its linear op made, or will make
            values[node.get()] = values.at(node->inputs[0].node().get());
            continue;
        }
        if (is_weighted(*node) || node->op->as_linear(view)) {
            const LinearView op = is_weighted(*node) ? merging.input_of(view).linear : view_of(view);
            values[node.get()] =
                through_linear(op, values.at(node->inputs[static_cast<size_t>(op.input)].node().get()));
            continue;
        }
        std::vector<Pair> in;
        for (int i = 0; i < view.input_count(); ++i) {
            const auto known = values.find(node->inputs[static_cast<size_t>(i)].node().get());
            const Variable constant = view.input(i);
            in.push_back(known != values.end() ? known->second : Pair{constant * 0.0, constant});
        }
        values[node.get()] = through(view, in);
    }
    const Pair& last = values.at(forward.logits().node().get());
    return {last.relevant, last.rest};
}

namespace {

class ContextualDecomposition final : public Explainer {
public:
    ContextualDecomposition(Tensor masks, int64_t window, std::function<void(int64_t, int64_t)> progress)
        : masks_(std::move(masks)), window_(window), progress_(std::move(progress)) {}
    [[nodiscard]] std::string name() const override { return "contextual_decomposition"; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        BACKLIGHT_CHECK(request.neuron.empty() && (request.layers.empty() || request.layers[0].empty()),
                        "contextual_decomposition: explains logits by regions of the input");
        const auto start = forward.begin(request, Start::one, false).start;
        const std::vector<Tensor> regions = regions_of(forward.input().data());
        Variable map;
        Variable of_all;
        for (size_t k = 0; k < regions.size(); ++k) {
            const Variable beta = contextual_decomposition(forward, regions[k]).relevant;
            const Variable score = sum(start * (create_graph ? beta : beta.detach()), {1});
            Shape shape{score.dim(0)};
            for (int axis = 1; axis < forward.input().rank(); ++axis) {
                shape.push_back(1);
            }
            const Variable part = reshape(score, shape) * Variable(regions[k]);
            map = map.defined() ? map + part : part;
            if (progress_) {
                progress_(static_cast<int64_t>(k) + 1, static_cast<int64_t>(regions.size()));
            }
        }
        return {.maps = {map},
                .coarse = true,
                .notes = {concat_text(
                    "contextual decomposition: each pixel has the contribution of its region, one of ",
                    regions.size(), ", together with that region's interactions")}};
    }

private:
    /// Masks (1,H,W,1) of ones and zeros that cover the input; for vectors (1,D), one a feature.
    [[nodiscard]] std::vector<Tensor> regions_of(const Tensor& x) const {
        std::vector<int64_t> ids;
        Shape shape{1};
        if (x.rank() == 4) {
            shape = Shape{1, x.dim(1), x.dim(2), 1};
            const int64_t side = window_ > 0 ? window_ : std::max<int64_t>(1, (x.dim(1) + 3) / 7);
            for (int64_t h = 0; h < x.dim(1); ++h) {
                for (int64_t w = 0; w < x.dim(2); ++w) {
                    ids.push_back(h / side * ((x.dim(2) + side - 1) / side) + w / side);
                }
            }
        } else {
            shape = Shape{1, x.dim(1)};
            for (int64_t i = 0; i < x.dim(1); ++i) {
                ids.push_back(i);
            }
        }
        if (masks_.defined()) {
            BACKLIGHT_CHECK(masks_.numel() == shape.numel(), "contextual_decomposition: masks of shape ",
                            masks_.shape(), " do not fit inputs of shape ", x.shape(),
                            ": expected one id a pixel");
            ids.clear();
            for (const double id : masks_.to(DType::f64).to_vector<double>()) {
                ids.push_back(std::llround(id));
            }
        }
        std::map<int64_t, std::vector<double>> regions;
        for (size_t i = 0; i < ids.size(); ++i) {
            auto& mask = regions[ids[i]];
            mask.resize(ids.size(), 0.0);
            mask[i] = 1;
        }
        std::vector<Tensor> tensors;
        for (const auto& [id, mask] : regions) {
            tensors.push_back(Tensor::from(mask, shape, x.device()).to(x.dtype()));
        }
        return tensors;
    }

    Tensor masks_;
    int64_t window_;
    std::function<void(int64_t, int64_t)> progress_;
};

}  // namespace

std::unique_ptr<Explainer> build_contextual_decomposition(const Options& options,
                                                          const ExplainContext& context) {
    const std::string file = options.get("masks", "");
    const int64_t window = options.has("window") ? options.get_within("window", 1, 1, 1'000'000) : 0;
    return std::make_unique<ContextualDecomposition>(file.empty() ? Tensor() : read_npy(file), window,
                                                     context.progress);
}

}  // namespace backlight
