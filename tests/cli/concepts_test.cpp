// backlight concepts: files, what they hold, and what is refused.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/io/image.h"
#include "tests/cli/support.h"

using namespace backlight;
using namespace backlight::cli_testing;

namespace {

/// A fresh network, which is enough for everything but meaning.
struct Concepts : Workshop {
    std::string spec = "cnn_small(in=1)";
    std::string w = weights("w.safetensors", spec);
    std::string out = *this / "out";

    [[nodiscard]] Arguments call(const std::string& command, const std::string& layer = "5") const {
        Arguments arguments{"concepts", command,  "--model",        spec,        "--weights",
                            w,          "--data", "digits(mark=3)", "--out-dir", out};
        return layer.empty() ? arguments : arguments + Arguments{"--layer", layer};
    }
    [[nodiscard]] nlohmann::json json(const std::string& name) const {
        return nlohmann::json::parse(slurp(path() / "out" / name));
    }
    [[nodiscard]] Tensor array(const std::string& name) const { return read_npy(path() / "out" / name); }
    void check_page(const std::vector<std::string>& parts) const {
        const std::string page = slurp(path() / "out" / "report.html");
        CHECK(page.starts_with("<!DOCTYPE html>"));
        for (const std::string& part : parts) {
            CAPTURE(part);
            CHECK(contains(page, part));
        }
    }
};

}  // namespace

TEST_CASE("cli: concepts cav writes a unit vector, its accuracy and a page; the seed repeats it") {
    const Concepts shop;
    const auto call = shop.call("cav") + Arguments{"--concept", "class=0", "--size", "20"};
    const std::string text = shop.succeed(call);
    CHECK(contains(text, "concept 0 at layer 5: 20 samples with, 320 without it"));
    CHECK(contains(text, "held-out accuracy"));
    const auto v = shop.array("cav.npy").to_vector<double>();
    CHECK(v.size() == 32);
    double norm = 0;
    for (const double value : v) {
        norm += value * value;
    }
    CHECK(norm == doctest::Approx(1));
    CHECK(shop.array("projections.npy").shape() == Shape{355});
    CHECK(shop.json("cav.json")["accuracy"].get<double>() > 0.5);
    CHECK(shop.json("cav.json")["direction"].get<std::vector<double>>() == v);
    shop.check_page({"data:image/png;base64", "right on held-out samples"});
    shop.succeed(call + Arguments{"--batch-size", "7"});
    const auto again = shop.array("cav.npy").to_vector<double>();
    for (size_t i = 0; i < v.size(); ++i) {
        CHECK(std::abs(again[i] - v[i]) < 1e-5);  // f32 sums depend on the batch
    }
    shop.succeed(call + Arguments{"--seed", "1"});
    CHECK(shop.array("cav.npy").to_vector<double>() != v);
}

TEST_CASE("cli: concepts cav takes folders of pictures, columns, positions and other kinds") {
    const Concepts shop;
    for (int i = 0; i < 8; ++i) {
        for (const bool striped : {true, false}) {
            std::vector<uint8_t> pixels(64);
            for (size_t p = 0; p < pixels.size(); ++p) {
                pixels[p] = striped ? static_cast<uint8_t>(p % 2 == 0 ? 250 - i : i)
                                    : static_cast<uint8_t>(90 + 9 * i);
            }
            const auto folder = shop.path() / (striped ? "stripes" : "plain");
            std::filesystem::create_directories(folder);
            write_png(folder / (std::to_string(i) + ".png"), Tensor::from(pixels, {8, 8, 1}));
        }
    }
    shop.succeed(shop.call("cav") + Arguments{"--concept", shop / "stripes", "--random", shop / "plain"});
    CHECK(shop.json("cav.json")["samples_with"] == 8);
    CHECK(shop.json("cav.json")["accuracy"] == 1.0);
    shop.succeed(shop.call("cav") + Arguments{"--concept", "marked=1", "--kind", "pattern", "--pooling",
                                              "positions", "--concept-data", "digits(mark=3)",
                                              "--concept-split", "train"});
    CHECK(shop.json("cav.json")["kind"] == "pattern");
    CHECK(shop.json("cav.json")["samples_with"] == 147);
}

