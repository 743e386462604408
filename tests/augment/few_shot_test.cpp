// Explanation-guided few-shot training: Eq. 13 and 14 on pairs small enough for a pencil, its gradient, its
// runs.
#include <doctest/doctest.h>

#include <cmath>

#include "augment/features/few_shot.h"
#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "datasets/registry.h"
#include "experiments/episode_training.h"
#include "layers/layers.h"
#include "layers/state.h"
#include "tests/datasets/support.h"

using namespace backlight;
using testing::contains;
using testing::error_of;

namespace {

using Weights = Guidance::Weights;

void check_near(const Tensor& found, const std::vector<double>& expected) {
    const auto values = found.to(DType::f64).to_vector<double>();
    REQUIRE(values.size() == expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
        CHECK(values[i] == doctest::Approx(expected[i]).epsilon(1e-5));
    }
}

void fill(const Parameter& parameter, const std::vector<float>& values) {
    Tensor weight = parameter.value.data();
    weight.copy_from(Tensor::from(values, weight.shape()));
}

/// The score of a pair (1,1,C) is its sum.
std::unique_ptr<Sequential> summing(int64_t channels) {
    auto net = std::make_unique<Sequential>();
    net->add(make_flatten()).add(std::make_unique<Linear>(Linear::Config{.in = channels, .out = 1}));
    fill(net->parameters()[0], std::vector<float>(static_cast<size_t>(channels), 1.0f));
    return net;
}

Episode small_episode(uint64_t seed = 1, DType dtype = DType::f32) {
    const EpisodeSampler sampler(load_data("fewshot16(per_class=6)")->train,
                                 {.ways = 3, .shots = 2, .queries = 2});
    RandomStream random(RandomKey{.seed = seed});
    Episode episode = sampler.draw(random);
    episode.support.input = episode.support.input.to(dtype);
    episode.query.input = episode.query.input.to(dtype);
    return episode;
}

double loss_with(RelationNet& net, const Episode& episode, const Guidance& guidance) {
    RandomStream random(RandomKey{.seed = 2});
    return episode_loss(net, episode, guidance, random).item();
}

}  // namespace

TEST_CASE("few_shot: a pair is the mean of a class's shots beside the query") {
    const Variable support(
        Tensor::from(std::vector<float>{1, 3, 5, 7}, {4, 1, 1, 1}));  // two classes, two shots
    const Variable query(Tensor::from(std::vector<float>{10, 20, 30}, {3, 1, 1, 1}));
    const Variable pairs = pair_tensor(support, query, 2);
    CHECK(pairs.shape() == Shape{6, 1, 1, 2});
    check_near(pairs.data(), {2, 10, 6, 10, 2, 20, 6, 20, 2, 30, 6, 30});
    CHECK_THROWS_AS((void)pair_tensor(support, query, 3), Error);
}

TEST_CASE("few_shot: the start is zero for a class as likely as chance, positive above, negative below") {
    check_near(log_odds(Tensor::from(std::vector<float>{3, 3, 3, 3}, {1, 4})), {0, 0, 0, 0});
    // P = (1/2, 1/4, 1/4): log(2 P / (1 - P))
    const float two = std::log(2.0f);
    const Tensor scores = Tensor::from(std::vector<float>{two, 0, 0}, {1, 3});
    check_near(log_odds(scores), {std::log(2.0), std::log(2.0 / 3), std::log(2.0 / 3)});
    check_near(log_odds(scores, 0.01), {std::log(2.0), std::log(2 * 0.26 / 0.76), std::log(2 * 0.26 / 0.76)});
    check_near(log_odds(Tensor::from(std::vector<float>{100, 0}, {1, 2})),
               {std::log(9999.0), -std::log(9999.0)});
}

TEST_CASE("few_shot: weights are 1 plus the relevance over the largest of the position, or of the pair") {
    const Tensor r = Tensor::from(std::vector<float>{2, -4, 0, 0, 1, 0.5f}, {1, 3, 1, 2});
    check_near(relevance_weights(r), {1.5, 0, 1, 1, 2, 1.5});
    check_near(relevance_weights(r, true), {1.5, 0, 1, 1, 1.25, 1.125});
}

