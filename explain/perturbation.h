// Methods that see the network as a function: they change the input and look at the score.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/backend.h"
#include "core/options.h"
#include "explain/explainer.h"

namespace backlight {

/// What such methods have in common: no history, the input alone (whatever layer they look at is an option of
/// theirs), any target, start or neuron.
class PerturbationExplainer : public Explainer {
public:
    PerturbationExplainer(std::string name, ExplainContext context)
        : name_(std::move(name)), context_(std::move(context)) {}
    [[nodiscard]] std::string name() const final { return name_; }
    [[nodiscard]] bool differentiable() const final { return false; }
    /// Throws Error when a graph, a layer or parameters are asked for.
    [[nodiscard]] Explanation explain(const ExplainedForward& forward, const ExplainRequest& request,
                                      bool create_graph) final;

protected:
    [[nodiscard]] virtual Explanation measure(const ExplainedForward& forward,
                                              const ExplainRequest& request) const = 0;
    [[nodiscard]] const ExplainContext& context() const { return context_; }
    /// What the method draws for sample `n` comes from this key alone; `step` numbers its draws.
    [[nodiscard]] RandomKey key(const ExplainRequest& request, int64_t n, uint64_t step = 0) const;
    /// The numbers of a batch's samples, for `filled`.
    [[nodiscard]] static std::vector<int64_t> numbers_of(const ExplainRequest& request, int64_t samples);

private:
    std::string name_;
    ExplainContext context_;
};

/// The option score=logit|probability|sigmoid.
[[nodiscard]] Score read_score(const Options& options, const std::string& fallback = "logit");
[[nodiscard]] std::string_view name_of(Score score);

/// Scores of changed copies of the samples: m x + (1 - m) fill, m between 0 (taken away) and 1 (kept). The
/// values that change are the input's, or a layer's output.
class ChangedCopies {
public:
    struct Config {
        std::string layer{};  // as ExplainRequest::layers; empty: the input
        Score score = Score::logit;
        int64_t total = 0;  // copies of all calls, for the progress
        std::function<void(int64_t done, int64_t of)> progress{};
    };
    /// `fill`: of the shape of the values that change. `grain`: shape of one copy's m, which broadcasts to
    /// that of one sample's values.
    ChangedCopies(const ExplainedForward& forward, const ExplainRequest& request, Tensor fill,
                  const Shape& grain, Config config);

    /// Writes m of a copy; it comes filled with 1.
    using Keep = std::function<void(int64_t copy, std::span<double> kept)>;
    /// One score a copy; `sample[copy]` is the sample that copy was made of. Full batches, whatever the
    /// samples.
    [[nodiscard]] std::vector<double> scores(const std::vector<int64_t>& sample, const Keep& keep);

private:
    [[nodiscard]] std::vector<double> pass(const std::vector<int64_t>& sample, const Tensor& kept);

    const ExplainedForward& forward_;
    const ExplainRequest& request_;
    Tensor fill_;
    Shape grain_;
    Config config_;
    int64_t done_ = 0;
    std::vector<int64_t> recorded_of_;  // the samples of `recorded_`, which stays while they do
    std::unique_ptr<ExplainedForward> recorded_;
};

/// What taking away one part at a time does: effect[n][k] = f(x_n) - f(x_n without its part k).
struct RemovalEffects {
    std::vector<double> score;  // f(x_n)
    std::vector<std::vector<double>> effect;
};
/// `parts[n]`: how many parts sample n has; `remove(n, k, kept)` makes 0 of what part k covers.
[[nodiscard]] RemovalEffects removal_effects(
    ChangedCopies& copies, const std::vector<int64_t>& parts,
    const std::function<void(size_t n, int64_t k, std::span<double> kept)>& remove);
/// Copies that this makes.
[[nodiscard]] int64_t removal_copies(const std::vector<int64_t>& parts);

}  // namespace backlight
