// EfficientNet-Lite0 (Tan and Le, EfficientNet, 2019; the Lite form of TensorFlow's model garden, 2020):
// inverted bottlenecks with depthwise convolutions, ReLU6, no squeeze-and-excitation. SAME padding as in
// TensorFlow, from whose weights the public ones were converted. Parameter names are those of the Python
// packages efficientnet_lite_pytorch and efficientnet_pytorch: _conv_stem, _blocks.3._depthwise_conv, _fc.
#include "autograd/functions.h"
#include "layers/layers.h"
#include "models/model.h"

namespace backlight {
namespace {

struct ConvShape {
    int64_t in, out, kernel = 1, stride = 1, groups = 1;
};

std::unique_ptr<Module> convolution(const ConvShape& s) {
    return std::make_unique<Conv2d>(
        Conv2d::Config{.in = s.in,
                       .out = s.out,
                       .kernel = {s.kernel, s.kernel},
                       .attrs = {.stride = {s.stride, s.stride}, .groups = s.groups},
                       .bias = false,
                       .padding_mode = PaddingMode::same});
}

/// TensorFlow's defaults of the family: 0.99 of the old statistics stay.
std::unique_ptr<Module> norm(int64_t channels) {
    return std::make_unique<BatchNorm>(
        BatchNorm::Config{.channels = channels, .eps = 1e-3, .momentum = 0.01});
}

struct BlockShape {
    int64_t in, out, kernel, stride, expand;
};

/// 1x1 to `expand` times the channels, depthwise, 1x1 to `out`; each with a norm, the first two with ReLU6.
/// Where input and output have one shape, their sum.
class MBConv final : public Module {
public:
    explicit MBConv(const BlockShape& s) : has_shortcut_(s.stride == 1 && s.in == s.out) {
        const int64_t wide = s.in * s.expand;
        if (s.expand != 1) {
            expand_ = stage("_expand_conv", "0", {s.in, wide});
        }
        depthwise_ = stage("_depthwise_conv", "1", {wide, wide, s.kernel, s.stride, wide});
        project_ = stage("_project_conv", "2", {wide, s.out});
    }
    [[nodiscard]] std::string describe() const override { return "MBConv"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override {
        const Variable wide = expand_.conv != nullptr ? expand_(x) : x;
        return project_(depthwise_(wide), has_shortcut_ ? x : Variable());
    }

private:
    struct Stage {
        Module *conv = nullptr, *norm = nullptr, *activation = nullptr;
        Variable operator()(const Variable& x, const Variable& residual = {}) const {
            return conv_norm_relu(*conv, norm, activation, x, residual);
        }
    };
    Stage stage(const std::string& name, const std::string& number, const ConvShape& shape) {
        Stage made;
        made.conv = &add_module(name, convolution(shape));
        made.norm = &add_module("_bn" + number, norm(shape.out));
        if (number != "2") {
            made.activation = &add_module("_relu" + number, make_relu6());
        }
        return made;
    }
    Stage expand_, depthwise_, project_;
    bool has_shortcut_;
};

class EfficientNetLite final : public Module {
public:
    EfficientNetLite(int64_t in, double dropout, int64_t classes) {
        struct Row {
            int64_t repeats;
            BlockShape first;  // the others have its output's channels and stride 1
        };
        constexpr Row kRows[] = {{1, {32, 16, 3, 1, 1}},  {2, {16, 24, 3, 2, 6}},  {2, {24, 40, 5, 2, 6}},
                                 {3, {40, 80, 3, 2, 6}},  {3, {80, 112, 5, 1, 6}}, {4, {112, 192, 5, 2, 6}},
                                 {1, {192, 320, 3, 1, 6}}};
        constexpr int64_t kStem = 32, kLast = 320, kHead = 1280;
        add_module("_conv_stem", convolution({in, kStem, 3, 2}));
        add_module("_bn0", norm(kStem));
        add_module("_relu0", make_relu6());
        auto blocks = std::make_unique<Sequential>();
        for (const Row& row : kRows) {
            BlockShape shape = row.first;
            for (int64_t i = 0; i < row.repeats; ++i) {
                blocks->add(std::make_unique<MBConv>(shape)).end_segment();
                shape.in = shape.out;
                shape.stride = 1;
            }
        }
        add_module("_blocks", std::move(blocks));
        add_module("_conv_head", convolution({kLast, kHead}));
        add_module("_bn1", norm(kHead));
        add_module("_relu1", make_relu6());
        add_module("_avg_pooling", make_global_avg_pool());
        add_module("_dropout", std::make_unique<Dropout>(dropout));
        add_module("_fc", std::make_unique<Linear>(Linear::Config{.in = kHead, .out = classes}));
    }
    [[nodiscard]] std::string describe() const override { return "EfficientNetLite"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override {
        const Variable stem = conv_norm_relu(child(0), &child(1), &child(2), x);
        const Variable features = conv_norm_relu(child(4), &child(5), &child(6), child(3)(stem));
        return child(9)(child(8)(flatten(child(7)(features))));
    }
};

}  // namespace

Model build_efficientnet_lite0(const Options& options, int64_t classes) {
    const int64_t in = options.get_within("in", int64_t{3}, 1, 4096);
    const double dropout = options.get_within("dropout", 0.2, 0.0, 0.99);
    const int64_t k = classes > 0 ? classes : 1000;
    return {.net = std::make_unique<EfficientNetLite>(in, dropout, k),
            .classes = k,
            .input = {0, 0, in},
            .head = "_fc.weight",
            .cam_layer = "_relu1",
            .picture = {224, 224, in},
            .mean = {127.0 / 255},
            .std = {128.0 / 255},
            .init = Init::he_normal};
}

}  // namespace backlight
