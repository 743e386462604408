// explain by the real program: layers, starts, neurons, parameters, composites, backgrounds, and folders of
// many samples and methods.
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "autograd/functions.h"
#include "core/io/image.h"
#include "tests/cli/support.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::cli_testing;
using layer_testing::equal;
using layer_testing::values_of;

namespace {

struct Shop : Workshop {
    std::string spec = "cnn_small(in=1)", w = weights("w.safetensors", spec),
                x = input("x.npy", {3, 8, 8, 1});
    [[nodiscard]] Arguments call(const std::string& out) const {
        return {"explain", "--model", spec, "--weights", w, "--input", x, "--out", *this / out};
    }
    [[nodiscard]] Arguments folder(const std::string& out) const {
        return {"explain", "--model", spec, "--weights", w, "--input", x, "--out-dir", *this / out};
    }
    [[nodiscard]] Tensor map(const Arguments& more) const {
        succeed(call("r.npy") + more);
        return read_npy(*this / "r.npy");
    }
};

size_t occurrences(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++count;
    }
    return count;
}

nlohmann::json index_of(const Shop& shop, const std::string& folder) {
    return nlohmann::json::parse(slurp(shop / (folder + "/index.json")));
}

}  // namespace

TEST_CASE("cli: explain writes several layers in one file, each as it comes alone") {
    const Shop shop;
    shop.succeed(shop.call("r.safetensors") + Arguments{"--layer", "0,6", "--layer", "7:in"});
    const auto file = read_safetensors(shop / "r.safetensors");
    REQUIRE(file.tensors.size() == 3);
    for (const char* layer : {"0", "6", "7:in"}) {
        CAPTURE(layer);
        CHECK(equal(file.tensors.at(layer), shop.map({"--layer", layer})));
    }
    shop.succeed(shop.call("all.safetensors") + Arguments{"--layer", "all"});
    CHECK(read_safetensors(shop / "all.safetensors").tensors.size() > 8);
    shop.refuse(shop.call("r.npy") + Arguments{"--layer", "0,6"}, {"2 layers", ".safetensors"}, "");
    shop.refuse(shop.call("r.npy") + Arguments{"--layer", "x*"}, {"no layer matches x*"}, "");
}

TEST_CASE("cli: explain without a layer puts the input's map into a .safetensors file, shaped as asked") {
    const Shop shop;
    const Arguments method{"--method", "gradient"};
    shop.succeed(shop.call("r.safetensors") + method);
    const auto plain = read_safetensors(shop / "r.safetensors").tensors;
    REQUIRE(plain.size() == 1);
    CHECK(equal(plain.at("input"), shop.map(method)));
    const Arguments shaped = method + Arguments{"--reduce", "l2", "--norm", "max-abs"};
    shop.succeed(shop.call("r.safetensors") + shaped);
    CHECK(equal(read_safetensors(shop / "r.safetensors").tensors.at("input"), shop.map(shaped)));
    // Of layers, and of every class.
    shop.succeed(shop.call("r.safetensors") + shaped + Arguments{"--layer", "0,6"});
    const auto layers = read_safetensors(shop / "r.safetensors").tensors;
    for (const char* layer : {"0", "6"}) {
        CAPTURE(layer);
        CHECK(layers.at(layer).dim(3) == 1);
        CHECK(equal(layers.at(layer), shop.map(shaped + Arguments{"--layer", layer})));
    }
    CHECK(shop.map(shaped + Arguments{"--target", "all"}).shape() == Shape{10, 3, 8, 8, 1});
    shop.refuse(shop.call("none.safetensors") + shaped + Arguments{"--layer", "0,11"},
                {"--reduce and --norm", "of layer 11"}, shop / "none.safetensors");
}

