#include "datasets/episodes.h"

#include "core/error.h"

namespace backlight {

EpisodeSampler::EpisodeSampler(std::shared_ptr<const Dataset> data, const EpisodeShape& shape)
    : data_(std::move(data)), shape_(shape), samples_(data_->samples_by_class()) {
    BACKLIGHT_CHECK(shape.ways >= 2 && shape.shots >= 1 && shape.queries >= 1,
                    "episodes: expected at least 2 ways, 1 shot and 1 query, got ", shape.ways, ", ",
                    shape.shots, " and ", shape.queries);
    for (size_t k = 0; k < samples_.size(); ++k) {
        const auto count = static_cast<int64_t>(samples_[k].size());
        BACKLIGHT_CHECK(count == 0 || count >= shape.shots + shape.queries, "episodes: class ",
                        data_->class_names()[k], " has ", count, " samples, an episode needs ",
                        shape.shots + shape.queries);
        if (count > 0) {
            classes_.push_back(static_cast<int64_t>(k));
        }
    }
    BACKLIGHT_CHECK(static_cast<int64_t>(classes_.size()) >= shape.ways, "episodes: ", shape.ways,
                    " ways of a data set with samples of ", classes_.size(), " classes");
}

Episode EpisodeSampler::draw(RandomStream& random) const {
    Episode episode;
    std::vector<int64_t> support, query, support_labels, query_labels;
    for (const int64_t choice : random.sample(static_cast<int64_t>(classes_.size()), shape_.ways)) {
        const auto way = static_cast<int64_t>(episode.classes.size());
        const int64_t label = classes_[static_cast<size_t>(choice)];
        episode.classes.push_back(label);
        const std::vector<int64_t>& own = samples_[static_cast<size_t>(label)];
        const auto drawn = random.sample(static_cast<int64_t>(own.size()), shape_.shots + shape_.queries);
        for (size_t i = 0; i < drawn.size(); ++i) {
            const bool supports = static_cast<int64_t>(i) < shape_.shots;
            (supports ? support : query).push_back(own[static_cast<size_t>(drawn[i])]);
            (supports ? support_labels : query_labels).push_back(way);
        }
    }
    episode.support = data_->batch(support);
    episode.query = data_->batch(query);
    episode.support.label = Tensor::from(support_labels, {static_cast<int64_t>(support.size())});
    episode.query.label = Tensor::from(query_labels, {static_cast<int64_t>(query.size())});
    return episode;
}

}  // namespace backlight