TEST_CASE("few_shot: the relevance of a pair by hand") {
    // One query, two classes, scores 3 and 1: log P_0/P_1 = 2.
    const Tensor pairs = Tensor::from(std::vector<float>{1, 2, 1, 0}, {2, 1, 1, 2});
    const auto relation = summing(2);
    const auto of = [&](const char* name) {
        return pair_relevance(*relation, pairs, 2, parse_pair_explainer(name));
    };
    check_near(of("lrp"), {2 / 3.01, 4 / 3.01, -2 / 1.01, 0});
    // Of the score, for the class that is likelier than chance alone.
    check_near(of("input_x_gradient"), {1, 2, 0, 0});
    check_near(of("guided_backprop"), {1, 1, 0, 0});
    check_near(of("grad_cam"), {3, 3, 0, 0});
    check_near(of("guided_grad_cam"), {3, 3, 0, 0});
    CHECK(contains(error_of([&] { (void)of("lime"); }), "explainer of pairs"));
}

TEST_CASE("few_shot: convolutions pass on positive parts, without their bias") {
    auto relation = std::make_unique<Sequential>();
    relation->add(std::make_unique<Conv2d>(Conv2d::Config{.in = 2, .out = 1, .kernel = {1, 1}}));
    relation->add(make_flatten()).add(std::make_unique<Linear>(Linear::Config{.in = 1, .out = 1}));
    const auto p = relation->parameters();
    fill(p[0], {1, -1});
    fill(p[1], {5});
    fill(p[2], {1});
    // z = 6 and 5; the whole relevance goes to the channel of positive weight.
    const Tensor pairs = Tensor::from(std::vector<float>{2, 1, 1, 1}, {2, 1, 1, 2});
    check_near(pair_relevance(*relation, pairs, 2, PairExplainer::lrp), {6 / 6.01, 0, -5 / 5.01, 0});
}

TEST_CASE("few_shot: an undecided network has weights of one, and the second loss is the first") {
    RelationNet net({}, 3);
    const Episode episode = small_episode();
    const Variable pairs =
        pair_tensor(net(Variable(episode.support.input)), net(Variable(episode.query.input)), 3);
    for (const Parameter& parameter : net.parameters()) {
        if (parameter.name.starts_with("relation.6")) {
            fill(parameter, std::vector<float>(static_cast<size_t>(parameter.value.data().numel()), 0.0f));
        }
    }
    const Tensor r = pair_relevance(net.relation(), pairs.data(), 3, PairExplainer::lrp);
    CHECK(amax(abs(Variable(r))).item() == 0);
    CHECK(loss_with(net, episode, {.weights = Weights::relevance}) ==
          doctest::Approx(loss_with(net, episode, {.weights = Weights::ones})));
    CHECK(loss_with(net, episode, {}) == doctest::Approx(std::log(3.0)));
}

TEST_CASE("few_shot: the arms, and the two losses of a score") {
    RelationNet net({}, 3);
    const Episode episode = small_episode();
    const double plain = loss_with(net, episode, {});
    CHECK(loss_with(net, episode, {.weights = Weights::ones, .lambda = 0.5}) == doctest::Approx(1.5 * plain));
    CHECK(loss_with(net, episode, {.weights = Weights::relevance, .lambda = 0}) == doctest::Approx(plain));
    const double guided = loss_with(net, episode, {.weights = Weights::relevance});
    CHECK(guided != doctest::Approx(1.5 * plain));
    CHECK(loss_with(net, episode, {.weights = Weights::permuted}) != doctest::Approx(guided));
    CHECK(loss_with(net, episode, {.weights = Weights::relevance, .by_pair = true}) !=
          doctest::Approx(guided));
    const auto scores = episode_scores(net, episode).data().to_vector<float>();
    const auto labels = episode.query.label.to_vector<int64_t>();
    double squares = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
        const double target = labels[i / 3] == static_cast<int64_t>(i % 3) ? 1 : 0;
        squares += std::pow(1 / (1 + std::exp(-scores[i])) - target, 2) / static_cast<double>(scores.size());
    }
    CHECK(loss_with(net, episode, {.squared = true}) == doctest::Approx(squares));
}