TEST_CASE("cli: explain starts with a file, at a neuron, and says what a map should sum to") {
    const Shop shop;
    std::vector<float> start(30, 0.0f);
    for (size_t n = 0; n < 3; ++n) {
        start[n * 10 + 4] = 1;
    }
    write_npy(shop / "s.npy", Tensor::from(start, {3, 10}));
    CHECK(equal(shop.map({"--method", "gradient", "--start", shop / "s.npy"}),
                shop.map({"--method", "gradient", "--target", "4"})));
    CHECK(shop.map({"--method", "deep_lift", "--neuron", "6:3"}).shape() == Shape{3, 8, 8, 1});
    CHECK(contains(shop.succeed(shop.call("r.npy") + Arguments{"--method", "deep_lift"}), "should be"));
    write_npy(shop / "bad.npy", Tensor::from(start, {5, 6}));
    shop.refuse(
        shop.call("none.npy") + Arguments{"--method", "epsilon(start=logit)", "--start", shop / "s.npy"},
        {"--start", "epsilon(start=logit)", "leave one of them out"}, shop / "none.npy");
    shop.refuse(shop.call("none.npy") + Arguments{"--start", shop / "bad.npy"}, {"start", "(3, 10)"},
                shop / "none.npy");
    shop.refuse(shop.call("none.npy") + Arguments{"--neuron", "6"}, {"LAYER:channel"}, shop / "none.npy");
    shop.refuse(shop.call("none.npy") + Arguments{"--neuron", "6:999"}, {"out of range"}, shop / "none.npy");
}

TEST_CASE("cli: explain writes the relevance of parameters, prints what is absorbed, and takes composites") {
    const Shop shop;
    const std::string printed = shop.succeed(
        shop.call("r.npy") + Arguments{"--parameters", shop / "p.safetensors", "--conservation"});
    CHECK(contains(printed, "absorbed"));
    const auto parameters = read_safetensors(shop / "p.safetensors").tensors;
    CHECK(parameters.at("0.weight").shape() == Shape{16, 1, 3, 3});  // as weight files have it
    CHECK(equal(shop.map({"--composite", "conv:zplus; linear:epsilon"}),
                shop.map({"--method", "epsilon_plus"})));
    shop.refuse(shop.call("none.npy") + Arguments{"--composite", "convv:zplus"}, {"did you mean conv"},
                shop / "none.npy");
    shop.refuse(
        shop.call("none.npy") + Arguments{"--method", "gradient", "--parameters", shop / "p2.safetensors"},
        {"LRP methods"}, shop / "p2.safetensors");
}

TEST_CASE("cli: methods that compare with other samples get them from a file or a data set") {
    const Shop shop;
    const std::string background = shop.input("b.npy", {4, 8, 8, 1});
    CHECK(shop.map({"--method", "deep_shap", "--background", background}).shape() == Shape{3, 8, 8, 1});
    const Tensor once =
        shop.map({"--method", "expected_gradients(k=6)", "--background", "digits", "--background-size", "5"});
    CHECK(equal(once, shop.map({"--method", "expected_gradients(k=6)", "--background", "digits",
                                "--background-size", "5"})));
    CHECK_FALSE(equal(once, shop.map({"--method", "expected_gradients(k=6)", "--background", "digits",
                                      "--background-size", "5", "--seed", "1"})));
    shop.refuse(shop.call("none.npy") + Arguments{"--method", "deep_shap"}, {"--background"},
                shop / "none.npy");
}

TEST_CASE(
    "cli: a folder of maps has an index, pictures, a grid and a page; a second call keeps what is there") {
    const Shop shop;
    const Arguments methods{"--method", "gradient", "--method", "epsilon_plus(epsilon=0.01)",
                            "--method", "grad_cam"};
    CHECK(contains(shop.succeed(shop.folder("d") + methods), "9 maps computed, 0 kept"));
    const nlohmann::json index = index_of(shop, "d");
    REQUIRE(index.at("maps").size() == 9);
    for (const auto& entry : index.at("maps")) {
        CAPTURE(entry.dump());
        const Tensor map = read_npy(shop / ("d/" + entry.at("array").get<std::string>()));
        CHECK(map.rank() == 4);
        CHECK(read_image(shop / ("d/" + entry.at("picture").get<std::string>())).rank() == 3);
        CHECK(entry.at("target_name").get<std::string>().starts_with("class "));
    }
    const Tensor second = read_npy(shop / "d/x_1/gradient.npy");
    CHECK(equal(second, slice(Variable(shop.map({"--method", "gradient"})), 0, 1, 1).data()));
    CHECK(read_image(shop / "d/grid.png").dim(1) > 3 * 128);
    CHECK(contains(slurp(shop / "d/report.html"), "epsilon_plus(epsilon=0.01)"));
    // An interrupted run: one map is missing.
    std::filesystem::remove(shop / "d/x_2/grad_cam.npy");
    CHECK(contains(shop.succeed(shop.folder("d") + methods), "1 maps computed, 8 kept"));
    CHECK(index_of(shop, "d").at("maps").size() == 9);
    shop.refuse(shop.folder("d") + methods + Arguments{"--target", "3"}, {"explanations of something else"},
                "");
}

