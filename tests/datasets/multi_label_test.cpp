// Several labels a sample: what views and loaders carry.
#include <doctest/doctest.h>

#include "datasets/in_memory.h"
#include "datasets/loader.h"
#include "datasets/sampler.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

constexpr auto o = Presence::absent, x = Presence::present, i = Presence::ignored;

std::shared_ptr<InMemoryDataset> labelled() {
    return make_dataset(Tensor::arange(3).reshape({3, 1}), {0, 0, 0}, numbered_classes(2));
}

std::shared_ptr<InMemoryDataset> samples() {
    auto set = labelled();
    set->set_presence({x, o, i, x, x, x});
    return set;
}

}  // namespace

TEST_CASE("multi-label: subsets, concatenations, copies and loaders carry targets and what to ignore") {
    const auto set = samples();
    CHECK(set->class_counts() == std::vector<int64_t>{2, 2});
    const auto turned = subset(set, {1, 0});
    const auto both = concatenate({turned, set});
    for (const auto& any :
         {std::shared_ptr<const Dataset>(both), std::shared_ptr<const Dataset>(materialize(*both))}) {
        CHECK(any->is_multi_label());
        CHECK(any->presence(0) == std::vector<Presence>{i, x});
        Loader loader(any, {.batch_size = 3, .shuffle = false, .workers = 1});
        const auto batch = loader.next();
        CHECK_FALSE(batch->label.defined());
        CHECK(batch->target.to_vector<float>() == std::vector<float>{0, 1, 1, 0, 1, 0});
        CHECK(batch->target_weight.to_vector<float>() == std::vector<float>{0, 1, 1, 1, 1, 1});
    }
    const Example example = set->get(1);
    CHECK(example.label == -1);
    CHECK(example.target.to_vector<float>() == std::vector<float>{0, 1});
    CHECK(example.target_weight.to_vector<float>() == std::vector<float>{0, 1});
}

TEST_CASE("multi-label: class samplers draw a sample for each class that it shows") {
    const auto set = make_dataset(Tensor::arange(3).reshape({3, 1}), {0, 0, 0}, numbered_classes(2));
    set->set_presence({x, o, o, i, x, x});
    CHECK(set->samples_by_class() == std::vector<std::vector<int64_t>>{{0, 2}, {2}});
    std::vector<int64_t> drawn(3, 0);
    for (const int64_t index : make_sampler("classes(probabilities=0.25:0.75)", *set, 4000)->order(1, 0)) {
        ++drawn[static_cast<size_t>(index)];
    }
    CHECK(drawn[1] == 0);  // shows no class
    CHECK(drawn[0] == doctest::Approx(500).epsilon(0.15));
    CHECK(drawn[2] == doctest::Approx(3500).epsilon(0.05));
}

TEST_CASE("multi-label: a single label is refused; one label a sample is one class present") {
    CHECK(contains(error_of([&] { (void)samples()->label(0); }), "no single label"));
    CHECK(contains(error_of([&] { (void)samples()->labels(); }), "no single label"));
    CHECK(contains(error_of([&] { (void)concatenate({samples(), labelled()}); }), "multi-label"));
    CHECK(contains(error_of([&] { labelled()->set_presence({x}); }), "presence needs 6 values, got 1"));
    const auto single = labelled();
    CHECK_FALSE(single->is_multi_label());
    CHECK(single->presence(0) == std::vector<Presence>{x, o});
    CHECK_FALSE(single->all().target.defined());
    CHECK(single->all().label.defined());
}
