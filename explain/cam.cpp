#include "explain/cam.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "explain/methods.h"

namespace backlight {
namespace {

using CamMap = Variable (*)(const Variable& activations, const Variable& gradient);

struct CamOptions {
    Start start = Start::one;
    std::string layer;       // where to look unless the request says otherwise
    bool own_layer = false;  // given with the method
    bool rectify = true, upsample = true;
};

CamOptions read_options(const Options& options, const ExplainContext& context) {
    return {.start = start_option(options, "one"),
            .layer = options.get("layer", context.cam_layer),
            .own_layer = options.has("layer"),
            .rectify = options.get("relu", true),
            .upsample = options.get("upsample", true)};
}

std::string layer_of(const CamOptions& options, const std::string& asked, const std::string& method) {
    BACKLIGHT_CHECK(asked.empty() || !options.own_layer || asked == options.layer, method,
                    "(layer=", options.layer, "): the map is asked for at layer ", asked,
                    "; name one of them");
    const std::string& layer = asked.empty() ? options.layer : asked;
    BACKLIGHT_CHECK(!layer.empty(), method, ": the model states no layer with a spatial extent; name one, ",
                    method, "(layer=L)");
    return layer;
}

Variable activations_of(const ExplainedForward& forward, const std::string& layer,
                        const std::string& method) {
    const Variable activations = forward.layers().at(layer);
    BACKLIGHT_CHECK(activations.rank() == 4, method, ": layer ", layer,
                    " has no spatial extent, its output is ", activations.shape());
    return activations;
}

Variable finished(const CamOptions& options, const Variable& map, const Variable& input) {
    const Variable shown = options.rectify ? relu(map) : map;
    return options.upsample && input.rank() == 4 ? resize(shown, input.dim(1), input.dim(2)) : shown;
}

/// From the gradient at the layer.
class GradientCam final : public Explainer {
public:
    GradientCam(std::string name, CamMap map, CamOptions options)
        : name_(std::move(name)), map_(map), options_(std::move(options)) {}
    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] Start start() const override { return options_.start; }
    [[nodiscard]] std::string reads_from(const ExplainRequest& request) const override {
        const bool at_one_layer = request.neuron.empty() && request.layers.size() <= 1 && !request.watch;
        return !at_one_layer                                         ? ""
               : request.layers.empty() || request.layers[0].empty() ? options_.layer
                                                                     : request.layers[0];
    }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        const auto [output, start] = forward.begin(request, options_.start, create_graph);
        Variables layers;
        const std::vector<std::string> own{""};
        for (const std::string& asked : request.layers.empty() ? own : request.layers) {
            const std::string layer = layer_of(options_, asked, name_);
            layers.push_back(activations_of(forward, layer, name_));
            forward.check_below(request, layer, layers.back());
        }
        const Variables gradients = grad(
            output, start, layers,
            {.create_graph = create_graph, .retain_graph = true, .by_sample = true, .watch = request.watch});
        Explanation found{.maps = {}, .coarse = true};
        for (size_t i = 0; i < layers.size(); ++i) {
            const Variable map = map_(create_graph ? layers[i] : layers[i].detach(), gradients[i]);
            found.maps.push_back(finished(options_, map, forward.input()));
        }
        return found;
    }

private:
    std::string name_;
    CamMap map_;
    CamOptions options_;
};

/// CAM: the weights of the linear layer behind a global average pool (Zhou et al., "Learning deep features
/// for discriminative localization", 2016, Eq. 2).
class ClassActivationMap final : public Explainer {
public:
    explicit ClassActivationMap(CamOptions options) : options_(std::move(options)) {}
    [[nodiscard]] std::string name() const override { return "cam"; }
    [[nodiscard]] Start start() const override { return options_.start; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        BACKLIGHT_CHECK(request.neuron.empty() && (request.layers.empty() || request.layers[0].empty()),
                        "cam: explains logits, by the layer in front of the global average pool");
        const auto [weight, activations] = head_of(forward.logits());
        const auto start = forward.begin(request, options_.start, create_graph).start;
        const Variable w = matmul(start, create_graph ? weight : weight.detach());  // (N,K) (K,C)
        const Variable per_channel = reshape(w, {w.dim(0), 1, 1, w.dim(1)});
        const Variable a = create_graph ? activations : activations.detach();
        return {.maps = {finished(options_, sum(a * per_channel, {3}, true), forward.input())},
                .coarse = true};
    }

private:
    struct Head {
        Variable weight, activations;
    };
    /// layer (N,h,w,C) -> global average -> (reshape, dropout) -> linear, and nothing between.
    [[nodiscard]] static Head head_of(const Variable& logits) {
        const auto refuse = [](const Node& node) {
            throw_error(concat_text(
                "cam: needs a global average pool followed by one linear layer, this network ends in ",
                node.is_leaf() ? std::string_view("its input") : node.op->kind(),
                "; grad_cam takes any network"));
        };
        const NodePtr& last = logits.node();
        if (last->is_leaf() || last->op->kind() != "linear") {
            refuse(*last);
        }
        Variable below = NodeView(last).input(0);
        while (true) {
            const Node& node = *below.node();
            if (node.is_leaf()) {
                refuse(node);
            }
            const std::string_view kind = node.op->kind();
            const NodeView view(below.node());
            const bool averages = kind == "adaptive_avg_pool2d" || kind == "avg_pool2d";
            if (averages && below.dim(1) == 1 && below.dim(2) == 1) {
                return {NodeView(last).input(1), view.input(0)};
            }
            if (kind != "reshape" && kind != "dropout") {
                refuse(node);
            }
            below = view.input(0);
        }
    }