TEST_CASE("cli: a folder of maps knows its samples by name and by what they hold") {
    const Shop shop;
    const std::string w = shop.weights("rgb.safetensors", "cnn_small(in=3)");
    const auto write_picture = [&](const std::string& name, uint8_t first) {
        std::vector<uint8_t> values(8 * 8 * 3);
        std::iota(values.begin(), values.end(), first);
        write_png(shop / ("pictures/" + name), Tensor::from(values, {8, 8, 3}));
    };
    std::filesystem::create_directories(shop / "pictures");
    write_picture("a.png", 0);
    const auto explain = [&](const std::string& input, const std::string& out) {
        return shop.succeed({"explain", "--model", "cnn_small(in=3)", "--weights", w, "--input", shop / input,
                             "--method", "input_x_gradient", "--method", "smoothgrad(n=3)", "--out-dir",
                             shop / out});
    };
    CHECK(contains(explain("pictures", "d"), "2 maps computed, 0 kept"));
    const Tensor a = read_npy(shop / "d/a.png/input_x_gradient.npy");
    // One that comes to stand in front of it.
    write_picture("0.png", 50);
    CHECK(contains(explain("pictures", "d"), "2 maps computed, 2 kept"));
    CHECK(equal(read_npy(shop / "d/a.png/input_x_gradient.npy"), a));
    CHECK_FALSE(equal(read_npy(shop / "d/0.png/input_x_gradient.npy"), a));
    std::map<std::string, int64_t> place;
    const nlohmann::json after_index = index_of(shop, "d");
    for (const auto& entry : after_index.at("maps")) {
        place[entry.at("name").get<std::string>()] = entry.at("sample").get<int64_t>();
    }
    CHECK(place == std::map<std::string, int64_t>{{"0.png", 0}, {"a.png", 1}});
    // All is as if both had been there from the start, what is drawn at random too.
    CHECK(contains(explain("pictures", "fresh"), "4 maps computed, 0 kept"));
    const nlohmann::json fresh_index = index_of(shop, "fresh");
    for (const auto& entry : fresh_index.at("maps")) {
        const std::string array = entry.at("array").get<std::string>();
        CAPTURE(array);
        CHECK(equal(read_npy(shop / ("d/" + array)), read_npy(shop / ("fresh/" + array))));
    }
    // Another picture under the same name.
    write_picture("a.png", 100);
    CHECK(contains(explain("pictures", "d"), "2 maps computed, 2 kept"));
    CHECK_FALSE(equal(read_npy(shop / "d/a.png/input_x_gradient.npy"), a));
    CHECK(index_of(shop, "d").at("maps").size() == 4);
}

TEST_CASE(
    "cli: a folder of maps is computed again where the file of the samples, or of the background, is "
    "another") {
    const Shop shop;
    const Arguments gradient{"--method", "input_x_gradient"};
    CHECK(contains(shop.succeed(shop.folder("d") + gradient + Arguments{"--limit", "1"}), "1 maps computed"));
    CHECK(contains(shop.succeed(shop.folder("d") + gradient), "2 maps computed, 1 kept"));
    shop.input("x.npy", {3, 8, 8, 1}, 5);
    CHECK(contains(shop.succeed(shop.folder("d") + gradient), "3 maps computed, 0 kept"));
    CHECK(index_of(shop, "d").at("maps").size() == 3);
    CHECK(equal(read_npy(shop / "d/x_1/input_x_gradient.npy"),
                slice(Variable(shop.map(gradient)), 0, 1, 1).data()));
    const Arguments lift = shop.folder("e") + Arguments{"--method", "deep_shap", "--no-pictures",
                                                        "--background", shop.input("b.npy", {4, 8, 8, 1}, 2)};
    shop.succeed(lift);
    shop.input("b.npy", {4, 8, 8, 1}, 3);
    shop.refuse(lift, {"explanations of something else"}, "");
}

