// Gradients averaged along the way from a baseline to the input.
//   Sundararajan et al., "Axiomatic attribution for deep networks", 2017 (integrated gradients);
//   Erion et al., "Improving performance of deep learning models with axiomatic attribution priors and
//   expected gradients", 2021 (expected gradients).
#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "explain/baseline.h"
#include "explain/methods.h"
#include "explain/replay.h"
#include "explain/rows.h"

namespace backlight {
namespace {

struct Node1d {
    double position, weight;
};

/// Roots of the Legendre polynomial of degree n by Newton's method, on [0, 1].
std::vector<Node1d> gauss_legendre(int64_t n) {
    std::vector<Node1d> nodes;
    for (int64_t k = 0; k < n; ++k) {
        const auto degree = static_cast<double>(n);
        double t = std::cos(std::numbers::pi * (static_cast<double>(k) + 0.75) / (degree + 0.5));
        double slope = 0;
        for (int iteration = 0; iteration < 100; ++iteration) {
            double before = 1;
            double value = t;
            for (int64_t j = 2; j <= n; ++j) {
                const auto jd = static_cast<double>(j);
                const double next = ((2 * jd - 1) * t * value - (jd - 1) * before) / jd;
                before = value;
                value = next;
            }
            slope = degree * (t * value - before) / (t * t - 1);
            const double step = value / slope;
            t -= step;
            if (std::abs(step) < 1e-15) {
                break;
            }
        }
        nodes.push_back({(1 - t) / 2, 1 / ((1 - t * t) * slope * slope)});
    }
    return nodes;
}

std::vector<Node1d> quadrature(const std::string& rule, int64_t n) {
    if (rule == "gauss-legendre") {
        return gauss_legendre(n);
    }
    std::vector<Node1d> nodes;
    const auto count = static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i) {
        const auto k = static_cast<double>(i);
        if (rule == "trapezoid") {
            nodes.push_back({k / (count - 1), (i == 0 || i == n - 1 ? 0.5 : 1) / (count - 1)});
        } else {
            nodes.push_back({(rule == "midpoint" ? k + 0.5
                              : rule == "right"  ? k + 1
                                                 : k) /
                                 count,
                             1 / count});
        }
    }
    return nodes;
}

/// Per sample Σ start (f(x) - f(x')), what completeness asks of the map.
std::vector<double> difference_of(const ExplainedForward::Begin& begin, const Variable& reference) {
    const NoGrad off;
    const Variable gap =
        Variable(begin.output.data().to(DType::f64)) - Variable(reference.data().to(DType::f64));
    return sum(flatten(gap * Variable(begin.start.data().to(DType::f64))), {1}).data().to_vector<double>();
}

class IntegratedGradients final : public Explainer {
public:
    IntegratedGradients(Start start, std::vector<Node1d> nodes, Baseline baseline,
                        std::function<void(int64_t, int64_t)> progress)
        : start_(start),
          nodes_(std::move(nodes)),
          baseline_(std::move(baseline)),
          progress_(std::move(progress)) {}
    [[nodiscard]] std::string name() const override { return "integrated_gradients"; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const auto begin = forward.begin(request, start_, create_graph);
        const ExplainedForward from = forward.at(baseline_.of(forward.input().data()));
        Explanation found{.expected = difference_of(begin, from.begin(request, Start::one, false).output)};
        const std::vector<std::string> input{""};
        for (const std::string& layer : request.layers.empty() ? input : request.layers) {
            found.maps.push_back(layer.empty()
                                     ? along_input(forward, from, begin, request, create_graph)
                                     : along_layer(forward, from, begin, layer, request, create_graph));
        }
        return found;
    }

private:
    [[nodiscard]] Variable along_input(const ExplainedForward& forward, const ExplainedForward& from,
                                       const ExplainedForward::Begin& begin, const ExplainRequest& request,
                                       bool create_graph) const {
        const Tensor& x = forward.input().data();
        const Variable way = Variable(x) - from.input().detach();
        Variable total;
        for_each_pass(
            static_cast<int64_t>(nodes_.size()), x.shape(), progress_, [&](int64_t first, int64_t count) {
                Variables places;
                Variables weights;
                for (int64_t k = first; k < first + count; ++k) {
                    const Node1d& node = nodes_[static_cast<size_t>(k)];
                    const NoGrad off;
                    places.push_back(from.input().detach() + way * node.position);
                    weights.push_back(begin.start * node.weight);
                }
                // The weight of a point goes into its start: gradients are linear in it.
                const NoGrad off;
                const ExplainedForward there = forward.at(concat(places, 0).data());
                const auto output = there.begin(repeat_request(request, count), Start::one, false).output;
                const Variable start =
                    create_graph ? weighted_start(begin.start, first, count) : concat(weights, 0);
                const Variable g = grad(output, start, {there.input()},
                                        {.create_graph = create_graph,
                                         .retain_graph = true,
                                         .by_sample = true,
                                         .watch = request.watch})[0];
                const EnableGrad enabled;
                const Variable part = sum_copies(g, count);
                total = total.defined() ? total + part : part;
            });
        return way * total;
    }

