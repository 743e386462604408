// predict and explain by the real program: every form of call, and what is refused with one line and code 2.
#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/io/image.h"
#include "tests/cli/support.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::cli_testing;
using layer_testing::equal;
using layer_testing::values_of;

namespace {

double largest_difference(const Tensor& a, const Tensor& b) {
    REQUIRE(a.shape() == b.shape());
    const auto x = values_of(a), y = values_of(b);
    double difference = 0;
    for (size_t i = 0; i < x.size(); ++i) {
        difference = std::max(difference, std::abs(x[i] - y[i]));
    }
    return difference;
}

/// A workshop with cnn_small's weights "w" and three images "x".
struct CnnSmall : Workshop {
    std::string spec = "cnn_small(in=1)", w = weights("w.safetensors", spec),
                x = input("x.npy", {3, 8, 8, 1});
    [[nodiscard]] Arguments call(const std::string& command, const std::string& out) const {
        return {command, "--model", spec, "--weights", w, "--input", x, "--out", *this / out};
    }
    [[nodiscard]] Tensor explain(const Arguments& more) const {
        succeed(call("explain", "r.npy") + more);
        return read_npy(*this / "r.npy");
    }
};

}  // namespace

TEST_CASE("cli: predict writes the logits, the same for any batch size, number of threads and precision") {
    const CnnSmall shop;
    const std::string printed = shop.succeed(shop.call("predict", "y.npy"));
    CHECK(contains(printed, "sample 2:"));
    CHECK(contains(printed, "(3, 10)"));
    const Tensor logits = read_npy(shop / "y.npy");
    CHECK(logits.shape() == Shape{3, 10});
    CHECK(logits.dtype() == DType::f32);
    shop.succeed(shop.call("predict", "one.npy") + Arguments{"--batch-size", "1", "--threads", "1"});
    CHECK(largest_difference(read_npy(shop / "one.npy"), logits) < 1e-5);
    shop.succeed(Arguments{"--threads", "2"} + shop.call("predict", "two.npy"));
    CHECK(largest_difference(read_npy(shop / "two.npy"), logits) < 1e-5);
    shop.succeed(shop.call("predict", "f64.npy") + Arguments{"--precision", "f64", "--top", "0"});
    const Tensor f64 = read_npy(shop / "f64.npy");
    CHECK(f64.dtype() == DType::f64);
    CHECK(largest_difference(f64, logits) < 1e-5);
    shop.succeed(shop.call("predict", "reference.npy") + Arguments{"--backend", "reference"});
    CHECK(largest_difference(read_npy(shop / "reference.npy"), f64) < 1e-5);

    const Model model = build_model(shop.spec);
    load_state_dict(*model.net, read_safetensors(shop.w).tensors, "w");
    CHECK(largest_difference(predict(*model.net, read_npy(shop.x)), logits) < 1e-5);
}

TEST_CASE("cli: predict takes f64 inputs, files of one class number and vectors of both shapes") {
    const Workshop shop;
    const std::string w = shop.weights("w.safetensors", "toy1", 3);
    const auto predict = [&](const std::string& input, const std::string& out) {
        shop.succeed({"predict", "--model", "toy1", "--weights", w, "--input", input, "--out", shop / out});
        return read_npy(shop / out);
    };
    const Tensor logits = predict(shop.input("rows.npy", {4, 5}), "rows_y.npy");
    CHECK(logits.shape() == Shape{4, 3});  // from the file's head
    CHECK(equal(predict(shop.input("images.npy", {4, 1, 1, 5}), "images_y.npy"), logits));
    write_npy(shop / "twice.npy", read_npy(shop / "rows.npy").to(DType::f64));
    CHECK(equal(predict(shop / "twice.npy", "twice_y.npy"), logits));
    const std::string mlp = shop.weights("mlp.safetensors", "mlp(in=5, widths=64:32:16, out=2)");
    shop.succeed({"predict", "--model", "mlp(in=5, widths=64:32:16, out=2)", "--weights", mlp, "--input",
                  shop / "rows.npy", "--out", shop / "mlp.npy"});
    CHECK(read_npy(shop / "mlp.npy").shape() == Shape{4, 2});
}

