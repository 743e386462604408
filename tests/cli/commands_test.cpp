// The program's other commands, its help, its lists and what it says to a mistyped line.
#include "tests/cli/support.h"
#include "tests/datasets/voc_support.h"

using namespace backlight;
using namespace backlight::cli_testing;

TEST_CASE("cli: help of the program and of every command") {
    const Workshop shop;
    const std::string all = shop.succeed({"--help"});
    for (const std::string command :
         {"train", "evaluate", "predict", "explain", "info", "list", "data", "demo"}) {
        CAPTURE(command);
        CHECK(contains(all, command));
        const std::string help = shop.succeed({command, "--help"});
        CHECK(contains(help, command));
        CHECK(contains(help, "Options:"));
    }
    CHECK(contains(shop.succeed({"train", "--help"}), "--resume"));
    CHECK(shop.succeed({"--version"}).find('.') != std::string::npos);
}

TEST_CASE("cli: lists name what there is") {
    const Workshop shop;
    const auto holds = [&](const std::string& what, const std::vector<std::string>& names) {
        const std::string list = shop.succeed({"list", what});
        for (const std::string& name : names) {
            INFO(what, ": ", name);
            CHECK(contains("\n" + list, "\n" + name));
        }
    };
    holds("models", {"mlp", "toy1", "toy2", "toy3", "cnn_small", "cnn_s"});
    holds("data", {"digits", "toy1", "cifar10:DIR"});
    holds("methods", {"gradient", "input_x_gradient", "guided_backprop", "grad_cam", "lrp", "epsilon_plus",
                      "epsilon_gamma_box"});
    holds("rules", {"epsilon", "zplus", "alpha_beta", "gamma", "zbox", "w2", "flat"});
    holds("composites", {"epsilon", "epsilon_plus", "z_plus", "gamma"});
    holds("optimizers", {"sgd", "adam", "adamw", "adadelta", "rmsprop"});
    holds("schedules", {"constant", "step", "cosine", "one_cycle"});
    shop.refuse({"list", "model"}, {"model", "composites"});
    shop.refuse({"list"}, {"what"});
}

TEST_CASE("cli: a mistyped command or option is named, with those that exist") {
    const Workshop shop;
    shop.refuse({}, {"train", "explain"});
    shop.refuse({"trian"}, {"unknown command \"trian\"; did you mean train?", "explain"});
    shop.refuse({"list", "models", "--tabel"}, {"unknown option \"--tabel\""});
    shop.refuse({"train", "--model", "toy1", "--data", "toy1", "--run", shop / "r", "--epochz", "3"},
                {"unknown option \"--epochz\"; did you mean --epochs?", "--batch-size"}, shop / "r");
    shop.refuse({"train", "--model", "toy1", "--data", "toy1"}, {"--run"});
    shop.refuse({"train", "--model", "toy1", "--data", "toy1", "--run", shop / "r", "--epochs", "many"},
                {"--epochs", "many"}, shop / "r");
    shop.refuse({"--threads", "-1", "list", "models"}, {"--threads"});
    shop.refuse({"--backend", "cuda", "list", "models"}, {"cuda", "reference"});
}

TEST_CASE("cli: info describes a model, a weight file and the build") {
    const Workshop shop;
    const std::string model = shop.succeed({"info", "--model", "cnn_small(in=1)"});
    CHECK(contains(model, "Conv2d(1, 16, kernel 3x3, padding 1)"));
    CHECK(contains(model, "parameters: 24170"));
    CHECK(contains(model, "classes: 10"));
    const std::string w = shop.weights("w.safetensors", "toy2", 3);
    CHECK(contains(shop.succeed({"info", "--weights", w}), "2.weight  float32 (3, 5)"));
    CHECK(contains(shop.succeed({"info", "--model", "toy2", "--weights", w}), "classes: 3"));
    CHECK(contains(shop.succeed({"info", "--threads", "2"}), "threads: 2"));
    CHECK(contains(shop.succeed({"info"}), "backend: cpu"));
    CHECK(contains(shop.succeed({"info", "--backend", "reference"}), "backend: reference"));
}

TEST_CASE("cli: data counts samples and draws a contact sheet") {
    const Workshop shop;
    const std::string printed =
        shop.succeed({"data", "digits(mark=3)", "--out", shop / "sheet.png", "--columns", "2"});
    CHECK(contains(printed, "train: 1442 samples of shape (8, 8, 1)"));
    CHECK(contains(printed, "unmarked: "));
    CHECK(slurp(shop / "sheet.png").starts_with("\x89PNG"));
    shop.refuse({"data", "toy1", "--out", shop / "toy.png"}, {"(5,)"}, shop / "toy.png");
    shop.refuse({"data", "digits", "--out", shop / "sheet.gif"}, {".png"}, shop / "sheet.gif");
    shop.refuse({"data", "digits", "--out", shop / "nowhere/sheet.png"}, {"--out", "no folder", "sheet.png"});
    shop.refuse({"data", "digits", "--columns", "0"}, {"--columns", "at least 1, got 0"});
    shop.refuse({"data", "digits", "--columns", "2x"}, {"--columns", "2x"});
    shop.refuse({"data", "digitz"}, {"unknown data set \"digitz\"; did you mean digits?", "toy1"});
    shop.refuse({"data", "digits(markk=3)"}, {"unknown option \"markk\"", "mark"});
    shop.refuse({"data", "cifar10"}, {"cifar10:DIR"});
    shop.refuse({"data", "cifar10:/no/such/folder"}, {"/no/such/folder"});
    shop.refuse({"data", "folder:/no/such/folder"}, {"/no/such/folder"});
}

