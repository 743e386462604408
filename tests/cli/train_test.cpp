// backlight train by the real program: what it writes, signals, crashes, resume, configuration files.
#include <cmath>

#include "core/io/image.h"
#include "tests/cli/support.h"

using namespace backlight;
using namespace backlight::cli_testing;
using train_testing::check_same_run;
using train_testing::untimed_metrics;
using namespace std::chrono_literals;

namespace {

Arguments toy(const std::string& run, const std::string& epochs = "3") {
    return {"train",    "--model", "toy1",         "--data", "toy1", "--run", run,
            "--epochs", epochs,    "--batch-size", "35",     "--lr", "0.05"};
}

/// Waits until `condition` holds; a machine that is busy may take its time.
bool wait_for(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (std::chrono::steady_clock::now() < end) {
        if (condition()) {
            return true;
        }
        std::this_thread::sleep_for(2ms);
    }
    return false;
}

/// Every file of a run that is there is whole.
void check_whole(const std::filesystem::path& run) {
    for (const char* name : {"weights.safetensors", "checkpoint.safetensors"}) {
        if (std::filesystem::exists(run / name)) {
            CAPTURE(name);
            CHECK_NOTHROW((void)read_safetensors(run / name));
        }
    }
    if (std::filesystem::exists(run / "metrics.jsonl")) {
        (void)metrics_of(run);
    }
}

}  // namespace

TEST_CASE("cli: a run folder holds configuration, metrics, weights, checkpoint and a report") {
    const Workshop shop;
    const std::filesystem::path run = shop / "runs/one";
    const Result result = shop.run(toy(run.string()));
    INFO(result.err);
    CHECK(result.code == 0);
    CHECK(contains(result.out, "accuracy "));
    CHECK(contains(result.out, "report.html"));
    for (const char* name :
         {"config.toml", "metrics.jsonl", "weights.safetensors", "checkpoint.safetensors", "report.html"}) {
        CAPTURE(name);
        CHECK(std::filesystem::is_regular_file(run / name));
    }
    CHECK(metrics_of(run).size() == 3);
    CHECK(contains(slurp(run / "report.html"), "<html"));
    shop.succeed({"evaluate", "--model", "toy1", "--weights", (run / "weights.safetensors").string(),
                  "--data", "toy1", "--out", shop / "e.json"});
    const auto json = nlohmann::json::parse(slurp(shop / "e.json"));
    CHECK(json["accuracy"] == metrics_of(run).back()["test"]["accuracy"]);
    const auto by_class = metrics_of(run).back()["test"]["class_accuracy"].get<std::vector<double>>();
    REQUIRE(by_class.size() == 2);
    CHECK(json["class_mean"].get<double>() == doctest::Approx((by_class[0] + by_class[1]) / 2));
    const double deviation = std::abs(by_class[0] - by_class[1]) / 2;
    CHECK(json["class_deviation"].get<double>() == doctest::Approx(deviation));
    CHECK(json["balance"].get<double>() ==
          doctest::Approx((by_class[0] + by_class[1]) / 2 / std::max(deviation, 1e-6)));
    CHECK_FALSE(json.contains("skipped"));
    CHECK(json["loss"].get<double>() ==
          doctest::Approx(metrics_of(run).back()["test"]["loss"].get<double>()).epsilon(1e-5));
}

TEST_CASE("cli: a run without a step left to do is resumed: its evaluation is shown") {
    const Workshop shop;
    const Arguments call = toy(shop / "r") + Arguments{"--max-steps", "13"};
    REQUIRE(shop.run(call).code == 0);
    const Result again = shop.run(call + Arguments{"--resume"});
    INFO(again.err);
    CHECK(again.code == 0);
    CHECK(contains(again.out, "accuracy "));
    CHECK(metrics_of(shop / "r").size() == 2);
}