TEST_CASE("cli: explain writes a map of the input's shape for every method") {
    const CnnSmall shop;
    for (const std::string method :
         {"gradient", "input_x_gradient", "guided_backprop", "deconvnet", "epsilon", "epsilon_plus",
          "epsilon_plus(epsilon=0.25)", "epsilon_plus_flat", "epsilon_alpha2_beta1",
          "epsilon_alpha2_beta1_flat", "epsilon_gamma_box(low=0, high=1)", "z_plus", "gamma(gamma=0.5)",
          "w2_first", "lrp", "lrp(start=one)"}) {
        CAPTURE(method);
        const Tensor r = shop.explain({"--method", method});
        CHECK(r.shape() == Shape{3, 8, 8, 1});
        CHECK(r.dtype() == DType::f32);
        const Tensor precise = shop.explain({"--method", method, "--precision", "f64"});
        CHECK(precise.dtype() == DType::f64);
        double scale = 0;
        for (const double v : values_of(precise)) {
            scale = std::max(scale, std::abs(v));
        }
        CHECK(scale > 0);
        CHECK(largest_difference(r, precise) < 1e-2 * scale);
    }
    for (const std::string method : {"grad_cam", "saliency"}) {
        CAPTURE(method);
        CHECK(shop.explain({"--method", method}).shape() == Shape{3, 8, 8, 1});
    }
    CHECK(shop.explain({"--method", "grad_cam(upsample=false)"}).shape() == Shape{3, 4, 4, 1});
}

TEST_CASE("cli: explain for a class, the predicted one or all, with the sum, the logit and their gap") {
    const CnnSmall shop;
    const Tensor all = shop.explain({"--target", "all", "--method", "gradient"});
    CHECK(all.shape() == Shape{10, 3, 8, 8, 1});
    const auto slice_of = [&](int64_t k) {
        return slice(Variable(all), 0, k, 1).data().reshape(Shape{3, 8, 8, 1});
    };
    for (const int64_t k : {0, 4, 9}) {
        CHECK(equal(shop.explain({"--target", std::to_string(k), "--method", "gradient"}), slice_of(k)));
    }
    shop.succeed(shop.call("predict", "y.npy"));
    const auto predicted = argmax(read_npy(shop / "y.npy"), 1).to_vector<int64_t>();
    const Tensor of_predicted = shop.explain({"--target", "predicted", "--method", "gradient"});
    for (int64_t n = 0; n < 3; ++n) {
        CHECK(equal(slice(Variable(of_predicted), 0, n, 1).data(),
                    slice(Variable(slice_of(predicted[static_cast<size_t>(n)])), 0, n, 1).data()));
    }
    CHECK(equal(shop.explain({"--method", "gradient"}), of_predicted));  // the default
    const std::string printed =
        shop.succeed(shop.call("explain", "r.npy") + Arguments{"--target", "4", "--method", "epsilon"});
    CHECK(contains(printed, "epsilon (start=logit) sample 2 target 4: sum "));
    CHECK(contains(printed, "  logit "));
    CHECK(contains(printed, "  gap "));
}

TEST_CASE("cli: explain at a layer has the shape of its output, or of its input behind :in") {
    const CnnSmall shop;
    CHECK(shop.explain({"--method", "epsilon_plus", "--layer", "0"}).shape() == Shape{3, 8, 8, 16});
    CHECK(shop.explain({"--method", "epsilon_plus", "--layer", "9"}).shape() == Shape{3, 4, 4, 64});
    const Tensor pooled = shop.explain({"--method", "epsilon_plus", "--layer", "6"});
    CHECK(pooled.shape() == Shape{3, 4, 4, 32});
    CHECK(equal(shop.explain({"--method", "epsilon_plus", "--layer", "7:in"}), pooled));
    CHECK(shop.explain({"--method", "gradient", "--layer", "12:in"}).shape() == Shape{3, 64});
    CHECK(equal(shop.explain({"--method", "gradient", "--layer", "0:in"}),
                shop.explain({"--method", "gradient"})));
    shop.refuse(shop.call("explain", "none.npy") + Arguments{"--layer", "77"},
                {"unknown layer \"77\"", "known: "}, shop / "none.npy");
}

TEST_CASE("cli: relevance of parameters lies as weights do, features behind a flatten in (C,H,W) order") {
    const Workshop shop;
    const std::string spec = "cnn_s(in=3, channels=2:4, head=fc, size=8, hidden=5)";
    const std::string weights = shop.weights("w.safetensors", spec);
    const Arguments explain = {
        "explain",  "--model", spec,    "--weights",   weights, "--input", shop.input("x.npy", {1, 8, 8, 3}),
        "--method", "epsilon", "--out", shop / "r.npy"};
    shop.succeed(explain + Arguments{"--parameters", shop / "p.safetensors"});
    shop.succeed(explain + Arguments{"--layer", "features.4"});
    const auto relevance = read_safetensors(shop / "p.safetensors").tensors;
    for (const auto& [name, value] : read_safetensors(weights).tensors) {
        CAPTURE(name);
        REQUIRE(relevance.contains(name));
        CHECK(relevance.at(name).shape() == value.shape());
    }
    // Relevance passes through weights: what a feature gets is the sum over the weights that read it.
    const NoGrad off;
    const Tensor at_features = permute(Variable(read_npy(shop / "r.npy")), {0, 3, 1, 2}).data();  // (1,C,H,W)
    const Tensor through = sum(Variable(relevance.at("classifier.0.weight")), {0}).data();
    CHECK(largest_difference(through, at_features.reshape({at_features.numel()})) < 1e-5);
}

