// Models by name: the keys and shapes of their weight files, the samples they take, what wrong names and
// options say.
#include "models/model.h"

#include "autograd/functions.h"
#include "layers/state.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

using Entries = std::vector<std::pair<std::string, Shape>>;

Entries entries_of(Module& net) {
    Entries entries;
    for (const auto& [name, value] : state_dict(net)) {
        entries.emplace_back(name, value.shape());
    }
    return entries;
}

std::string build_error(const std::string& spec, int64_t classes = 0) {
    return error_of([&] { (void)build_model(spec, classes); });
}

std::string input_error(const Model& model, const Shape& batch) {
    return error_of([&] { model.check_input(batch); });
}

}  // namespace

TEST_CASE("models: the keys of an mlp are those of PyTorch's Sequential(Linear, ReLU, ..., Linear)") {
    Model model = build_model("mlp(in=5, widths=64:32:16, out=2)");
    CHECK(entries_of(*model.net) == Entries{{"0.bias", {64}},
                                            {"0.weight", {64, 5}},
                                            {"2.bias", {32}},
                                            {"2.weight", {32, 64}},
                                            {"4.bias", {16}},
                                            {"4.weight", {16, 32}},
                                            {"6.bias", {2}},
                                            {"6.weight", {2, 16}}});
    CHECK(model.classes == 2);
    CHECK(model.head == "6.weight");
    CHECK(model.input == Shape{5});
    CHECK(model.cam_layer.empty());
    CHECK(model.net->parameter_count() == 5 * 64 + 64 + 64 * 32 + 32 + 32 * 16 + 16 + 16 * 2 + 2);
}

TEST_CASE("models: the toy networks are three mlps") {
    Model toy1 = build_model("toy1"), same = build_model("mlp(in=5, widths=64:32:16, out=2)");
    CHECK(entries_of(*toy1.net) == entries_of(*same.net));
    Model toy2 = build_model("toy2");
    CHECK(entries_of(*toy2.net) ==
          Entries{{"0.bias", {5}}, {"0.weight", {5, 4}}, {"2.bias", {2}}, {"2.weight", {2, 5}}});
    Model toy3 = build_model("toy3");
    CHECK(entries_of(*toy3.net) == Entries{{"0.bias", {2}}, {"0.weight", {2, 2}}});
    CHECK(toy3.head == "0.weight");
    CHECK(build_model("toy2", 7).classes == 7);
}

TEST_CASE("models: the keys of cnn_small are the places in its Sequential") {
    Model model = build_model("cnn_small(in=1)");
    Entries expected;
    const auto convolution = [&](const std::string& at, int64_t in, int64_t out) {
        expected.emplace_back(at + ".weight", Shape{out, in, 3, 3});
        expected.emplace_back(at + ".bias", Shape{out});
    };
    const auto norm = [&](const std::string& at, int64_t channels) {
        for (const char* name : {".weight", ".bias", ".running_mean", ".running_var"}) {
            expected.emplace_back(at + name, Shape{channels});
        }
        expected.emplace_back(at + ".num_batches_tracked", Shape{});
    };
    convolution("0", 1, 16);
    norm("1", 16);
    convolution("3", 16, 32);
    norm("4", 32);
    convolution("7", 32, 64);
    norm("8", 64);
    expected.emplace_back("12.weight", Shape{10, 64});
    expected.emplace_back("12.bias", Shape{10});
    Entries got = entries_of(*model.net);
    const auto by_name = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::sort(expected.begin(), expected.end(), by_name);
    CHECK(got == expected);
    CHECK(model.head == "12.weight");
    CHECK(model.cam_layer == "9");
    CHECK(model.input == Shape{0, 0, 1});
    CHECK(model.net->at("0").describe() == "Conv2d(1, 16, kernel 3x3, padding 1)");
    CHECK(model.net->at("6").describe() == "MaxPool2d(2x2, stride 2)");
    CHECK(model.net->at("9").describe() == "ReLU");
    CHECK(build_model("cnn_small(in=3)", 4).net->parameter_count() ==
          (3 * 9 * 16 + 16 + 32) + (16 * 9 * 32 + 32 + 64) + (32 * 9 * 64 + 64 + 128) + 64 * 4 + 4);
}

