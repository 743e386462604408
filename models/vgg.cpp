// VGG (Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2015) with
// torchvision's names: features.0, classifier.6. With small=true, for images of 32 pixels, the features end
// in a global average and one linear layer (classifier.0): the three layers of 4096 units, made for 7x7
// positions, would hold nine tenths of the weights.
#include "layers/layers.h"
#include "models/model.h"

namespace backlight {
namespace {

constexpr int64_t kPool = 0;  // in a list of widths: max pooling

struct Features {
    std::unique_ptr<Sequential> layers = std::make_unique<Sequential>();
    size_t last_activation = 0;
    int64_t channels = 0;
};

Features features(const std::vector<int64_t>& widths, bool batch_norm, int64_t in) {
    Features made;
    made.channels = in;
    size_t count = 0;
    for (const int64_t width : widths) {
        if (width == kPool) {
            made.layers->add(make_max_pool(2)).end_segment();
            ++count;
            continue;
        }
        made.layers->add(std::make_unique<Conv2d>(
            Conv2d::Config{.in = made.channels, .out = width, .attrs = {.padding = {1, 1}}}));
        if (batch_norm) {
            made.layers->add(std::make_unique<BatchNorm>(BatchNorm::Config{.channels = width}));
        }
        made.layers->add(make_relu());
        count += batch_norm ? 3 : 2;
        made.last_activation = count - 1;
        made.channels = width;
    }
    return made;
}

Model vgg(const Options& options, int64_t classes, const std::vector<int64_t>& repeats, bool batch_norm) {
    const bool small = options.get("small", false);
    const int64_t in = options.get_within("in", int64_t{3}, 1, 4096);
    const double dropout = options.get_within("dropout", 0.5, 0.0, 0.99);
    const int64_t k = classes > 0 ? classes : (small ? 10 : 1000);
    const std::vector<int64_t> stage_widths{64, 128, 256, 512, 512};
    std::vector<int64_t> widths;
    for (size_t stage = 0; stage < repeats.size(); ++stage) {
        widths.insert(widths.end(), static_cast<size_t>(repeats[stage]), stage_widths[stage]);
        widths.push_back(kPool);
    }
    Features body = features(widths, batch_norm, in);
    const int64_t side = small ? 1 : 7;
    const Shape image{side, side, body.channels};
    const auto linear = [](int64_t from, int64_t to, const Shape& flattened = {}) {
        return std::make_unique<Linear>(Linear::Config{.in = from, .out = to, .flattened_image = flattened});
    };
    auto classifier = std::make_unique<Sequential>();
    if (small) {
        classifier->add(linear(image.numel(), k));
    } else {
        classifier->add(linear(image.numel(), 4096, image)).add(make_relu());
        classifier->add(std::make_unique<Dropout>(dropout));
        classifier->add(linear(4096, 4096)).add(make_relu());
        classifier->add(std::make_unique<Dropout>(dropout));
        classifier->add(linear(4096, k));
    }
    auto net = std::make_unique<Sequential>();
    net->add("features", std::move(body.layers));
    net->add("avgpool", make_adaptive_avg_pool(side, side));
    net->add("flatten", make_flatten());
    net->add("classifier", std::move(classifier));
    Model model{.net = std::move(net),
                .classes = k,
                .input = {0, 0, in},
                .head = small ? "classifier.0.weight" : "classifier.6.weight",
                .cam_layer = "features." + std::to_string(body.last_activation),
                .init = Init::he_normal};
    if (!small) {
        expect_imagenet_pictures(model);
    }
    return model;
}

const std::vector<int64_t> kVgg11{1, 1, 2, 2, 2};
const std::vector<int64_t> kVgg13{2, 2, 2, 2, 2};
const std::vector<int64_t> kVgg16{2, 2, 3, 3, 3};
const std::vector<int64_t> kVgg19{2, 2, 4, 4, 4};

}  // namespace

Model build_vgg11(const Options& o, int64_t classes) { return vgg(o, classes, kVgg11, false); }
Model build_vgg13(const Options& o, int64_t classes) { return vgg(o, classes, kVgg13, false); }
Model build_vgg16(const Options& o, int64_t classes) { return vgg(o, classes, kVgg16, false); }
Model build_vgg19(const Options& o, int64_t classes) { return vgg(o, classes, kVgg19, false); }
Model build_vgg11_bn(const Options& o, int64_t classes) { return vgg(o, classes, kVgg11, true); }
Model build_vgg13_bn(const Options& o, int64_t classes) { return vgg(o, classes, kVgg13, true); }
Model build_vgg16_bn(const Options& o, int64_t classes) { return vgg(o, classes, kVgg16, true); }
Model build_vgg19_bn(const Options& o, int64_t classes) { return vgg(o, classes, kVgg19, true); }

}  // namespace backlight