    CamOptions options_;
};

/// Grad-CAM at a layer times guided backprop at the input (Selvaraju et al., 2017, section 3.2).
class GuidedGradCam final : public Explainer {
public:
    GuidedGradCam(std::unique_ptr<Explainer> cam, std::unique_ptr<Explainer> guided)
        : cam_(std::move(cam)), guided_(std::move(guided)) {}
    [[nodiscard]] std::string name() const override { return "guided_grad_cam"; }
    [[nodiscard]] Start start() const override { return cam_->start(); }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        BACKLIGHT_CHECK(request.layers.size() <= 1, "guided_grad_cam: takes one layer");
        ExplainRequest input = request;
        input.layers.clear();
        const Variable map = cam_->explain(forward, request, create_graph).maps[0];
        Explanation guided = guided_->explain(forward, input, create_graph);
        return {.maps = {map * guided.maps[0]}, .notes = std::move(guided.notes)};
    }

private:
    std::unique_ptr<Explainer> cam_, guided_;
};

std::unique_ptr<Explainer> gradient_cam(const std::string& name, CamMap map, const Options& options,
                                        const ExplainContext& context) {
    return std::make_unique<GradientCam>(name, map, read_options(options, context));
}

void check_maps(const Variable& activations, const Variable& gradient) {
    BACKLIGHT_CHECK(activations.rank() == 4 && activations.shape() == gradient.shape(),
                    "cam: expected activations (N,h,w,K) and their gradient, got ", activations.shape(),
                    " and ", gradient.shape());
}

}  // namespace

Variable grad_cam_map(const Variable& activations, const Variable& gradient) {
    check_maps(activations, gradient);
    return sum(mean(gradient, {1, 2}, true) * activations, {3}, true);
}

Variable grad_cam_pp_map(const Variable& activations, const Variable& gradient) {
    check_maps(activations, gradient);
    const Variable squared = square(gradient);
    const Variable total = sum(activations, {1, 2}, true);
    const Variable below = squared * 2.0 + total * (squared * gradient) + 1e-6;
    const Variable share = squared / below;  // 0 where g = 0
    return sum(sum(share * positive_part(gradient), {1, 2}, true) * activations, {3}, true);
}

Variable hires_cam_map(const Variable& activations, const Variable& gradient) {
    check_maps(activations, gradient);
    return sum(gradient * activations, {3}, true);
}

std::unique_ptr<Explainer> build_cam(const Options& options, const ExplainContext&) {
    return std::make_unique<ClassActivationMap>(CamOptions{.start = start_option(options, "one"),
                                                           .rectify = options.get("relu", false),
                                                           .upsample = options.get("upsample", true)});
}
std::unique_ptr<Explainer> build_grad_cam(const Options& options, const ExplainContext& context) {
    return gradient_cam("grad_cam", grad_cam_map, options, context);
}
std::unique_ptr<Explainer> build_grad_cam_pp(const Options& options, const ExplainContext& context) {
    return gradient_cam("grad_cam_pp", grad_cam_pp_map, options, context);
}
std::unique_ptr<Explainer> build_hires_cam(const Options& options, const ExplainContext& context) {
    return gradient_cam("hires_cam", hires_cam_map, options, context);
}
std::unique_ptr<Explainer> build_guided_grad_cam(const Options& options, const ExplainContext& context) {
    CamOptions read = read_options(options, context);
    read.upsample = true;
    return std::make_unique<GuidedGradCam>(
        std::make_unique<GradientCam>("guided_grad_cam", grad_cam_map, std::move(read)),
        build_guided_backprop(options, context));
}

}  // namespace backlight
