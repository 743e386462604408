#include "models/relation_net.h"

#include "core/error.h"
#include "layers/layers.h"

namespace backlight {
namespace {

/// Batch norm that knows the batch alone: no running statistics, the same in training and evaluation.
class BatchStatisticsNorm final : public Module {
public:
    explicit BatchStatisticsNorm(int64_t channels) {
        add_parameter("weight", {channels});
        add_parameter("bias", {channels});
    }
    [[nodiscard]] std::string describe() const override { return "BatchNorm(statistics of the batch)"; }

protected:
    [[nodiscard]] Variable forward(const Variable& x) override {
        BatchStatistics statistics;
        return batch_norm(x, parameter(0), parameter(1), 1e-5, statistics);
    }
};

/// 3x3 convolutions with ReLU and pooling by 2; returns the channels of the last.
int64_t add_convolutions(Sequential& net, int64_t in, const std::vector<int64_t>& channels, bool norm,
                         bool rectified = true) {
    for (const int64_t out : channels) {
        net.add(std::make_unique<Conv2d>(Conv2d::Config{.in = in, .out = out, .attrs = {.padding = {1, 1}}}));
        if (norm) {
            net.add(std::make_unique<BatchStatisticsNorm>(out));
        }
        if (rectified) {
            net.add(make_relu());
        }
        net.add(make_max_pool(2));
        in = out;
    }
    return in;
}

}  // namespace

RelationNet::RelationNet(const Config& config, uint64_t seed, Init init) {
    const int64_t side = config.size >> (config.embedding.size() + config.relation.size());
    BACKLIGHT_CHECK(side > 0, "relation_net: pictures of side ", config.size, " are too small for ",
                    config.embedding.size() + config.relation.size(), " poolings");
    BACKLIGHT_CHECK(!config.embedding.empty() && !config.relation.empty(),
                    "relation_net: expected a convolution in the embedding and one in the relation");
    auto embedding = std::make_unique<Sequential>(), relation = std::make_unique<Sequential>();
    const int64_t features =
        add_convolutions(*embedding, config.in, config.embedding, config.norm, config.rectified);
    const int64_t channels = add_convolutions(*relation, 2 * features, config.relation, config.norm);
    const Shape image{side, side, channels};
    relation->add(make_flatten());
    relation->add(std::make_unique<Linear>(
        Linear::Config{.in = image.numel(), .out = config.hidden, .flattened_image = image}));
    relation->add(make_relu());
    relation->add(std::make_unique<Linear>(Linear::Config{.in = config.hidden, .out = 1}));
    add_module("embedding", std::move(embedding));
    add_module("relation", std::move(relation));
    initialize(*this, init, seed);
}

}  // namespace backlight
