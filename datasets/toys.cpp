// toy1, toy2, toy3: the three small experiments of Weber et al., "Beyond explaining: opportunities and
// challenges of XAI-based model improvement", 2022. Two classes each. Masks say which features tell the
// class, decoy masks which mislead, the same for every sample.
//
// toy1  5 dimensions, the first two inform. Four clusters, one at each corner of {-sep, sep}^2 in random
//       order, cluster k of class k mod 2:  x = z A_k + centre_k,  z ~ N(0, I),  A_k with entries U(-1, 1);
//       the rest N(0, 1). n samples; each label is replaced by a uniform one with probability `noise`;
//       shuffled, the last n_test for testing.
// toy2  4 dimensions, the first three inform as in toy1, centres: four of the corners of {-sep, sep}^3.
//       Dimension 3 is 0.7 s |N(0, 1)|, s = the sign of the (noisy) label in training, a coin in testing.
// toy3  2 dimensions, s = 2 y - 1, classes of equal size.
//       Training: (s, s) + noise N(0, I).  Test: (s + noise N(0, 1), 1.5).
// "fresh" (toy1, toy2): n_fresh more samples of the same clusters without label noise, s a coin.
#include <array>
#include <cmath>

#include "core/error.h"
#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kClusters = 4;

/// Four Gaussian clusters in `informative` dimensions.
struct Clusters {
    int64_t informative = 0;
    std::array<std::vector<double>, kClusters> centre;
    std::array<std::vector<double>, kClusters> matrix;  // row by row: x = z A

    Clusters(int64_t dimensions, double separation, RandomStream& random) : informative(dimensions) {
        const std::vector<int64_t> corners = random.sample(int64_t{1} << dimensions, kClusters);
        for (size_t k = 0; k < kClusters; ++k) {
            for (int64_t d = 0; d < dimensions; ++d) {
                centre[k].push_back((corners[k] >> d & 1) != 0 ? separation : -separation);
            }
            for (int64_t i = 0; i < dimensions * dimensions; ++i) {
                matrix[k].push_back(random.uniform(-1.0, 1.0));
            }
        }
    }

    void append(int64_t cluster, RandomStream& random, std::vector<float>& values) const {
        const auto n = static_cast<size_t>(informative);
        std::vector<double> z(n);
        for (double& value : z) {
            value = random.normal();
        }
        const auto k = static_cast<size_t>(cluster);
        for (size_t j = 0; j < n; ++j) {
            double x = centre[k][j];
            for (size_t i = 0; i < n; ++i) {
                x += z[i] * matrix[k][i * n + j];
            }
            values.push_back(static_cast<float>(x));
        }
    }
};

struct Samples {
    int64_t dimensions = 0;
    std::vector<float> values;
    std::vector<int64_t> labels;

    [[nodiscard]] Samples part(std::span<const int64_t> indices) const {
        Samples some{.dimensions = dimensions, .values = {}, .labels = {}};
        for (const int64_t index : indices) {
            const auto begin = values.begin() + index * dimensions;
            some.values.insert(some.values.end(), begin, begin + dimensions);
            some.labels.push_back(labels[static_cast<size_t>(index)]);
        }
        return some;
    }
};

std::shared_ptr<InMemoryDataset> make_set(Samples samples, const std::vector<float>& mask,
                                          const std::vector<float>& decoy) {
    const auto repeat = [n = samples.labels.size()](const std::vector<float>& plane) {
        std::vector<float> planes;
        for (size_t i = 0; i < n; ++i) {
            planes.insert(planes.end(), plane.begin(), plane.end());
        }
        return planes;
    };
    const size_t n = samples.labels.size();
    auto set = std::make_shared<InMemoryDataset>(Shape{samples.dimensions}, std::move(samples.values),
                                                 std::move(samples.labels), numbered_classes(2));
    BACKLIGHT_CHECK(n > 0, "toys: expected at least one sample in each split");
    set->set_masks(repeat(mask));
    if (!decoy.empty()) {
        set->set_decoy_masks(repeat(decoy));
    }
    return set;
}

Source make_source(std::span<const std::shared_ptr<InMemoryDataset>> sets) {
    share_measured_range(sets);
    auto source = std::make_unique<DataSource>();
    source->train = sets[0];
    source->test = sets[1];
    if (sets.size() > 2) {
        source->extra["fresh"] = sets[2];
    }
    return source;
}

struct ClusterOptions {
    uint64_t seed;
    int64_t n, n_test, n_fresh;
    double noise, separation;
};

