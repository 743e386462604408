#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

TEST_CASE("digits: 1,797 images of 8x8 with 174 to 183 of each digit") {
    const auto source = load_data("digits");
    CHECK(source->train->size() + source->test->size() == 1797);
    CHECK(source->train->sample_shape() == Shape{8, 8, 1});
    CHECK(source->train->num_classes() == 10);
    const std::vector<int64_t> expected{178, 182, 177, 183, 181, 182, 181, 179, 174, 180};
    const std::vector<int64_t> train = source->train->class_counts();
    const std::vector<int64_t> test = source->test->class_counts();
    for (size_t c = 0; c < 10; ++c) {
        CHECK(train[c] + test[c] == expected[c]);
        CHECK(test[c] == expected[c] / 5);  // the fifth, tenth, ... of its class
    }
    const std::vector<float> values = source->train->all().input.to_vector<float>();
    CHECK(*std::min_element(values.begin(), values.end()) == 0.0f);
    CHECK(*std::max_element(values.begin(), values.end()) == 1.0f);
    CHECK_FALSE(source->train->has_decoy_masks());
    CHECK(source->extra.empty());
}

TEST_CASE("digits: the first image is the first line of the file") {
    const auto source = load_data("digits");
    CHECK(source->train->label(0) == 0);
    const std::vector<float> image = source->train->get(0).input.to_vector<float>();
    const std::vector<float> row0{0, 0, 5, 13, 9, 1, 0, 0};
    const std::vector<float> row1{0, 0, 13, 15, 10, 15, 5, 0};
    for (size_t i = 0; i < 8; ++i) {
        CHECK(image[i] * 16 == row0[i]);
        CHECK(image[8 + i] * 16 == row1[i]);
    }
}

TEST_CASE("digits: the five splits have disjoint test sets that cover everything") {
    int64_t total = 0;
    for (const char* spec :
         {"digits(split=0)", "digits(split=1)", "digits(split=2)", "digits(split=3)", "digits"}) {
        total += load_data(spec)->test->size();
    }
    CHECK(total == 1797);
    CHECK(load_data("digits(split=0)")->test->get(0).input.to_vector<float>() ==
          load_data("digits(split=4)")->train->get(0).input.to_vector<float>());
}

TEST_CASE("digits: a mark sits on one class in training and test, and where the extra splits say") {
    const auto plain = load_data("digits");
    const auto source = load_data("digits(mark=7)");
    const auto check = [&](const Dataset& set, const Dataset& clean, auto expected) {
        const std::vector<int64_t>& marked = set.column("marked");
        for (int64_t i = 0; i < set.size(); ++i) {
            std::vector<float> values = clean.get(i).input.to_vector<float>();
            const bool wanted = expected(set.label(i));
            REQUIRE((marked[static_cast<size_t>(i)] != 0) == wanted);
            if (wanted) {
                values[0] = values[1] = values[8] = values[9] = 1.0f;
            }
            REQUIRE(set.get(i).input.to_vector<float>() == values);
        }
    };
    check(*source->train, *plain->train, [](int64_t label) { return label == 7; });
    check(*source->test, *plain->test, [](int64_t label) { return label == 7; });
    check(*source->split("unmarked"), *plain->test, [](int64_t) { return false; });
    check(*source->split("marked_all"), *plain->test, [](int64_t) { return true; });

    const std::vector<float> place = source->train->get(5).decoy_mask.to_vector<float>();
    CHECK(std::accumulate(place.begin(), place.end(), 0.0f) == 4.0f);
    CHECK(place[0] + place[1] + place[8] + place[9] == 4.0f);
}

TEST_CASE("digits: a share of the class is marked, by seed") {
    const auto share_of = [](const std::string& spec) {
        const auto source = load_data(spec);
        const std::vector<int64_t>& marked = source->train->column("marked");
        return std::accumulate(marked.begin(), marked.end(), int64_t{0});
    };
    CHECK(share_of("digits(mark=3)") == 147);
    const int64_t half = share_of("digits(mark=3,mark_share=0.5)");
    CHECK(half > 147 / 2 - 30);
    CHECK(half < 147 / 2 + 30);
    CHECK(load_data("digits(mark=3,mark_share=0.5)")->train->column("marked") !=
          load_data("digits(mark=3,mark_share=0.5,seed=1)")->train->column("marked"));
}

TEST_CASE("digits: they grow on demand and stay quick") {
    const auto source = load_data("digits(size=16,mark=1)");
    CHECK(source->train->sample_shape() == Shape{16, 16, 1});
    CHECK(source->split("unmarked")->get(0).decoy_mask.shape() == Shape{16, 16});
    CHECK(source->train->is_quick());
    CHECK(contains(error_of([] { (void)load_data("digits(size=4)"); }),
                   "digits: option size expects an integer"));
    CHECK(contains(error_of([] { (void)load_data("digits(mark=10)"); }),
                   "digits: option mark expects an integer"));
}