TEST_CASE(
    "cli: pictures of a folder of maps are drawn again where they are missing or others are asked for") {
    const Shop shop;
    const Arguments call = shop.folder("d") + Arguments{"--method", "gradient"};
    const std::string picture = shop / "d/x_1/gradient.png";
    shop.succeed(call + Arguments{"--no-pictures"});
    CHECK_FALSE(std::filesystem::exists(picture));
    CHECK_FALSE(index_of(shop, "d").at("maps")[0].contains("picture"));
    CHECK(contains(shop.succeed(call), "0 maps computed, 3 kept, pictures of 3 drawn again"));
    const std::string red = slurp(picture);
    CHECK(index_of(shop, "d").at("maps")[0].at("drawn").at("colormap") == "blue-white-red");
    CHECK_FALSE(contains(shop.succeed(call), "drawn again"));
    CHECK(contains(shop.succeed(call + Arguments{"--colormap", "viridis"}), "pictures of 3 drawn again"));
    CHECK(slurp(picture) != red);
    std::filesystem::remove(picture);
    CHECK(contains(shop.succeed(call + Arguments{"--colormap", "viridis"}), "pictures of 1 drawn again"));
    CHECK(contains(shop.succeed(call), "pictures of 3 drawn again"));
    CHECK(slurp(picture) == red);
    CHECK(contains(shop.succeed(call + Arguments{"--reduce", "l2", "--percentile", "90"}),
                   "pictures of 3 drawn again"));
    // Of other samples nothing stays.
    shop.input("x.npy", {3, 8, 8, 1}, 9);
    shop.succeed(call + Arguments{"--no-pictures"});
    CHECK_FALSE(std::filesystem::exists(picture));
}

TEST_CASE("cli: with all methods a sample that one of them cannot explain is left out of it alone") {
    const Shop shop;
    // The gradient of the second class is 1e20: its square overflows, and only where that class is predicted.
    const std::string w = shop / "steep.safetensors";
    write_safetensors(w, {{"0.weight", Tensor::from<float>({1, 0, 0, 1e20F}, {2, 2})},
                          {"0.bias", Tensor::zeros({2})},
                          {"2.weight", Tensor::from<float>({1, 0, 0, 1}, {2, 2})},
                          {"2.bias", Tensor::zeros({2})}});
    write_npy(shop / "v.npy", Tensor::from<float>({1, 0, 0, 1, 1, 0, 1, 0}, {4, 2}));
    const Arguments call{"explain",      "--model",   "mlp(in=2, widths=2, out=2)",
                         "--weights",    w,           "--input",
                         shop / "v.npy", "--out-dir", shop / "d"};
    const std::string printed = shop.succeed(call + Arguments{"--method", "all"});
    CHECK(contains(printed, "left out: smoothgrad_sq at v_1: "));
    CHECK(contains(slurp(shop / "d/report.html"), "smoothgrad_sq at v_1: "));
    const nlohmann::json index = index_of(shop, "d");
    std::map<std::string, std::vector<std::string>> found;  // names by method
    for (const auto& entry : index.at("maps")) {
        found[entry.at("method").get<std::string>()].push_back(entry.at("name").get<std::string>());
    }
    CHECK(found["gradient"] == std::vector<std::string>{"v_0", "v_1", "v_2", "v_3"});
    CHECK(found["smoothgrad_sq"] == std::vector<std::string>{"v_0", "v_2", "v_3"});
    // What works on no sample is told once.
    std::map<std::string, int> told;
    for (const auto& failure : index.at("failed")) {
        CAPTURE(failure.dump());
        const std::string method = failure.at("method").get<std::string>();
        CHECK_FALSE(failure.at("why").get<std::string>().empty());
        if (failure.contains("name")) {
            CHECK(found.contains(method));
        } else {
            CHECK_FALSE(found.contains(method));
            CHECK(++told[method] == 1);
        }
    }
    CHECK(told.contains("expected_gradients"));  // cannot be built
    CHECK(told.contains("rise"));                // takes pictures
    // A method that is named stops, and what was computed stays.
    shop.refuse(call + Arguments{"--method", "gradient", "--method", "smoothgrad_sq(n=5)"}, {"not finite"});
    size_t kept = 0;
    const nlohmann::json last_index = index_of(shop, "d");
    for (const auto& entry : last_index.at("maps")) {
        kept += entry.at("method") == "smoothgrad_sq(n=5)" ? 1 : 0;
    }
    CHECK(kept == 1);
}

