#include "datasets/loader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <set>
#include <thread>

#include "datasets/in_memory.h"
#include "datasets/transforms.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

std::shared_ptr<InMemoryDataset> numbers(int64_t n) {
    std::vector<uint8_t> values;
    for (int64_t i = 0; i < n * 16; ++i) {
        values.push_back(static_cast<uint8_t>(i * 31 + i / 16));
    }
    auto set = std::make_shared<InMemoryDataset>(Shape{4, 4, 1}, std::move(values),
                                                 std::vector<int64_t>(static_cast<size_t>(n), 0),
                                                 std::vector<std::string>{"only"});
    set->set_transforms({random_crop(4, 4, 2), random_flip()}, {4, 4, 1});
    return set;
}

/// A set whose reading takes a moment, or fails at one sample.
class Slow final : public Dataset {
public:
    Slow(int64_t n, int64_t bad) : n_(n), bad_(bad) {
        info_.class_names = {"only"};
        info_.sample_shape = {1, 1, 1};
    }
    [[nodiscard]] int64_t size() const override { return n_; }
    [[nodiscard]] int64_t label(int64_t) const override { return 0; }
    [[nodiscard]] RawSample load(int64_t index) const override {
        ++reads;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        BACKLIGHT_CHECK(index != bad_, "sample ", index, " is broken");
        return {.input = Image(1, 1, 1, static_cast<float>(index)), .mask = {}, .decoy = {}};
    }
    mutable std::atomic<int> reads{0};

private:
    int64_t n_, bad_;
};

struct Seen {
    std::vector<int64_t> indices;
    std::vector<float> values;
    bool operator==(const Seen&) const = default;
};

/// Batches until `epochs` have ended.
std::vector<Seen> drain(Loader& loader, int epochs) {
    std::vector<Seen> all;
    while (epochs > 0) {
        if (const auto batch = loader.next()) {
            all.push_back({batch->indices, batch->input.to_vector<float>()});
        } else {
            --epochs;
        }
    }
    return all;
}

}  // namespace

TEST_CASE("loader: an epoch has every sample once, in an order of seed and epoch") {
    const std::vector<int64_t> order = epoch_order(100, 7, 3);
    CHECK(std::set<int64_t>(order.begin(), order.end()).size() == 100);
    CHECK(order == epoch_order(100, 7, 3));
    CHECK(order != epoch_order(100, 7, 4));
    CHECK(order != epoch_order(100, 8, 3));

    Loader loader(numbers(10), {.batch_size = 4, .workers = 0, .seed = 7});
    std::vector<int64_t> seen;
    std::vector<int64_t> sizes;
    while (const auto batch = loader.next()) {
        sizes.push_back(batch->size());
        seen.insert(seen.end(), batch->indices.begin(), batch->indices.end());
    }
    CHECK(sizes == std::vector<int64_t>{4, 4, 2});
    CHECK(seen == epoch_order(10, 7, 0));
    CHECK(loader.position() == Loader::Position{1, 0});
    CHECK(loader.order() == epoch_order(10, 7, 1));
}

TEST_CASE("loader: drop_last leaves out what does not fill a batch, and no shuffle keeps the order") {
    Loader loader(numbers(10), {.batch_size = 4, .shuffle = false, .drop_last = true, .workers = 0});
    CHECK(loader.batches_per_epoch() == 2);
    const std::vector<Seen> seen = drain(loader, 1);
    CHECK(seen.size() == 2);
    CHECK(seen[1].indices == std::vector<int64_t>{4, 5, 6, 7});
}

