// backlight prune: its table, and that every command reads what it writes.
#include <doctest/doctest.h>

#include "tests/cli/support.h"

using namespace backlight;
using namespace backlight::cli_testing;

namespace {

const std::string kData = "shapes12(n=120, n_test=60)";

int64_t lines_with(const std::string& text, const std::string& part) {
    int64_t count = 0;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        count += contains(line, part) ? 1 : 0;
    }
    return count;
}

}  // namespace

TEST_SUITE("cli") {
    TEST_CASE("prune: writes a smaller network that predict, explain, evaluate, info, train and prune read") {
        const Workshop shop;
        const std::string weights = shop.weights("w.safetensors", "cnn_g"),
                          small = shop / "small.safetensors";
        const Arguments of_w{"--model", "cnn_g", "--weights", weights, "--data", kData};
        const std::string out = shop.succeed(
            Arguments{"prune"} + of_w +
            Arguments{"--out", small, "--fraction", "0.5", "--step", "0.25", "--samples-per-class", "4"});
        INFO(out);
        CHECK(contains(out, "56 units in 3 layers\n"));
        CHECK(lines_with(out, " bit ") == 3);  // none, a quarter, a half
        CHECK(contains(out, "0.0 %"));
        CHECK(contains(out, "25.0 %"));
        CHECK(contains(out, "50.0 %"));
        CHECK(contains(out, "written: " + small));
        CHECK(std::filesystem::file_size(small) < std::filesystem::file_size(weights));
        const Arguments of_small{"--model", "cnn_g", "--weights", small};
        const std::string x = shop.input("x.npy", {3, 12, 12, 1}), logits = shop / "logits.npy";
        CHECK(contains(shop.succeed(Arguments{"predict"} + of_small +
                                    Arguments{"--input", x, "--out", logits, "--top", "4"}),
                       "ring"));
        CHECK(read_npy(logits).shape() == Shape{3, 4});
        shop.succeed(Arguments{"explain"} + of_small +
                     Arguments{"--input", x, "--method", "lrp", "--target", "1", "--out", shop / "r.npy"});
        CHECK(read_npy(shop / "r.npy").shape() == Shape{3, 12, 12, 1});
        const std::string evaluated = shop.succeed(
            Arguments{"evaluate"} + of_small +
            Arguments{"--data", kData, "--metric", "mprt", "--method", "gradient", "--limit", "4"});
        CHECK(contains(evaluated, "accuracy"));
        CHECK(contains(shop.succeed(Arguments{"info"} + of_small), "Linear("));
        CHECK(contains(shop.succeed({"info", "--weights", small}), "backlight.pruned"));
        CHECK(shop.run(Arguments{"train"} + of_small +
                       Arguments{"--data", kData, "--run", shop / "run", "--epochs", "1"})
                  .code == 0);
        const std::string smaller = shop / "smaller.safetensors";
        shop.succeed(Arguments{"prune", "--model", "cnn_g", "--weights", shop / "run/weights.safetensors",
                               "--data", kData, "--out", smaller, "--fraction", "0.3", "--step", "1",
                               "--criterion", "weight"});
        CHECK(std::filesystem::file_size(smaller) < std::filesystem::file_size(small));
    }

    TEST_CASE("prune: with training between, a column more; the file has what the table ends with") {
        const Workshop shop;
        const std::string weights = shop.weights("w.safetensors", "cnn_g"),
                          small = shop / "small.safetensors";
        const std::string out = shop.succeed({"prune",  "--model",
                                              "cnn_g",  "--weights",
                                              weights,  "--data",
                                              kData,    "--out",
                                              small,    "--fraction",
                                              "0.5",    "--step",
                                              "0.25",   "--criterion",
                                              "taylor", "--samples-per-class",
                                              "0",      "--fine-tune-epochs",
                                              "1",      "--final-epochs",
                                              "1",      "--lr",
                                              "0.01",   "--batch-size",
                                              "30",     "--optimizer",
                                              "adam"});
        INFO(out);
        CHECK(contains(out, "trained"));
        CHECK(lines_with(out, " bit ") == 3);
        CHECK(std::filesystem::file_size(small) < std::filesystem::file_size(weights));
        const std::string evaluated =
            shop.succeed({"evaluate", "--model", "cnn_g", "--weights", small, "--data", kData});
        const size_t row = out.find("50.0 %");
        REQUIRE(row != std::string::npos);
        std::istringstream cells(out.substr(row));
        std::string cell, removed, accuracy, trained;
        cells >> removed >> cell >> accuracy >> cell >> trained;
        CHECK(contains(evaluated, "accuracy " + trained));
    }

    TEST_CASE("prune: a residual network loses what feeds no sum") {
        const Workshop shop;
        const std::string spec = "resnet18(small=true, in=1, width=4)", small = shop / "small.safetensors";
        const std::string weights = shop.weights("w.safetensors", spec, 4);
        const Arguments prune{"prune", "--model",     spec,      "--weights", weights, "--data",
                              kData,   "--out",       small,     "--step",    "1",     "--samples-per-class",
                              "1",     "--criterion", "deeplift"};
        CHECK(contains(shop.succeed(prune), "of them are tied to others and are set to 0, not cut out"));
        CHECK_FALSE(contains(shop.succeed(prune + Arguments{"--tied", "leave"}), "tied"));
        shop.succeed({"evaluate", "--model", spec, "--weights", small, "--data", kData});
    }

    TEST_CASE("prune: what cannot be") {
        const Workshop shop;
        const std::string weights = shop.weights("w.safetensors", "cnn_g"),
                          small = shop / "small.safetensors";
        const Arguments prune{"prune", "--model", "cnn_g", "--weights", weights, "--data", kData};
        const Arguments out{"--out", small};
        shop.refuse(prune, {"--out"});
        shop.refuse(prune + Arguments{"--out", shop / "no/where.safetensors"}, {"--out", "no folder"});
        shop.refuse(prune + out + Arguments{"--fraction", "1.5"}, {"fraction", "1.5"}, small);
        shop.refuse(prune + out + Arguments{"--fraction", "0.01"}, {"--fraction", "none of them"}, small);
        shop.refuse(prune + out + Arguments{"--criterion", "tailor"}, {"did you mean taylor"}, small);
        shop.refuse(prune + out + Arguments{"--ranking", "none"}, {"global"}, small);
        shop.refuse(prune + out + Arguments{"--optimizer", "adamx"}, {"--optimizer: nothing is trained"},
                    small);
        shop.refuse(prune + out + Arguments{"--criterion", "weight", "--composite", "zplus_all"},
                    {"criterion=weight is no LRP; leave composite out"}, small);
        shop.refuse(prune + out + Arguments{"--fine-tune-epochs", "-1"}, {"--fine-tune-epochs"}, small);
        shop.refuse({"prune", "--model", "toy1", "--weights", shop.weights("t.safetensors", "toy1", 4),
                     "--data", kData, "--out", small},
                    {"toy1"}, small);
        shop.refuse({"prune", "--model", "cnn_g", "--weights", shop.weights("five.safetensors", "cnn_g", 5),
                     "--data", kData, "--out", small},
                    {"the network has 5 classes, the data 4"}, small);
    }
}