TEST_CASE("cli: concepts tcav tests every class against random directions") {
    const Concepts shop;
    const std::string text =
        shop.succeed(shop.call("tcav") + Arguments{"--concept", "class=0", "--concept", "marked=1", "--size",
                                                   "15", "--samples", "8"});
    CHECK(contains(text, "0 -> 9: score "));
    CHECK(contains(text, "over 20 tests"));
    const auto json = shop.json("tcav.json");
    REQUIRE(json["tests"].size() == 20);
    for (const auto& test : json["tests"]) {
        CHECK(test["scores"].size() == 10);
        CHECK(test["score"].get<double>() >= 0);
        CHECK(test["test"]["p"].get<double>() <= 1);
        CHECK(test["samples"] == 8);
        CHECK(test["random_sets_disjoint"] == true);
    }
    shop.check_page({"Concept marked=1", "<svg"});
    CHECK(contains(shop.succeed(shop.call("tcav") + Arguments{"--concept", "class=0", "--class", "3",
                                                              "--method", "epsilon", "--kind", "pattern"}),
                   "over 1 tests"));
}

TEST_CASE("cli: concepts crp ranks channels and keeps their best samples") {
    const Concepts shop;
    const std::string text =
        shop.succeed(shop.call("crp") + Arguments{"--keep", "5", "--top", "3", "--shown", "2", "--samples",
                                                  "4,9", "--limit", "50"});
    CHECK(contains(text, "32 channels, 50 samples"));
    const auto mean = shop.array("channel_relevance.npy").to_vector<double>();
    double total = 0;
    for (const double value : mean) {
        total += value;
    }
    CHECK(total == doctest::Approx(1).epsilon(1e-6));
    CHECK(shop.array("class_relevance.npy").shape() == Shape{10, 32});
    CHECK(shop.array("reference_samples.npy").shape() == Shape{32, 5});
    CHECK(shop.array("reference_positions.npy").shape() == Shape{32, 5, 2});
    const auto values = shop.array("reference_values.npy").to_vector<double>();
    CHECK(values[0] >= values[1]);
    CHECK(shop.json("index.json")["ranking"].size() == 32);
    shop.check_page({"Decisions taken apart", "Sample 4", "Channel "});
    const auto first = shop.array("reference_samples.npy").to_vector<int64_t>();
    shop.succeed(shop.call("crp") + Arguments{"--keep", "5", "--top", "1", "--shown", "1", "--limit", "50",
                                              "--batch-size", "3"});
    CHECK(shop.array("reference_samples.npy").to_vector<int64_t>() == first);
    // A vector, by activation, and fewer samples than are kept.
    shop.succeed(shop.call("crp", "11") + Arguments{"--by", "activation", "--pooling", "sum", "--target",
                                                    "label", "--limit", "3", "--channels", "0,63"});
    CHECK(shop.array("reference_samples.npy").to_vector<int64_t>()[3] == -1);
}

TEST_CASE("cli: concepts spray clusters a class, or ranks all") {
    const Concepts shop;
    const std::string text =
        shop.succeed(shop.call("spray", "") + Arguments{"--class", "3", "--clusters", "2"});
    CHECK(contains(text, "3: 36 samples, 2 clusters of"));
    CHECK(shop.array("attributions.npy").shape() == Shape{36, 8, 8});
    CHECK(shop.array("embedding.npy").shape() == Shape{36, 32});
    CHECK(shop.array("eigenvalues.npy").shape() == Shape{32});
    CHECK(shop.array("coordinates.npy").shape() == Shape{36, 2});
    const auto labels = shop.array("labels.npy").to_vector<int64_t>();
    CHECK(labels.size() == 36);
    CHECK(shop.json("index.json")["clusters"].size() == 2);
    CHECK(shop.json("index.json")["clusters"][0]["marked"] == 1.0);
    shop.check_page({"<image ", "Cluster 1", "Eigenvalues"});
    shop.succeed(shop.call("spray", "") + Arguments{"--class", "3", "--clusters", "2"});
    CHECK(shop.array("labels.npy").to_vector<int64_t>() == labels);
    CHECK(contains(
        shop.succeed(shop.call("spray", "9") + Arguments{"--class", "all", "--iterations", "50", "--sort",
                                                         "fisher", "--clustering", "dbscan"}),
        "by fisher:"));
    CHECK(shop.json("ranking.json")["classes"].size() == 10);
    CHECK(std::filesystem::exists(shop.path() / "out" / "class_7" / "index.json"));
}

