#include "explain/concepts/clusters.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

double squared_distance(std::span<const double> a, const double* b) {
    double sum = 0;
    for (size_t k = 0; k < a.size(); ++k) {
        sum += (a[k] - b[k]) * (a[k] - b[k]);
    }
    return sum;
}

/// Each next centre is a point, drawn with probability in proportion to its squared distance from the nearest
/// one.
std::vector<double> first_centres(const Points& points, int64_t clusters, RandomStream& random) {
    std::vector<double> centres;
    std::vector<double> nearest(static_cast<size_t>(points.count), INFINITY);
    int64_t chosen = random.below(points.count);
    for (int64_t c = 0; c < clusters; ++c) {
        const auto row = points.row(chosen);
        centres.insert(centres.end(), row.begin(), row.end());
        double total = 0;
        for (int64_t i = 0; i < points.count; ++i) {
            double& d = nearest[static_cast<size_t>(i)];
            d = std::min(d, squared_distance(points.row(i), row.data()));
            total += d;
        }
        chosen = total > 0 ? random.categorical(nearest) : random.below(points.count);
    }
    return centres;
}

KMeans lloyd(const Points& points, int64_t clusters, RandomStream& random) {
    constexpr int kRounds = 300;
    const auto width = static_cast<size_t>(points.width);
    KMeans result{.labels = std::vector<int64_t>(static_cast<size_t>(points.count), -1),
                  .centres = first_centres(points, clusters, random)};
    std::vector<double> distance(static_cast<size_t>(points.count));
    bool moved = true;
    for (int round = 0; round < kRounds && moved; ++round) {
        moved = false;
        result.inertia = 0;
        std::vector<int64_t> sizes(static_cast<size_t>(clusters), 0);
        for (int64_t i = 0; i < points.count; ++i) {
            int64_t best = 0;
            double least = INFINITY;
            for (int64_t c = 0; c < clusters; ++c) {
                const double d =
                    squared_distance(points.row(i), result.centres.data() + static_cast<size_t>(c) * width);
                if (d < least) {
                    least = d;
                    best = c;
                }
            }
            moved = moved || result.labels[static_cast<size_t>(i)] != best;
            result.labels[static_cast<size_t>(i)] = best;
            distance[static_cast<size_t>(i)] = least;
            result.inertia += least;
            ++sizes[static_cast<size_t>(best)];
        }
        for (int64_t c = 0; c < clusters; ++c) {  // an empty cluster takes the point that fits worst
            if (sizes[static_cast<size_t>(c)] == 0) {
                const auto worst = std::max_element(distance.begin(), distance.end()) - distance.begin();
                if (distance[static_cast<size_t>(worst)] > 0) {
                    --sizes[static_cast<size_t>(result.labels[static_cast<size_t>(worst)])];
                    ++sizes[static_cast<size_t>(c)];
                    result.labels[static_cast<size_t>(worst)] = c;
                    distance[static_cast<size_t>(worst)] = 0;
                    moved = true;
                }
            }
        }
        std::vector<double> sums(result.centres.size(), 0.0);
        for (int64_t i = 0; i < points.count; ++i) {
            const auto c = static_cast<size_t>(result.labels[static_cast<size_t>(i)]);
            for (size_t k = 0; k < width; ++k) {
                sums[c * width + k] += points.row(i)[k];
            }
        }
        for (size_t c = 0; c < static_cast<size_t>(clusters); ++c) {
            for (size_t k = 0; k < width && sizes[c] > 0; ++k) {
                result.centres[c * width + k] = sums[c * width + k] / static_cast<double>(sizes[c]);
            }
        }
    }
    return result;
}

/// old label -> new one.
std::map<int64_t, int64_t> names_by_size(const std::vector<int64_t>& labels) {
    struct Group {
        int64_t label, size, first;
    };
    std::vector<Group> groups;
    std::map<int64_t, size_t> known;
    for (size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0) {
            continue;
        }
        const auto [at, is_new] = known.emplace(labels[i], groups.size());
        if (is_new) {
            groups.push_back({labels[i], 0, static_cast<int64_t>(i)});
        }
        ++groups[at->second].size;
    }
    std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
        return a.size != b.size ? a.size > b.size : a.first < b.first;
    });
    std::map<int64_t, int64_t> names{{-1, -1}};
    for (size_t g = 0; g < groups.size(); ++g) {
        names[groups[g].label] = static_cast<int64_t>(g);
    }
    return names;
}

}  // namespace

std::vector<int64_t> by_size(const std::vector<int64_t>& labels) {
    const auto names = names_by_size(labels);
    std::vector<int64_t> renamed;
    for (const int64_t label : labels) {
        renamed.push_back(names.at(label));
    }
    return renamed;
}

