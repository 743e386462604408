// The demo's photographs, with a network of random weights: names and numbers go where they belong, and
// weights that do not say what they mean are refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/io/image.h"
#include "core/io/safetensors.h"
#include "core/random.h"
#include "experiments/photographs.h"
#include "layers/state.h"
#include "models/model.h"
#include "tests/train/support.h"
#include "train/picture.h"

using namespace backlight;
using train_testing::contains;
using train_testing::error_of;
using train_testing::TemporaryFolder;

namespace {

std::map<std::string, std::string> metadata() {
    return {{"backlight.classes", R"(["ant","bee","cat","dog","elk","fox"])"},
            {"backlight.mean", "[0.5]"},
            {"backlight.std", "[0.25]"},
            {"backlight.input_low", "[-2]"},
            {"backlight.input_high", "[2]"},
            {"backlight.sample", "[32,32,3]"}};
}

/// Prefers class 2, "cat".
std::filesystem::path write_weights(const TemporaryFolder& folder,
                                    const std::map<std::string, std::string>& texts) {
    const Model model = build_model("efficientnet_lite0", 6, 1);
    auto state = state_dict(*model.net);
    state.at("_fc.bias") = Tensor::from<float>({0, 1, 90, 0, 2, 0}, {6});
    const std::filesystem::path path = folder.path() / "w.safetensors";
    write_safetensors(path, state, texts);
    return path;
}

Tensor halves(int64_t height, int64_t width) {  // left half 0, right half 255
    std::vector<uint8_t> values;
    for (int64_t i = 0; i < height * width; ++i) {
        values.insert(values.end(), 3, i % width < width / 2 ? 0 : 255);
    }
    return Tensor::from(values, {height, width, 3});
}

}  // namespace

TEST_CASE("photographs: each has its likeliest classes by name, and a map of every method") {
    const TemporaryFolder folder;
    const auto weights = write_weights(folder, metadata());
    std::filesystem::create_directories(folder.path() / "photos");
    write_png(folder.path() / "photos" / "wide.png", halves(40, 64));
    write_png(folder.path() / "photos" / "tall.png", halves(48, 36));
    std::ostringstream out;
    const Photographs made = explain_photographs(weights, folder.path() / "photos", out);
    CHECK(contains(out.str(), "tall.png: cat 100.0 %"));
    REQUIRE(made.classes.rows.size() == 2);
    CHECK(made.classes.rows[0][0] == "tall");
    CHECK(made.classes.rows[1][0] == "wide");
    CHECK(made.classes.rows[1][1] == "cat 100.0\u00a0%");
    CHECK(made.classes.rows[1].size() == made.classes.columns.size());
    for (const auto& row : made.explained.pictures) {
        REQUIRE(row.size() == made.explained.columns.size());
        for (const Tensor& picture : row) {
            CHECK(picture.shape() == Shape{32, 32, 3});
        }
    }
    report::Page page("p");
    add_photographs(page, made);
    CHECK(contains(page.html(), "cat 100.0\u00a0%"));
}

TEST_CASE("photographs: what is missing is named") {
    const TemporaryFolder folder;
    std::ostringstream out;
    auto texts = metadata();
    texts.erase("backlight.classes");
    const auto weights = write_weights(folder, texts);
    CHECK(
        contains(error_of([&] { (void)explain_photographs(weights, folder.path(), out); }), "w.safetensors"));
    (void)write_weights(folder, metadata());
    CHECK(
        contains(error_of([&] { (void)explain_photographs(weights, folder.path() / "none", out); }), "none"));
}

TEST_CASE("read_picture: the shorter side fills the window, the middle stays, values are normalised") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "p.png";
    write_png(path, halves(8, 16));
    Model model = build_model("efficientnet_lite0", 2);
    model.picture = {8, 8, 3};
    model.mean = {0.5};
    model.std = {0.25};
    const Tensor x = read_picture(path, model);
    CHECK(x.shape() == Shape{1, 8, 8, 3});
    const std::vector<float> values = x.to_vector<float>();
    CHECK(values[0] == -2);  // black, of the columns 4 to 11
    CHECK(values[3 * 3] == -2);
    CHECK(values[4 * 3] == 2);  // white
    CHECK(contains(error_of([&] { (void)read_picture(path, build_model("toy1")); }), "vectors"));
}

TEST_CASE("read_picture: a picture is cut as in the test set that the network was trained beside") {
    const TemporaryFolder folder;
    RandomStream random(RandomKey{.seed = 3});
    for (const char* name : {"a/0.png", "a/1.png", "b/0.png", "b/1.png"}) {
        std::filesystem::create_directories((folder.path() / name).parent_path());
        std::vector<uint8_t> noise(21 * 34 * 3);
        for (uint8_t& value : noise) {
            value = static_cast<uint8_t>(random.below(256));
        }
        write_png(folder.path() / name, Tensor::from(noise, {21, 34, 3}));
    }
    const auto source = load_data("folder:" + folder.path().string() +
                                  "(size=8, resize=11, normalize=imagenet, test_share=0.5)");
    CHECK(source->shorter_side == 11);
    const auto weights = folder.path() / "w.safetensors";
    const Model trained = build_model("cnn_small(in=3)", 2);
    write_safetensors(weights, state_dict(*trained.net), weight_metadata(trained, *source));
    const Model model = load_model("cnn_small(in=3)", 0, weights).model;
    const auto read = [&](const char* name) { return read_picture(folder.path() / name, model); };
    CHECK(read("a/0.png").shape() == Shape{1, 8, 8, 3});
    const auto distance = [&](const char* name, const Dataset& set) {
        const auto a = read(name).to_vector<float>(), b = set.get(0).input.to_vector<float>();
        double largest = 0;
        for (size_t i = 0; i < a.size(); ++i) {
            largest = std::max(largest, static_cast<double>(std::abs(a[i] - b[i])));
        }
        return largest;
    };
    for (const auto& set : {source->train, source->test}) {  // the first of each is one of a's two
        CHECK(std::min(distance("a/0.png", *set), distance("a/1.png", *set)) < 1e-5);
        CHECK(std::max(distance("a/0.png", *set), distance("a/1.png", *set)) > 0.1);
    }
}
