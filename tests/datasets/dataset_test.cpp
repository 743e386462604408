#include "datasets/dataset.h"

#include <doctest/doctest.h>

#include "datasets/in_memory.h"
#include "datasets/transforms.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

/// Three images of (1, 2, 2): values 0..11, labels 1 0 1, a mask each.
std::shared_ptr<InMemoryDataset> three(float shift = 0.0f) {
    std::vector<float> values(12);
    for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>(i) + shift;
    }
    auto set =
        std::make_shared<InMemoryDataset>(Shape{1, 2, 2}, std::move(values), std::vector<int64_t>{1, 0, 1},
                                          std::vector<std::string>{"cat", "dog"});
    set->set_masks({1, 0, 0, 1, 1, 1});
    set->set_column("age", {10, 20, 30});
    return set;
}

}  // namespace

TEST_CASE("dataset: batches gather samples, labels and masks in the order asked for") {
    const auto set = three();
    const std::vector<int64_t> order{2, 0, 2};
    const Batch batch = set->batch(order);
    CHECK(batch.size() == 3);
    CHECK(batch.input.shape() == Shape{3, 1, 2, 2});
    CHECK(batch.input.to_vector<float>() == std::vector<float>{8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11});
    CHECK(batch.label.to_vector<int64_t>() == std::vector<int64_t>{1, 1, 1});
    CHECK(batch.mask.shape() == Shape{3, 1, 2});
    CHECK(batch.mask.to_vector<float>() == std::vector<float>{1, 1, 1, 0, 1, 1});
    CHECK_FALSE(batch.decoy_mask.defined());
    CHECK(batch.indices == order);

    const Example one = set->get(1);
    CHECK(one.input.shape() == Shape{1, 2, 2});
    CHECK(one.label == 0);
    CHECK(one.mask.to_vector<float>() == std::vector<float>{0, 1});
    CHECK(set->class_counts() == std::vector<int64_t>{1, 2});
    CHECK(set->all().size() == 3);
}

TEST_CASE("dataset: normalisation is per channel and moves the input range") {
    const auto set = three();
    set->measure_range();
    CHECK(set->input_range().low == std::vector<float>{0, 1});
    CHECK(set->input_range().high == std::vector<float>{10, 11});
    set->set_normalization({.mean = {2, 1}, .std = {4, 2}});
    CHECK(set->get(0).input.to_vector<float>() == std::vector<float>{-0.5f, 0.0f, 0.0f, 1.0f});
    CHECK(set->input_range().low == std::vector<float>{-0.5f, 0.0f});
    CHECK(set->input_range().high == std::vector<float>{2.0f, 5.0f});
    // The generic path through `load` gives the same bits as the quick one.
    std::vector<float> generic(4);
    set->Dataset::read(0, {}, {.input = generic, .mask = {}, .decoy = {}});
    CHECK(generic == set->get(0).input.to_vector<float>());

    CHECK(error_of([&] {
              set->set_normalization({.mean = {1, 2, 3}, .std = {}});
          }) == "dataset: mean expects 1 or 2 values, got 3");
    CHECK(contains(error_of([&] { set->set_normalization({.mean = {}, .std = {0}}); }),
                   "std expects positive"));
}

TEST_CASE("dataset: bytes stand for fractions") {
    const InMemoryDataset set({2}, std::vector<uint8_t>{0, 255, 51, 102}, {0, 0}, {"a"});
    CHECK(set.all().input.to_vector<float>() == std::vector<float>{0.0f, 1.0f, 0.2f, 0.4f});
    CHECK(set.sample_shape() == Shape{2});
    CHECK(set.mask_shape() == Shape{2});
    CHECK(set.load(1).input.values == std::vector<float>{0.2f, 0.4f});
}

TEST_CASE("dataset: wrong numbers are refused") {
    const auto set = three();
    CHECK(error_of([&] { (void)set->label(3); }) == "dataset: index 3 is not in 0..2");
    CHECK(error_of([&] { (void)set->get(-1); }) == "dataset: index -1 is not in 0..2");
    CHECK(contains(error_of([&] { (void)set->column("weight"); }), "unknown column \"weight\""));
    CHECK(contains(error_of([&] { set->set_masks({1, 2}); }), "masks need 6 values, got 2"));
    CHECK(contains(error_of([] {
                       InMemoryDataset({2}, std::vector<float>{1, 2, 3}, {0}, {"a"});
                   }),
                   "need 2 values, got 3"));
    CHECK(contains(error_of([] { InMemoryDataset({1}, std::vector<float>{1}, {1}, {"a"}); }),
                   "label 1 of sample 0 is not in 0..0"));
    set->set_transforms({center_crop_to(1, 1)}, {1, 2, 2});
    CHECK(contains(error_of([&] { (void)set->get(0); }), "has shape (1, 1, 2), expected (1, 2, 2)"));
}

TEST_CASE("dataset: a subset reads through to its base") {
    const auto set = three();
    set->set_normalization({.mean = {1}, .std = {2}});
    const auto some = subset(set, {2, 1, 2});
    CHECK(some->size() == 3);
    CHECK(some->labels() == std::vector<int64_t>{1, 0, 1});
    CHECK(some->get(1).input.to_vector<float>() == set->get(1).input.to_vector<float>());
    CHECK(some->get(0).mask.to_vector<float>() == std::vector<float>{1, 1});
    CHECK(some->column("age") == std::vector<int64_t>{30, 20, 30});
    CHECK(some->is_quick());
    CHECK(some->input_range().high == set->input_range().high);
    CHECK(error_of([&] { (void)subset(set, {3}); }) == "subset: index 3 is not in 0..2");
    CHECK_THROWS_AS(some->set_normalization({}), Error);
}

TEST_CASE("dataset: a concatenation keeps what all parts have") {
    const auto first = three();
    const auto second = three(100.0f);
    second->set_decoy_masks({0, 0, 0, 0, 0, 1});
    first->measure_range();
    second->measure_range();
    const auto both = concatenate({first, second});
    CHECK(both->size() == 6);
    CHECK(both->get(4).input.to_vector<float>() == std::vector<float>{104, 105, 106, 107});
    CHECK(both->labels() == std::vector<int64_t>{1, 0, 1, 1, 0, 1});
    const auto reversed = concatenate({subset(first, {1, 0}), first});
    CHECK(reversed->labels() == std::vector<int64_t>{0, 1, 1, 0, 1});
    CHECK(both->has_masks());
    CHECK_FALSE(both->has_decoy_masks());
    CHECK(both->column("age") == std::vector<int64_t>{10, 20, 30, 10, 20, 30});
    CHECK(both->input_range().low == std::vector<float>{0, 1});
    CHECK(both->input_range().high == std::vector<float>{110, 111});
    const auto other = make_dataset(Tensor::zeros({1, 3}), {0}, {"cat", "dog"});
    CHECK(contains(error_of([&] { (void)concatenate({first, other}); }), "sample shapes (1, 2, 2) and (3"));
}

TEST_CASE("dataset: tensors become a data set") {
    const Tensor inputs = Tensor::from<float>({1, 2, 3, 4}, {2, 1, 2, 1});
    const auto set = make_dataset(inputs, {0, 1}, {"a", "b"});
    CHECK(set->all().input.to_vector<float>() == inputs.to_vector<float>());
    CHECK(set->sample_shape() == Shape{1, 2, 1});
    CHECK_THROWS_AS((void)make_dataset(inputs, {0}, {"a"}), Error);
    CHECK_THROWS_AS((void)make_dataset(Tensor::zeros({3}), {0, 0, 0}, {"a"}), Error);
}
