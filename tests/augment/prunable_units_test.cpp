// Which units of the models can be removed, and that removing them leaves the function as masking does.
#include <doctest/doctest.h>

#include "explain/explainer.h"
#include "layers/layers.h"
#include "tests/augment/pruning_support.h"
#include "train/evaluation.h"

using namespace backlight;
using namespace backlight::prune_testing;

namespace {

std::vector<std::string> names_of(const PrunableUnits& units, bool tied) {
    std::vector<std::string> names;
    for (const UnitLayer& layer : units.layers()) {
        if (layer.tied.empty() != tied) {
            names.push_back(layer.name);
        }
    }
    return names;
}

const UnitLayer& layer_of(const PrunableUnits& units, const std::string& name) {
    for (const UnitLayer& layer : units.layers()) {
        if (layer.name == name) {
            return layer;
        }
    }
    FAIL("no layer ", name);
    return units.layers()[0];
}

int64_t macs_of(Module& net, const Shape& sample) {
    const PrunableUnits units(net, sample);
    return units.cost(units.all_living()).macs;
}

struct Case {
    std::string spec;
    Shape sample;
    size_t free, tied;
};

}  // namespace

TEST_SUITE("augment") {
    TEST_CASE("prunable units: the layers of each kind of network") {
        const std::vector<Case> cases = {
            {"mlp(in=4, widths=6:5, out=3)", {4}, 2, 0},
            {"mlp(image=4:3:2, widths=6:5, out=3, dropout=0.5)", {4, 3, 2}, 2, 0},
            {"mlp(in=4, widths=6, out=3)", {4}, 1, 0},
            {"cnn_s(in=1)", {16, 16, 1}, 3, 0},
            {"cnn_s(in=1, head=fc)", {16, 16, 1}, 4, 0},
            {"cnn_g", {12, 12, 1}, 3, 0},
            {"cnn_small", {8, 8, 1}, 3, 0},
            {"vgg11_bn(small=true)", {32, 32, 3}, 8, 0},
            {"resnet18(small=true, width=4)", {16, 16, 3}, 8, 12},
            {"resnet34(small=true, width=4)", {16, 16, 3}, 16, 20},
            {"resnet50(small=true, width=4)", {16, 16, 3}, 33, 20},
            {"resnet18(small=true, width=4, norm=group, groups=2)", {16, 16, 3}, 0, 20},
        };
        for (const Case& c : cases) {
            INFO(c.spec);
            const Model model = build_model(c.spec);
            const PrunableUnits units(*model.net, c.sample);
            CHECK(names_of(units, false).size() == c.free);
            CHECK(names_of(units, true).size() == c.tied);
        }
    }

    TEST_CASE("prunable units: of a residual network what feeds no sum; a grouped convolution ties") {
        const Model resnet = build_model("resnet50(small=true, width=4)");
        const PrunableUnits units(*resnet.net, {16, 16, 3});
        CHECK(layer_of(units, "layer1.0.conv1").tied.empty());
        CHECK(layer_of(units, "layer1.0.conv2").tied.empty());
        CHECK(layer_of(units, "layer1.0.conv1").at == "layer1.0.bn1");
        CHECK(contains(layer_of(units, "layer1.0.conv3").tied, "add"));
        CHECK(contains(layer_of(units, "layer1.0.downsample.0").tied, "add"));
        CHECK(layer_of(units, "conv1").tied.empty());  // read by a first convolution and a shortcut's
        const Model basic = build_model("resnet18(small=true, width=4)");
        CHECK(contains(layer_of(PrunableUnits(*basic.net, {16, 16, 3}), "conv1").tied, "add"));
        const Model mobile = build_model("efficientnet_lite0");
        const PrunableUnits lite(*mobile.net, {32, 32, 3});
        CHECK(contains(layer_of(lite, "_blocks.1._expand_conv").tied, "grouped convolution"));
        CHECK(contains(layer_of(lite, "_blocks.1._depthwise_conv").tied, "grouped convolution"));
        CHECK(layer_of(lite, "_conv_head").tied.empty());
    }

    TEST_CASE("prunable units: behind a flatten a channel owns every C'-th feature") {
        const Model model = build_model("cnn_g");
        const PrunableUnits units(*model.net, {12, 12, 1});
        const UnitLayer& last = layer_of(units, "features.3");
        REQUIRE(last.readers.size() == 1);
        CHECK(last.readers[0].name == "classifier.0");
        CHECK(last.readers[0].positions == 9);
    }

    TEST_CASE("masked and cut out give the same outputs, the cost is counted, tied units are masked") {
        const std::vector<Case> cases = {
            {"mlp(in=6, widths=8:7:6, out=3)", {6}, 0, 0},
            {"cnn_g", {12, 12, 1}, 0, 0},
            {"cnn_s(in=2, head=fc)", {16, 16, 2}, 0, 0},
            {"cnn_small", {10, 10, 1}, 0, 0},
            {"vgg11(small=true)", {32, 32, 3}, 0, 0},
            {"vgg11_bn(small=true)", {32, 32, 3}, 0, 0},
            {"resnet18(small=true, width=8)", {16, 16, 3}, 0, 0},
            {"resnet50(small=true, width=4)", {16, 16, 3}, 0, 0},
            {"efficientnet_lite0", {32, 32, 3}, 0, 0},
        };
        for (const Case& c : cases) {
            INFO(c.spec);
            Model model = random_model(c.spec);
            Shape batch{3};
            for (const int64_t extent : c.sample) {
                batch.push_back(extent);
            }
            const Tensor x = random_input(batch);
            const Tensor whole = predict(*model.net, x);
            const PrunableUnits units(*model.net, c.sample);
            const LivingUnits living = random_living(units, 0.5);
            const int64_t before = model.net->parameter_count();
            CHECK(units.cost(units.all_living()).parameters == before);
            mask_units(*model.net, units, living);
            const Tensor masked = predict(*model.net, x);
            CHECK(apart(masked, whole) > 1e-3);
            remove_units(model, units, living);
            const Tensor removed = predict(*model.net, x);
            CHECK(apart(removed, masked) < 1e-5);
            const NetworkCost cost = units.cost(living);
            CHECK(model.net->parameter_count() == cost.parameters);
            CHECK(cost.parameters < before);
            CHECK(cost.bits() == 32 * cost.parameters);
            CHECK(macs_of(*model.net, c.sample) == cost.macs);
            CHECK(contains(model.pruned, units.layers()[0].tied.empty() ? units.layers()[0].name : "\": "));
        }
    }

    TEST_CASE("a masked unit's output is exactly 0, whatever its norm's statistics") {
        Model model = random_model("cnn_small");
        const PrunableUnits units(*model.net, {8, 8, 1});
        LivingUnits living = units.all_living();
        living[1][3] = 0;
        mask_units(*model.net, units, living);
        const ExplainedForward forward(*model.net, random_input({2, 8, 8, 1}));
        const Tensor out = forward.layers().at(units.layers()[1].at).data();
        const auto values = values_of(out);
        const auto channels = static_cast<size_t>(out.dim(3));
        double dead = 0, alive = 0;
        for (size_t i = 0; i < values.size(); ++i) {
            (i % channels == 3 ? dead : alive) += std::abs(values[i]);
        }
        CHECK(dead == 0);
        CHECK(alive > 0);
    }

    TEST_CASE("the cost is that of the formulas") {
        const Model model = build_model("cnn_g(channels=16:32, hidden=64)");
        const PrunableUnits units(*model.net, {12, 12, 1});
        CHECK(units.count() == 16 + 32 + 64);
        const NetworkCost cost = units.cost(units.all_living());
        CHECK(cost.macs == 144 * 9 * 16 + 36 * 9 * 16 * 32 + 288 * 64 + 64 * 4);
        CHECK(cost.parameters == 9 * 16 + 16 + 9 * 16 * 32 + 32 + 288 * 64 + 64 + 64 * 4 + 4);
    }

    TEST_CASE("removing twice: the second starts from what is left") {
        Model model = random_model("cnn_g");
        for (const uint64_t seed : {1U, 2U}) {
            const PrunableUnits units(*model.net, {12, 12, 1});
            remove_units(model, units, random_living(units, 0.3, seed));
        }
        const PrunableUnits units(*model.net, {12, 12, 1});
        CHECK(model.pruned == concat_text("{\"classifier.0\": ", units.layers()[2].units,
                                          ", \"features.0\": ", units.layers()[0].units,
                                          ", \"features.3\": ", units.layers()[1].units, "}"));
        CHECK(apart(predict(*model.net, random_input({2, 12, 12, 1})), Tensor::zeros({2, 4})) > 0);
    }

    TEST_CASE("widths: a layer says what does not fit, a fixed one that it is fixed") {
        Linear linear({.in = 12, .out = 4, .flattened_image = {2, 2, 3}});
        CHECK(contains(error_of([&] { linear.set_width({.in = 7, .out = 4}); }),
                       "cannot have the width 7 -> 4"));
        linear.set_width({.in = 8, .out = 3});
        CHECK(linear.describe() == "Linear(8, 3)");
        CHECK(linear.own_parameters()[0].layout.image == Shape{2, 2, 2});
        Conv2d grouped({.in = 4, .out = 4, .attrs = {.groups = 2}});
        CHECK_FALSE(grouped.width().has_value());
        CHECK(contains(error_of([&] { grouped.set_width({.in = 2, .out = 2}); }), "cannot have the width"));
        Dropout dropout;
        CHECK(contains(error_of([&] { dropout.set_width({.in = 2, .out = 2}); }), "its width is fixed"));
    }
}
