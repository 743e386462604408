// VGG and ResNet: sizes and names as torchvision's, and the fused paths against the plain ones: evaluation
// with folded norms, training with the norm and its ReLU in one kernel.
#include <cmath>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "autograd/op.h"
#include "autograd/recording.h"
#include "layers/state.h"
#include "models/model.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

Tensor normal(const Shape& shape, uint64_t seed) {
    Tensor x = Tensor::empty(shape);
    x.backend().random_normal(x, {.seed = seed});
    return x;
}

double distance(const Tensor& a, const Tensor& b) {
    const NoGrad off;
    const Variable difference = Variable(a) - Variable(b);
    return amax(abs(difference)).item() / (amax(abs(Variable(b))).item() + 1e-12);
}

/// Running statistics as after training, so that folding has something to do.
void unsettle(Module& net) {
    uint64_t seed = 100;
    for (const Buffer& buffer : net.buffers()) {
        if (buffer.name.ends_with("running_mean")) {
            *buffer.value = (Variable(normal(buffer.value->shape(), ++seed)) * 0.1).data();
        } else if (buffer.name.ends_with("running_var")) {
            *buffer.value = (abs(Variable(normal(buffer.value->shape(), ++seed))) + 0.5).data();
        }
    }
}

}  // namespace

TEST_CASE("families: parameter counts are those of the public implementations") {
    const std::vector<std::pair<std::string, int64_t>> counts = {
        {"resnet18", 11689512},  {"resnet34", 21797672},  {"resnet50", 25557032},
        {"resnet101", 44549160}, {"vgg11_bn", 132868840}, {"efficientnet_lite0", 4652008}};
    for (const auto& [name, count] : counts) {
        CAPTURE(name);
        CHECK(build_model(name).net->parameter_count() == count);
    }
    // The convolutions of VGG-16 and one linear layer.
    CHECK(build_model("vgg16(small=true)").net->parameter_count() == 14714688 + 5130);
}

TEST_CASE("families: names are torchvision's") {
    Model resnet = build_model("resnet50", 5);
    const auto state = state_dict(*resnet.net);
    CHECK(state.at("conv1.weight").shape() == Shape{64, 3, 7, 7});
    CHECK(state.at("layer1.0.downsample.0.weight").shape() == Shape{256, 64, 1, 1});
    CHECK(state.at("layer1.0.downsample.1.running_var").shape() == Shape{256});
    CHECK(state.at("layer3.5.conv2.weight").shape() == Shape{256, 256, 3, 3});
    CHECK(state.at("layer4.2.bn3.num_batches_tracked").shape() == Shape{});
    CHECK(state.at("fc.weight").shape() == Shape{5, 2048});
    CHECK(state.size() == 320);  // of torchvision's resnet50

    Model vgg = build_model("vgg11_bn(small=true)", 5);
    const auto features = state_dict(*vgg.net);
    CHECK(features.at("features.25.weight").shape() == Shape{512, 512, 3, 3});
    CHECK(features.at("features.26.running_mean").shape() == Shape{512});
    CHECK(features.at("classifier.0.weight").shape() == Shape{5, 512});
}

TEST_CASE("families: EfficientNet-Lite0 has its package's names, and a head of its own") {
    Model net = build_model("efficientnet_lite0", 5);
    const auto state = state_dict(*net.net);
    CHECK(state.size() == 296);  // of the package's file
    CHECK(state.at("_conv_stem.weight").shape() == Shape{32, 3, 3, 3});
    CHECK(state.count("_blocks.0._expand_conv.weight") == 0);
    CHECK(state.at("_blocks.3._depthwise_conv.weight").shape() == Shape{144, 1, 5, 5});
    CHECK(state.at("_blocks.15._bn2.running_var").shape() == Shape{320});
    CHECK(state.at("_fc.weight").shape() == Shape{5, 1280});
    CHECK(net(Variable(normal({1, 65, 40, 3}, 1))).shape() == Shape{1, 5});

    Model trained = build_model("efficientnet_lite0", 7, 1);
    CHECK(load_body(net, state_dict(*trained.net), "w") ==
          "the head _fc is new: w has 7 classes, the model 5");
}

TEST_CASE("families: group norms take the places of batch norms, and their names") {
    Model model = build_model("resnet18(small=true, norm=group, groups=16)", 4, 1);
    const auto state = state_dict(*model.net);
    CHECK(state.size() == 62);  // without the statistics and counters of 20 batch norms
    CHECK(model.net->at("layer2.0.bn1").describe() == "GroupNorm(16, 128)");
    CHECK(model.net->at("layer2.0.downsample.1").describe() == "GroupNorm(16, 128)");
    CHECK(distance(state.at("layer1.0.bn2.weight"), Tensor::ones({64})) == 0);
    const Variable x = normal({2, 16, 16, 3}, 1);
    const Tensor both = model(x).data();
    CHECK(both.shape() == Shape{2, 4});
    const NoGrad off;  // samples do not see each other, and there is no other mode
    CHECK(distance(slice(Variable(both), 0, 0, 1).data(), model(slice(x, 0, 0, 1)).data()) < 1e-5);
    model.net->eval();
    CHECK(distance(model(x).data(), both) < 1e-5);
    CHECK(error_of([] { (void)build_model("resnet18(norm=group, groups=24)"); }).find("64 channels") !=
          std::string::npos);
    CHECK(error_of([] { (void)build_model("resnet18(groups=32)"); }).find("groups") != std::string::npos);
}

