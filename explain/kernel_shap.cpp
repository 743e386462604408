// KernelSHAP: Shapley values of the segments by weighted regression.
//   w(z) = (M - 1) / (C(M,k) k (M - k)),  k = |z|;  the empty and the full coalition hold exactly, which
//   leaves f(z) - f(0) - z_M (f(1) - f(0))  ~  Σ_{i<M} φ_i (z_i - z_M),   φ_M = f(1) - f(0) - Σ_{i<M} φ_i
// All coalitions when there are no more than n, which gives the values exactly; else k is drawn with
// probability in proportion to (M - 1) / (k (M - k)), then a subset of that size, each with its complement,
// all of weight 1.
//   Lundberg and Lee, "A unified approach to interpreting model predictions", 2017.
#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "explain/coalitions.h"
#include "explain/least_squares.h"
#include "explain/methods.h"

namespace backlight {
namespace {

struct WeightedCoalitions {
    Coalitions coalitions;       // the empty one, the full one, then those of the regression
    std::vector<double> weight;  // of the latter
};

WeightedCoalitions all_coalitions(size_t players) {
    WeightedCoalitions all{.coalitions = {std::vector<uint8_t>(players, 0), std::vector<uint8_t>(players, 1)},
                           .weight = {}};
    std::vector<double> by_size(players,
                                0.0);  // w(k); C(M,k) by the recurrence C(M,k) = C(M,k-1) (M-k+1) / k
    const auto m = static_cast<double>(players);
    double subsets = 1;
    for (size_t k = 1; k < players; ++k) {
        const auto size = static_cast<double>(k);
        subsets *= (m - size + 1) / size;
        by_size[k] = (m - 1) / (subsets * size * (m - size));
    }
    for (uint64_t bits = 1; bits + 1 < uint64_t{1} << players; ++bits) {
        std::vector<uint8_t> z(players);
        for (size_t i = 0; i < players; ++i) {
            z[i] = static_cast<uint8_t>(bits >> i & 1U);
        }
        all.weight.push_back(by_size[static_cast<size_t>(std::count(z.begin(), z.end(), 1))]);
        all.coalitions.push_back(std::move(z));
    }
    return all;
}

WeightedCoalitions draw_coalitions(size_t players, int64_t count, const RandomKey& key) {
    WeightedCoalitions drawn{
        .coalitions = {std::vector<uint8_t>(players, 0), std::vector<uint8_t>(players, 1)}, .weight = {}};
    RandomStream stream(key);
    std::vector<double> by_size;  // of k = 1, 2, ..., M - 1
    for (size_t k = 1; k < players; ++k) {
        by_size.push_back(1 / (static_cast<double>(k) * static_cast<double>(players - k)));
    }
    for (int64_t pair = 0; pair < (count + 1) / 2; ++pair) {
        const int64_t size = 1 + stream.categorical(by_size);
        std::vector<uint8_t> z(players, 0);
        for (const int64_t i : stream.sample(static_cast<int64_t>(players), size)) {
            z[static_cast<size_t>(i)] = 1;
        }
        std::vector<uint8_t> complement(players);
        std::transform(z.begin(), z.end(), complement.begin(),
                       [](uint8_t there) { return uint8_t{1} - there; });
        drawn.coalitions.push_back(std::move(z));
        drawn.coalitions.push_back(std::move(complement));
    }
    drawn.weight.assign(drawn.coalitions.size() - 2, 1.0);
    return drawn;
}

std::vector<double> shapley_values(const WeightedCoalitions& drawn, const std::vector<double>& scores) {
    const double empty = scores[0], gain = scores[1] - scores[0];
    const size_t others = drawn.coalitions[0].size() - 1;
    std::vector<double> values;
    if (others > 0) {
        Regression rows{.columns = others, .a = {}, .y = {}, .weight = drawn.weight};
        for (size_t r = 2; r < scores.size(); ++r) {
            const std::vector<uint8_t>& z = drawn.coalitions[r];
            const double last = z[others];
            for (size_t i = 0; i < others; ++i) {
                rows.a.push_back(z[i] - last);
            }
            rows.y.push_back(scores[r] - empty - last * gain);
        }
        values = least_squares(rows, 0, "kernel_shap");
    }
    values.push_back(gain - std::accumulate(values.begin(), values.end(), 0.0));
    return values;
}

class KernelShap final : public PerturbationExplainer {
public:
    KernelShap(ExplainContext context, PlayerOptions players, int64_t count, bool share)
        : PerturbationExplainer("kernel_shap", std::move(context)),
          players_(std::move(players)),
          count_(count),
          share_(share) {}

private:
    [[nodiscard]] Explanation measure(const ExplainedForward& forward,
                                      const ExplainRequest& request) const override {
        const Tensor& x = forward.input().data();
        const Players players = players_.of(x, context(), numbers_of(request, x.dim(0)));
        const Segmentation& segments = players.segments;
        int64_t total = 0;
        bool exact = true;
        for (const int64_t m : segments.counts) {
            exact = exact && is_exact(m);
            total += copies_of(m);
        }
        ChangedCopies copies(forward, request, players.fill, segments.grain,
                             {.score = players_.score(), .total = total, .progress = context().progress});
        Explanation found{.coarse = x.rank() == 4};
        std::vector<std::vector<double>> values;
        for (size_t n = 0; n < segments.ids.size(); ++n) {
            const auto m = segments.counts[n];
            const WeightedCoalitions drawn = is_exact(m)
                                                 ? all_coalitions(static_cast<size_t>(m))
                                                 : draw_coalitions(static_cast<size_t>(m), drawn_of(m),
                                                                   key(request, static_cast<int64_t>(n)));
            const std::vector<double> scores = coalition_scores(copies, segments, n, drawn.coalitions);
            values.push_back(shapley_values(drawn, scores));
            if (share_) {
                found.expected.push_back(scores[1] - scores[0]);
            }
        }
        found.maps = {Variable(paint(segments, values, share_, x))};
        found.notes = {concat_text("kernel_shap[", players.fill_text, "]: ", players.describe(x), ", ",
                                   exact ? "all coalitions" : "random coalitions", ", ", total,
                                   " forward passes, score ", name_of(players_.score()))};
        return found;
    }

    [[nodiscard]] int64_t drawn_of(int64_t players) const { return count_ > 0 ? count_ : 2 * players + 2048; }
    [[nodiscard]] bool is_exact(int64_t players) const {
        return players < 24 && int64_t{1} << players <= drawn_of(players);
    }
    /// With the empty and the full one; a pair is drawn whole.
    [[nodiscard]] int64_t copies_of(int64_t players) const {
        return is_exact(players) ? std::max<int64_t>(int64_t{1} << players, 2)
                                 : 2 + (drawn_of(players) + 1) / 2 * 2;
    }

    PlayerOptions players_;
    int64_t count_;
    bool share_;
};

}  // namespace

std::unique_ptr<Explainer> build_kernel_shap(const Options& options, const ExplainContext& context) {
    return std::make_unique<KernelShap>(context, PlayerOptions(options, context),
                                        options.get_within("n", 0, 0, 10'000'000),
                                        options.get("share", true));
}

}  // namespace backlight
