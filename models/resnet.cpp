// ResNet (He et al., Deep Residual Learning for Image Recognition, 2016) with torchvision's names: conv1,
// bn1, layer1.0.conv1, layer1.0.downsample.0, fc. The stride of a bottleneck sits on its 3x3 convolution, as
// in torchvision ("v1.5"). With small=true the stem is a 3x3 convolution of stride 1 without max pooling, for
// images of 32 pixels, where the usual stem would leave one position. `width` is the number of channels of
// the stem and of the first stage's 3x3 convolutions. norm=group puts group norms in place of the batch
// norms; their names stay, as with torchvision's norm_layer.
#include "autograd/functions.h"
#include "core/error.h"
#include "layers/layers.h"
#include "models/model.h"

namespace backlight {
namespace {

std::unique_ptr<Module> convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    return std::make_unique<Conv2d>(
        Conv2d::Config{.in = in,
                       .out = out,
                       .kernel = {kernel, kernel},
                       .attrs = {.stride = {stride, stride}, .padding = {kernel / 2, kernel / 2}},
                       .bias = false});
}

using Norm = std::function<std::unique_ptr<Module>(int64_t channels)>;

Norm norm_option(const Options& options) {
    if (options.choose("norm", "batch", {"batch", "group"}) == "batch") {
        BACKLIGHT_CHECK(!options.has("groups"), options.owner(), ": groups needs norm=group");
        return [](int64_t channels) {
            return std::make_unique<BatchNorm>(BatchNorm::Config{.channels = channels});
        };
    }
    const int64_t groups = options.get_within("groups", int64_t{32}, 1, 64);
    return [groups](int64_t channels) {
        return std::make_unique<GroupNorm>(GroupNorm::Config{.groups = groups, .channels = channels});
    };
}

struct BlockShape {
    int64_t in, width, stride;
    bool bottleneck;
    [[nodiscard]] int64_t out() const { return bottleneck ? 4 * width : width; }
};

/// relu(F(x) + shortcut(x)), F being 3x3, 3x3 or 1x1, 3x3, 1x1, each followed by a norm. The block has
/// one ReLU layer, called behind each.
class Block final : public Module {
public:
    Block(const BlockShape& shape, const Norm& norm) {
        struct Stage {
            int64_t in, out, kernel, stride;
        };
        const std::vector<Stage> stages =
            shape.bottleneck ? std::vector<Stage>{{shape.in, shape.width, 1, 1},
                                                  {shape.width, shape.width, 3, shape.stride},
                                                  {shape.width, shape.out(), 1, 1}}
                             : std::vector<Stage>{{shape.in, shape.width, 3, shape.stride},
                                                  {shape.width, shape.out(), 3, 1}};
        for (const Stage& s : stages) {
            const std::string number = std::to_string(convolutions_.size() + 1);
            convolutions_.push_back(
                &add_module("conv" + number, convolution(s.in, s.out, s.kernel, s.stride)));
            norms_.push_back(&add_module("bn" + number, norm(s.out)));
        }
        relu_ = &add_module("relu", make_relu());
        if (shape.stride != 1 || shape.in != shape.out()) {
            auto path = std::make_unique<Sequential>();
            path->add(convolution(shape.in, shape.out(), 1, shape.stride)).add(norm(shape.out()));
            downsample_ = &add_module("downsample", std::move(path));
        }
    }
    [[nodiscard]] std::string describe() const override {
        return convolutions_.size() == 3 ? "Bottleneck" : "BasicBlock";
    }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override {
        const Variable shortcut = downsample_ != nullptr ? (*downsample_)(x) : x;
        Variable y = x;
        for (size_t i = 0; i < convolutions_.size(); ++i) {
            const bool is_last = i + 1 == convolutions_.size();
            y = conv_norm_relu(*convolutions_[i], norms_[i], relu_, y, is_last ? shortcut : Variable());
        }
        return y;
    }

private:
    std::vector<Module*> convolutions_, norms_;
    Module* relu_;
    Module* downsample_ = nullptr;
};

class ResNet final : public Module {
public:
    ResNet(const std::vector<int64_t>& depths, bool bottleneck, bool small, const Norm& norm, int64_t in,
           int64_t stem_width, int64_t classes) {
        add_module("conv1", small ? convolution(in, stem_width, 3, 1) : convolution(in, stem_width, 7, 2));
        add_module("bn1", norm(stem_width));
        add_module("relu", make_relu());
        if (!small) {
            add_module("maxpool", make_max_pool({.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}));
        }
        int64_t channels = stem_width;
        for (size_t stage = 0; stage < depths.size(); ++stage) {
            auto layer = std::make_unique<Sequential>();
            const int64_t width = stem_width << stage;
            for (int64_t i = 0; i < depths[stage]; ++i) {
                const BlockShape shape{channels, width, i == 0 && stage > 0 ? 2 : 1, bottleneck};
                layer->add(std::make_unique<Block>(shape, norm)).end_segment();
                channels = shape.out();
            }
            add_module("layer" + std::to_string(stage + 1), std::move(layer));
        }
        add_module("avgpool", make_global_avg_pool());
        add_module("fc", std::make_unique<Linear>(Linear::Config{.in = channels, .out = classes}));
    }
    [[nodiscard]] std::string describe() const override { return "ResNet"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override {
        Variable y = conv_norm_relu(child(0), &child(1), &child(2), x);
        for (size_t i = 3; i + 1 < child_count(); ++i) {
            y = child(i)(y);
        }
        return child(child_count() - 1)(flatten(y));
    }
};

Model resnet(const Options& options, int64_t classes, const std::vector<int64_t>& depths, bool bottleneck) {
    const bool small = options.get("small", false);
    const int64_t in = options.get_within("in", int64_t{3}, 1, 4096);
    const int64_t width = options.get_within("width", int64_t{64}, 1, 4096);
    const int64_t k = classes > 0 ? classes : (small ? 10 : 1000);
    Model model{
        .net = std::make_unique<ResNet>(depths, bottleneck, small, norm_option(options), in, width, k),
        .classes = k,
        .input = {0, 0, in},
        .head = "fc.weight",
        .cam_layer = "layer4",
        .init = Init::he_normal};
    if (!small) {
        expect_imagenet_pictures(model);
    }
    return model;
}

}  // namespace

Model build_resnet18(const Options& options, int64_t classes) {
    return resnet(options, classes, {2, 2, 2, 2}, false);
}
Model build_resnet34(const Options& options, int64_t classes) {
    return resnet(options, classes, {3, 4, 6, 3}, false);
}
Model build_resnet50(const Options& options, int64_t classes) {
    return resnet(options, classes, {3, 4, 6, 3}, true);
}
Model build_resnet101(const Options& options, int64_t classes) {
    return resnet(options, classes, {3, 4, 23, 3}, true);
}
Model build_resnet152(const Options& options, int64_t classes) {
    return resnet(options, classes, {3, 8, 36, 3}, true);
}

}  // namespace backlight
