// train --augment, augment --list and reproduce by the real program: what they print and write, and what is
// refused.
#include <nlohmann/json.hpp>

#include "augment/registry.h"
#include "experiments/reproduction.h"
#include "tests/cli/support.h"

using namespace backlight;
using namespace backlight::cli_testing;

namespace {

struct TrainingShop : Workshop {
    [[nodiscard]] Arguments train(const std::vector<std::string>& systems) const {
        Arguments call{
            "train",      "--model",     "cnn_g",    "--data",      "corner_decoy(n=64, n_test=16)",
            "--run",      *this / "run", "--epochs", "2",           "--batch-size",
            "32",         "--lr",        "0.01",     "--optimizer", "adam",
            "--overwrite"};
        for (const std::string& system : systems) {
            call = call + Arguments{"--augment", system};
        }
        return call;
    }
};

}  // namespace

TEST_CASE(
    "cli: two systems change one run; their numbers stand in metrics.jsonl, their texts in config.toml") {
    const TrainingShop bench;
    const std::string rrr = "rrr(lambda=10)", edda = "edda(explainer=saliency, mask=keep)";
    CHECK(bench.run(bench.train({rrr, edda})).code == 0);
    const auto lines = metrics_of(bench / "run");
    REQUIRE(lines.size() == 2);
    for (const auto& line : lines) {
        CHECK(line["augment"][rrr]["penalty"].get<double>() > 0);
        CHECK(line["augment"].contains(edda));
    }
    const std::string config = slurp(bench / "run/config.toml");
    CHECK(contains(config, "rrr(lambda=10)"));
    const std::string weights = slurp(bench / "run/weights.safetensors");
    // the file repeats the run
    CHECK(bench.run({"--config", bench / "run/config.toml", "train", "--overwrite"}).code == 0);
    CHECK(slurp(bench / "run/weights.safetensors") == weights);
}

TEST_CASE("cli: augmentations that cannot be are refused in one line, before a run folder is written") {
    const TrainingShop bench;
    const auto refuse = [&](const std::vector<std::string>& systems, const std::string& part) {
        (void)bench.refuse(bench.train(systems), {part}, bench / "run/checkpoint.safetensors");
    };
    refuse({"rrrr"}, "did you mean rrr");
    refuse({"rrr(lamda=1)"}, "lamda");
    refuse({"rrr(explainer=occlusion)"}, "occlusion has no derivative");
    refuse({"rrr(layer=nowhere)"}, "nowhere");
    refuse({"edda(tau=2)"}, "tau");
    refuse({"cutmix", "mixup"}, "both replace");
}

TEST_CASE("cli: a loss that is no longer finite stops the run, names the term, and keeps the step before") {
    const TrainingShop bench;
    Arguments call = bench.train({"rrr(lambda=1e9)"});
    *std::find(call.begin(), call.end(), "0.01") = "1e6";
    *std::find(call.begin(), call.end(), "adam") = "sgd";
    (void)bench.refuse(call, {"is not finite at step", "the step before is saved"});
    CHECK(std::filesystem::exists(bench / "run/checkpoint.safetensors"));
}

TEST_CASE("cli: augment --list describes every system") {
    const TrainingShop bench;
    const std::string listed = bench.succeed({"augment", "--list"});
    for (const AugmentationEntry& entry : list_augmentations()) {
        CAPTURE(entry.name);
        CHECK(contains(listed, entry.name + "\n    family    " + entry.family));
        CHECK_FALSE(entry.source.empty());
        CHECK_FALSE(entry.improves.empty());
    }
    CHECK(contains(listed, "few_shot\n    family    features"));
    CHECK(contains(listed, "command   backlight reproduce few_shot"));
    CHECK(contains(bench.run({"augment", "nothing"}).err, "nothing"));
}

TEST_CASE("cli: reproduce prints arms, findings and a verdict, and writes numbers, figures and a page") {
    const TrainingShop bench;
    const Result result = bench.run({"reproduce", "toy3", "--seeds", "2", "--out-dir", bench / "toy3"});
    CHECK(result.code == 0);
    const std::string& printed = result.out;
    for (const char* part : {"claim:", "control:", "baseline", "angle", "The claim"}) {
        CAPTURE(part);
        CHECK(contains(printed, part));
    }
    const auto json = nlohmann::json::parse(slurp(bench / "toy3/results.json"));
    CHECK(json["measured"]["baseline"]["test accuracy"].size() == 2);
    CHECK(json["findings"].size() == 5);
    CHECK(contains(slurp(bench / "toy3/figure_1.svg"), "<svg"));
    CHECK(contains(slurp(bench / "toy3/report.html"), "Test accuracy"));
    const std::string listed = bench.succeed({"reproduce", "--list"});
    for (const ReproductionEntry& entry : list_reproductions()) {
        CHECK(contains(listed, entry.name));
    }
    CHECK(contains(printed, "2 of the experiment's 5 seeds"));
    CHECK(contains(bench.run({"reproduce", "toy4"}).err, "toy"));
    const std::string misfit = bench.run({"reproduce", "rrr", "--data", "shapes16(n=40, n_test=8)"}).err;
    CHECK(contains(misfit, "expected samples of shape"));
    CHECK(contains(misfit, "--model names another one"));
    CHECK(contains(bench.run({"reproduce", "toy3", "--data", "digits"}).err, "draws its own data"));
}
