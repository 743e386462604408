// Networks with units removed: the architecture of their name, with narrower layers. The widths are read off
// the tensors.
#include "models/model.h"

namespace backlight {
namespace {

/// (O, I, ...) of a convolution or linear layer, (C) of a norm.
Module::Width width_in_file(const Tensor& weight) {
    return weight.rank() >= 2 ? Module::Width{weight.dim(1), weight.dim(0)}
                              : Module::Width{weight.dim(0), weight.dim(0)};
}

}  // namespace

void adopt_pruning(Model& model, const StateDict& state, const std::map<std::string, std::string>& metadata) {
    const auto pruned = metadata.find("backlight.pruned");
    if (pruned == metadata.end()) {
        return;
    }
    for (const auto& [path, layer] : model.net->modules()) {
        const std::optional<Module::Width> built = layer->width();
        const std::string name = path.empty() ? "weight" : path + ".weight";
        const auto weight = state.find(name);
        if (!built || weight == state.end() || weight->second.rank() == 0) {
            continue;
        }
        Module::Width width = width_in_file(weight->second);
        if (name == model.head) {
            width.out = built->out;
        }
        // What is not narrower, or no width at all, is left for load_state_dict to name.
        const bool narrower =
            width.in > 0 && width.out > 0 && width.in <= built->in && width.out <= built->out;
        if (narrower && width != *built) {
            layer->set_width(width);
        }
    }
    model.pruned = pruned->second;
}

void adopt_widths(Module& net, Module& like) {
    for (const auto& [path, layer] : like.modules()) {
        const std::optional<Module::Width> width = layer->width();
        Module& own = net.at(path);
        if (width && own.width() != width) {
            own.set_width(*width);
        }
    }
}

}  // namespace backlight
