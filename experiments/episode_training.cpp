#include "experiments/episode_training.h"

#include <cmath>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "train/optimizer.h"

namespace backlight {

EpisodeResult train_episodes(const std::shared_ptr<const Dataset>& data, const EpisodeTraining& training) {
    const EpisodeSampler sampler(data, training.shape);
    EpisodeResult result{.net = std::make_unique<RelationNet>(training.net, training.seed, training.init)};
    RelationNet& net = *result.net;
    const std::vector<Parameter> parameters = net.parameters();
    const auto optimizer = make_optimizer({.name = "adam"}, parameters);
    net.train();
    for (int64_t step = 0; step < training.episodes; ++step) {
        const auto stream = [&](uint32_t purpose) {
            return RandomStream(
                RandomKey{.seed = training.seed, .purpose = purpose, .step = static_cast<uint64_t>(step)});
        };
        RandomStream order = stream(purpose::kOrder), augmentation = stream(purpose::kAugmentation);
        const Episode episode = sampler.draw(order);
        Guidance guidance = training.guidance;
        if (step < training.guided_from) {
            guidance.weights = Guidance::Weights::none;
        }
        net.zero_grad();
        const Variable loss = episode_loss(net, episode, guidance, augmentation);
        result.loss.push_back(loss.item());
        BACKLIGHT_CHECK(std::isfinite(result.loss.back()), "few_shot: the loss is not finite in episode ",
                        step + 1, " of seed ", training.seed);
        backward(loss);
        clip_gradients(parameters, training.clip_norm);
        optimizer->step(training.lr);
    }
    return result;
}

double test_episodes(RelationNet& net, const std::shared_ptr<const Dataset>& data, const EpisodeShape& shape,
                     int64_t episodes) {
    const EvaluationMode mode(net);
    const NoGrad off;
    const EpisodeSampler sampler(data, shape);
    int64_t hits = 0;
    for (int64_t e = 0; e < episodes; ++e) {
        RandomStream random(RandomKey{.purpose = purpose::kMetric, .step = static_cast<uint64_t>(e)});
        const Episode episode = sampler.draw(random);
        const auto predicted = argmax(episode_scores(net, episode).data(), 1).to_vector<int64_t>();
        const auto labels = episode.query.label.to_vector<int64_t>();
        for (size_t i = 0; i < labels.size(); ++i) {
            hits += predicted[i] == labels[i] ? 1 : 0;
        }
    }
    return static_cast<double>(hits) / static_cast<double>(episodes * shape.ways * shape.queries);
}

}  // namespace backlight
