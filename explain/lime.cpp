// LIME: a linear model of the score on random subsets of segments, fitted near the whole input.
//   z in {0,1}^M, Bernoulli(1/2), the first all ones;   d = 1 - cos(z, 1) = 1 - sqrt(|z| / M)
//   min_b Σ_z exp(-d² / 2σ²) (f(z) - b_0 - z b)² + λ |b|²
//   Ribeiro, Singh and Guestrin, "Why should I trust you? Explaining the predictions of any classifier",
//   2016.
#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "core/error.h"
#include "core/random.h"
#include "explain/coalitions.h"
#include "explain/least_squares.h"
#include "explain/methods.h"

namespace backlight {
namespace {

class Lime final : public PerturbationExplainer {
public:
    struct Config {
        int64_t samples = 1000;
        double sigma = 0.25;
        double lambda = 1;
        bool share = false;
    };
    Lime(ExplainContext context, PlayerOptions players, Config config)
        : PerturbationExplainer("lime", std::move(context)), players_(std::move(players)), config_(config) {}

private:
    [[nodiscard]] Explanation measure(const ExplainedForward& forward,
                                      const ExplainRequest& request) const override {
        const Tensor& x = forward.input().data();
        const Players players = players_.of(x, context(), numbers_of(request, x.dim(0)));
        const Segmentation& segments = players.segments;
        ChangedCopies copies(
            forward, request, players.fill, segments.grain,
            {.score = players_.score(), .total = x.dim(0) * config_.samples, .progress = context().progress});
        std::vector<std::vector<double>> coefficients;
        std::ostringstream quality;
        constexpr size_t kShown = 10;
        for (size_t n = 0; n < segments.ids.size(); ++n) {
            const Coalitions drawn = draw(segments.counts[n], key(request, static_cast<int64_t>(n)));
            const LinearFit fit = fit_linear(regression(drawn, coalition_scores(copies, segments, n, drawn)),
                                             config_.lambda, "lime");
            coefficients.push_back(fit.coefficients);
            if (n < kShown) {
                quality << (n > 0 ? ", " : "") << std::setprecision(3) << fit.r_squared;
            }
        }
        return {.maps = {Variable(paint(segments, coefficients, config_.share, x))},
                .coarse = x.rank() == 4,
                .notes = {
                    concat_text("lime[", players.fill_text, "]: ", players.describe(x), ", ", config_.samples,
                                " forward passes a sample, score ", name_of(players_.score())),
                    concat_text("R² of the linear model, by sample: ", quality.str(),
                                segments.ids.size() > kShown ? ", ..." : "")}};
    }

    [[nodiscard]] Coalitions draw(int64_t segments, const RandomKey& key) const {
        RandomStream stream(key);
        Coalitions drawn(static_cast<size_t>(config_.samples),
                         std::vector<uint8_t>(static_cast<size_t>(segments), 1));
        for (size_t row = 1; row < drawn.size(); ++row) {
            for (uint8_t& there : drawn[row]) {
                there = stream.bernoulli(0.5) ? 1 : 0;
            }
        }
        return drawn;
    }

    [[nodiscard]] Regression regression(const Coalitions& drawn, std::vector<double> scores) const {
        Regression rows{.columns = drawn[0].size(), .a = {}, .y = std::move(scores), .weight = {}};
        for (const std::vector<uint8_t>& z : drawn) {
            rows.a.insert(rows.a.end(), z.begin(), z.end());
            const auto there = static_cast<double>(std::count(z.begin(), z.end(), 1));
            const double distance = 1 - std::sqrt(there / static_cast<double>(z.size()));
            rows.weight.push_back(std::exp(-distance * distance / (2 * config_.sigma * config_.sigma)));
        }
        return rows;
    }

    PlayerOptions players_;
    Config config_;
};

}  // namespace

std::unique_ptr<Explainer> build_lime(const Options& options, const ExplainContext& context) {
    return std::make_unique<Lime>(context, PlayerOptions(options, context),
                                  Lime::Config{.samples = options.get_within("n", 1000, 2, 10'000'000),
                                               .sigma = options.get_within("width", 0.25, 1e-3, 1e3),
                                               .lambda = options.get_within("lambda", 1.0, 0.0, 1e9),
                                               .share = options.get("share", false)});
}

}  // namespace backlight