TEST_CASE("cli: a test picture that cannot be read stops the run, and --resume goes on once it is repaired") {
    const Workshop shop;
    const std::string bad = shop / "data/test/a/2.png";
    for (const char* part : {"train", "test"}) {
        for (const char* place : {"a", "b"}) {
            for (int i = 0; i < 4; ++i) {
                testing::write_bytes(
                    std::filesystem::path(shop / "data") / part / place / (std::to_string(i) + ".png"),
                    encode_png(Tensor::full({8, 8, 3}, place[0] == 'a' ? i : 255 - i, DType::u8)));
            }
        }
    }
    const auto train = [&](const std::string& run, const Arguments& more = {}) {
        return shop.run(Arguments{"train", "--model", "cnn_small(in=3)", "--data",
                                  "folder:" + (shop / "data"), "--run", run, "--epochs", "2", "--batch-size",
                                  "4", "--on-corrupt", "stop"} +
                        more);
    };
    REQUIRE(train(shop / "whole").code == 0);
    const std::string picture = slurp(bad);
    testing::write_bytes(bad, {});
    const Result stopped = train(shop / "parts");
    INFO(stopped.err);
    CHECK(stopped.code == 2);
    CHECK(contains(stopped.err, "test/a/2.png"));
    CHECK(contains(stopped.err, "; step 2 is saved in " + (shop / "parts")));
    testing::write_text(bad, picture);
    const Result resumed = train(shop / "parts", {"--resume"});
    INFO(resumed.err);
    CHECK(resumed.code == 0);
    check_same_run(shop / "whole", shop / "parts");
}

TEST_CASE("cli: train refuses what cannot work before it writes") {
    const Workshop shop;
    const std::string run = shop / "r";
    shop.refuse(toy(run) + Arguments{"--optimizer", "sdg"}, {"unknown optimizer \"sdg\"", "adadelta"}, run);
    shop.refuse(toy(run) + Arguments{"--schedule", "cosin"}, {"unknown schedule \"cosin\"", "multi_step"},
                run);
    shop.refuse(toy(run) + Arguments{"--early-stop", "2"}, {"early"}, run);
    shop.refuse(toy(run) + Arguments{"--weights", shop / "none.safetensors"}, {"none.safetensors"}, run);
    shop.refuse(toy(run) + Arguments{"--label-smoothing", "1.5"}, {"label-smoothing"}, run);
    shop.refuse({"train", "--model", "toy1", "--data", "toy1", "--run", run, "--lr", "nan"}, {"lr > 0"}, run);
    shop.refuse({"train", "--model", "toy2", "--data", "toy1", "--run", run}, {"(N, 4)", "(1, 5)"}, run);
    shop.refuse({"train", "--model", "toy1", "--data", "toy1", "--run", ""}, {"--run"});
    testing::write_text(shop / "file", "in the way");
    const Result blocked = shop.run(toy(shop / "file"));
    CHECK(blocked.code == 1);
    CHECK(contains(blocked.err, "file"));
}

TEST_CASE("cli: an existing run is refused, --overwrite begins anew, --resume wants the same configuration") {
    const Workshop shop;
    const std::string run = shop / "r";
    REQUIRE(shop.run(toy(run)).code == 0);
    const std::string weights = slurp(run + "/weights.safetensors");
    shop.refuse(toy(run), {"already holds a run", "--resume", "--overwrite"});
    shop.refuse(toy(run) + Arguments{"--resume", "--momentum", "0.5"}, {"another configuration"});
    CHECK(slurp(run + "/weights.safetensors") == weights);
    CHECK(shop.run(toy(run) + Arguments{"--overwrite", "--seed", "9"}).code == 0);
    CHECK(slurp(run + "/weights.safetensors") != weights);
    CHECK(metrics_of(run).size() == 3);
}

TEST_CASE("cli: the config.toml of a run repeats it") {
    const Workshop shop;
    const std::string run = shop / "first", again = shop / "again";
    REQUIRE(shop.run(toy(run) + Arguments{"--optimizer", "adam", "--schedule", "step(every=1, gamma=0.5)",
                                          "--warmup", "3", "--label-smoothing", "0.1", "--seed", "4",
                                          "--nesterov=false", "--threads", "1", "--group",
                                          "0.*:lr=0.5,weight_decay=0.1", "--group", "2.*:lr=2", "--freeze",
                                          "*.bias"})
                .code == 0);
    const std::string toml = run + "/config.toml";
    const Result repeated = shop.run({"train", "--config", toml, "--run", again});
    INFO(slurp(toml), repeated.err);
    CHECK(repeated.code == 0);
    check_same_run(run, again);
    // The same options, but for the folder.
    std::string text = slurp(toml);
    const size_t at = text.find(run);
    REQUIRE(at != std::string::npos);
    text.replace(at, run.size(), again);
    CHECK(slurp(again + "/config.toml") == text);
    // An option on the line goes before one in the file.
    REQUIRE(shop.run({"train", "--config", toml, "--run", shop / "short", "--epochs", "1"}).code == 0);
    CHECK(metrics_of(shop / "short").size() == 1);
    CHECK(untimed_metrics(shop / "short")[0] == untimed_metrics(run)[0]);
}