    /// The start of each point with its history.
    [[nodiscard]] Variable weighted_start(const Variable& start, int64_t first, int64_t count) const {
        const EnableGrad enabled;
        Variables weighted;
        for (int64_t k = first; k < first + count; ++k) {
            weighted.push_back(start * nodes_[static_cast<size_t>(k)].weight);
        }
        return concat(weighted, 0);
    }

    /// The layer's values move in a straight line, as in Captum's layer integrated gradients.
    [[nodiscard]] Variable along_layer(const ExplainedForward& forward, const ExplainedForward& from,
                                       const ExplainedForward::Begin& begin, const std::string& layer,
                                       const ExplainRequest& request, bool create_graph) const {
        const Variable to = forward.layers().at(layer);
        const Variable start_values = from.layers().at(layer);
        BACKLIGHT_CHECK(to.requires_grad(), "layer ", layer, " does not depend on the input");
        const Variable way = create_graph ? to - start_values : to.detach() - start_values.detach();
        Variable total;
        for (const Node1d& node : nodes_) {
            const EnableGrad enabled;
            const Variable base = create_graph ? start_values : start_values.detach();
            const Variable moved = base + way * node.position;
            const Variable place = create_graph ? moved : Variable::leaf(moved.data());
            const Variable output = replay(begin.output, {{to, place}});
            const Variable part = grad(output, begin.start * node.weight, {place},
                                       {.create_graph = create_graph,
                                        .retain_graph = true,
                                        .by_sample = true,
                                        .watch = request.watch})[0];
            total = total.defined() ? total + part : part;
        }
        return way * total;
    }

    Start start_;
    std::vector<Node1d> nodes_;
    Baseline baseline_;
    std::function<void(int64_t, int64_t)> progress_;
};

constexpr uint64_t kPairs = uint64_t{1} << 32;  // numbers that no other method draws

class ExpectedGradients final : public Explainer {
public:
    struct Config {
        Start start = Start::one;
        int64_t pairs = 200;
        bool stratified = false;
        uint64_t seed = 0;
    };
    ExpectedGradients(Config config, Tensor background, std::function<void(int64_t, int64_t)> progress)
        : config_(config), background_(std::move(background)), progress_(std::move(progress)) {}
    [[nodiscard]] std::string name() const override { return "expected_gradients"; }
    [[nodiscard]] Start start() const override { return config_.start; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const Tensor& x = forward.input().data();
        BACKLIGHT_CHECK(background_.shape().with(0, x.dim(0)) == x.shape(),
                        "expected_gradients: the background holds samples of shape ", background_.shape(),
                        ", the input is ", x.shape());
        BACKLIGHT_CHECK(request.layers.empty() || (request.layers.size() == 1 && request.layers[0].empty()),
                        "expected_gradients: explains the input, not layer ", request.layers[0]);
        const auto begin = forward.begin(request, config_.start, create_graph);
        std::map<int64_t, std::vector<int64_t>> others;
        Variable total;
        const auto share = 1.0 / static_cast<double>(config_.pairs);
        for_each_pass(config_.pairs, x.shape(), progress_, [&](int64_t first, int64_t count) {
            const auto [places, ways] = draw(x, request, others, first, count);
            const ExplainedForward there = forward.at(places);
            const auto output = there.begin(repeat_request(request, count), Start::one, false).output;
            const EnableGrad enabled;
            const Variable start = concat(Variables(static_cast<size_t>(count), begin.start * share), 0);
            const Variable g = grad(output, start, {there.input()},
                                    {.create_graph = create_graph,
                                     .retain_graph = true,
                                     .by_sample = true,
                                     .watch = request.watch})[0];
            const Variable part = sum_copies(Variable(ways) * g, count);
            total = total.defined() ? total + part : part;
        });
        const auto samples = static_cast<size_t>(background_.dim(0));
        return {.maps = {total},
                .expected = create_graph ? std::vector<double>()
                                         : difference_of(begin, mean_answer(forward, request)),
                .notes = {concat_text("expected gradients: ", config_.pairs, " pairs with ", samples,
                                      " samples of the background")}};
    }

private:
    /// What the network says of the background, on average: the maps of infinitely many pairs would sum to
    /// the difference from it.
    [[nodiscard]] Variable mean_answer(const ExplainedForward& forward, const ExplainRequest& request) const {
        const NoGrad off;
        const Tensor& x = forward.input().data();
        const int64_t rows = background_.dim(0);
        Variable total;
        for_each_pass(rows, x.shape().with(0, 1), nullptr, [&](int64_t first, int64_t count) {
            const Tensor part = slice(Variable(background_.to(x.dtype())), 0, first, count).data();
            const ExplainedForward there = forward.at(part);
            const Variable answer = request.neuron.empty()
                                        ? there.logits()
                                        : there.layers().at(parse_neuron(request.neuron).layer);
            const Variable summed = sum(answer.detach(), {0}, true);
            total = total.defined() ? total + summed : summed;
        });
        return total * (1.0 / static_cast<double>(rows));
    }

