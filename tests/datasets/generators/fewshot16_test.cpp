#include <doctest/doctest.h>

#include <numeric>
#include <set>

#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;

TEST_CASE("fewshot16: twelve base classes, six novel ones, all eighteen combinations once") {
    const auto source = load_data("fewshot16");
    std::vector<int64_t> base(18, 0), novel(18, 0);
    std::fill(base.begin(), base.begin() + 12, 60);
    std::fill(novel.begin() + 12, novel.end(), 40);
    CHECK(source->train->class_counts() == base);
    CHECK(source->test->class_counts() == novel);
    CHECK(source->split("shifted")->class_counts() == novel);
    const auto& names = source->train->class_names();
    CHECK(std::set<std::string>(names.begin(), names.end()).size() == 18);
    std::set<std::pair<int64_t, int64_t>> seen;
    for (const auto& set : {source->train, source->test}) {
        for (int64_t i = 0; i < set->size(); ++i) {
            seen.emplace(set->column("figure")[static_cast<size_t>(i)],
                         set->column("fill")[static_cast<size_t>(i)]);
        }
    }
    CHECK(seen.size() == 18);
    CHECK(load_data("fewshot16(seed=5)")->train->class_names() == names);  // the permutation is fixed
}

TEST_CASE("fewshot16: stripes darken every second line of the figure") {
    const auto source = load_data("fewshot16(noise=0,per_class=5)");
    for (int64_t i = 0; i < source->train->size(); ++i) {
        const RawSample sample = source->train->load(i);
        const int64_t fill = source->train->column("fill")[static_cast<size_t>(i)];
        std::set<float> values;
        for (int64_t p = 0; p < 256; ++p) {
            if (sample.mask.at(p / 16, p % 16) != 0) {
                values.insert(sample.input.at(p / 16, p % 16));
            } else {
                REQUIRE(sample.input.at(p / 16, p % 16) == 0.2f);
            }
        }
        REQUIRE(values.size() == (fill == 0 ? 1 : 2));
        if (fill != 0) {
            REQUIRE(*values.begin() == doctest::Approx(0.35 * *values.rbegin()));
        }
    }
}

TEST_CASE("fewshot16: the shifted background is tinted") {
    const auto source = load_data("fewshot16(noise=0)");
    const RawSample sample = source->split("shifted")->load(0);
    for (int64_t p = 0; p < 256; ++p) {
        if (sample.mask.at(p / 16, p % 16) == 0) {
            REQUIRE(sample.input.at(p / 16, p % 16, 0) == doctest::Approx(0.8));
            REQUIRE(sample.input.at(p / 16, p % 16, 1) == doctest::Approx(0.64));
            REQUIRE(sample.input.at(p / 16, p % 16, 2) == doctest::Approx(0.48));
        }
    }
}
