// Few-shot training: episodes of base classes, then tests on episodes of classes never seen.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "augment/features/few_shot.h"

namespace backlight {

struct EpisodeTraining {
    RelationNet::Config net;
    Init init = Init::pytorch;
    EpisodeShape shape;
    Guidance guidance;
    int64_t episodes = 500;
    int64_t guided_from = 100;  // before, the plain loss alone
    double lr = 0.002;          // of Adam
    double clip_norm = 10;
    uint64_t seed = 0;
};

struct EpisodeResult {
    std::unique_ptr<RelationNet> net;
    std::vector<double> loss;  // of each episode
};

/// One update an episode. Weights and episodes depend on the seed alone, so that runs of one seed differ in
/// their guidance only. Throws Error when the loss is no longer finite.
[[nodiscard]] EpisodeResult train_episodes(const std::shared_ptr<const Dataset>& data,
                                           const EpisodeTraining& training);

/// Share of queries that are recognised, over `episodes` episodes that are the same whatever was trained:
/// plain forward passes in evaluation mode.
[[nodiscard]] double test_episodes(RelationNet& net, const std::shared_ptr<const Dataset>& data,
                                   const EpisodeShape& shape, int64_t episodes);

}  // namespace backlight
