// What a weight file's values and metadata become.
#include <doctest/doctest.h>

#include "core/error.h"
#include "core/io/safetensors.h"
#include "layers/state.h"
#include "tests/train/support.h"
#include "train/trainer.h"

using namespace backlight;
using train_testing::TemporaryFolder;

namespace {

std::map<std::string, Tensor> state_of(const std::string& spec, DType dtype) {
    Model model = build_model(spec);
    model.net->to(dtype);
    return state_dict(*model.net);
}

}  // namespace

TEST_SUITE("train") {
    TEST_CASE("load_model: f64 weights keep every digit in an f64 model") {
        const TemporaryFolder folder;
        auto state = state_of("toy3", DType::f64);
        const std::vector<double> third = {1.0 / 3, 2.0 / 3, -1.0 / 3, 1e-9 / 3};  // f32 holds none of them
        state.at("0.weight") = Tensor::from(third, {2, 2});
        const auto path = folder.path() / "w.safetensors";
        write_safetensors(path, state);
        const LoadedModel precise = load_model("toy3", 0, path, DType::f64);
        CHECK(precise.model.net->parameters()[0].value.data().to_vector<double>() == third);
        CHECK(load_model("toy3", 0, path).model.net->parameters()[0].value.dtype() == DType::f32);
    }

    TEST_CASE("load_model: what overflows the model's type, and a negative variance, are refused by name") {
        const TemporaryFolder folder;
        const auto path = folder.path() / "w.safetensors";
        auto state = state_of("toy3", DType::f64);
        state.at("0.bias") = Tensor::from({1e200, 0.0}, {2});
        write_safetensors(path, state);
        CHECK_THROWS_WITH_AS((void)load_model("toy3", 0, path), doctest::Contains("not finite: 0.bias"),
                             Error);
        CHECK_NOTHROW((void)load_model("toy3", 0, path, DType::f64));

        auto norms = state_of("cnn_small", DType::f32);
        norms.at("1.running_var") = Tensor::full({16}, -1.0);
        write_safetensors(path, norms);
        CHECK_THROWS_WITH_AS((void)load_model("cnn_small", 0, path),
                             doctest::Contains("negative variances: 1.running_var"), Error);
    }

    TEST_CASE("load_model: a trained network's file says how pictures are sized and normalised") {
        const TemporaryFolder folder;
        const auto path = folder.path() / "w.safetensors";
        write_safetensors(path, state_of("cnn_small(in=3)", DType::f32),
                          {{"backlight.mean", "[0.5,0.25,0.75]"},
                           {"backlight.std", "[0.2]"},
                           {"backlight.resize", "[40]"},
                           {"backlight.sample", "[32,24,3]"}});
        const Model model = load_model("cnn_small(in=3)", 0, path).model;
        CHECK(model.shorter_side == 40);
        CHECK(model.mean == std::vector<double>{0.5, 0.25, 0.75});
        CHECK(model.std == std::vector<double>{0.2});
        CHECK(model.picture == Shape{32, 24, 3});
        model.check_input({1, 8, 8, 3});  // .npy of any size stays welcome
        for (const char* odd : {"[1e300]", "[-5]", "[0.5]", "[]", "\"40\""}) {
            write_safetensors(path, state_of("cnn_small(in=3)", DType::f32),
                              {{"backlight.mean", "[0.5]"}, {"backlight.resize", odd}});
            CHECK(load_model("cnn_small(in=3)", 0, path).model.shorter_side == 0);
        }
    }

    TEST_CASE("load_model: a file that says nothing of pictures leaves what published weights expect") {
        const TemporaryFolder folder;
        const auto path = folder.path() / "w.safetensors";
        write_safetensors(path, state_of("resnet18(width=4)", DType::f32));
        const LoadedModel loaded = load_model("resnet18(width=4)", 0, path);
        CHECK_FALSE(loaded.states_input);
        CHECK(loaded.model.mean == std::vector<double>{0.485, 0.456, 0.406});
        CHECK(loaded.model.std == std::vector<double>{0.229, 0.224, 0.225});
        CHECK(loaded.low[2] == doctest::Approx(-0.406 / 0.225));
        CHECK(loaded.high[0] == doctest::Approx(0.515 / 0.229));
        CHECK(loaded.model.picture == Shape{224, 224, 3});
        CHECK(loaded.model.shorter_side == 256);
        REQUIRE(loaded.class_names.size() == 1000);
        CHECK(loaded.class_names.front() == "tench");
        CHECK(loaded.class_names.back() == "toilet tissue");
        write_safetensors(path, state_of("resnet18(width=4, small=true)", DType::f32));
        CHECK(load_model("resnet18(width=4, small=true)", 0, path).model.mean.empty());
        write_safetensors(path, state_of("resnet18(width=4, classes=10)", DType::f32));
        CHECK(load_model("resnet18(width=4)", 0, path).class_names.empty());
    }

    TEST_CASE("load_model: the head in the file says how many classes, whatever else the model's text says") {
        const TemporaryFolder folder;
        const auto path = folder.path() / "w.safetensors";
        write_safetensors(path, state_of("efficientnet_lite0(dropout=0.1, classes=7)", DType::f32));
        CHECK(load_model("efficientnet_lite0(dropout=0.1)", 0, path).model.classes == 7);
    }
}