ClusterOptions cluster_options(const Options& options, double noise) {
    const ClusterOptions result{.seed = static_cast<uint64_t>(options.get("seed", 0)),
                                .n = options.get_within("n", 400, 2, 10'000'000),
                                .n_test = options.get_within("n_test", 50, 1, 10'000'000),
                                .n_fresh = options.get_within("n_fresh", 2000, 1, 10'000'000),
                                .noise = options.get_within("noise", noise, 0.0, 1.0),
                                .separation = options.get_within("sep", 1.0, 0.0, 1e6)};
    options.finish();
    BACKLIGHT_CHECK(result.n_test < result.n, options.owner(), ": n=", result.n,
                    " samples in all leave no training set beside n_test=", result.n_test);
    return result;
}

/// `finish_sample` appends the dimensions behind the informative ones; it sees the noisy label and whether
/// the sample is for training.
template <typename FinishSample>
std::array<Samples, 3> draw_clusters(const ClusterOptions& options, GeneratorId id, int64_t informative,
                                     int64_t dimensions, const FinishSample& finish_sample) {
    RandomStream shared = sample_stream(id, options.seed, SplitId::train, -1);
    const Clusters clusters(informative, options.separation, shared);
    const auto draw = [&](SplitId split, int64_t n, double label_noise, std::span<const int64_t> order) {
        std::vector<bool> is_train(static_cast<size_t>(n), false);
        for (const int64_t index : order) {
            is_train[static_cast<size_t>(index)] = true;
        }
        Samples samples{.dimensions = dimensions, .values = {}, .labels = {}};
        for (int64_t i = 0; i < n; ++i) {
            RandomStream random = sample_stream(id, options.seed, split, i);
            const int64_t cluster = i % kClusters;
            clusters.append(cluster, random, samples.values);
            const bool replaced = random.bernoulli(label_noise);
            const int64_t other = random.below(2);
            samples.labels.push_back(replaced ? other : cluster % 2);
            finish_sample(samples.labels.back(), is_train[static_cast<size_t>(i)], random, samples.values);
        }
        return samples;
    };
    const std::vector<int64_t> order = shared.permutation(options.n);
    const auto train = std::span(order).first(static_cast<size_t>(options.n - options.n_test));
    const auto test = std::span(order).last(static_cast<size_t>(options.n_test));
    const Samples all = draw(SplitId::train, options.n, options.noise, train);
    return {all.part(train), all.part(test), draw(SplitId::fresh, options.n_fresh, 0.0, {})};
}

}  // namespace

Source load_toy1(const std::string&, const Options& options) {
    const ClusterOptions chosen = cluster_options(options, 0.1);
    auto [train, test, fresh] = draw_clusters(
        chosen, GeneratorId::toy1, 2, 5, [](int64_t, bool, RandomStream& random, std::vector<float>& values) {
            for (int d = 2; d < 5; ++d) {
                values.push_back(static_cast<float>(random.normal()));
            }
        });
    const std::vector<float> mask{1, 1, 0, 0, 0};
    return make_source(std::array{make_set(std::move(train), mask, {}), make_set(std::move(test), mask, {}),
                                  make_set(std::move(fresh), mask, {})});
}

Source load_toy2(const std::string&, const Options& options) {
    const ClusterOptions chosen = cluster_options(options, 0.05);
    auto [train, test, fresh] =
        draw_clusters(chosen, GeneratorId::toy2, 3, 4,
                      [](int64_t label, bool is_train, RandomStream& random, std::vector<float>& values) {
                          const int coin = random.sign();
                          const int sign = is_train ? (label == 1 ? 1 : -1) : coin;
                          values.push_back(static_cast<float>(0.7 * sign * std::abs(random.normal())));
                      });
    const std::vector<float> mask{1, 1, 1, 0}, decoy{0, 0, 0, 1};
    return make_source(std::array{make_set(std::move(train), mask, decoy),
                                  make_set(std::move(test), mask, decoy),
                                  make_set(std::move(fresh), mask, decoy)});
}

Source load_toy3(const std::string&, const Options& options) {
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    const int64_t n = options.get_within("n", 200, 2, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 200, 2, 10'000'000);
    const double deviation = options.get_within("noise", 0.3, 0.0, 1e6);
    options.finish();
    const auto draw = [&](SplitId split, int64_t count) {
        Samples samples{.dimensions = 2,
                        .values = {},
                        .labels = planned_labels(even_counts(count, 2),
                                                 sample_stream(GeneratorId::toy3, seed, split, -1))};
        for (int64_t i = 0; i < count; ++i) {
            RandomStream random = sample_stream(GeneratorId::toy3, seed, split, i);
            const double s = 2.0 * static_cast<double>(samples.labels[static_cast<size_t>(i)]) - 1.0;
            samples.values.push_back(static_cast<float>(s + random.normal(0.0, deviation)));
            const double varies = s + random.normal(0.0, deviation);
            samples.values.push_back(split == SplitId::train ? static_cast<float>(varies) : 1.5f);
        }
        return make_set(std::move(samples), {1, 0}, {0, 1});
    };
    return make_source(std::array{draw(SplitId::train, n), draw(SplitId::test, n_test)});
}

}  // namespace backlight