TEST_CASE("cli: the config.toml of a run without lists repeats it too") {
    const Workshop shop;
    const std::string run = shop / "first", again = shop / "again";
    REQUIRE(shop.run(toy(run)).code == 0);
    const Result repeated = shop.run({"train", "--config", run + "/config.toml", "--run", again});
    INFO(slurp(run + "/config.toml"), repeated.err);
    CHECK(repeated.code == 0);
    check_same_run(run, again);
}

TEST_CASE("cli: a configuration file written by hand, with a section, and mistakes in one") {
    const Workshop shop;
    testing::write_text(
        shop / "c.toml",
        "threads = 1\n\n[train]\nmodel = \"toy1\"\ndata = \"toy1(noise=0.2)\"\nepochs = 1\nlr = 0.01\n");
    const Result result = shop.run({"train", "--config", shop / "c.toml", "--run", shop / "r"});
    INFO(result.err);
    CHECK(result.code == 0);
    CHECK(metrics_of(shop / "r").size() == 1);
    CHECK(contains(slurp(shop / "r/config.toml"), "toy1(noise=0.2)"));
    shop.refuse({"train", "--config", shop / "none.toml", "--run", shop / "s"}, {"none.toml"}, shop / "s");
    testing::write_text(shop / "typo.toml", "[train]\nmodel = \"toy1\"\ndata = \"toy1\"\nepochz = 1\n");
    shop.refuse({"train", "--config", shop / "typo.toml", "--run", shop / "s"}, {"epochz"}, shop / "s");
    testing::write_text(shop / "type.toml",
                        "[train]\nmodel = \"toy1\"\ndata = \"toy1\"\nepochs = \"many\"\n");
    shop.refuse({"train", "--config", shop / "type.toml", "--run", shop / "s"}, {"epochs"}, shop / "s");
}

TEST_CASE("cli: SIGTERM saves and ends with 0, --resume goes on bit for bit") {
    for (const int number : {SIGTERM, SIGINT}) {
        CAPTURE(number);
        const Workshop shop;
        const std::filesystem::path run = shop / "parts";
        Process process = shop.start(toy(run.string(), "1000000"));
        REQUIRE(wait_for(
            [&] { return std::filesystem::exists(run / "checkpoint.safetensors") || !process.running(); }));
        std::this_thread::sleep_for(30ms);
        process.signal(number);
        const int code = process.wait();
        INFO(process.out(), process.err());
        CHECK(code == 0);
        CHECK(contains(process.out(), "interrupted after step"));
        CHECK(contains(process.out(), "--resume"));
        check_whole(run);
        CHECK(std::filesystem::exists(run / "config.toml"));
        const std::string epochs = std::to_string(metrics_of(run).size() + 2);
        CHECK(shop.run(toy(run.string(), epochs) + Arguments{"--resume"}).code == 0);
        CHECK(shop.run(toy(shop / "whole", epochs)).code == 0);
        check_same_run(shop / "whole", run);
    }
}

TEST_CASE("cli: kill -9 at any moment leaves whole files, and --resume reaches the same weights") {
    const Workshop shop;
    const std::filesystem::path run = shop / "parts";
    const char* chosen = std::getenv("BACKLIGHT_SEED");
    const uint64_t seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
    CAPTURE(seed);
    RandomStream random(seed);
    // How long an undisturbed run takes on this machine says when to strike.
    const auto start = std::chrono::steady_clock::now();
    CHECK(shop.run(toy(shop / "whole", "400") + Arguments{"--checkpoint-every", "3"}).code == 0);
    const auto whole =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    const Arguments call = toy(run.string(), "400") + Arguments{"--checkpoint-every", "3", "--resume"};
    int kills = 0;
    for (int round = 0; round < 6; ++round) {
        CAPTURE(round);
        Process process = shop.start(call);
        std::this_thread::sleep_for(
            std::chrono::microseconds(random.below(static_cast<uint64_t>(whole.count() / 2 + 1))));
        if (process.running()) {
            process.signal(SIGKILL);
            CHECK(process.wait() == -SIGKILL);
            ++kills;
        }
        if (std::filesystem::exists(run)) {
            check_whole(run);
        }
    }
    CHECK(kills > 0);
    const Result last = shop.run(call);
    INFO(last.err);
    CHECK(last.code == 0);
    check_same_run(shop / "whole", run);
}
