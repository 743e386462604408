// Explanation-guided few-shot training: a query's features are weighted by their relevance for every class,
// and the network learns from the weighted features too.
//   s   scores of the pairs of a query with each of K prototypes,  L1 = loss(s, y)
//   R   relevance of the pair tensor p, started with the log-odds of each class
//   w = 1 + R / max |R| over the channels of a position,  s' scores of w ⊙ p,  L2 = loss(s', y)
//   L = xi L1 + lambda L2
// w is a constant. Tests are plain forward passes.
// Sun et al., "Explanation-guided training for cross-domain few-shot classification", ICPR 2020; Weber et
// al., "Beyond explaining", 2022, Eq. 13 and 14.
#pragma once

#include <string>

#include "core/random.h"
#include "datasets/episodes.h"
#include "models/relation_net.h"

namespace backlight {

/// Support features (K*S,h,w,C) and query features (M,h,w,C) -> (M*K,h,w,2C): row m*K + c is class c's
/// prototype (mean over its shots) beside query m.
[[nodiscard]] Variable pair_tensor(const Variable& support, const Variable& query, int64_t ways);

/// (M,K) scores -> (M,K) starts R_c = log((K-1) P_c / (1 - P_c)), P = softmax, clamped to [1e-4, 1 - 1e-4]:
/// positive where P_c > 1/K. `offset` e: log((K-1) (P_c + e) / (1 - P_c + e)), which moves the zero away from
/// 1/K.
[[nodiscard]] Tensor log_odds(const Tensor& scores, double offset = 0);

enum class PairExplainer : uint8_t { lrp, input_x_gradient, grad_cam, guided_backprop, guided_grad_cam };
/// "lrp", "input_x_gradient", ... Throws Error on another name.
[[nodiscard]] PairExplainer parse_pair_explainer(const std::string& name);

/// Relevance of `pairs` (M*K,h,w,2C), of that shape, without history; `relation` runs in evaluation mode.
///   lrp: from the log-odds of every class; epsilon 0.01 on linear layers, alpha=1 beta=0 without biases on
///   convolutions others: of the score, for the classes with P_c > 1/K; 0 for the rest
/// Values that are not finite make their pair's map zero.
[[nodiscard]] Tensor pair_relevance(Module& relation, const Tensor& pairs, int64_t ways,
                                    PairExplainer explainer, double offset = 0);

/// w = 1 + R / max |R|, in [0, 2]; the maximum is over the channels of each position, or over the whole pair.
/// 1 where it is 0.
[[nodiscard]] Tensor relevance_weights(const Tensor& relevance, bool by_pair = false);

struct Guidance {
    enum class Weights : uint8_t { none, ones, relevance, permuted };
    Weights weights =
        Weights::none;  // ones: L2 = L1; permuted: relevance weights at other channels of the pair
    PairExplainer explainer = PairExplainer::lrp;
    bool by_pair = false;  // see relevance_weights
    double offset = 0;     // see log_odds
    double xi = 1, lambda = 0.5;
    bool squared = false;  // mean squared error of sigmoid(s) against 0 and 1 in place of the cross-entropy
};

/// Scores (M,K) of an episode's queries.
[[nodiscard]] Variable episode_scores(RelationNet& net, const Episode& episode);
/// Eq. 14. `random` is read by Weights::permuted alone.
[[nodiscard]] Variable episode_loss(RelationNet& net, const Episode& episode, const Guidance& guidance,
                                    RandomStream& random);

}  // namespace backlight
