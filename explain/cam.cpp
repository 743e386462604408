#include "explain/cam.h"

#include "autograd/functions.h"
#include "core/error.h"
#include "explain/methods.h"

namespace backlight {
namespace {

class GradCam final : public Explainer {
public:
    GradCam(Start start, std::string layer, bool rectify, bool upsample)
        : start_(start), layer_(std::move(layer)), rectify_(rectify), upsample_(upsample) {}
    [[nodiscard]] std::string name() const override { return "grad_cam"; }
    [[nodiscard]] Start start() const override { return start_; }
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) override {
        Explanation found;
        const std::vector<std::string> own{layer_};
        for (const std::string& asked : request.layers.empty() ? own : request.layers) {
            const std::string& layer = asked.empty() ? layer_ : asked;
            BACKLIGHT_CHECK(!layer.empty(),
                            "grad_cam: the model states no layer with a spatial extent; name one with --layer");
            const Variable activations = forward.layers().at(layer);
            BACKLIGHT_CHECK(activations.rank() == 4, "grad_cam: layer ", layer,
                            " has no spatial extent, its output is ", activations.shape());
            const auto [output, start] = forward.begin(request, start_, create_graph);
            const Variable gradient =
                grad(output, start, {activations}, {.create_graph = create_graph, .retain_graph = true})[0];
            const Variable map =
                grad_cam_map(create_graph ? activations : activations.detach(), gradient, rectify_);
            const Variable& input = forward.input();
            found.maps.push_back(
                upsample_ && input.rank() == 4 ? resize(map, input.dim(1), input.dim(2)) : map);
        }
        return found;
    }

private:
    Start start_;
    std::string layer_;
    bool rectify_, upsample_;
};

}  // namespace

Variable grad_cam_map(const Variable& activations, const Variable& gradient, bool rectify) {
    BACKLIGHT_CHECK(activations.rank() == 4 && activations.shape() == gradient.shape(),
                    "grad_cam: expected activations (N,h,w,K) and their gradient, got ", activations.shape(),
                    " and ", gradient.shape());
    const Variable map = sum(mean(gradient, {1, 2}, true) * activations, {3}, true);
    return rectify ? relu(map) : map;
}

std::unique_ptr<Explainer> build_grad_cam(const Options& options, const ExplainContext& context) {
    const Start start = start_option(options, "one");
    const bool rectify = options.get("relu", true);
    return std::make_unique<GradCam>(start, context.cam_layer, rectify, options.get("upsample", true));
}

}  // namespace backlight