TEST_CASE("models: cnn_s has features and a classifier, which head=fc makes two linear layers") {
    Model gap = build_model("cnn_s(in=3, channels=8:16:16, head=gap)");
    CHECK(entries_of(*gap.net) == Entries{{"classifier.0.bias", {4}},
                                          {"classifier.0.weight", {4, 16}},
                                          {"features.0.bias", {8}},
                                          {"features.0.weight", {8, 3, 3, 3}},
                                          {"features.3.bias", {16}},
                                          {"features.3.weight", {16, 8, 3, 3}},
                                          {"features.6.bias", {16}},
                                          {"features.6.weight", {16, 16, 3, 3}}});
    CHECK(gap.head == "classifier.0.weight");
    CHECK(gap.cam_layer == "features.7");
    CHECK(gap.net->at("features.7").describe() == "ReLU");

    Model fc = build_model("cnn_s(in=3, channels=8:16:16, head=fc, size=16, hidden=32)", 6);
    Entries entries = entries_of(*fc.net);
    CHECK(std::find(entries.begin(), entries.end(),
                    std::pair<std::string, Shape>{"classifier.0.weight", {32, 4 * 4 * 16}}) != entries.end());
    CHECK(std::find(entries.begin(), entries.end(),
                    std::pair<std::string, Shape>{"classifier.2.weight", {6, 32}}) != entries.end());
    CHECK(fc.head == "classifier.2.weight");
    CHECK(fc.input == Shape{16, 16, 3});
    CHECK(fc(Variable(Tensor::zeros({2, 16, 16, 3}))).shape() == Shape{2, 6});
    CHECK(build_model("cnn_s(channels=4)").cam_layer == "features.1");
}

TEST_CASE("models: cnn_g halves its images twice before its hidden layer") {
    Model model = build_model("cnn_g(in=1, size=12)");
    CHECK(model(Variable(Tensor::zeros({2, 12, 12, 1}))).shape() == Shape{2, 4});
    Entries entries = entries_of(*model.net);
    CHECK(std::find(entries.begin(), entries.end(),
                    std::pair<std::string, Shape>{"classifier.0.weight", {32, 3 * 3 * 16}}) != entries.end());

    const Model deep = build_model("cnn_g(in=3, size=16, hidden=128:64, init=cnn_s)", 4, 1);
    CHECK(deep.head == "classifier.4.weight");
    CHECK(deep.net->at("classifier.0").parameters()[0].value.shape() == Shape{128, 256});
    CHECK(deep.net->at("classifier.2").parameters()[0].value.shape() == Shape{64, 128});
    const auto head = deep.net->at("classifier.4").parameters()[0].value.data().to_vector<float>();
    double squares = 0;
    for (const float w : head) {
        squares += static_cast<double>(w) * w / static_cast<double>(head.size());
    }
    CHECK(squares == doctest::Approx(0.09 * 2 / 64).epsilon(0.3));  // He normal times 0.3
    CHECK(contains(build_error("cnn_g(hidden=0)"), "0 < hidden"));
}

TEST_CASE("models: every listed model builds with its defaults and takes what it states") {
    for (const ModelEntry& entry : list_models()) {
        CAPTURE(entry.name);
        const Model model = build_model(entry.name, 3);
        CHECK(model.classes == 3);
        Shape batch{2};
        for (const int64_t extent : model.input.extents()) {
            batch.push_back(extent == 0 ? 32 : extent);  // the VGG family halves its images five times
        }
        model.net->eval();
        CHECK(model(Variable(Tensor::ones(batch))).shape() == Shape{2, 3});
        bool head_found = false;
        for (const Parameter& p : model.net->parameters()) {
            if (p.name == model.head) {
                head_found = true;
                CHECK(p.value.dim(0) == 3);
            }
        }
        CHECK(head_found);
        if (!model.cam_layer.empty()) {
            CHECK_NOTHROW((void)model.net->at(model.cam_layer));
        }
    }
}

TEST_CASE("models: fully convolutional models take images of any size, others say which they take") {
    const Model any = build_model("cnn_small(in=3)");
    CHECK(input_error(any, {1, 7, 13, 3}) == "no error");
    CHECK(contains(input_error(any, {1, 7, 13, 1}),
                   "expected samples of shape (N, any, any, 3), got (1, 7, 13, 1)"));
    CHECK(contains(input_error(any, {1, 21}), "(1, 21)"));
    const Model fixed = build_model("cnn_s(in=3, head=fc, size=16)");
    CHECK(contains(input_error(fixed, {1, 15, 16, 3}), "(N, 16, 16, 3), got (1, 15, 16, 3)"));
    const std::string text = input_error(build_model("toy1"), {4, 6});
    CHECK(contains(text, "toy1"));
    CHECK(contains(text, "expected samples of shape (N, 5), got (4, 6)"));
}

TEST_CASE("models: vectors come as (N,D) or (N,1,1,D) and give the same logits") {
    const Model model = build_model("toy1");
    const Tensor rows = counting({3, 5});
    const Tensor logits = model(Variable(rows)).data();
    CHECK(equal(model(Variable(rows.reshape({3, 1, 1, 5}))).data(), logits));
    for (const Shape& wrong : {Shape{5}, Shape{3, 5, 1}, Shape{3, 5, 1, 1}, Shape{3, 1, 5, 5}, Shape{3, 4}}) {
        CAPTURE(wrong);
        CHECK(input_error(model, wrong) != "no error");
    }
}

