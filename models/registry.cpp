#include "autograd/functions.h"
#include "core/error.h"
#include "core/glob.h"
#include "layers/layers.h"
#include "models/model.h"

namespace backlight {

const std::vector<ModelEntry>& list_models() {
    static const std::vector<ModelEntry> models = {
        {"mlp",
         "multilayer perceptron: in=D, widths=64:32:16, out=K, image=H:W:C, dropout=0, "
         "init=pytorch|small_normal",
         build_mlp},
        {"toy1", "mlp 5-64-32-16-2 of toy experiment 1", build_toy1},
        {"toy2", "mlp 4-5-2 of toy experiment 2", build_toy2},
        {"toy3", "mlp 2-2 of toy experiment 3", build_toy3},
        {"cnn_small", "3 convolutions with batch norm, global average: in=1", build_cnn_small},
        {"cnn_s", "3 convolutions without norm: in=3, channels=8:16:16, head=gap|fc, size=16, hidden=32",
         build_cnn_s},
        {"cnn_g",
         "2 convolutions and hidden layers: in=1, size=12, channels=8:16, hidden=32, init=pytorch|cnn_s",
         build_cnn_g},
        {"resnet18", "ResNet-18: small=true for 32-pixel images, in=3, width=64, norm=batch|group, groups=32",
         build_resnet18},
        {"resnet34", "ResNet-34: small=true for 32-pixel images, in=3, width=64, norm=batch|group, groups=32",
         build_resnet34},
        {"resnet50", "ResNet-50: small=true for 32-pixel images, in=3, width=64, norm=batch|group, groups=32",
         build_resnet50},
        {"resnet101",
         "ResNet-101: small=true for 32-pixel images, in=3, width=64, norm=batch|group, groups=32",
         build_resnet101},
        {"resnet152",
         "ResNet-152: small=true for 32-pixel images, in=3, width=64, norm=batch|group, groups=32",
         build_resnet152},
        {"efficientnet_lite0", "EfficientNet-Lite0: dropout=0.2, in=3", build_efficientnet_lite0},
        {"vgg11", "VGG-11: dropout=0.5, small=true for 32-pixel images, in=3", build_vgg11},
        {"vgg13", "VGG-13: dropout=0.5, small=true for 32-pixel images, in=3", build_vgg13},
        {"vgg16", "VGG-16: dropout=0.5, small=true for 32-pixel images, in=3", build_vgg16},
        {"vgg19", "VGG-19: dropout=0.5, small=true for 32-pixel images, in=3", build_vgg19},
        {"vgg11_bn", "VGG-11 with batch norm: dropout=0.5, small=true for 32-pixel images, in=3",
         build_vgg11_bn},
        {"vgg13_bn", "VGG-13 with batch norm: dropout=0.5, small=true for 32-pixel images, in=3",
         build_vgg13_bn},
        {"vgg16_bn", "VGG-16 with batch norm: dropout=0.5, small=true for 32-pixel images, in=3",
         build_vgg16_bn},
        {"vgg19_bn", "VGG-19 with batch norm: dropout=0.5, small=true for 32-pixel images, in=3",
         build_vgg19_bn},
    };
    return models;
}

namespace {

/// The parameters that match.
void initialize_model(Model& model, uint64_t seed, const std::string& pattern) {
    initialize(*model.net, model.init, seed, pattern);
    for (const Parameter& parameter : model.net->parameters()) {
        if (model.head_scale != 1 && parameter.name == model.head && glob_match(pattern, parameter.name)) {
            Tensor value = parameter.value.data();
            value.copy_from((Variable(value) * model.head_scale).data());
        }
    }
}

}  // namespace

Model build_model(const std::string& text, int64_t classes, uint64_t seed) {
    Model model = build_network(text, classes);
    initialize_model(model, seed, "*");
    return model;
}

Model build_network(const std::string& text, int64_t classes) {
    BACKLIGHT_CHECK(classes >= 0, "model: expected classes > 0, got ", classes);
    Spec spec = parse_spec(text);
    BACKLIGHT_CHECK(spec.place.empty(), "model: ", text, ": a model takes no place after its name");
    std::vector<std::string> known;
    for (const ModelEntry& entry : list_models()) {
        known.push_back(entry.name);
        if (entry.name != spec.name) {
            continue;
        }
        const Options options(spec);
        const int64_t stated = options.get_within("classes", int64_t{0}, 0, int64_t{1} << 24);
        BACKLIGHT_CHECK(stated == 0 || classes == 0 || stated == classes, "model: ", text, " states ", stated,
                        " classes, ", classes, " were asked for");
        Model model = entry.build(options, classes > 0 ? classes : stated);
        options.finish();
        spec.values["classes"] = std::to_string(model.classes);
        model.spec = to_text(spec);
        return model;
    }
    throw_error(unknown_name("model", spec.name, known) + " (backlight list models)");
}

std::string load_body(Model& model, StateDict state, const std::string& where, uint64_t seed) {
    const auto head = state.find(model.head);
    if (head == state.end() || head->second.rank() == 0 || head->second.dim(0) == model.classes) {
        load_state_dict(*model.net, state, where);
        return {};
    }
    const int64_t classes = head->second.dim(0);
    const std::string layer = model.head.substr(0, model.head.rfind('.'));
    initialize_model(model, seed, layer + ".*");
    for (const auto& [name, value] : state_dict(*model.net)) {
        if (name == model.head || name == layer + ".bias") {
            state[name] = value;
        }
    }
    load_state_dict(*model.net, state, where);
    return concat_text("the head ", layer, " is new: ", where, " has ", classes, " classes, the model ",
                       model.classes);
}

Variable Model::operator()(const Variable& x) const {
    check_input(x.shape());
    return (*net)(x);
}

void Model::check_input(const Shape& batch) const {
    const Shape& expected = input;
    bool fits;
    if (expected.rank() == 1) {  // vectors: (N,D), (N,1,1,D)
        fits = (batch.rank() == 2 || batch.rank() == 4) && batch.numel() == batch[0] * expected[0] &&
               batch[-1] == expected[0];
    } else {
        fits = batch.rank() == 4;
        for (int i = 0; fits && i < 3; ++i) {
            fits = expected[i] == 0 || batch[i + 1] == expected[i];
        }
    }
    if (!fits) {
        std::string text = "(N";
        for (int i = 0; i < expected.rank(); ++i) {
            text += ", " + (expected[i] == 0 ? std::string("any") : std::to_string(expected[i]));
        }
        throw_error(concat_text("model ", spec, ": expected samples of shape ", text, "), got ", batch));
    }
}

}  // namespace backlight
