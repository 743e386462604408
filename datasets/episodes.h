// Episodes of few-shot learning: a few classes, a few samples of each to learn from (support), others to
// recognise (query). Vinyals et al., "Matching networks for one shot learning", NIPS 2016.
#pragma once

#include <memory>
#include <vector>

#include "core/random.h"
#include "datasets/dataset.h"

namespace backlight {

struct EpisodeShape {
    int64_t ways = 5, shots = 1, queries = 8;  // classes; support and query samples of each
};

/// Samples stand class after class; their labels are 0 to ways - 1.
struct Episode {
    Batch support, query;
    std::vector<int64_t> classes;  // of the data set, one a way
};

class EpisodeSampler {
public:
    /// Throws Error unless `data` has at least `ways` classes with samples, each of them enough for an
    /// episode.
    EpisodeSampler(std::shared_ptr<const Dataset> data, const EpisodeShape& shape);
    /// No sample stands twice in an episode.
    [[nodiscard]] Episode draw(RandomStream& random) const;
    [[nodiscard]] const EpisodeShape& shape() const { return shape_; }

private:
    std::shared_ptr<const Dataset> data_;
    EpisodeShape shape_;
    std::vector<int64_t> classes_;               // those that occur
    std::vector<std::vector<int64_t>> samples_;  // by class of the data set
};

}  // namespace backlight
