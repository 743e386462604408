// Representation erasure: what the negative log-likelihood of the target owes to one dimension of the input,
// or of a layer's output, at all of its positions.
//   I(d) = (S(x) - S(x without d)) / S(x),   S = -log p_c
// Negative where the dimension speaks for the target (without it S grows). Maps are (N,1,1,C) or (N,D).
//   Li, Monroe and Jurafsky, "Understanding neural networks through representation erasure", 2016.
#include <algorithm>
#include <iomanip>
#include <numeric>

#include "core/error.h"
#include "explain/methods.h"
#include "explain/perturbation.h"

namespace backlight {
namespace {

/// Mean of each dimension over the samples, the largest in absolute value first: "3 (-0.41), 0 (0.2)".
std::string strongest(const std::vector<double>& map, size_t samples) {
    constexpr size_t kShown = 5;
    std::vector<double> means(map.size() / samples, 0.0);
    for (size_t i = 0; i < map.size(); ++i) {
        means[i % means.size()] += map[i] / static_cast<double>(samples);
    }
    std::vector<size_t> order(means.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return std::abs(means[a]) > std::abs(means[b]); });
    std::ostringstream text;
    for (size_t i = 0; i < std::min(kShown, order.size()); ++i) {
        text << (i > 0 ? ", " : "") << order[i] << " (" << std::setprecision(3) << means[order[i]] << ")";
    }
    return text.str();
}

class RepresentationErasure final : public PerturbationExplainer {
public:
    RepresentationErasure(ExplainContext context, std::string layer)
        : PerturbationExplainer("representation_erasure", std::move(context)), layer_(std::move(layer)) {}

private:
    [[nodiscard]] Explanation measure(const ExplainedForward& forward,
                                      const ExplainRequest& request) const override {
        BACKLIGHT_CHECK(
            request.neuron.empty() && !request.start.defined(),
            "representation_erasure: compares likelihoods of a class; a start or a neuron has none");
        const Tensor x = forward.points({.layers = {layer_}})[0].data();
        BACKLIGHT_CHECK(x.rank() == 2 || x.rank() == 4, "representation_erasure: layer ", layer_,
                        " has outputs ", x.shape(), ", expected (N,H,W,C) or (N,D)");
        const int64_t samples = x.dim(0), dimensions = x.dim(-1);
        // Every position of a channel goes together.
        const bool is_picture = x.rank() == 4;
        const Shape grain = is_picture ? Shape{1, 1, dimensions} : Shape{dimensions};
        const Shape shape = is_picture ? Shape{samples, 1, 1, dimensions} : Shape{samples, dimensions};
        const std::vector<int64_t> parts(static_cast<size_t>(samples), dimensions);
        ChangedCopies copies(forward, request, Tensor::zeros(x.shape(), x.dtype(), x.device()), grain,
                             {.layer = layer_,
                              .score = Score::log_probability,
                              .total = removal_copies(parts),
                              .progress = context().progress});
        const RemovalEffects found = removal_effects(
            copies, parts,
            [](size_t, int64_t d, std::span<double> kept) { kept[static_cast<size_t>(d)] = 0; });
        std::vector<double> map;
        for (size_t n = 0; n < found.effect.size(); ++n) {
            const double surprise = -found.score[n];
            BACKLIGHT_CHECK(surprise > 0, "representation_erasure: the target of sample ",
                            request.number(static_cast<int64_t>(n)),
                            " has probability 1, and -log 1 = 0 has no share to lose");
            for (const double effect : found.effect[n]) {
                map.push_back(-effect / surprise);
            }
        }
        return {.maps = {Variable(Tensor::from(map, shape, x.device()).to(x.dtype()))},
                .notes = {concat_text("representation erasure of ",
                                      layer_.empty() ? "the input" : "layer " + layer_, ": ", dimensions,
                                      " dimensions, ", dimensions + 1, " forward passes a sample"),
                          concat_text("the strongest dimensions, mean over ", samples,
                                      samples == 1 ? " sample: " : " samples: ",
                                      strongest(map, static_cast<size_t>(samples)))}};
    }

    std::string layer_;
};

}  // namespace

std::unique_ptr<Explainer> build_representation_erasure(const Options& options,
                                                        const ExplainContext& context) {
    return std::make_unique<RepresentationErasure>(context, options.get("layer", ""));
}

}  // namespace backlight
