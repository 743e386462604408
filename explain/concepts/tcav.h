// TCAV: how sensitive a class is to a concept, and whether more so than to random directions.
//   S = mean over samples x of the class of 1[<∇_a f(x), v> > 0],   magnitude variant Σ max(0,·) / Σ |·|
// Source: Kim et al., "Interpretability beyond feature attribution: quantitative testing with concept
// activation vectors (TCAV)", ICML 2018.
#pragma once

#include <functional>
#include <vector>

#include "explain/concepts/cav.h"
#include "explain/concepts/student_t.h"
#include "explain/explainer.h"

namespace backlight {

struct TcavScore {
    double sign = 0;       // S
    double magnitude = 0;  // 0.5 where nothing is sensitive at all
};
/// `gradient` (N,C): ∂f/∂a summed over positions; the direction (C). Throws Error when they do not fit or
/// there is no sample.
[[nodiscard]] TcavScore tcav_score(const Tensor& gradient, const std::vector<double>& direction);

/// What stands in the place of ∇_a f at the output of `layer`, summed over positions, (N,C) f64: of the
/// method `gradient` itself; of any other the relevance divided by the activation, 0 where that is 0.
/// `numbers`: as in ExplainRequest.
[[nodiscard]] Tensor layer_sensitivity(const ExplainedForward& forward, Explainer& method,
                                       const std::string& layer, const std::vector<int64_t>& targets,
                                       const std::vector<int64_t>& numbers = {});

struct TcavOptions {
    CavOptions cav;
    int64_t runs = 10;     // random sets, at least 10
    int64_t set_size = 0;  // samples of a random set; 0: as many as the concept has
};

/// The vectors of a test: the concept against each random set, and each random set against the next.
struct TcavVectors {
    std::vector<ConceptVector> of_concept, of_random;
    bool disjoint = false;  // no sample is in two random sets
};
/// `concept_activations` (N,...) and `pool` (M,...): what random sets are drawn from, without replacement,
/// all sets disjoint where the pool has enough samples. Throws Error when the pool is smaller than one set,
/// or runs < 10.
[[nodiscard]] TcavVectors tcav_vectors(const Tensor& concept_activations, const Tensor& pool,
                                       const TcavOptions& options);

struct TcavResult {
    std::vector<TcavScore> of_concept, of_random;  // one a vector
    TcavScore mean_concept, mean_random;
    TTest sign_test, magnitude_test;  // concept against random
};
[[nodiscard]] TcavResult tcav(const Tensor& gradient, const TcavVectors& vectors);

}  // namespace backlight
