// Names and shapes of timm's files.
#include <doctest/doctest.h>

#include "models/model.h"
#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

TEST_CASE("timm: the convolutions in front of a VGG's head are torchvision's linear layers") {
    const Model model = build_model("vgg11", 3, 1);
    const StateDict ours = state_dict(*model.net);
    StateDict theirs = ours;
    const auto rename = [&](const std::string& from, const std::string& to, const Shape& shape) {
        theirs[to + ".weight"] = theirs.at(from + ".weight").reshape(shape);
        theirs[to + ".bias"] = theirs.at(from + ".bias");
        theirs.erase(from + ".weight");
        theirs.erase(from + ".bias");
    };
    rename("classifier.0", "pre_logits.fc1", {4096, 512, 7, 7});
    rename("classifier.3", "pre_logits.fc2", {4096, 4096, 1, 1});
    rename("classifier.6", "head.fc", {3, 4096});
    const StateDict read = from_timm(theirs);
    REQUIRE(read.size() == ours.size());
    for (const auto& [name, value] : ours) {
        CAPTURE(name);
        REQUIRE(read.contains(name));
        CHECK(read.at(name).shape() == value.shape());
        CHECK(equal(read.at(name), value));
    }
}

TEST_CASE("timm: other files stay as they are, and what lacks is named by torchvision's name") {
    const StateDict plain{{"fc.weight", tensor({1, 2}, {1, 2})}};
    CHECK(from_timm(plain).size() == 1);
    CHECK(from_timm(plain).contains("fc.weight"));
    const StateDict part{{"pre_logits.fc1.weight", tensor({1, 2}, {1, 2, 1, 1})}};
    const StateDict read = from_timm(part);
    REQUIRE(read.contains("classifier.0.weight"));
    CHECK(read.at("classifier.0.weight").shape() == Shape{1, 2});
    CHECK_FALSE(read.contains("head.fc.weight"));
}