TEST_CASE("cli: multi-label data is shown, trained on and measured") {
    const Workshop shop;
    testing::write_voc(shop.path() / "voc");
    const std::string data = "voc2012:" + shop / "voc" + "(size=8)";
    const std::string printed =
        shop.succeed({"data", data, "--out", shop / "sheet.png", "--split", "test", "--masks"});
    CHECK(contains(printed, "train: 2 samples of shape (8, 8, 3)"));
    CHECK(contains(printed, "person            1  and 1 only difficult"));
    CHECK(slurp(shop / "sheet.png").starts_with("\x89PNG"));
    shop.refuse({"data", "digits", "--out", shop / "no.png", "--masks"}, {"no masks"}, shop / "no.png");
    const std::string noted =
        shop.succeed({"data", "voc2012:" + shop / "voc" + "(size=8, mask=segmentation)"});
    CHECK(contains(noted, "1 of the 2 images of train have a segmentation"));
    const std::string run = shop / "run", model = "cnn_small(in=3)";
    const Result trained =
        shop.run({"train", "--model", model, "--data", data, "--run", run, "--epochs", "1"});
    INFO(trained.err);
    CHECK(trained.code == 0);
    CHECK(contains(trained.out, "mAP"));
    CHECK(contains(trained.out, "of 2 samples"));
    const std::string report = slurp(run + "/report.html");
    CHECK(contains(report, "test mAP"));
    CHECK(contains(report, "Average precision by class"));
    const Arguments evaluate = {"evaluate", "--model", model,   "--weights",    run + "/weights.safetensors",
                                "--data",   data,      "--out", shop / "e.json"};
    CHECK(contains(shop.succeed(evaluate), "mAP"));
    auto json = nlohmann::json::parse(slurp(shop / "e.json"));
    CHECK(json["average_precision"].size() == 20);
    CHECK(json["positives"][7] == 1);
    CHECK(json["average_precision"][0].is_null());
    CHECK(json["mean_average_precision"].is_number());
    const double loss = json["loss"];
    (void)shop.succeed(evaluate + Arguments{"--ten-crop"});
    json = nlohmann::json::parse(slurp(shop / "e.json"));
    CHECK(std::abs(json["loss"].get<double>() - loss) < 0.1);
    std::filesystem::remove(shop / "e.json");
    shop.refuse(evaluate + Arguments{"--top-k", "2"}, {"one label a sample"}, shop / "e.json");
    const std::string w = shop.weights("digits.safetensors", "cnn_small(in=1)", 10);
    shop.refuse({"evaluate", "--model", "cnn_small(in=1)", "--weights", w, "--data", "digits", "--ten-crop"},
                {"not cut out of larger ones"});
}

TEST_CASE("cli: evaluate prints accuracy and writes it as JSON") {
    const Workshop shop;
    const std::string w = shop.weights("w.safetensors", "toy1");
    const std::string printed = shop.succeed(
        {"evaluate", "--model", "toy1", "--weights", w, "--data", "toy1", "--out", shop / "e.json"});
    CHECK(contains(printed, "of 50 samples"));
    CHECK(contains(printed, "loss "));
    const auto json = nlohmann::json::parse(slurp(shop / "e.json"));
    CHECK(json["samples"] == 50);
    CHECK(json["accuracy"] >= 0);
    int64_t counted = 0;
    for (const auto& row : json["confusion"]) {
        for (const auto& n : row) {
            counted += n.get<int64_t>();
        }
    }
    CHECK(counted == 50);
    CHECK(contains(
        shop.succeed({"evaluate", "--model", "toy1", "--weights", w, "--data", "toy1", "--split", "fresh"}),
        "2000 samples"));
    std::filesystem::remove(shop / "e.json");
    const auto refuse = [&](const std::string& model, const std::string& data, const Arguments& more,
                            const std::vector<std::string>& parts) {
        shop.refuse(Arguments{"evaluate", "--model", model, "--weights", w, "--data", data, "--out",
                              shop / "e.json"} +
                        more,
                    parts, shop / "e.json");
    };
    refuse("toy1", "toy2", {}, {"(N, 5)", "(1, 4)"});
    refuse("toy1", "toy1", {"--split", "dev"}, {"unknown split \"dev\"", "fresh"});
    refuse("toy1", "toy9", {}, {"unknown data set \"toy9\""});
    refuse("toy2", "toy2", {}, {"do not fit the model"});
    refuse("toy1", "toy1", {"--batch-size", "0"}, {"--batch-size"});
}

TEST_CASE("cli: evaluate refuses labels that the model has no output for") {
    const Workshop shop;
    const std::string w = shop.weights("w.safetensors", "cnn_small(in=1)", 4);
    shop.refuse({"evaluate", "--model", "cnn_small(in=1)", "--weights", w, "--data", "digits"},
                {"label", "0..3"});
}
