// A forward pass recorded from one layer on: the same maps, nothing kept in front.
#include <string>

#include "models/model.h"
#include "tests/explain/method_support.h"

using namespace backlight;
using namespace backlight::method_testing;

namespace {

ExplainContext at_layer(const std::string& layer) { return {.cam_layer = layer}; }

ExplainedForward late(Module& net, const Tensor& x, const std::string& method, const ExplainContext& context,
                      const ExplainRequest& request = {}) {
    const auto keeps = Recording::Keeps::values;
    return {net, x, keeps, build_method(method, context)->reads_from(request)};
}

}  // namespace

TEST_SUITE("explain/late recording") {
    TEST_CASE("CAM methods give the maps of a pass that recorded everything") {
        for (const std::string& spec :
             {std::string("resnet18(small=true, width=8)"), std::string("vgg11_bn(small=true)")}) {
            CAPTURE(spec);
            Model model = build_network(spec);
            randomize(*model.net, 5);
            model.net->to(DType::f64);
            const Tensor x = random_tensor({2, 32, 32, 3}, 6);
            const ExplainedForward whole(*model.net, x);
            for (const std::string& method : {std::string("grad_cam"), std::string("grad_cam_pp"),
                                              std::string("hires_cam(relu=false)")}) {
                CAPTURE(method);
                const ExplainContext context = at_layer(model.cam_layer);
                const auto from = late(*model.net, x, method, context);
                check_near(values_of(from.logits().data()), values_of(whole.logits().data()), 1e-10);
                check_near(values_of(map_of(from, method, {0, 3}, context)),
                           values_of(map_of(whole, method, {0, 3}, context)), 1e-9);
                CHECK_FALSE(from.input().requires_grad());
                CHECK(from.layers().names().front() == model.cam_layer);
                CHECK(from.layers().names().size() < whole.layers().names().size());
                CHECK(grad_enabled());
            }
            CHECK_FALSE(model.net->at(model.cam_layer).has_hooks());
        }
    }

    TEST_CASE("inside a residual block, where a convolution would be fused") {
        Model model = build_network("resnet18(small=true, width=8)");
        randomize(*model.net, 7);
        model.net->to(DType::f64);
        const Tensor x = random_tensor({1, 32, 32, 3}, 8);
        const ExplainContext context = at_layer("layer4.1.conv1");
        check_near(values_of(map_of(late(*model.net, x, "grad_cam", context), "grad_cam", {1}, context)),
                   values_of(map_of(ExplainedForward(*model.net, x), "grad_cam", {1}, context)), 1e-9);
    }

    TEST_CASE("what reads more than that layer asks for everything, and is refused otherwise") {
        const auto net = random_network(81);
        const Tensor x = random_images(82, 1);
        const ExplainContext context = at_layer("3");
        const auto reads = [&](const std::string& method, const ExplainRequest& request) {
            return build_method(method, context)->reads_from(request);
        };
        CHECK(reads("grad_cam", {}) == "3");
        CHECK(reads("grad_cam", {.layers = {"1"}}) == "1");
        CHECK(reads("grad_cam", {.layers = {"1", "3"}}).empty());
        CHECK(reads("grad_cam", {.neuron = "3:0"}).empty());
        CHECK(reads("guided_grad_cam", {}).empty());
        CHECK(reads("saliency", {}).empty());
        const auto from = late(*net, x, "grad_cam", context);
        CHECK_THROWS_WITH_AS((void)map_of(from, "saliency", {0}, context),
                             doctest::Contains("in front of layer 3"), Error);
        CHECK_THROWS_WITH_AS((void)found(from, "grad_cam", {.targets = {0}, .layers = {"1"}}, context),
                             doctest::Contains("in front of layer 3"), Error);
        // A name that is no module's: everything is recorded, the method says what is wrong.
        const ExplainedForward other(*net, x, Recording::Keeps::values, "33");
        CHECK(other.input().requires_grad());
        CHECK_THROWS_WITH_AS((void)map_of(other, "grad_cam", {0}, at_layer("33")), doctest::Contains("layer"),
                             Error);
    }
}