    /// Σ |row| of (N,...).
    [[nodiscard]] static std::vector<double> sizes_of(const Variable& rows) {
        return sum(flatten(abs(rows)), {1}).data().to(DType::f64).to_vector<double>();
    }

    /// Points between each sample and a random one of the background, and the ways that lead there. The
    /// background may hold the sample itself, which is drawn only where it holds nothing else. `others`: of
    /// samples that were drawn, what else there is.
    [[nodiscard]] std::pair<Tensor, Tensor> draw(const Tensor& x, const ExplainRequest& request,
                                                 std::map<int64_t, std::vector<int64_t>>& others,
                                                 int64_t first, int64_t count) const {
        const NoGrad off;
        const Variable background(background_.to(x.dtype()));
        std::vector<int64_t> index;
        std::vector<double> positions;
        std::vector<RandomStream> streams;  // of each row
        for (int64_t k = first; k < first + count; ++k) {
            for (int64_t n = 0; n < x.dim(0); ++n) {
                RandomStream stream(RandomKey{.seed = config_.seed,
                                              .purpose = purpose::kExplainer,
                                              .step = kPairs + static_cast<uint64_t>(k),
                                              .sample = static_cast<uint32_t>(request.number(n))});
                index.push_back(stream.below(background_.dim(0)));
                positions.push_back(config_.stratified
                                        ? (static_cast<double>(k) + 0.5) / static_cast<double>(config_.pairs)
                                        : stream.uniform());
                streams.push_back(stream);
            }
        }
        const auto rows = static_cast<int64_t>(index.size());
        const auto drawn = [&] { return gather_rows(background, Tensor::from(index, {rows})); };
        const Variable to(repeat_rows(x, count));
        Variable from = drawn();
        Variable way = to - from;
        const std::vector<double> lengths = sizes_of(way);
        for (size_t row = 0; row < lengths.size(); ++row) {
            if (lengths[row] == 0) {
                const std::vector<int64_t>& rest =
                    others_than(x, static_cast<int64_t>(row) % x.dim(0), others);
                if (!rest.empty()) {
                    index[row] =
                        rest[static_cast<size_t>(streams[row].below(static_cast<int64_t>(rest.size())))];
                }
            }
        }
        if (std::find(lengths.begin(), lengths.end(), 0.0) != lengths.end()) {
            from = drawn();
            way = to - from;
        }
        Shape column{rows};
        for (int axis = 1; axis < x.rank(); ++axis) {
            column.push_back(1);
        }
        const Variable position(Tensor::from(positions, column, x.device()).to(x.dtype()));
        return {(from + way * position).data(), way.data()};
    }

    /// The rows of the background that are not sample n.
    [[nodiscard]] const std::vector<int64_t>& others_than(
        const Tensor& x, int64_t n, std::map<int64_t, std::vector<int64_t>>& others) const {
        const auto [found, is_new] = others.try_emplace(n);
        if (is_new) {
            const std::vector<double> lengths =
                sizes_of(Variable(background_.to(x.dtype())) - slice(Variable(x), 0, n, 1));
            for (size_t row = 0; row < lengths.size(); ++row) {
                if (lengths[row] != 0) {
                    found->second.push_back(static_cast<int64_t>(row));
                }
            }
        }
        return found->second;
    }

    Config config_;
    Tensor background_;
    std::function<void(int64_t, int64_t)> progress_;
};

}  // namespace

std::unique_ptr<Explainer> build_integrated_gradients(const Options& options, const ExplainContext& context) {
    const Start start = start_option(options, "one");
    const std::string rule = options.choose("rule", "gauss-legendre",
                                            {"gauss-legendre", "midpoint", "right", "left", "trapezoid"});
    const int64_t n = options.get_within("n", 50, rule == "trapezoid" ? 2 : 1, 100'000);
    return std::make_unique<IntegratedGradients>(start, quadrature(rule, n), Baseline(options, context),
                                                 context.progress);
}

std::unique_ptr<Explainer> build_expected_gradients(const Options& options, const ExplainContext& context) {
    BACKLIGHT_CHECK(context.background,
                    "expected_gradients: needs samples to compare with: --background DATA");
    return std::make_unique<ExpectedGradients>(
        ExpectedGradients::Config{.start = start_option(options, "one"),
                                  .pairs = options.get_within("k", 200, 1, 1'000'000),
                                  .stratified = options.get("stratified", false),
                                  .seed = context.seed},
        context.background(), context.progress);
}

}  // namespace backlight
