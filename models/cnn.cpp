// Small convolutional networks for small images.
//   cnn_small: 3x3 convolutions 16, 32, pool, 64 with batch norm, global average, linear. Default of the main
//   job. cnn_s:     3x3 convolutions with ReLU and pooling between, no norm; head gap or fc. cnn_g:     two
//   convolutions with pooling, then a hidden linear layer.
#include <algorithm>

#include "autograd/functions.h"
#include "core/error.h"
#include "layers/layers.h"
#include "models/model.h"

namespace backlight {
namespace {

std::unique_ptr<Module> conv3x3(int64_t in, int64_t out) {
    return std::make_unique<Conv2d>(Conv2d::Config{.in = in, .out = out, .attrs = {.padding = {1, 1}}});
}

/// features, then classifier, with pooling to one position or a flatten between.
class FeatureClassifier final : public Module {
public:
    FeatureClassifier(std::unique_ptr<Module> features, std::unique_ptr<Module> classifier,
                      bool global_average)
        : global_average_(global_average) {
        add_module("features", std::move(features));
        add_module("classifier", std::move(classifier));
    }
    [[nodiscard]] std::string describe() const override {
        return global_average_ ? "FeatureClassifier(global average)" : "FeatureClassifier(flatten)";
    }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override {
        const Variable features = child(0)(x);
        return child(1)(flatten(global_average_ ? adaptive_avg_pool2d(features, 1, 1) : features));
    }

private:
    bool global_average_;
};

}  // namespace

Model build_cnn_small(const Options& options, int64_t classes) {
    const int64_t in = options.get_within("in", int64_t{1}, 1, 4096);
    const int64_t k = classes > 0 ? classes : 10;
    auto net = std::make_unique<Sequential>();
    int64_t channels = in;
    for (const int64_t width : {16, 32, 64}) {
        if (width == 64) {
            net->add(make_max_pool(2));
        }
        net->add(conv3x3(channels, width));
        net->add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = width}));
        net->add(make_relu());
        channels = width;
    }
    net->add(make_global_avg_pool());
    net->add(make_flatten());
    net->add(std::make_unique<Linear>(Linear::Config{.in = channels, .out = k}));
    return {.net = std::move(net), .classes = k, .input = {0, 0, in}, .head = "12.weight", .cam_layer = "9"};
}

Model build_cnn_s(const Options& options, int64_t classes) {
    const int64_t in = options.get_within("in", int64_t{3}, 1, 4096);
    const std::vector<int64_t> channels = options.get("channels", std::vector<int64_t>{8, 16, 16});
    const std::string head = options.choose("head", "gap", {"gap", "fc"});
    const int64_t size =
        options.get_within("size", int64_t{16}, 1, 4096);  // side of the images, which the fc head fixes
    const int64_t hidden = options.get_within("hidden", int64_t{32}, 1, 1 << 20);
    const int64_t k = classes > 0 ? classes : 4;
    BACKLIGHT_CHECK(!channels.empty(), "cnn_s: expected at least one convolution in channels=a:b:c");
    auto features = std::make_unique<Sequential>();
    int64_t width = in;
    int64_t side = size;
    for (size_t i = 0; i < channels.size(); ++i) {
        BACKLIGHT_CHECK(channels[i] > 0 && channels[i] <= 1 << 16,
                        "cnn_s: expected 0 < channels <= 65536, got ", channels[i]);
        if (i > 0) {
            features->add(make_max_pool(2));
            side /= 2;
        }
        features->add(conv3x3(width, channels[i]));
        features->add(make_relu());
        width = channels[i];
    }
    const std::string cam_layer = concat_text("features.", 3 * channels.size() - 2);
    auto classifier = std::make_unique<Sequential>();
    const bool gap = head == "gap";
    if (gap) {
        classifier->add(std::make_unique<Linear>(Linear::Config{.in = width, .out = k}));
    } else {
        BACKLIGHT_CHECK(side > 0, "cnn_s: images of side ", size, " are too small for ", channels.size(),
                        " convolutions");
        const Shape image{side, side, width};
        classifier->add(std::make_unique<Linear>(
            Linear::Config{.in = image.numel(), .out = hidden, .flattened_image = image}));
        classifier->add(make_relu());
        classifier->add(std::make_unique<Linear>(Linear::Config{.in = hidden, .out = k}));
    }
    return {.net = std::make_unique<FeatureClassifier>(std::move(features), std::move(classifier), gap),
            .classes = k,
            .input = gap ? Shape{0, 0, in} : Shape{size, size, in},
            .head = gap ? "classifier.0.weight" : "classifier.2.weight",
            .cam_layer = cam_layer,
            .init = Init::he_normal,
            .head_scale = 0.3};
}

Model build_cnn_g(const Options& options, int64_t classes) {
    const int64_t in = options.get_within("in", int64_t{1}, 1, 4096);
    const int64_t size = options.get_within("size", int64_t{12}, 4, 4096);
    const std::vector<int64_t> channels = options.get("channels", std::vector<int64_t>{8, 16});
    const std::vector<int64_t> hidden = options.get("hidden", std::vector<int64_t>{32});
    const bool as_cnn_s = options.choose("init", "pytorch", {"pytorch", "cnn_s"}) == "cnn_s";
    const int64_t k = classes > 0 ? classes : 4;
    BACKLIGHT_CHECK(channels.size() == 2 && *std::min_element(channels.begin(), channels.end()) > 0 &&
                        *std::max_element(channels.begin(), channels.end()) <= 1 << 16,
                    "cnn_g: expected two widths of 1 to 65536 in channels=a:b");
    auto features = std::make_unique<Sequential>();
    features->add(conv3x3(in, channels[0])).add(make_relu()).add(make_max_pool(2));
    features->add(conv3x3(channels[0], channels[1])).add(make_relu()).add(make_max_pool(2));
    Shape image{size / 4, size / 4, channels[1]};  // of the first layer behind the flatten
    auto classifier = std::make_unique<Sequential>();
    int64_t width = image.numel();
    const auto add_linear = [&](int64_t out) {
        classifier->add(
            std::make_unique<Linear>(Linear::Config{.in = width, .out = out, .flattened_image = image}));
        width = out;
        image = {};
    };
    for (const int64_t units : hidden) {
        BACKLIGHT_CHECK(units > 0 && units <= 1 << 20, "cnn_g: expected 0 < hidden <= 1048576, got ", units);
        add_linear(units);
        classifier->add(make_relu());
    }
    add_linear(k);
    return {.net = std::make_unique<FeatureClassifier>(std::move(features), std::move(classifier), false),
            .classes = k,
            .input = {size, size, in},
            .head = concat_text("classifier.", 2 * hidden.size(), ".weight"),
            .cam_layer = "features.4",
            .init = as_cnn_s ? Init::he_normal : Init::pytorch,
            .head_scale = as_cnn_s ? 0.3 : 1.0};
}

}  // namespace backlight
