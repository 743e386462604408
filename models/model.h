// Model: a network with what a user must know of it, made by name: "mlp(in=5, widths=64:32:16, out=2)".
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/options.h"
#include "layers/init.h"
#include "layers/module.h"
#include "layers/state.h"

namespace backlight {

struct Model {
    std::string spec;  // the text that builds it again, classes included
    std::unique_ptr<Module> net;
    int64_t classes = 0;
    /// What one sample looks like: (H,W,C) or (D); 0 stands for "any".
    Shape input;
    /// Name of the parameter whose first extent is the number of classes.
    std::string head;
    /// Where Grad-CAM looks unless told otherwise: the last layer with a spatial extent. Empty: none.
    std::string cam_layer;
    /// (H,W,C) that pictures are resized to where the network takes any size; undefined (rank 0): as they
    /// are.
    Shape picture;
    /// Pictures are scaled until their shorter side is this, then that window is cut from their middle; 0: as
    /// large as the window.
    int64_t shorter_side = 0;
    /// Pictures are scaled to [0,1] and normalised by these, one value or one a channel; empty: 0 and 1. What
    /// published weights of the architecture expect, unless a weight file says otherwise.
    std::vector<double> mean, std;
    /// How its weights start.
    Init init = Init::pytorch;
    double head_scale = 1;  // of the head's weights, against the scheme
    /// Of a network with units removed: what weight files state of it, as `backlight.pruned`: {"features.0":
    /// 31, ...}, the units of each layer that can lose some. Empty: it is as its name says.
    std::string pruned{};

    /// Runs the network on (N,H,W,C) or (N,D). Throws Error when the samples do not fit.
    [[nodiscard]] Variable operator()(const Variable& x) const;
    void check_input(const Shape& batch) const;
};

/// Builds by name with freshly initialised weights. `classes` 0: as the name says, or its default. Throws
/// Error on an unknown name or option, listing the known ones.
[[nodiscard]] Model build_model(const std::string& spec, int64_t classes = 0, uint64_t seed = 0);

/// As build_model, with weights of zero, for who loads them: drawing those of VGG-16 takes longer than
/// reading them.
[[nodiscard]] Model build_network(const std::string& spec, int64_t classes = 0);

/// Loads weights in PyTorch's layout for fine-tuning: a head for another number of classes starts as
/// build_model's with this seed, everything else must fit. Returns what is new, for the user to read; empty:
/// nothing. Throws Error as load_state_dict does.
[[nodiscard]] std::string load_body(Model& model, StateDict state, const std::string& where,
                                    uint64_t seed = 0);

/// Where the metadata of a weight file say that units were removed: gives the layers the widths that the
/// file's tensors have, so that its weights fit. The outputs of the head stay.
void adopt_pruning(Model& model, const StateDict& state, const std::map<std::string, std::string>& metadata);
/// Gives the layers of `net` the widths of those of `like`, a network of the same name.
void adopt_widths(Module& net, Module& like);

/// Weights as timm writes them, under torchvision's names; others as they are.
[[nodiscard]] StateDict from_timm(StateDict state);

struct ModelEntry {
    std::string name;
    std::string description;  // one line, options included
    Model (*build)(const Options& options, int64_t classes);
};
[[nodiscard]] const std::vector<ModelEntry>& list_models();

/// What torchvision's weights for ImageNet expect of three channels: the shorter side 256, of it the central
/// 224 pixels, mean and deviation of its pictures. Source: torchvision, transforms of its classification
/// weights.
void expect_imagenet_pictures(Model& model);
/// What the 1,000 classes of ILSVRC 2012 are called, in the order that published weights have them.
[[nodiscard]] const std::vector<std::string>& imagenet_class_names();

// One function a family; each in its own file, each one line of the table in registry.cpp.
[[nodiscard]] Model build_mlp(const Options& options, int64_t classes);
[[nodiscard]] Model build_toy1(const Options& options, int64_t classes);
[[nodiscard]] Model build_toy2(const Options& options, int64_t classes);
[[nodiscard]] Model build_toy3(const Options& options, int64_t classes);
[[nodiscard]] Model build_cnn_small(const Options& options, int64_t classes);
[[nodiscard]] Model build_cnn_s(const Options& options, int64_t classes);
[[nodiscard]] Model build_cnn_g(const Options& options, int64_t classes);
[[nodiscard]] Model build_resnet18(const Options& options, int64_t classes);
[[nodiscard]] Model build_resnet34(const Options& options, int64_t classes);
[[nodiscard]] Model build_resnet50(const Options& options, int64_t classes);
[[nodiscard]] Model build_resnet101(const Options& options, int64_t classes);
[[nodiscard]] Model build_resnet152(const Options& options, int64_t classes);
[[nodiscard]] Model build_efficientnet_lite0(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg11(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg13(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg16(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg19(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg11_bn(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg13_bn(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg16_bn(const Options& options, int64_t classes);
[[nodiscard]] Model build_vgg19_bn(const Options& options, int64_t classes);

}  // namespace backlight