TEST_CASE("cli: on the page every row has the maps of its own method, also where one failed on a sample") {
    const Shop shop;
    Tensor x = Tensor::full({3, 8, 8, 1}, 0.5);
    std::vector<float> values = x.to_vector<float>();
    for (size_t i = 0; i < 64; ++i) {  // sums of its features overflow
        values[i] = 5e35F * static_cast<float>(i);
    }
    write_npy(shop.x, Tensor::from(values, x.shape()));
    shop.succeed(shop.folder("d") + Arguments{"--method", "all"});
    const nlohmann::json index = index_of(shop, "d");
    std::map<std::string, size_t> maps;
    for (const auto& entry : index.at("maps")) {
        ++maps[entry.at("method").get<std::string>()];
    }
    const std::string page = slurp(shop / "d/report.html");
    bool some_failed = false;
    for (const auto& [method, count] : maps) {
        CAPTURE(method);
        some_failed = some_failed || count == 2;
        // Once beside its row of pictures, once in the table of numbers. Erasure of the input as a whole is
        // one number, no picture.
        CHECK(occurrences(page, ">" + method + "<") == (method == "representation_erasure" ? 1 : 2));
    }
    CHECK(some_failed);
}

TEST_CASE("cli: all methods on a data set; those that cannot work are named with the reason") {
    const Shop shop;
    const std::string printed = shop.succeed({"explain", "--model", shop.spec, "--weights", shop.w, "--data",
                                              "digits", "--limit", "2", "--target", "label", "--method",
                                              "all", "--out-dir", shop / "all", "--no-pictures"});
    CHECK(contains(printed, "left out: expected_gradients"));
    const nlohmann::json index = index_of(shop, "all");
    CHECK(index.at("maps").size() > 50);
    CHECK(index.at("maps")[0].at("label").get<std::string>() ==
          index.at("maps")[0].at("target_name").get<std::string>());
    for (const auto& [more, parts] : std::vector<std::pair<Arguments, std::vector<std::string>>>{
             {{"--method", "lrpp"}, {"did you mean lrp"}},
             {{"--target", "all"}, {"--out"}},
             {{"--layer", "0"}, {"--out-dir"}},
             {{"--split", "tset"}, {"tset"}}}) {
        shop.refuse(Arguments{"explain", "--model", shop.spec, "--weights", shop.w, "--data", "digits",
                              "--out-dir", shop / "none"} +
                        more,
                    parts, "");
    }
    shop.refuse({"explain", "--model", shop.spec, "--weights", shop.w, "--out", shop / "r.npy"},
                {"--input or --data"}, "");
}

TEST_CASE("cli: a folder of maps tells methods, weights and backgrounds apart") {
    const Shop shop;
    shop.succeed(shop.folder("d") + Arguments{"--method", "epsilon_plus(composite=(depth<=1:flat))",
                                              "--method", "epsilon_plus(composite=(depth>=1:flat))",
                                              "--no-pictures"});
    const nlohmann::json index = index_of(shop, "d");
    REQUIRE(index.at("maps").size() == 6);
    CHECK(index.at("maps")[0].at("array") != index.at("maps")[1].at("array"));
    write_npy(shop / "b.npy", read_npy(shop.x));
    const Arguments lift =
        shop.folder("e") + Arguments{"--method", "deep_shap", "--no-pictures", "--background"};
    shop.succeed(lift + Arguments{shop / "b.npy"});
    shop.refuse(lift + Arguments{"digits"}, {"explanations of something else"}, "");
    // Other weights under the same name.
    const Model model = build_model(shop.spec, 10, 8);
    write_safetensors(shop.w, state_dict(*model.net));
    shop.refuse(lift + Arguments{shop / "b.npy"}, {"explanations of something else"}, "");
    testing::write_text(shop / "d/index.json", "[]");
    shop.refuse(shop.folder("d"), {"is damaged"}, "");
    shop.refuse(shop.folder("b.npy"), {"--out-dir"}, "");
}