TEST_CASE("loader: a last sample that is alone comes with the batch before it, when asked to") {
    const auto sizes_of = [](int64_t samples, int64_t batch_size, bool drop_last = false) {
        Loader loader(numbers(samples), {.batch_size = batch_size,
                                         .shuffle = false,
                                         .drop_last = drop_last,
                                         .join_single = true,
                                         .workers = 0});
        std::vector<int64_t> sizes, expected(static_cast<size_t>(samples)), seen;
        for (const Seen& batch : drain(loader, 1)) {
            sizes.push_back(static_cast<int64_t>(batch.indices.size()));
            seen.insert(seen.end(), batch.indices.begin(), batch.indices.end());
        }
        std::iota(expected.begin(), expected.end(), int64_t{0});
        expected.resize(seen.size());
        CHECK(seen == expected);
        CHECK(loader.batches_per_epoch() == static_cast<int64_t>(sizes.size()));
        return sizes;
    };
    using Sizes = std::vector<int64_t>;
    CHECK(sizes_of(9, 4) == Sizes{4, 5});
    CHECK(sizes_of(10, 4) == Sizes{4, 4, 2});
    CHECK(sizes_of(8, 4) == Sizes{4, 4});
    CHECK(sizes_of(3, 2) == Sizes{3});
    CHECK(sizes_of(1, 4) == Sizes{1});  // there is none before it
    CHECK(sizes_of(3, 1) == Sizes{1, 1, 1});
    CHECK(sizes_of(9, 4, true) == Sizes{4, 4});

    // Workers, a restored position and an order of the caller's know the same batches.
    const auto set = numbers(13);
    std::vector<Seen> runs[2];
    for (const int workers : {0, 2}) {
        const LoaderOptions options{.batch_size = 4, .join_single = true, .workers = workers, .seed = 11};
        Loader loader(set, options);
        runs[workers / 2] = drain(loader, 2);
        CHECK(loader.position() == Loader::Position{2, 0});
        loader.seek({1, 2});
        const std::vector<Seen> rest = drain(loader, 1);
        CHECK(rest == std::vector<Seen>(runs[workers / 2].begin() + 5, runs[workers / 2].end()));
        loader.seek({2, 0}, {7, 7, 3, 1, 12});
        const std::vector<Seen> own = drain(loader, 1);
        REQUIRE(own.size() == 1);
        CHECK(own[0].indices == std::vector<int64_t>{7, 7, 3, 1, 12});
        CHECK(error_of([&] { loader.seek({3, 4}); }) == "loader: no batch 4 of epoch 3");
    }
    CHECK(runs[0] == runs[1]);
}

TEST_CASE("loader: the number of workers does not change a bit") {
    const auto set = numbers(53);
    std::vector<std::vector<Seen>> runs;
    for (const int workers : {0, 1, 2, 5}) {
        Loader loader(set, {.batch_size = 4, .workers = workers, .prefetch = 3, .seed = 11});
        runs.push_back(drain(loader, 3));
    }
    for (const auto& run : runs) {
        CHECK(run == runs.front());
    }
    CHECK(runs[0].size() == 3 * 14);
}

TEST_CASE("loader: a restored position continues bit for bit") {
    const auto set = numbers(53);
    for (const int workers : {0, 2}) {
        const LoaderOptions options{.batch_size = 4, .workers = workers, .seed = 11};
        Loader whole(set, options);
        const std::vector<Seen> all = drain(whole, 2);
        Loader first(set, options);
        for (int i = 0; i < 19; ++i) {  // 14 batches, the end of the epoch, 4 batches
            (void)first.next();
        }
        CHECK(first.position() == Loader::Position{1, 4});
        Loader second(set, options);
        second.seek(first.position());
        const std::vector<Seen> rest = drain(second, 1);
        CHECK(rest == std::vector<Seen>(all.begin() + 18, all.end()));
    }
}

TEST_CASE("loader: an order of the caller's may repeat samples, whose transforms then differ") {
    const auto set = numbers(10);
    const std::vector<int64_t> order{3, 3, 3, 3, 3, 3, 3, 3, 9, 1};
    std::vector<Seen> runs[2];
    for (const int workers : {0, 2}) {
        Loader loader(set, {.batch_size = 8, .workers = workers, .seed = 1});
        loader.seek({5, 0}, order);
        CHECK(loader.order() == order);
        runs[workers / 2] = drain(loader, 1);
        CHECK(loader.position() == Loader::Position{6, 0});
        CHECK(loader.order() == epoch_order(10, 1, 6));
    }
    CHECK(runs[0] == runs[1]);
    CHECK(runs[0].size() == 2);
    std::set<std::vector<float>> different;
    for (size_t i = 0; i < 8; ++i) {
        const auto begin = runs[0][0].values.begin() + static_cast<std::ptrdiff_t>(16 * i);
        different.emplace(begin, begin + 16);
    }
    CHECK(different.size() > 4);  // of 50 windows and mirrors
    Loader loader(set, {.workers = 0});
    CHECK(error_of([&] { loader.seek({0, 0}, {10}); }) == "loader: index 10 is not in 0..9");
}