TEST_CASE("cli: explain keeps vectors as they came, (N,D) or (N,1,1,D)") {
    const Workshop shop;
    const std::string w = shop.weights("w.safetensors", "toy1");
    const auto explain = [&](const std::string& input, const std::string& out) {
        shop.succeed({"explain", "--model", "toy1", "--weights", w, "--input", input, "--out", shop / out,
                      "--method", "epsilon"});
        return read_npy(shop / out);
    };
    const Tensor rows = explain(shop.input("rows.npy", {4, 5}), "r.npy");
    const Tensor images = explain(shop.input("images.npy", {4, 1, 1, 5}), "s.npy");
    CHECK(rows.shape() == Shape{4, 5});
    CHECK(images.shape() == Shape{4, 1, 1, 5});
    CHECK(equal(images.reshape({4, 5}), rows));
    shop.refuse(
        {"explain", "--model", "toy1", "--weights", w, "--input", shop / "rows.npy", "--out", shop / "r.png"},
        {"(4, 5)", ".npy"}, shop / "r.png");
}

TEST_CASE("cli: explain draws pictures") {
    const CnnSmall shop;
    for (const Arguments& more : {Arguments{}, Arguments{"--view", "raw", "--colormap", "viridis"},
                                  Arguments{"--view", "side", "--reduce", "max-abs", "--percentile", "99"},
                                  Arguments{"--target", "all", "--method", "grad_cam"}}) {
        shop.succeed(shop.call("explain", "r.png") + more);
        CHECK(slurp(shop / "r.png").starts_with("\x89PNG"));
        std::filesystem::remove(shop / "r.png");
    }
    shop.refuse(shop.call("explain", "r.png") + Arguments{"--colormap", "jet"}, {"jet", "viridis"},
                shop / "r.png");
    shop.refuse(shop.call("explain", "r.png") + Arguments{"--reduce", "median"}, {"median", "max-abs"},
                shop / "r.png");
    shop.refuse(shop.call("explain", "r.gif"), {".png", "r.gif"}, shop / "r.gif");
}

TEST_CASE(
    "cli: pictures are scaled to [0,1], cut to the size that the model wants and made grey for one channel") {
    const CnnSmall shop;
    std::vector<uint8_t> pixels(8 * 8 * 3);
    std::vector<float> grey;
    for (size_t i = 0; i < 64; ++i) {  // three equal channels: grey keeps the value
        const auto value = static_cast<uint8_t>(4 * i);
        std::fill_n(pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, value);
        grey.push_back(static_cast<float>(value) / 255.0f);
    }
    write_png(shop / "p.png", Tensor::from(pixels, {8, 8, 3}));
    write_npy(shop / "p.npy", Tensor::from(grey, {1, 8, 8, 1}));
    const auto predict = [&](const std::string& input) {
        shop.succeed({"predict", "--model", shop.spec, "--weights", shop.w, "--input", shop / input, "--out",
                      shop / "y.npy"});
        return read_npy(shop / "y.npy");
    };
    CHECK(largest_difference(predict("p.png"), predict("p.npy")) < 1e-5);
    const std::string fc = shop.weights("fc.safetensors", "cnn_s(in=3, head=fc, size=16)");
    shop.succeed({"explain", "--model", "cnn_s(in=3, head=fc, size=16)", "--weights", fc, "--input",
                  shop / "p.png", "--out", shop / "r.npy"});
    CHECK(read_npy(shop / "r.npy").shape() == Shape{1, 16, 16, 3});
    const std::string toy = shop.weights("toy.safetensors", "toy3");
    shop.refuse(
        {"predict", "--model", "toy3", "--weights", toy, "--input", shop / "p.png", "--out", shop / "z.npy"},
        {"vectors"}, shop / "z.npy");
}