TEST_CASE("cli: a folder of pictures is explained, and sequential colours show magnitudes") {
    const Shop shop;
    std::filesystem::create_directories(shop / "pictures");
    for (const char* name : {"a.png", "b.png"}) {
        write_png(shop / (std::string("pictures/") + name), Tensor::zeros({8, 8, 3}, DType::u8));
    }
    const std::string w = shop.weights("rgb.safetensors", "cnn_small(in=3)");
    shop.succeed({"explain", "--model", "cnn_small(in=3)", "--weights", w, "--input", shop / "pictures",
                  "--method", "gradient", "--colormap", "viridis", "--out-dir", shop / "maps"});
    CHECK(index_of(shop, "maps").at("maps").size() == 2);
    CHECK(std::filesystem::exists(shop / "maps/a.png/gradient.npy"));
    // What is no picture is told, and does not stop the others.
    testing::write_text(shop / "pictures/Thumbs.db", "no picture");
    const Arguments again{"explain", "--model",         "cnn_small(in=3)", "--weights",  w,
                          "--input", shop / "pictures", "--out-dir",       shop / "more"};
    CHECK(contains(shop.succeed(again), "Thumbs.db"));
    CHECK(index_of(shop, "more").at("maps").size() == 2);
    CHECK(contains(slurp(shop / "more/report.html"), "Thumbs.db"));
    std::filesystem::remove(shop / "pictures/a.png");
    std::filesystem::remove(shop / "pictures/b.png");
    shop.refuse(again, {"no sample can be read", "Thumbs.db"}, "");
}

TEST_CASE("cli: wrong options of explain are refused before the work, in one line") {
    const Shop shop;
    shop.refuse(shop.call("r.npy") + Arguments{"--limit", "3"}, {"--limit goes with --out-dir"},
                shop / "r.npy");
    shop.refuse(shop.folder("f") + Arguments{"--view", "raw"}, {"--view goes with --out"}, shop / "f");
    shop.refuse(shop.folder("f") + Arguments{"--method", "all", "--method", "lrp"}, {"leave out the others"});
    shop.refuse(shop.call("r.npy") + Arguments{"--method", ""}, {"--method: expected a name"});
    shop.refuse(shop.call("r.npy") + Arguments{"--composite", "conv:"},
                {"expected PREDICATE:RULE, got \"conv:\""});
    shop.refuse(shop.call("r.npy") + Arguments{"--layer", "6", "--neuron", "3:0"},
                {"layer 6 lies behind the neuron 3:0"});
    for (const auto& [more, parts] : std::vector<std::pair<Arguments, std::vector<std::string>>>{
             {{"--colormap", "pink"}, {"pink"}},
             {{"--reduce", "pink"}, {"pink"}},
             {{"--norm", "pink"}, {"pink"}},
             {{"--parameters", shop / "none/p.safetensors"}, {"--parameters"}},
             {{"--parameters", shop / "p.txt"}, {".safetensors"}},
             {{"--parameters", shop / "p.safetensors", "--target", "all"}, {"--target all"}},
             {{"--composite", "any:norm"}, {"sums, averages and max pools"}},
             {{"--composite", ""}, {"--composite: expected rules"}},
             {{"--layer", "con*"}, {"no layer matches con*", "known: 0, "}},
             {{"--target", "nin"}, {"unknown class"}},
             {{"--neuron", "3:0", "--target", "1"}, {"leave out --target"}},
             {{"--start", shop.x, "--target", "all"}, {"leave out --target"}},
             {{"--percentile", "nan"}, {"--percentile"}},
             {{"--method", "cam(layer=0)"}, {"layer"}},
             {{"--method", "grad_cam(layer=0)", "--layer", "3"}, {"name one of them"}},
             {{"--method", "grad_cam(layer=6)", "--neuron", "3:0"}, {"layer 6 lies behind the neuron 3:0"}},
             {{"--method", "ablation(layer=6)", "--neuron", "3:0"}, {"layer 6 lies behind the neuron 3:0"}},
             {{"--method", "contextual_decomposition(window=0)"}, {"window"}}}) {
        CAPTURE(more[1]);
        shop.refuse(shop.call("none.npy") + more, parts, shop / "none.npy");
    }
    shop.refuse(shop.call("none.png") + Arguments{"--norm", "max-abs"}, {"--norm scales"}, shop / "none.png");
    shop.refuse(shop.call("none.png") + Arguments{"--method", "gradient", "--colormap", "grey"}, {"grey"},
                shop / "none.png");
    // Reduced and scaled maps of files.
    const Tensor map = shop.map({"--method", "gradient", "--reduce", "max-abs", "--norm", "max-abs"});
    CHECK(map.shape() == Shape{3, 8, 8, 1});
    CHECK(amax(Variable(map)).item() == 1);
}
