#include "explain/concepts/prp.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"
#include "explain/methods.h"

namespace backlight {
namespace {

/// First convolution zB, other convolutions α1β0, linear layers ε; sums and average pools by share, max pools
/// by their winner.
Composite prp_composite(const std::vector<double>& low, const std::vector<double>& high) {
    return composites::preset_a().overridden_by(CompositePart{
        .kinds = {"conv2d", "conv_transpose2d"}, .first_only = true, .rule = rules::zbox(low, high)});
}

class PrpExplainer final : public Explainer {
public:
    struct Config {
        std::string layer;
        Tensor prototype;
        int power = 2;
    };
    PrpExplainer(Config config, Composite composite)
        : config_(std::move(config)), rules_(std::move(composite)) {}
    [[nodiscard]] std::string name() const override { return "prp"; }
    [[nodiscard]] std::string start_name() const override { return "similarity"; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const Variable output = forward.layers().at(config_.layer);
        BACKLIGHT_CHECK(output.requires_grad() && !output.node()->is_leaf(), "prp: layer ", config_.layer,
                        " does not depend on the input, or is the input");
        const auto [similarity, relevance, position] =
            match_prototype(create_graph ? output : output.detach(),
                            Variable(config_.prototype.to(output.dtype())), config_.power);
        rules_.collect_parameters(request.parameters, request.magnitudes);
        Explanation found{.maps = grad(output, relevance, forward.points(request),
                                       {.create_graph = create_graph,
                                        .retain_graph = true,
                                        .rules = &rules_,
                                        .by_sample = true,
                                        .watch = request.watch}),
                          .expected = similarity.data().to(DType::f64).to_vector<double>(),
                          .notes = {"explained: the similarity to the prototype, not a logit"}};
        found.parameters = rules_.parameters();
        return found;
    }

private:
    Config config_;
    LrpRules rules_;
};

}  // namespace

PrototypeMatch match_prototype(const Variable& activations, const Variable& prototype, int power) {
    BACKLIGHT_CHECK(
        activations.rank() == 4 && prototype.rank() == 1 && activations.dim(3) == prototype.dim(0),
        "prp: expected activations (N,h,w,C) and a prototype (C), got ", activations.shape(), " and ",
        prototype.shape());
    BACKLIGHT_CHECK(power == 2 || power == 4, "prp: expected power 2 or 4, got ", power);
    const int64_t samples = activations.dim(0), width = activations.dim(2), channels = activations.dim(3);
    const Variable rows = reshape(activations, {samples, -1, channels});  // (N, h w, C)
    const Variable squared = sum(square(rows - prototype), {2});
    const Variable similarity = log((squared + 1.0) / (squared + 1e-4));
    const Tensor best = argmax(similarity.data(), 1);  // (N)
    PrototypeMatch match{.similarity = gather_last(similarity, best), .relevance = {}, .position = {}};
    std::vector<double> here(static_cast<size_t>(rows.dim(0) * rows.dim(1)), 0.0);
    for (const int64_t at : best.to_vector<int64_t>()) {
        here[match.position.size() * static_cast<size_t>(rows.dim(1)) + static_cast<size_t>(at)] = 1;
        match.position.push_back({at / width, at % width});
    }
    const Variable at_best = Variable(Tensor::from(here, {samples, rows.dim(1), 1}).to(activations.dtype()));
    const Variable vector = sum(rows * at_best, {1});  // (N, C)
    const Variable distance = abs(vector - prototype);
    const Variable powered = power == 2 ? square(distance) : square(square(distance));
    const Variable share = softmax(-log(powered + 1e-12));
    const Variable of_channel = share * reshape(match.similarity, {samples, 1});
    match.relevance = reshape(reshape(of_channel, {samples, 1, channels}) * at_best, activations.shape());
    return match;
}

std::unique_ptr<Explainer> build_prp(const Options& options, const ExplainContext& context) {
    const std::string layer = options.get("layer", context.cam_layer);
    const std::string file = options.get("prototypes", "");
    BACKLIGHT_CHECK(!layer.empty() && !file.empty(),
                    "prp: expected prp(layer=L, prototypes=FILE.npy, prototype=J)");
    const int64_t number = options.get("prototype", int64_t{0});
    const std::string power = options.choose("power", "2", {"2", "4"});
    const auto low = options.get("low", context.low), high = options.get("high", context.high);
    BACKLIGHT_CHECK(
        !low.empty() && !high.empty(),
        "prp: the input range is not stated by the model or the data; give it as prp(low=L, high=H), a "
        "number or one a channel (a:b:c)");
    const Tensor prototypes = read_npy(file);
    BACKLIGHT_CHECK(prototypes.rank() == 2 && is_floating(prototypes.dtype()), file,
                    ": expected prototypes (P,C), got ", prototypes.shape());
    BACKLIGHT_CHECK(number >= 0 && number < prototypes.dim(0), "prp: there is no prototype ", number, ", ",
                    file, " has 0..", prototypes.dim(0) - 1);
    const NoGrad off;
    PrpExplainer::Config config{
        .layer = layer,
        .prototype = slice(Variable(prototypes), 0, number, 1).data().reshape({prototypes.dim(1)}),
        .power = power == "2" ? 2 : 4};
    return std::make_unique<PrpExplainer>(std::move(config), prp_composite(low, high));
}

}  // namespace backlight