TEST_CASE("cli: class names and the input range come from the weight file") {
    const CnnSmall shop;
    const Model model = build_model(shop.spec, 3, 1);
    write_safetensors(shop.w, state_dict(*model.net),
                      {{"backlight.classes", "[\"cat\", \"dog\", \"7\"]"},
                       {"backlight.input_low", "[-0.5]"},
                       {"backlight.input_high", "[2]"}});
    CHECK(contains(shop.succeed(shop.call("predict", "y.npy")), "  cat "));
    CHECK(equal(shop.explain({"--target", "dog"}), shop.explain({"--target", "1"})));
    CHECK(equal(shop.explain({"--target", "7"}),
                shop.explain({"--target", "2"})));  // a name goes before a number
    shop.refuse(shop.call("explain", "none.npy") + Arguments{"--target", "bird"}, {"bird"},
                shop / "none.npy");
    CHECK(equal(shop.explain({"--method", "epsilon_gamma_box"}),
                shop.explain({"--method", "epsilon_gamma_box(low=-0.5, high=2)"})));
}

TEST_CASE(
    "cli: an output in no folder is refused before the work, one that was there before stays when a call is "
    "refused") {
    const CnnSmall shop;
    for (const std::string command : {"predict", "explain"}) {
        const Result result = shop.run(shop.call(command, "no/such/folder/y.npy"));
        INFO(result.err);
        CHECK(result.code == 2);
        CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
        CHECK(contains(result.err, "no/such/folder"));
    }
    testing::write_text(shop / "y.npy", "old");
    CHECK(shop.run(shop.call("explain", "y.npy") + Arguments{"--layer", "77"}).code == 2);
    CHECK(shop.run({"predict", "--model", shop.spec, "--weights", shop.w, "--input", shop / "none.npy",
                    "--out", shop / "y.npy"})
              .code == 2);
    CHECK(slurp(shop / "y.npy") == "old");
}

TEST_CASE("cli: damaged weight files are refused in one line, nothing is written") {
    const CnnSmall shop;
    const std::string whole = slurp(shop.w);
    const auto refuse = [&](const std::string& name, const std::string& bytes,
                            const std::vector<std::string>& parts) {
        CAPTURE(name);
        testing::write_text(shop / name, bytes);
        std::vector<std::string> all = parts;
        all.push_back(name);
        for (const std::string command : {"predict", "explain"}) {
            shop.refuse({command, "--model", shop.spec, "--weights", shop / name, "--input", shop.x, "--out",
                         shop / "y.npy"},
                        all, shop / "y.npy");
        }
    };
    refuse("empty.safetensors", "", {});
    refuse("short.safetensors", whole.substr(0, 5), {});
    refuse("cut_header.safetensors", whole.substr(0, 100), {});
    refuse("cut_data.safetensors", whole.substr(0, whole.size() - 1), {});
    refuse("text.safetensors", "this is not a weight file at all", {});
    refuse("zip.safetensors", std::string("PK\x03\x04") + std::string(100, '\0'), {});
    std::string claims = whole;
    claims.replace(0, 8, std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8));  // a header of 2^63 bytes
    refuse("claims.safetensors", claims, {});
    std::string large = whole;  // a tensor of more than the file holds
    const size_t shape = large.find("\"shape\":[16]");
    REQUIRE(shape != std::string::npos);
    large.replace(shape, 12, "\"shape\":[99]");
    refuse("large.safetensors", large, {"shape"});
    shop.refuse({"predict", "--model", shop.spec, "--weights", shop / "none.safetensors", "--input", shop.x,
                 "--out", shop / "y.npy"},
                {"none.safetensors"}, shop / "y.npy");
    shop.refuse({"predict", "--model", shop.spec, "--weights", shop.path().string(), "--input", shop.x,
                 "--out", shop / "y.npy"},
                {}, shop / "y.npy");
}

TEST_CASE("cli: weights of another network, and numbers that are none, are refused by name") {
    const CnnSmall shop;
    const auto predict = [&](const std::string& model, const std::string& w) {
        return Arguments{"predict", "--model", model,   "--weights",   w,
                         "--input", shop.x,    "--out", shop / "y.npy"};
    };
    shop.refuse(predict("cnn_small(in=3)", shop.w),
                {"0.weight (expected float32 (16, 3, 3, 3), got float32 (16, 1, 3, 3))"}, shop / "y.npy");
    shop.refuse(predict("cnn_s(in=1)", shop.w), {"missing: ", "unexpected: "}, shop / "y.npy");
    shop.refuse(predict(shop.spec, shop.w) + Arguments{"--classes", "4"}, {"12.weight"}, shop / "y.npy");
    auto tensors = read_safetensors(shop.w).tensors;
    tensors["3.weight"].fill(std::numeric_limits<double>::quiet_NaN());
    tensors["8.running_var"].fill(std::numeric_limits<double>::infinity());
    write_safetensors(shop / "nan.safetensors", tensors);
    shop.refuse(predict(shop.spec, shop / "nan.safetensors"), {"not finite: 3.weight, 8.running_var"},
                shop / "y.npy");
}