TEST_CASE("loader: without augmentation every epoch shows the fixed forms") {
    const auto set = numbers(10);
    Loader loader(set, {.batch_size = 10, .shuffle = false, .augment = false, .workers = 0});
    const std::vector<Seen> seen = drain(loader, 2);
    CHECK(seen[0] == seen[1]);
    CHECK(seen[0].values == set->all().input.to_vector<float>());
}

TEST_CASE(
    "loader: what a worker throws reaches the caller at its batch, and again, until the position changes") {
    for (const int workers : {0, 2}) {
        Loader loader(std::make_shared<Slow>(12, 7), {.batch_size = 2, .shuffle = false, .workers = workers});
        for (int i = 0; i < 3; ++i) {
            CHECK(loader.next().has_value());
        }
        for (int i = 0; i < 2; ++i) {
            CHECK(error_of([&] { (void)loader.next(); }) == "sample 7 is broken");
        }
        CHECK(loader.position() == Loader::Position{0, 3});
        loader.seek({0, 4});
        CHECK(loader.next()->indices == std::vector<int64_t>{8, 9});
    }
}

TEST_CASE("loader: it may be destroyed or moved elsewhere while workers are busy") {
    for (int i = 0; i < 20; ++i) {
        Loader loader(std::make_shared<Slow>(1000, -1), {.batch_size = 3, .workers = 3, .prefetch = 2});
        if (i % 2 == 0) {
            (void)loader.next();
        }
        loader.seek({i, i});
        if (i % 3 == 0) {
            CHECK(loader.next()->indices ==
                  std::vector<int64_t>(loader.order().begin() + 3 * i, loader.order().begin() + 3 * i + 3));
        }
    }
}

TEST_CASE("loader: what workers made for a position that was left does not come back") {
    Loader loader(std::make_shared<Slow>(60, -1), {.batch_size = 4, .workers = 3});
    for (int64_t epoch = 1; epoch < 12; ++epoch) {
        std::this_thread::sleep_for(
            std::chrono::milliseconds(2));  // in the middle of a batch of the epoch before
        loader.start_epoch(epoch);
        for (int i = 0; i < 2; ++i) {
            const auto batch = loader.next();
            const std::vector<float> values = batch->input.to_vector<float>();
            CHECK(std::vector<int64_t>(values.begin(), values.end()) == batch->indices);
        }
    }
}

TEST_CASE("loader: workers stay within the prefetch bound") {
    const auto set = std::make_shared<Slow>(100, -1);
    Loader loader(set, {.batch_size = 1, .workers = 2, .prefetch = 3});
    (void)loader.next();
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    CHECK(set->reads <= 4);  // the one taken and three ahead
    CHECK(set->reads >= 2);
}

TEST_CASE("loader: impossible options and positions are refused, an empty set is not") {
    const auto set = numbers(4);
    CHECK_THROWS_AS(Loader(set, {.batch_size = 0}), Error);
    CHECK_THROWS_AS(Loader(set, {.workers = -2}), Error);
    CHECK_THROWS_AS(Loader(set, {.prefetch = 0}), Error);
    Loader loader(set, {.batch_size = 2, .workers = 1});
    CHECK(error_of([&] { loader.seek({0, 3}); }) == "loader: no batch 3 of epoch 0");
    CHECK(drain(loader, 1).size() == 2);  // the refused seek changed nothing
    Loader empty(subset(set, {}), {.workers = 1});
    CHECK_FALSE(empty.next().has_value());
}
