#include "datasets/registry.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

TEST_CASE("registry: every entry is described, and names are unique") {
    std::set<std::string> names;
    for (const DataEntry& entry : list_data()) {
        CHECK(names.insert(entry.name).second);
        CHECK_FALSE(entry.description.empty());
        CHECK(entry.description.find('\n') == std::string::npos);
    }
    CHECK(names.contains("digits"));
    CHECK(names.contains("cifar10"));
}

TEST_CASE("registry: every built-in set loads, is repeatable, and its splits agree") {
    for (const DataEntry& entry : list_data()) {
        if (entry.needs_place) {
            continue;
        }
        CAPTURE(entry.name);
        const auto source = load_data(entry.name);
        const auto again = load_data(entry.name);
        CHECK(source->spec == entry.name);
        for (const std::string& name : source->split_names()) {
            CAPTURE(name);
            const Dataset& set = *source->split(name);
            CHECK(set.size() > 0);
            CHECK(set.is_quick());
            CHECK(set.sample_shape() == source->train->sample_shape());
            CHECK(set.class_names() == source->train->class_names());
            CHECK(set.has_masks() == source->train->has_masks());
            CHECK(set.has_decoy_masks() == source->train->has_decoy_masks());
            CHECK(set.column_names() == source->train->column_names());
            const Batch batch = set.all();
            CHECK(batch.input.to_vector<float>() == again->split(name)->all().input.to_vector<float>());
            CHECK(set.labels() == again->split(name)->labels());
            // The input range holds every value.
            const InputRange range = set.input_range();
            const std::vector<float> values = batch.input.to_vector<float>();
            const size_t channels = range.low.size();
            REQUIRE(channels == static_cast<size_t>(set.sample_shape()[-1]));
            bool inside = true;
            for (size_t i = 0; i < values.size(); ++i) {
                inside =
                    inside && values[i] >= range.low[i % channels] && values[i] <= range.high[i % channels];
            }
            CHECK(inside);
        }
        CHECK(source->train->all().input.to_vector<float>() != source->test->all().input.to_vector<float>());
    }
}

TEST_CASE("registry: another seed, other samples") {
    for (const DataEntry& entry : list_data()) {
        if (entry.needs_place || entry.name == "digits") {
            continue;
        }
        CAPTURE(entry.name);
        CHECK(load_data(entry.name)->train->all().input.to_vector<float>() !=
              load_data(entry.name + "(seed=1)")->train->all().input.to_vector<float>());
    }
}

TEST_CASE("registry: wrong names, places and options are refused") {
    CHECK(contains(error_of([] { (void)load_data("digit"); }),
                   "unknown data set \"digit\"; did you mean digits?"));
    CHECK(error_of([] { (void)load_data("digits:/data"); }) == "digits: takes no folder, got \"/data\"");
    CHECK(contains(error_of([] { (void)load_data("moons(nose=1)"); }),
                   "moons: unknown option \"nose\"; did you mean noise?"));
    CHECK(contains(error_of([] { (void)load_data("moons(n=0)"); }),
                   "moons: option n expects an integer from 1"));
    CHECK(contains(error_of([] { (void)load_data("moons(n=1e3)"); }), "moons: option n expects an integer"));
    const auto source = load_data("digits(mark=7)");
    CHECK(contains(
        error_of([&] { (void)source->split("unmarkt"); }),
        "unknown split \"unmarkt\"; did you mean unmarked?; known: train, test, marked_all, unmarked"));
}
