#include "explain/metrics/similarity.h"

#include "explain/metrics/pixel_map.h"
#include "explain/metrics/statistics.h"

namespace backlight {

ComparedMap::ComparedMap(const std::vector<double>& map)
    : values(map),
      scaled(over_max_abs(map)),
      ranks(mean_ranks(map)),
      ranks_of_magnitude(mean_ranks(absolute(map))) {}

Similarity similarity(const ComparedMap& a, const ComparedMap& b, int64_t height, int64_t width,
                      int64_t window) {
    return {.values = {pearson(a.ranks_of_magnitude, b.ranks_of_magnitude), pearson(a.ranks, b.ranks),
                       ssim(a.scaled, b.scaled, height, width, window), pearson(a.values, b.values)}};
}

Tensor explain_again(const ExplainedBatch& explained, const ExplainedForward& forward,
                     const std::vector<int64_t>& targets) {
    return explained.explainer
        ->explain(forward, {.targets = targets, .numbers = explained.batch->sample}, false)
        .maps[0]
        .data()
        .to(DType::f64);
}

Tensor explain_again(const ExplainedBatch& explained, Module& net, const Tensor& x) {
    return explained.batch->timed(x.dim(0), [&] {
        const ExplainedForward forward(net, x);
        return explain_again(explained, forward, explained.batch->target);
    });
}

std::vector<std::vector<double>> maps_of(const ExplainedBatch& explained, const Tensor& relevance) {
    return pixel_maps(relevance, explained.reduce, explained.batch->height(), explained.batch->width());
}

}  // namespace backlight
