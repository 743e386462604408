#include "augment/features/few_shot.h"

#include <algorithm>
#include <cmath>

#include "augment/step_explanations.h"
#include "autograd/functions.h"
#include "autograd/grad.h"
#include "core/error.h"
#include "explain/backprop.h"
#include "explain/composite.h"
#include "explain/explainer.h"

namespace backlight {
namespace {

Variable scores_of(Module& relation, const Variable& pairs, int64_t ways) {
    return reshape(relation(pairs), {-1, ways});
}

/// Features of the support and of the queries, in one pass.
std::pair<Variable, Variable> embed(RelationNet& net, const Episode& episode) {
    const Variable all =
        net.embedding()(concat({Variable(episode.support.input), Variable(episode.query.input)}, 0));
    const int64_t support = episode.support.size();
    return {slice(all, 0, 0, support), slice(all, 0, support, episode.query.size())};
}

Variable pairs_of(RelationNet& net, const Episode& episode) {
    const auto [support, query] = embed(net, episode);
    return pair_tensor(support, query, static_cast<int64_t>(episode.classes.size()));
}

Variable loss_of_scores(const Variable& scores, const Tensor& labels, bool squared) {
    if (!squared) {
        return cross_entropy(scores, labels);
    }
    const Variable ones = Tensor::ones({scores.dim(0)}, scores.dtype(), scores.data().device());
    return mse_loss(sigmoid(scores), scatter_last(ones, labels, scores.dim(1)));
}

/// epsilon 0.01 on linear layers, alpha=1 beta=0 on convolutions.
Composite guided_composite() {
    return {.name = "few_shot",
            .parts = {{.kinds = {"linear"}, .rule = rules::epsilon(0.01)},
                      {.kinds = {"conv2d"}, .rule = rules::alpha_beta(1, 0, {.zero_bias = true})}}};
}

/// 1 for the classes that are likelier than chance, (M*K,1).
Tensor likely_classes(const Tensor& scores) {
    const Variable likely(mask(UnaryOp::is_positive, log_odds(scores)));
    return reshape(likely, {-1, 1}).data();
}

/// ReLU of the channels' sum, weighted by their mean gradient, for all channels alike.
Variable cam_of(const Variable& pairs, const Variable& gradient) {
    const Variable weight = mean(gradient, {1, 2}, true);
    return broadcast_to(positive_part(sum(weight * pairs, {3}, true)), pairs.shape());
}

/// Each pair's channels in another order.
Tensor permute_channels(const Tensor& weights, RandomStream& random) {
    auto values = weights.to(DType::f64).to_vector<double>();
    const auto channels = static_cast<size_t>(weights.dim(3));
    const size_t pair = static_cast<size_t>(weights.dim(1) * weights.dim(2)) * channels;
    std::vector<double> row(channels);
    for (size_t begin = 0; begin < values.size(); begin += pair) {
        const std::vector<int64_t> order = random.permutation(static_cast<int64_t>(channels));
        for (size_t at = begin; at < begin + pair; at += channels) {
            for (size_t c = 0; c < channels; ++c) {
                row[c] = values[at + static_cast<size_t>(order[c])];
            }
            std::copy(row.begin(), row.end(), values.begin() + static_cast<std::ptrdiff_t>(at));
        }
    }
    return Tensor::from(values, weights.shape()).to(weights.dtype());
}

}  // namespace

Variable pair_tensor(const Variable& support, const Variable& query, int64_t ways) {
    BACKLIGHT_CHECK(support.rank() == 4 && query.rank() == 4 && support.dim(0) % ways == 0,
                    "few_shot: expected features (N,h,w,C) of ", ways, " classes, got ", support.shape(),
                    " and ", query.shape());
    const int64_t h = support.dim(1), w = support.dim(2), c = support.dim(3), queries = query.dim(0);
    const Variable prototypes =
        mean(reshape(support, {ways, support.dim(0) / ways, h, w, c}), {1});  // (K,h,w,C)
    const Shape every{queries, ways, h, w, c};
    const Variable pairs = concat({broadcast_to(reshape(prototypes, {1, ways, h, w, c}), every),
                                   broadcast_to(reshape(query, {queries, 1, h, w, c}), every)},
                                  4);
    return reshape(pairs, {queries * ways, h, w, 2 * c});
}

Tensor log_odds(const Tensor& scores, double offset) {
    constexpr double kLow = 1e-4, kHigh = 1 - 1e-4;
    const auto classes = static_cast<size_t>(scores.dim(1));
    const auto others = static_cast<double>(classes - 1);
    auto s = scores.to(DType::f64).to_vector<double>();
    for (size_t begin = 0; begin < s.size(); begin += classes) {
        const std::vector<double> row(s.begin() + static_cast<std::ptrdiff_t>(begin),
                                      s.begin() + static_cast<std::ptrdiff_t>(begin + classes));
        const double largest = *std::max_element(row.begin(), row.end());
        double total = 0;
        for (const double score : row) {
            total += std::exp(score - largest);
        }
        for (size_t c = 0; c < classes; ++c) {
            const double own = std::exp(row[c] - largest);
            const double p = std::clamp(own / total, kLow, kHigh);
            // Inside the bounds e_c over the mean of the others': exactly 1 where all scores are equal. A
            // rounding error instead of 0 would be blown up to full weights, which are relative.
            const bool inside = offset == 0 && p == own / total;
            s[begin + c] = inside ? std::log(own * others / (total - own))
                                  : std::log(others * (p + offset) / (1 - p + offset));
        }
    }
    return Tensor::from(s, scores.shape()).to(scores.dtype());
}

PairExplainer parse_pair_explainer(const std::string& name) {
    static const std::vector<std::string> names{"lrp", "input_x_gradient", "grad_cam", "guided_backprop",
                                                "guided_grad_cam"};
    const auto found = std::find(names.begin(), names.end(), name);
    BACKLIGHT_CHECK(found != names.end(), unknown_name("explainer of pairs", name, names));
    return static_cast<PairExplainer>(found - names.begin());
}

Tensor pair_relevance(Module& relation, const Tensor& pairs, int64_t ways, PairExplainer explainer,
                      double offset) {
    const ExplainedForward forward(relation, pairs);
    const Tensor scores = reshape(forward.logits().detach(), {-1, ways}).data();
    const auto down = [&](const Tensor& start, BackwardRules* rules) {
        return grad(forward.logits(), Variable(start), {forward.input()},
                    {.retain_graph = true, .rules = rules})[0];
    };
    const NoGrad off;
    Variable r;
    if (explainer == PairExplainer::lrp) {
        LrpRules lrp(guided_composite());
        r = down(reshape(Variable(log_odds(scores, offset)), {-1, 1}).data(), &lrp);
    } else {
        RectifierRules guided(RectifierRules::Kind::guided);
        const bool uses_cam =
            explainer == PairExplainer::grad_cam || explainer == PairExplainer::guided_grad_cam;
        const bool is_guided =
            explainer == PairExplainer::guided_backprop || explainer == PairExplainer::guided_grad_cam;
        const Tensor start = likely_classes(scores);
        const Variable p = forward.input().detach();
        r = is_guided ? down(start, &guided)
            : explainer == PairExplainer::input_x_gradient
                ? p * down(start, nullptr)
                : Variable(Tensor::ones(pairs.shape(), pairs.dtype()));
        r = uses_cam ? r * cam_of(p, down(start, nullptr)) : r;
    }
    return finite_or_zero(r.data());
}

Tensor relevance_weights(const Tensor& relevance, bool by_pair) {
    const NoGrad off;
    const Variable r(relevance);
    const Variable largest = amax(abs(r), by_pair ? std::vector<int>{1, 2, 3} : std::vector<int>{3}, true);
    return (1.0 + divide_or_zero(r, largest)).data();
}

Variable episode_scores(RelationNet& net, const Episode& episode) {
    return scores_of(net.relation(), pairs_of(net, episode), static_cast<int64_t>(episode.classes.size()));
}

Variable episode_loss(RelationNet& net, const Episode& episode, const Guidance& guidance,
                      RandomStream& random) {
    const auto ways = static_cast<int64_t>(episode.classes.size());
    const Variable pairs = pairs_of(net, episode);
    const Variable plain =
        loss_of_scores(scores_of(net.relation(), pairs, ways), episode.query.label, guidance.squared);
    if (guidance.weights == Guidance::Weights::none) {
        return plain * guidance.xi;
    }
    if (guidance.weights == Guidance::Weights::ones) {
        return plain * (guidance.xi + guidance.lambda);
    }
    Tensor w = relevance_weights(
        pair_relevance(net.relation(), pairs.data(), ways, guidance.explainer, guidance.offset),
        guidance.by_pair);
    if (guidance.weights == Guidance::Weights::permuted) {
        w = permute_channels(w, random);
    }
    const Variable guided = loss_of_scores(scores_of(net.relation(), pairs * Variable(w), ways),
                                           episode.query.label, guidance.squared);
    return plain * guidance.xi + guided * guidance.lambda;
}

}  // namespace backlight