TEST_CASE("models: an mlp of images lays out its first layer, and no other, as PyTorch's flatten does") {
    Model model = build_model("mlp(image=1:2:2, widths=4, out=4)");  // the hidden width is that of the input
    const Tensor eye = tensor({1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, {4, 4});
    const Tensor none = Tensor::zeros({4});
    load_state_dict(*model.net, {{"0.weight", eye}, {"0.bias", none}, {"2.weight", eye}, {"2.bias", none}},
                    "test");
    // (H=1, W=2, C=2) is (h, w, c) here and (c, h, w) in PyTorch, whose identity gives 1, 3, 2, 4.
    check_values(model(Variable(tensor({1, 2, 3, 4}, {1, 1, 2, 2}))).data(), {1, 4}, {1, 3, 2, 4});
    CHECK(contains(input_error(model, {1, 4}), "(N, 1, 2, 2)"));
    CHECK(contains(build_error("mlp(image=2:2)"), "image=H:W:C"));
    CHECK(contains(build_error("mlp(image=2:2:1, in=5)"), "has not 5 elements"));
}

TEST_CASE("models: the spec of a model builds it again, with its classes") {
    const Model model = build_model("cnn_s( in = 1, channels=4:8 )", 3, 9);
    CHECK(contains(model.spec, "classes=3"));
    const Model again = build_model(model.spec, 0, 9);
    CHECK(again.spec == model.spec);
    CHECK(again.classes == 3);
    CHECK(equal(parameter(*again.net, "features.0.weight").data(),
                parameter(*model.net, "features.0.weight").data()));
    const Model other = build_model(model.spec, 0, 10);
    CHECK_FALSE(equal(parameter(*other.net, "features.0.weight").data(),
                      parameter(*model.net, "features.0.weight").data()));
}

TEST_CASE("models: cnn_s starts with a small head, so that its first loss is near that of guessing") {
    const Model model = build_model("cnn_s(in=1, channels=64:64, head=gap)", 10, 1);
    double squares = 0;
    const std::vector<double> head = values_of(parameter(*model.net, "classifier.0.weight").data());
    for (const double w : head) {
        squares += w * w / static_cast<double>(head.size());
    }
    // 0.3 sqrt(2/64), within five deviations of the estimate from 640 values
    CHECK(std::abs(std::sqrt(squares) / (0.3 * std::sqrt(2.0 / 64.0)) - 1) < 5 / std::sqrt(2.0 * 640.0));
}

TEST_CASE("models: an unknown name or option names the near one and lists the known") {
    const std::string name = build_error("cnn_smal");
    CHECK(contains(name, "unknown model \"cnn_smal\"; did you mean cnn_small?"));
    CHECK(contains(name, "toy1"));
    CHECK(contains(name, "backlight list models"));
    const std::string option = build_error("mlp(inn=3)");
    CHECK(contains(option, "unknown option \"inn\""));
    CHECK(contains(option, "widths"));
    CHECK(contains(build_error("toy1(in=3)"), "in"));
    CHECK(contains(build_error("cnn_s(head=gpa)"), "did you mean gap?"));
}

TEST_CASE("models: options out of range and contradictions are refused") {
    CHECK(contains(build_error("mlp(in=0)"), "in"));
    CHECK(contains(build_error("mlp(widths=8:0)"), "0 < widths"));
    CHECK(contains(build_error("mlp(widths=99999999999999)"), "0 < widths"));
    CHECK(contains(build_error("mlp(image=3037000500:3037000500:3)"), "65536"));
    CHECK(contains(build_error("mlp(image=-2:-2:1)"), "-2"));
    CHECK(contains(build_error("cnn_s(channels=9223372036854775807)"), "0 < channels"));
    CHECK(contains(build_error("mlp(in=abc)"), "an integer, got \"abc\""));
    CHECK(contains(build_error("mlp(in=2, out=3)", 4), "out=3 but 4 classes"));
    CHECK(contains(build_error("toy1(classes=3)", 4), "states 3"));
    CHECK(contains(build_error("cnn_s(channels=8:-1)"), "0 < channels"));
    CHECK(contains(build_error("cnn_s(head=fc, size=2)"), "too small"));
    CHECK(contains(build_error("toy1:/somewhere"), "no place"));
    CHECK(contains(build_error("toy1", -1), "classes"));
    CHECK(contains(build_error("mlp(in=3"), "parentheses"));
    CHECK(contains(build_error(""), "expected a name"));
}