TEST_CASE("few_shot: the gradient is that of constant weights") {
    RelationNet net({.embedding = {3, 4}, .relation = {4}, .hidden = 5}, 3);
    net.to(DType::f64);
    const Episode episode = small_episode(1, DType::f64);
    const Guidance guidance{.weights = Weights::relevance, .lambda = 0.7};
    RandomStream random(RandomKey{.seed = 2});
    backward(episode_loss(net, episode, guidance, random));
    const auto pairs = [&] {
        return pair_tensor(net(Variable(episode.support.input)), net(Variable(episode.query.input)), 3);
    };
    const Variable w(
        relevance_weights(pair_relevance(net.relation(), pairs().data(), 3, PairExplainer::lrp)));
    const auto loss = [&] {
        const Variable p = pairs();
        const auto of = [&](const Variable& x) {
            return cross_entropy(reshape(net.relation()(x), {-1, 3}), episode.query.label).item();
        };
        return of(p) + 0.7 * of(p * w);
    };
    for (const Parameter& parameter : net.parameters()) {
        CAPTURE(parameter.name);
        Tensor weight = parameter.value.data();
        auto values = weight.to_vector<double>();
        const auto gradient = parameter.value.grad().to_vector<double>();
        for (size_t i = 0; i < values.size(); i += 7) {
            const auto at = [&](double value) {
                const double kept = std::exchange(values[i], value);
                weight.copy_from(Tensor::from(values, weight.shape()));
                const double found = loss();
                values[i] = kept;
                weight.copy_from(Tensor::from(values, weight.shape()));
                return found;
            };
            constexpr double h = 1e-6;
            CHECK(
                gradient[i] ==
                doctest::Approx((at(values[i] + h) - at(values[i] - h)) / (2 * h)).epsilon(1e-4).scale(0.01));
        }
    }
}

TEST_CASE("few_shot: lambda zero is the plain run, bit for bit, and a guided run begins like it") {
    const auto data = load_data("fewshot16(per_class=12)")->train;
    EpisodeTraining training{
        .shape = {.ways = 3, .shots = 1, .queries = 3}, .episodes = 12, .guided_from = 4, .seed = 5};
    const auto run = [&](const Guidance& guidance) {
        training.guidance = guidance;
        EpisodeResult result = train_episodes(data, training);
        std::vector<float> weights;
        for (const Parameter& parameter : result.net->parameters()) {
            const auto values = parameter.value.data().to_vector<float>();
            weights.insert(weights.end(), values.begin(), values.end());
        }
        return std::pair(weights, result.loss);
    };
    const auto plain = run({});
    CHECK(run({.weights = Weights::relevance, .lambda = 0}) == plain);
    const auto guided = run({.weights = Weights::relevance});
    CHECK(guided == run({.weights = Weights::relevance}));
    CHECK(guided.first != plain.first);
    CHECK(std::equal(plain.second.begin(), plain.second.begin() + 4, guided.second.begin()));
    CHECK(guided.second[4] != plain.second[4]);
}

TEST_CASE("few_shot: training recognises classes that it has not seen") {
    const auto data = load_data("fewshot16");
    EpisodeTraining training{.episodes = 120, .guided_from = 60, .seed = 1};
    training.guidance.weights = Weights::relevance;
    training.net.rectified = false;  // with ReLUs in the embedding some runs die, and rounding decides which
    const EpisodeResult result = train_episodes(data->train, training);
    CHECK(test_episodes(*result.net, data->test, training.shape, 20) > 0.3);  // chance: 0.2
}

TEST_CASE("relation_net: shapes, norm by the batch, refusals") {
    RelationNet net({.in = 1, .size = 32, .embedding = {4, 6}, .relation = {5, 7}, .hidden = 8, .norm = true},
                    1);
    const Variable f = net(Variable(Tensor::ones({3, 32, 32, 1}, DType::f32)));
    CHECK(f.shape() == Shape{3, 8, 8, 6});
    RandomStream random(RandomKey{.seed = 4});
    std::vector<float> values(static_cast<size_t>(4 * 8 * 8 * 12));
    random.fill_uniform(values);
    const Tensor pairs = Tensor::from(values, {4, 8, 8, 12});
    const Variable scores = net.relation()(Variable(pairs));
    CHECK(scores.shape() == Shape{4, 1});
    net.eval();
    CHECK(net.relation()(Variable(pairs)).data().to_vector<float>() == scores.data().to_vector<float>());
    CHECK(amax(abs(Variable(pair_relevance(net.relation(), pairs, 2, PairExplainer::lrp)))).item() > 0);
    CHECK(contains(error_of([] { const RelationNet small({.size = 4}, 1); }), "too small for 3 poolings"));
}