TEST_CASE("cli: inputs that do not fit, are damaged or are not finite are refused") {
    const CnnSmall shop;
    const auto refuse = [&](const std::string& input, const std::vector<std::string>& parts) {
        CAPTURE(input);
        for (const std::string command : {"predict", "explain"}) {
            shop.refuse({command, "--model", shop.spec, "--weights", shop.w, "--input", input, "--out",
                         shop / "y.npy"},
                        parts, shop / "y.npy");
        }
    };
    refuse(shop.input("rgb.npy", {1, 8, 8, 3}), {"(N, any, any, 1)", "(1, 8, 8, 3)"});
    refuse(shop.input("rows.npy", {4, 64}), {"(4, 64)"});
    refuse(shop.input("cube.npy", {8, 8, 1}), {"(8, 8, 1)"});
    refuse(shop.input("none.npy", {0, 8, 8, 1}), {"no samples"});
    Tensor x = read_npy(shop.x).clone();
    auto values = x.to_vector<float>();
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        values[77] = static_cast<float>(bad);
        write_npy(shop / "bad.npy", Tensor::from(values, x.shape()));
        refuse(shop / "bad.npy", {"bad.npy", "not finite"});
    }
    write_npy(shop / "whole.npy", Tensor::zeros({1, 8, 8, 1}, DType::i64));
    refuse(shop / "whole.npy", {"int64"});
    testing::write_text(shop / "text.npy", "hello");
    refuse(shop / "text.npy", {"text.npy"});
    const std::string bytes = slurp(shop.x);
    testing::write_text(shop / "cut.npy", bytes.substr(0, bytes.size() - 3));
    refuse(shop / "cut.npy", {"cut.npy"});
    refuse(shop / "missing.npy", {"missing.npy"});
    refuse(shop / "missing.png", {"missing.png"});
}

TEST_CASE("cli: targets, methods and their options are checked") {
    const CnnSmall shop;
    const auto refuse = [&](const Arguments& more, const std::vector<std::string>& parts) {
        shop.refuse(shop.call("explain", "r.npy") + more, parts, shop / "r.npy");
    };
    refuse({"--target", "10"}, {"--target", "10", "0..9"});
    refuse({"--target=-1"}, {"-1", "0..9"});
    refuse({"--target", "99999999999999999999"}, {"99999999999999999999"});
    refuse({"--target", "cat"}, {"cat", "predicted"});
    refuse({"--method", "gradeint"}, {"unknown method \"gradeint\"", "did you mean gradient?", "epsilon_plus",
                                      "backlight list methods"});
    refuse({"--method", "epsilon(eps=1)"}, {"unknown option \"eps\"", "epsilon", "stabilizer"});
    refuse({"--method", "epsilon(start=two)"}, {"two", "logit"});
    refuse({"--method", "epsilon(epsilon=-1)"}, {"epsilon"});
    refuse({"--method", "epsilon(epsilon=x)"}, {"a number, got \"x\""});
    refuse({"--method", "epsilon_gamma_box"}, {"low", "high"});
    refuse({"--method", "epsilon_gamma_box(low=1, high=0)"}, {"low"});
    refuse({"--method", "epsilon(epsilon=1"}, {"parentheses"});
    refuse({"--method", "grad_cam", "--layer", "12"}, {"12"});
    refuse({"--precision", "f16"}, {"f16", "f64"});
}

TEST_CASE("cli: models and their options are checked before any file is read") {
    const Workshop shop;
    const auto refuse = [&](const std::string& model, const std::vector<std::string>& parts) {
        shop.refuse({"predict", "--model", model, "--weights", shop.weights("w.safetensors", "toy3"),
                     "--input", shop.input("x.npy", {1, 2}), "--out", shop / "y.npy"},
                    parts, shop / "y.npy");
    };
    refuse("toy4", {"unknown model \"toy4\"", "did you mean toy1?", "cnn_small", "backlight list models"});
    refuse("mlp(widht=3)", {"unknown option \"widht\"", "widths"});
    refuse("mlp(widths=a)", {"integers", "\"a\""});
    refuse("mlp(", {"parentheses"});
}
