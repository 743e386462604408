// Episodes: which samples they hold, and what is refused.
#include <set>

#include "datasets/episodes.h"
#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using testing::contains;
using testing::error_of;

TEST_CASE("episodes: classes once, samples once, class after class") {
    const auto data = load_data("fewshot16(per_class=12, novel_per_class=10)");
    const EpisodeSampler sampler(data->train, {.ways = 5, .shots = 3, .queries = 4});
    std::set<int64_t> seen;
    for (uint64_t step = 0; step < 20; ++step) {
        RandomStream random(RandomKey{.seed = 1, .step = step});
        const Episode episode = sampler.draw(random);
        REQUIRE(episode.classes.size() == 5);
        CHECK(std::set<int64_t>(episode.classes.begin(), episode.classes.end()).size() == 5);
        CHECK(episode.support.input.shape() == Shape{15, 16, 16, 3});
        CHECK(episode.query.input.shape() == Shape{20, 16, 16, 3});
        std::set<int64_t> samples;
        const auto check = [&](const Batch& batch, size_t each) {
            const auto labels = batch.label.to_vector<int64_t>();
            for (size_t i = 0; i < labels.size(); ++i) {
                CHECK(labels[i] == static_cast<int64_t>(i / each));
                CHECK(data->train->label(batch.indices[i]) == episode.classes[i / each]);
                samples.insert(batch.indices[i]);
            }
        };
        check(episode.support, 3);
        check(episode.query, 4);
        CHECK(samples.size() == 35);
        seen.insert(episode.classes.begin(), episode.classes.end());
    }
    CHECK(seen.size() == 12);
}

TEST_CASE("episodes: classes without samples are none; the same numbers give the same episode") {
    const auto data = load_data("fewshot16(per_class=12, novel_per_class=10)");
    const EpisodeSampler sampler(data->test, {.ways = 6, .shots = 1, .queries = 9});
    RandomStream a(RandomKey{.seed = 1}), b(RandomKey{.seed = 1});
    const Episode first = sampler.draw(a), second = sampler.draw(b), third = sampler.draw(b);
    CHECK(first.query.indices == second.query.indices);
    CHECK(first.query.indices != third.query.indices);
    for (const int64_t label : first.classes) {
        CHECK(label >= 12);
    }
}

TEST_CASE("episodes: what a data set cannot give is told") {
    const auto data = load_data("fewshot16(per_class=12, novel_per_class=10)");
    const auto message = [&](const EpisodeShape& shape) {
        return error_of([&] { const EpisodeSampler sampler(data->test, shape); });
    };
    CHECK(contains(message({.ways = 7}), "7 ways of a data set with samples of 6 classes"));
    CHECK(contains(message({.ways = 5, .shots = 5, .queries = 6}), "has 10 samples, an episode needs 11"));
    CHECK(contains(message({.ways = 1}), "at least 2 ways"));
}