TEST_CASE("cli: concepts draws the same for a sample in whatever batch it stands") {
    const Concepts shop;
    const auto maps = [&](const std::string& batch_size) {
        shop.succeed(shop.call("spray", "") + Arguments{"--class", "3", "--clusters", "2", "--method",
                                                        "smoothgrad(n=2, noise_level=0.5)", "--batch-size",
                                                        batch_size});
        return shop.array("attributions.npy").to_vector<double>();
    };
    const auto a = maps("36"), b = maps("5");
    REQUIRE(a.size() == b.size());
    double difference = 0, total = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference += std::abs(a[i] - b[i]);
        total += std::abs(a[i]);
    }
    CHECK(difference < 0.01 * total);  // f32 sums depend on the batch, and a rectifier may on them
    const auto magnitudes = [&](const std::string& batch_size) {
        shop.succeed(shop.call("tcav", "6") + Arguments{"--concept", "class=0", "--size", "15", "--class",
                                                        "3", "--method", "smoothgrad(n=2, noise_level=0.5)",
                                                        "--batch-size", batch_size});
        const auto test = shop.json("tcav.json")["tests"][0];
        return std::pair(test["magnitude"].get<double>(), test["random_magnitude"].get<double>());
    };
    const auto [concept_a, random_a] = magnitudes("36");
    const auto [concept_b, random_b] = magnitudes("5");
    CHECK(std::abs(concept_a - concept_b) < 5e-3);
    CHECK(std::abs(random_a - random_b) < 5e-3);
}

TEST_CASE("cli: concepts refuses what does not exist in one line") {
    const Concepts shop;
    const auto refuse = [&](const Arguments& arguments, const std::vector<std::string>& parts) {
        shop.refuse(arguments, parts);
    };
    refuse({"concepts"}, {"unknown command of concepts", "cav, tcav, crp, spray"});
    refuse({"concepts", "sprya"}, {"did you mean spray?"});
    refuse(shop.call("spray", "") + Arguments{"--clas", "3"},
           {"unknown option \"--clas\"", "did you mean --class"});
    refuse(shop.call("spray", ""), {"--class is required"});
    refuse(shop.call("crp", "66"), {"66"});
    refuse(shop.call("crp", ""), {"--layer is required"});
    refuse(shop.call("crp") + Arguments{"--channels", "32"},
           {"layer 5 has no channel 32, it has channels 0..31"});
    refuse(shop.call("crp") + Arguments{"--samples", "355"}, {"no sample 355", "0..354"});
    refuse(shop.call("crp") + Arguments{"--composite", "epsilno"}, {"did you mean epsilon?"});
    refuse(shop.call("crp") + Arguments{"--split", "tset"}, {"unknown split", "did you mean test?"});
    refuse(shop.call("spray", "") + Arguments{"--class", "10"}, {"class 10", "0..9"});
    refuse(shop.call("spray", "") + Arguments{"--class", "cat"}, {"unknown class \"cat\""});
    refuse(shop.call("spray", "") + Arguments{"--class", "3", "--clusters", "99"},
           {"36 samples cannot make 99"});
    refuse(shop.call("spray", "") + Arguments{"--class", "3", "--neighbours", "0"}, {"at least 1"});
    refuse(shop.call("spray", "") + Arguments{"--class", "3", "--method", "lpr"}, {"unknown method \"lpr\""});
    refuse(shop.call("cav") + Arguments{"--concept", "stripes"}, {"a folder of pictures, class=NAME"});
    refuse(shop.call("cav") + Arguments{"--concept", "marekd=1"}, {"did you mean marked?"});
    refuse(shop.call("cav") + Arguments{"--concept", "marked=7"}, {"no sample of the data has marked=7"});
    refuse(shop.call("cav") + Arguments{"--concept", "marked=x"}, {"whole number, got \"x\""});
    refuse(shop.call("cav") + Arguments{"--concept", "class=0", "--size", "5"},
           {"at least 6 samples with the concept, got 5"});
    refuse(shop.call("cav") + Arguments{"--concept", "all"}, {"every sample of the data is all"});
    std::filesystem::create_directories(shop.path() / "empty");
    refuse(shop.call("cav") + Arguments{"--concept", shop / "empty"}, {"no pictures in"});
    refuse(shop.call("tcav") + Arguments{"--concept", "class=0", "--runs", "9"}, {"--runs", "10"});
    refuse(shop.call("tcav") + Arguments{"--concept", "class=0", "--set-size", "999"}, {"takes 999 samples"});
    refuse(shop.call("tcav") + Arguments{"--concept", "class=0", "--method", "grad_cam"}, {"grad_cam"});
    testing::write_text(shop.path() / "file", "x");
    Arguments blocked = shop.call("spray", "") + Arguments{"--class", "3"};
    blocked[9] = shop / "file";
    refuse(blocked, {"--out-dir", "file"});
    Arguments other = shop.call("spray", "") + Arguments{"--class", "3"};
    other[7] = "shapes16(n=20, n_test=20)";
    refuse(other, {"(N, any, any, 1)"});
}