KMeans k_means(const Points& points, int64_t clusters, uint64_t seed, int64_t restarts) {
    BACKLIGHT_CHECK(clusters >= 1 && clusters <= points.count && restarts >= 1, "k-means: expected 1 to ",
                    points.count, " clusters, got ", clusters);
    KMeans best;
    for (int64_t restart = 0; restart < restarts; ++restart) {
        RandomStream random(RandomKey{.seed = seed,
                                      .purpose = purpose::kExplainer,
                                      .step = static_cast<uint64_t>(restart),
                                      .sample = 4});
        KMeans found = lloyd(points, clusters, random);
        if (restart == 0 || found.inertia < best.inertia) {
            best = std::move(found);
        }
    }
    const auto names = names_by_size(best.labels);
    const auto width = static_cast<size_t>(points.width);
    std::vector<double> centres(names.size() > 1 ? (names.size() - 1) * width : 0);
    for (const auto& [from, to] : names) {
        if (from >= 0) {
            std::copy_n(best.centres.begin() + from * points.width, width,
                        centres.begin() + to * points.width);
        }
    }
    best.labels = by_size(best.labels);
    best.centres = std::move(centres);
    return best;
}

std::vector<int64_t> dbscan(const Points& points, double radius, int64_t fewest) {
    BACKLIGHT_CHECK(radius > 0 && fewest >= 1, "dbscan: expected a radius > 0 and a number >= 1, got ",
                    radius, " and ", fewest);
    std::vector<std::vector<int64_t>> near(static_cast<size_t>(points.count));
    for (int64_t i = 0; i < points.count; ++i) {
        const auto distances = squared_distances(points, i, 1);
        for (int64_t j = 0; j < points.count; ++j) {
            if (distances[static_cast<size_t>(j)] <= radius * radius) {
                near[static_cast<size_t>(i)].push_back(j);
            }
        }
    }
    const auto is_core = [&](int64_t i) {
        return static_cast<int64_t>(near[static_cast<size_t>(i)].size()) >= fewest;
    };
    std::vector<int64_t> labels(near.size(), -1);
    int64_t clusters = 0;
    for (int64_t i = 0; i < points.count; ++i) {
        if (labels[static_cast<size_t>(i)] >= 0 || !is_core(i)) {
            continue;
        }
        std::vector<int64_t> pending{i};
        labels[static_cast<size_t>(i)] = clusters;
        while (!pending.empty()) {
            const int64_t core = pending.back();
            pending.pop_back();
            for (const int64_t j : near[static_cast<size_t>(core)]) {
                if (labels[static_cast<size_t>(j)] < 0) {
                    labels[static_cast<size_t>(j)] = clusters;
                    if (is_core(j)) {
                        pending.push_back(j);
                    }
                }
            }
        }
        ++clusters;
    }
    return by_size(labels);
}

EigenGap eigen_gap(const std::vector<double>& values, int64_t fewest) {
    EigenGap found{.clusters =
                       std::min<int64_t>(std::max<int64_t>(fewest, 1), static_cast<int64_t>(values.size()))};
    for (size_t i = static_cast<size_t>(std::max<int64_t>(fewest, 1)); i < values.size(); ++i) {
        const double gap = values[i] - values[i - 1];
        if (gap > found.gap) {
            found = {.clusters = static_cast<int64_t>(i), .gap = gap};
        }
    }
    return found;
}

double fisher_score(const Points& points, const std::vector<int64_t>& labels) {
    BACKLIGHT_CHECK(static_cast<int64_t>(labels.size()) == points.count, "fisher score: ", points.count,
                    " points need as many labels, got ", labels.size());
    const auto width = static_cast<size_t>(points.width);
    std::map<int64_t, std::pair<int64_t, std::vector<double>>> groups;  // size and sum
    std::vector<double> mean(width, 0.0);
    int64_t count = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] >= 0) {
            auto& [size, sum] =
                groups.try_emplace(labels[i], 0, std::vector<double>(width, 0.0)).first->second;
            ++size;
            ++count;
            for (size_t k = 0; k < width; ++k) {
                sum[k] += points.values[i * width + k];
                mean[k] += points.values[i * width + k];
            }
        }
    }
    if (groups.size() < 2) {
        return 0;
    }
    for (auto& [label, group] : groups) {
        std::transform(group.second.begin(), group.second.end(), group.second.begin(),
                       [&](double v) { return v / static_cast<double>(group.first); });
    }
    double between = 0, within = 0;
    std::transform(mean.begin(), mean.end(), mean.begin(),
                   [&](double v) { return v / static_cast<double>(count); });
    for (const auto& [label, group] : groups) {
        between += static_cast<double>(group.first) * squared_distance(group.second, mean.data());
    }
    for (size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] >= 0) {
            within +=
                squared_distance(points.row(static_cast<int64_t>(i)), groups.at(labels[i]).second.data());
        }
    }
    return between / std::max(within, 1e-12 * (between + within) + 1e-300);
}

}  // namespace backlight