TEST_CASE("families: weights of another number of classes give the body, and the head stays new") {
    Model trained = build_model("resnet18(small=true)", 10, 1);
    Model tuned = build_network("resnet18(small=true)", 3);
    const auto fresh = state_dict(*build_model("resnet18(small=true)", 3, 2).net);
    CHECK(load_body(tuned, state_dict(*trained.net), "w.safetensors", 2) ==
          "the head fc is new: w.safetensors has 10 classes, the model 3");
    const auto body = state_dict(*trained.net);
    for (const auto& [name, value] : state_dict(*tuned.net)) {
        CAPTURE(name);
        const auto& expected = name.starts_with("fc.") ? fresh.at(name) : body.at(name);
        CHECK(value.to(DType::f32).to_vector<float>() == expected.to(DType::f32).to_vector<float>());
    }
    CHECK(load_body(tuned, state_dict(*tuned.net), "w.safetensors").empty());
    Model other = build_model("resnet34(small=true)", 3, 2);
    CHECK(error_of([&] { (void)load_body(other, state_dict(*trained.net), "w"); }).find("missing") !=
          std::string::npos);
}

TEST_CASE("families: evaluation with folded norms and fused ReLUs gives the plain path's logits") {
    for (const char* spec : {"resnet18(small=true)", "resnet50(small=true)", "vgg11_bn(small=true)",
                             "vgg11(small=true)", "cnn_small(in=3)", "efficientnet_lite0"}) {
        CAPTURE(spec);
        const Model model = build_model(spec, 7, 3);
        unsettle(*model.net);
        model.net->eval();
        const Variable x = normal({3, 32, 32, 3}, 1);
        const Tensor plain = model(x).data();  // a history is kept: nothing is folded
        const NoGrad off;
        const Tensor folded = model(x).data();
        CHECK(distance(folded, plain) < 1e-5);
        // A changed parameter is seen.
        for (const Parameter& parameter : model.net->parameters()) {
            if (parameter.name.find("bn1.weight") != std::string::npos ||
                parameter.name.find("features.1.weight") != std::string::npos ||
                parameter.name.ends_with("_bn1.weight")) {
                Tensor value = parameter.value.data();
                value.copy_from((Variable(value) * 1.5).data());
            }
        }
        const Tensor after = model(x).data();
        const EnableGrad on;
        CHECK(distance(after, model(x).data()) < 1e-5);
    }
}

TEST_CASE("families: a training step with fused norms gives the gradients of the plain one") {
    for (const char* spec : {"resnet18(small=true)", "cnn_small(in=3)"}) {
        CAPTURE(spec);
        std::vector<std::vector<Tensor>> gradients;
        std::vector<double> losses;
        for (const bool recorded : {false, true}) {
            const Model model = build_model(spec, 4, 3);
            model.net->train();
            const Variable x = normal({4, 16, 16, 3}, 1);
            std::optional<Recording> recording;
            if (recorded) {
                recording.emplace();
            }
            const Variable loss = cross_entropy(model(x), Tensor::from<int64_t>({0, 1, 2, 3}, {4}));
            losses.push_back(loss.item());
            backward(loss);
            gradients.emplace_back();
            for (const Parameter& parameter : model.net->parameters()) {
                gradients.back().push_back(parameter.value.grad());
            }
        }
        CHECK(losses[0] == doctest::Approx(losses[1]).epsilon(1e-5));
        for (size_t i = 0; i < gradients[0].size(); ++i) {
            CHECK(distance(gradients[0][i], gradients[1][i]) < 2e-3);  // twenty norms deep in f32
        }
    }
}

TEST_CASE("resnet: width scales every stage") {
    const Model model = build_model("resnet18(small=true, width=16)", 10);
    for (const auto& [name, value] : state_dict(*model.net)) {
        if (name == "conv1.weight") {
            CHECK(value.dim(0) == 16);
        }
        if (name == "layer4.1.conv2.weight") {
            CHECK(value.dim(0) == 128);
        }
    }
    CHECK_THROWS_AS((void)build_model("resnet18(width=0)"), Error);
    CHECK_THROWS_WITH((void)build_model("resnet18(groups=16)"), doctest::Contains("groups needs norm=group"));
}
