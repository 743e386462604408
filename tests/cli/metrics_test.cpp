// evaluate --metric by the real program: table, JSON and CSV, and what is refused before the work.
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/support.h"

using namespace backlight;
using namespace backlight::cli_testing;

namespace {

/// cnn_small with fresh weights on pictures of a generator.
struct Shop : Workshop {
    std::string spec = "cnn_small(in=3)", w = weights("w.safetensors", spec, 4);
    [[nodiscard]] Arguments call(const std::string& data = "shapes16(n=40, n_test=30)") const {
        return {"evaluate", "--model", spec, "--weights", w, "--data", data};
    }
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        lines.push_back(line);
    }
    return lines;
}

}  // namespace

TEST_CASE(
    "cli: evaluate measures explanations: a table, their difference, JSON beside the accuracy, rows as CSV") {
    const Shop shop;
    const Arguments files{"--out", shop / "m.json", "--metrics-out", shop / "m.csv"};
    const Arguments metrics{
        "--metric", "drop_mag", "--metric", "deletion(fill=mean, steps=8)", "--metric", "relevance_mass",
        "--metric", "mprt",     "--metric", "conservation(layers=true)"};
    const Arguments methods{"--method", "lrp", "--method", "grad_cam", "--limit", "6", "--masks"};
    const std::string printed = shop.succeed(shop.call() + files + metrics + methods);
    for (const char* part : {"of 6 samples", "6 explanations a method", "drop_mag[keep,zero,15]",
                             "deletion[mean,steps=8]", "mprt[spearman,top_down,matched]", "class mean",
                             "paired differences", "relevance by layer, lrp", "% of it in the network"}) {
        CAPTURE(part);
        CHECK(contains(printed, part));
    }
    const auto json = nlohmann::json::parse(slurp(shop / "m.json"));
    CHECK(json["samples"] == 6);
    CHECK(json.contains("accuracy"));
    const auto& explanations = json["explanations"];
    CHECK(explanations["summary"].size() == 2 * (1 + 1 + 1 + 4 + 2));
    for (const auto& row : explanations["summary"]) {
        CHECK(row["valid"].get<int64_t>() + row["skipped"].get<int64_t>() == 6);
    }
    CHECK(explanations["curves"][0]["name"] == "deletion[mean,steps=8]");
    CHECK(explanations["curves"][0]["points"].size() == 9);
    CHECK(explanations["comparisons"].size() == 9);

    const auto lines = lines_of(slurp(shop / "m.csv"));
    CHECK(lines.size() == 1 + 6 * 2 * 9);
    CHECK(lines[0] == "sample,class,explainer,metric,value");
    CHECK(lines[2].starts_with("5,"));

    // The same numbers again, whatever the batches.
    const Arguments small{"--batch-size", "4", "--metrics-out", shop / "again.csv"};
    shop.succeed(shop.call() + small + metrics + methods);
    const auto again = lines_of(slurp(shop / "again.csv"));
    REQUIRE(again.size() == lines.size());
    for (size_t i = 1; i < lines.size(); ++i) {
        const size_t a = lines[i].rfind(','), b = again[i].rfind(',');
        CAPTURE(lines[i]);
        CHECK(lines[i].substr(0, a) == again[i].substr(0, b));
        CHECK(std::stod(lines[i].substr(a + 1)) ==
              doctest::Approx(std::stod(again[i].substr(b + 1))).epsilon(1e-3).scale(1));
    }
}

TEST_CASE("cli: evaluate refuses metrics and options that do not go together, before the work") {
    const Shop shop;
    const auto refuse = [&](const Arguments& more, const std::vector<std::string>& parts) {
        shop.refuse(shop.call() + more + Arguments{"--out", shop / "none.json"}, parts, shop / "none.json");
    };
    refuse({"--metric", "delition"},
           {"unknown metric \"delition\"", "did you mean deletion", "known: drop_prop"});
    refuse({"--metric", "deletion(stepps=4)"}, {"stepps"});
    refuse({"--metric", "gini", "--method", "lrpp"}, {"unknown method \"lrpp\"", "did you mean lrp"});
    refuse({"--metric", "pointing_game"}, {"needs the masks of the data set (--masks)"});
    refuse({"--method", "lrp"}, {"--method: needs --metric"});
    refuse({"--masks"}, {"--masks: needs --metric"});
    refuse({"--metrics-out", shop / "m.csv"}, {"--metrics-out: needs --metric"});
    refuse({"--metric", "gini", "--metrics-out", shop / "no/folder.csv"},
           {"--metrics-out: there is no folder"});
    refuse({"--metric", "gini", "--ten-crop"}, {"--ten-crop"});
    const std::string grey = shop.weights("grey.safetensors", "cnn_small(in=1)", 10);
    shop.refuse({"evaluate", "--model", "cnn_small(in=1)", "--weights", grey, "--data", "digits", "--metric",
                 "iou", "--masks"},
                {"--masks: digits has no masks"});
    CHECK(contains(shop.succeed({"list", "metrics"}), "pointing_game"));
}

TEST_CASE("cli: evaluate without --metric is as before, --limit takes some of the samples") {
    const Shop shop;
    CHECK(contains(shop.succeed(shop.call()), "of 30 samples"));
    CHECK(contains(shop.succeed(shop.call() + Arguments{"--limit", "7"}), "of 7 samples"));
    CHECK_FALSE(contains(shop.succeed(shop.call()), "explanations"));
}
