// RISE: the mean of random soft masks, weighted by the score of the input seen through them.
//   R = 1 / (N p) Σ_i f(x ⊙ M_i + fill ⊙ (1 - M_i)) M_i
//   M_i: s x s cells, each 1 with probability p, enlarged bilinearly to ((s + 1) cell)², cell = ceil(side /
//   s), cut out at a random place within the first cell. Petsiuk, Das and Saenko, "RISE: randomized input
//   sampling for explanation of black-box models", 2018.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "explain/fill.h"
#include "explain/methods.h"
#include "explain/perturbation.h"

namespace backlight {
namespace {

/// The two cells that an enlarged pixel lies between, and the second one's share: half-pixel centres, edges
/// clamped.
struct Between {
    size_t first, second;
    double share;
};

Between between(int64_t pixel, int64_t cells, int64_t enlarged) {
    const double at =
        (static_cast<double>(pixel) + 0.5) * static_cast<double>(cells) / static_cast<double>(enlarged) - 0.5;
    const double inside = std::clamp(at, 0.0, static_cast<double>(cells - 1));
    const auto first = static_cast<size_t>(inside);
    return {first, std::min(first + 1, static_cast<size_t>(cells) - 1), inside - std::floor(inside)};
}

class Rise final : public PerturbationExplainer {
public:
    struct Config {
        int64_t masks = 4000, cells = 7;
        double probability = 0.5;
        Fill fill;
        Score score = Score::probability;
    };
    Rise(ExplainContext context, Config config)
        : PerturbationExplainer("rise", std::move(context)), config_(std::move(config)) {}

private:
    [[nodiscard]] Explanation measure(const ExplainedForward& forward,
                                      const ExplainRequest& request) const override {
        const Tensor& x = forward.input().data();
        BACKLIGHT_CHECK(x.rank() == 4, "rise: its masks are pictures; expected inputs (N,H,W,C), got ",
                        x.shape(), "; for vectors take kernel_shap, lime or occlusion");
        const int64_t height = x.dim(1), width = x.dim(2);
        ChangedCopies copies(
            forward, request, filled(x, config_.fill, context(), numbers_of(request, x.dim(0))),
            {height, width, 1},
            {.score = config_.score, .total = x.dim(0) * config_.masks, .progress = context().progress});
        std::vector<double> map(static_cast<size_t>(x.dim(0) * height * width), 0.0);
        const double scale = 1 / (static_cast<double>(config_.masks) * config_.probability);
        for (int64_t n = 0; n < x.dim(0); ++n) {
            const auto draw = [&](int64_t mask, std::span<double> kept) {
                write_mask(key(request, n, static_cast<uint64_t>(mask)), height, width, kept);
            };
            const std::vector<double> scores =
                copies.scores(std::vector<int64_t>(static_cast<size_t>(config_.masks), n), draw);
            // Drawn twice rather than kept: all masks of a large picture would fill the memory.
            const std::span<double> own = std::span(map).subspan(static_cast<size_t>(n * height * width),
                                                                 static_cast<size_t>(height * width));
            std::vector<double> mask(own.size());
            for (int64_t i = 0; i < config_.masks; ++i) {
                draw(i, mask);
                const double weight = scores[static_cast<size_t>(i)] * scale;
                std::transform(mask.begin(), mask.end(), own.begin(), own.begin(),
                               [&](double m, double sum) { return sum + weight * m; });
            }
        }
        return {.maps = {Variable(Tensor::from(map, {x.dim(0), height, width, 1}, x.device()).to(x.dtype()))},
                .coarse = true,
                .notes = {concat_text("rise[", text_of(config_.fill), "]: ", config_.masks, " masks of ",
                                      config_.cells, " x ", config_.cells, " cells at probability ",
                                      config_.probability, ", ", config_.masks,
                                      " forward passes a sample, score ", name_of(config_.score))}};
    }

    void write_mask(const RandomKey& key, int64_t height, int64_t width, std::span<double> mask) const {
        RandomStream stream(key);
        const int64_t cells = config_.cells;
        std::vector<double> grid(static_cast<size_t>(cells * cells));
        for (double& cell : grid) {
            cell = stream.bernoulli(config_.probability) ? 1 : 0;
        }
        const int64_t cell_height = (height + cells - 1) / cells, cell_width = (width + cells - 1) / cells;
        const int64_t top = stream.below(cell_height), left = stream.below(cell_width);
        std::vector<Between> columns;
        for (int64_t j = 0; j < width; ++j) {
            columns.push_back(between(left + j, cells, (cells + 1) * cell_width));
        }
        std::vector<double> row(static_cast<size_t>(cells));
        for (int64_t i = 0; i < height; ++i) {
            const Between rows = between(top + i, cells, (cells + 1) * cell_height);
            for (size_t c = 0; c < row.size(); ++c) {
                row[c] = (1 - rows.share) * grid[rows.first * row.size() + c] +
                         rows.share * grid[rows.second * row.size() + c];
            }
            for (size_t j = 0; j < columns.size(); ++j) {
                mask[static_cast<size_t>(i * width) + j] = (1 - columns[j].share) * row[columns[j].first] +
                                                           columns[j].share * row[columns[j].second];
            }
        }
    }

    Config config_;
};

}  // namespace

std::unique_ptr<Explainer> build_rise(const Options& options, const ExplainContext& context) {
    return std::make_unique<Rise>(context,
                                  Rise::Config{.masks = options.get_within("n", 4000, 1, 10'000'000),
                                               .cells = options.get_within("s", 7, 1, 1000),
                                               .probability = options.get_within("p", 0.5, 1e-3, 1.0),
                                               .fill = read_fill(options),
                                               .score = read_score(options, "probability")});
}

}  // namespace backlight
