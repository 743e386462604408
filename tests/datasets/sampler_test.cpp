#include "datasets/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "datasets/in_memory.h"
#include "datasets/loader.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

/// Classes of 60, 30, 10 and 0 samples.
std::shared_ptr<InMemoryDataset> unbalanced() {
    std::vector<int64_t> labels(60, 0);
    labels.insert(labels.end(), 30, 1);
    labels.insert(labels.end(), 10, 2);
    return std::make_shared<InMemoryDataset>(Shape{1}, std::vector<float>(100), labels,
                                             std::vector<std::string>{"a", "b", "c", "none"});
}

std::vector<int64_t> counts(const Dataset& set, const std::vector<int64_t>& order) {
    std::vector<int64_t> by_class(4);
    for (const int64_t index : order) {
        ++by_class[static_cast<size_t>(set.label(index))];
    }
    return by_class;
}

}  // namespace

TEST_CASE("sampler: uniform epochs of the set's size are permutations, shorter ones pieces of them") {
    const auto set = unbalanced();
    CHECK(make_sampler("uniform", *set, 0)->order(7, 3) == epoch_order(100, 7, 3));
    const SamplerPtr pieces = make_sampler("uniform", *set, 30);
    CHECK(pieces->length() == 30);
    std::vector<int64_t> row;
    for (int64_t epoch = 0; epoch < 10; ++epoch) {  // 300 samples: three passes
        const auto order = pieces->order(7, epoch);
        REQUIRE(order.size() == 30);
        row.insert(row.end(), order.begin(), order.end());
    }
    for (int64_t pass = 0; pass < 3; ++pass) {
        CHECK(std::equal(row.begin() + 100 * pass, row.begin() + 100 * (pass + 1),
                         epoch_order(100, 7, pass).begin()));
    }
    CHECK(shuffled_sampler(100, 250)->order(7, 1).size() == 250);
}

TEST_CASE("sampler: balanced epochs have the same number of every class that occurs") {
    const auto set = unbalanced();
    const SamplerPtr sampler = make_sampler("balanced", *set, 90);
    std::set<std::vector<int64_t>> orders;
    for (int64_t epoch = 0; epoch < 20; ++epoch) {
        const auto order = sampler->order(1, epoch);
        CHECK(counts(*set, order) == std::vector<int64_t>{30, 30, 30, 0});
        CHECK(order == sampler->order(1, epoch));
        orders.insert(order);
        // Shuffled: no class fills a third of the epoch alone.
        CHECK(counts(*set, {order.begin(), order.begin() + 30})[0] < 25);
    }
    CHECK(orders.size() == 20);
    CHECK(sampler->order(1, 0) != sampler->order(2, 0));
}

TEST_CASE("sampler: classes have their probability, in every epoch to one sample, in the mean exactly") {
    const auto set = unbalanced();
    const std::vector<double> expected{0.07 * 41, 0.63 * 41, 0.3 * 41, 0};
    const SamplerPtr sampler = make_sampler("classes(probabilities=0.07:0.63:0.3:0)", *set, 41);
    constexpr int kEpochs = 2000;
    std::vector<double> sums(4);
    for (int64_t epoch = 0; epoch < kEpochs; ++epoch) {
        const auto n = counts(*set, sampler->order(5, epoch));
        for (size_t k = 0; k < 4; ++k) {
            CHECK(std::abs(static_cast<double>(n[k]) - expected[k]) < 1 + 1e-9);
            sums[k] += static_cast<double>(n[k]);
        }
    }
    for (size_t k = 0; k < 4; ++k) {
        // Two neighbouring numbers: a deviation of at most 1/2 a draw. Five of them.
        CHECK(std::abs(sums[k] / kEpochs - expected[k]) < 5 * 0.5 / std::sqrt(double{kEpochs}));
    }
}

TEST_CASE("sampler: within a class every sample comes equally often") {
    const auto set = unbalanced();
    const SamplerPtr sampler = make_sampler("balanced", *set, 90);
    std::vector<double> seen(100);
    for (int64_t epoch = 0; epoch < 200; ++epoch) {
        for (const int64_t index : sampler->order(9, epoch)) {
            ++seen[static_cast<size_t>(index)];
        }
    }
    for (size_t i = 0; i < 100; ++i) {
        const double mean = 200.0 * 30 / (i < 60 ? 60 : (i < 90 ? 30 : 10));
        CHECK(std::abs(seen[i] - mean) < 5 * std::sqrt(mean));  // a binomial number; the seed is fixed
    }
}

TEST_CASE("sampler: weights are of samples, so a class counts by its size too") {
    const auto set = unbalanced();  // 60 * 1, 30 * 2, 10 * 6: a third each
    const auto order = make_sampler("classes(weights=1:2:6:5)", *set, 90)->order(1, 0);
    CHECK(counts(*set, order) == std::vector<int64_t>{30, 30, 30, 0});
    CHECK(make_sampler("classes(weights=1:1:1:1)", *set, 0)->length() == 100);
}

TEST_CASE("sampler: a loader draws, repeats differ, and a restored position continues bit for bit") {
    const auto set = unbalanced();
    const LoaderOptions options{
        .batch_size = 8, .workers = 2, .seed = 4, .sampler = make_sampler("balanced", *set, 30)};
    Loader loader(set, options);
    CHECK(loader.batches_per_epoch() == 4);
    std::vector<std::vector<int64_t>> batches;
    for (int epochs = 0; epochs < 3;) {
        if (const auto batch = loader.next()) {
            batches.push_back(batch->indices);
        } else {
            ++epochs;
        }
    }
    CHECK(batches.size() == 12);
    Loader again(set, options);
    again.seek({1, 2});
    CHECK(again.order() == options.sampler->order(4, 1));
    CHECK(again.next()->indices == batches[6]);
    CHECK(again.next()->indices == batches[7]);
    CHECK_FALSE(again.next().has_value());
    CHECK(again.next()->indices == batches[8]);
}

TEST_CASE("sampler: what cannot work is refused by name") {
    const auto set = unbalanced();
    const auto refusal = [&](const char* spec, int64_t length = 0) {
        return error_of([&] { (void)make_sampler(spec, *set, length); });
    };
    CHECK(contains(refusal("balance"), "unknown sampler \"balance\"; did you mean balanced?"));
    CHECK(refusal("classes") == "classes: give either probabilities or weights, one number a class");
    CHECK(contains(refusal("classes(probabilities=1:0)"),
                   "sampler: expected 4 probabilities, one a class, got 2"));
    CHECK(contains(refusal("classes(weights=1:1:1)"), "sampler: expected 4 weights, one a class, got 3"));
    CHECK(contains(refusal("classes(probabilities=0.5:0.2:0.2:0)"), "sum to 0.9, expected 1"));
    CHECK(contains(refusal("classes(probabilities=-0.5:1:0.5:0)"), "probabilities >= 0, got -0.5"));
    CHECK(refusal("classes(probabilities=0.5:0:0:0.5)") ==
          "sampler: class none has probability 0.5, but no samples");
    CHECK(contains(refusal("classes(weights=0:0:0:1)"), "every sample has weight 0"));
    CHECK(contains(refusal("uniform", -3), "expected at least one sample an epoch, got -3"));
    CHECK_FALSE(refusal("balanced(size=3)") == "no error");
}
