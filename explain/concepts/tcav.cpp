#include "explain/concepts/tcav.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"

namespace backlight {
namespace {

Tensor rows_of(const Tensor& x, const std::vector<int64_t>& indices) {
    const NoGrad off;
    return gather_rows(Variable(x), Tensor::from(indices, {static_cast<int64_t>(indices.size())})).data();
}

/// `runs` sets of `size` row numbers of 0..pool-1.
std::vector<std::vector<int64_t>> random_sets(int64_t pool, int64_t size, const TcavOptions& options) {
    constexpr uint32_t kDrawsSets = 2;  // 0 and 1 draw what a concept vector holds out
    std::vector<std::vector<int64_t>> sets;
    const bool disjoint = size * options.runs <= pool;
    const auto stream = [&](int64_t run) {
        return RandomStream(RandomKey{.seed = options.cav.seed,
                                      .purpose = purpose::kExplainer,
                                      .step = static_cast<uint64_t>(run),
                                      .sample = kDrawsSets});
    };
    if (disjoint) {
        const auto order = stream(0).sample(pool, size * options.runs);
        for (int64_t run = 0; run < options.runs; ++run) {
            sets.emplace_back(order.begin() + run * size, order.begin() + (run + 1) * size);
        }
        return sets;
    }
    for (int64_t run = 0; run < options.runs; ++run) {
        sets.push_back(stream(run).sample(pool, size));
    }
    return sets;
}

TcavScore mean_of(const std::vector<TcavScore>& scores) {
    TcavScore total;
    for (const TcavScore& score : scores) {
        total.sign += score.sign;
        total.magnitude += score.magnitude;
    }
    const auto count = static_cast<double>(scores.size());
    return {.sign = total.sign / count, .magnitude = total.magnitude / count};
}

TTest compare(const TcavResult& result, double TcavScore::*member) {
    std::vector<double> of_concept, of_random;
    for (const TcavScore& score : result.of_concept) {
        of_concept.push_back(score.*member);
    }
    for (const TcavScore& score : result.of_random) {
        of_random.push_back(score.*member);
    }
    return welch_t_test(of_concept, of_random);
}

}  // namespace

TcavScore tcav_score(const Tensor& gradient, const std::vector<double>& direction) {
    BACKLIGHT_CHECK(gradient.rank() == 2 && gradient.dim(1) == static_cast<int64_t>(direction.size()),
                    "tcav: expected gradients (N,", direction.size(), "), got ", gradient.shape());
    BACKLIGHT_CHECK(gradient.dim(0) > 0, "tcav: there is no sample of the class");
    const auto values = gradient.to(DType::f64).to_vector<double>();
    const size_t width = direction.size();
    double positive = 0, sum_positive = 0, sum_abs = 0;
    for (size_t n = 0; n < values.size() / width; ++n) {
        const double along = std::inner_product(direction.begin(), direction.end(),
                                                values.begin() + static_cast<int64_t>(n * width), 0.0);
        positive += along > 0 ? 1 : 0;
        sum_positive += std::max(0.0, along);
        sum_abs += std::abs(along);
    }
    return {.sign = positive / static_cast<double>(gradient.dim(0)),
            .magnitude = sum_abs > 0 ? sum_positive / sum_abs : 0.5};
}

Tensor layer_sensitivity(const ExplainedForward& forward, Explainer& method, const std::string& layer,
                         const std::vector<int64_t>& targets, const std::vector<int64_t>& numbers) {
    const Variable output = forward.layers().at(layer);
    BACKLIGHT_CHECK(output.requires_grad() && output.rank() >= 2, "tcav: layer ", layer,
                    " has no activations that depend on the input");
    const ExplainRequest request{.targets = targets, .layers = {layer}, .numbers = numbers};
    const Tensor found = forward.explain_all(method, request).maps[0].data().to(DType::f64);
    BACKLIGHT_CHECK(found.shape() == output.shape(), "tcav: ", method.name(), " gives ", found.shape(),
                    " for the layer's ", output.shape(), "; it has no map of each activation");
    const NoGrad off;
    const Variable map(found);
    const Variable sensitivity =
        method.name() == "gradient" ? map : divide_or_zero(map, Variable(output.data().to(DType::f64)));
    return sum(reshape(sensitivity, {map.dim(0), -1, map.dim(-1)}), {1}).data();
}

TcavVectors tcav_vectors(const Tensor& concept_activations, const Tensor& pool, const TcavOptions& options) {
    BACKLIGHT_CHECK(options.runs >= 10, "tcav: expected at least 10 random sets, got ", options.runs);
    const int64_t size = options.set_size > 0 ? options.set_size : concept_activations.dim(0);
    BACKLIGHT_CHECK(pool.dim(0) >= size, "tcav: a random set takes ", size, " samples, but there are only ",
                    pool.dim(0), " to draw from");
    const auto sets = random_sets(pool.dim(0), size, options);
    TcavVectors vectors{.disjoint = size * options.runs <= pool.dim(0)};
    CavOptions cav = options.cav;
    for (size_t i = 0; i < sets.size(); ++i) {
        cav.draw = options.cav.draw + i;
        const Tensor random = rows_of(pool, sets[i]);
        vectors.of_concept.push_back(concept_vector(concept_activations, random, cav));
        vectors.of_random.push_back(concept_vector(random, rows_of(pool, sets[(i + 1) % sets.size()]), cav));
    }
    return vectors;
}

TcavResult tcav(const Tensor& gradient, const TcavVectors& vectors) {
    TcavResult result;
    for (const ConceptVector& v : vectors.of_concept) {
        result.of_concept.push_back(tcav_score(gradient, v.direction));
    }
    for (const ConceptVector& v : vectors.of_random) {
        result.of_random.push_back(tcav_score(gradient, v.direction));
    }
    result.mean_concept = mean_of(result.of_concept);
    result.mean_random = mean_of(result.of_random);
    result.sign_test = compare(result, &TcavScore::sign);
    result.magnitude_test = compare(result, &TcavScore::magnitude);
    return result;
}

}  // namespace backlight
