// Pruning by a criterion, step by step: score the living units, remove the least, until a fraction is gone.
// Between the steps the network may be trained on. Source: Yeom et al., "Pruning by explaining: a novel
// criterion for deep neural network pruning", Pattern Recognition 115, 2021, algorithm 1.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "augment/model/unit_scores.h"
#include "core/options.h"

namespace backlight {

class Optimizer;

struct PruningConfig {
    double fraction = 0.5;              // of all units, in the end
    double step = 0.05;                 // of all units, at once; 1: all in one step
    std::string criterion = "lrp_abs";  // see list_pruning_criteria
    bool zplus_all = false;             // lrp: z+ on linear layers too, instead of epsilon
    std::optional<bool> by_layer;       // the fraction in every layer, or in all together; not given: as the
                                        // criterion is meant
    bool leave_tied = false;            // units that cannot be cut out stay, instead of being set to 0
    int64_t samples_per_class = 10;     // reference samples; 0: the whole training set
    uint64_t seed = 0;                  // of their draw, and of criterion random
};
/// fraction, step, criterion, composite=epsilon|zplus_all, ranking=criterion|global|layer, tied=mask|leave,
/// samples_per_class. Throws Error on values out of range.
[[nodiscard]] PruningConfig read_pruning_config(const Options& options);

class Pruner {
public:
    /// Reads the graph of the network on one sample of zeros. `model` must outlive the pruner. Throws Error
    /// where nothing can be pruned, or the data does not suit the criterion.
    Pruner(Model& model, const std::shared_ptr<const Dataset>& data, const PruningConfig& config);

    [[nodiscard]] Module& net() const { return *model_.net; }
    [[nodiscard]] const PrunableUnits& units() const { return units_; }
    [[nodiscard]] const LivingUnits& living() const { return living_; }
    [[nodiscard]] int64_t removed() const;
    /// Removals until the fraction is reached, and how many were done.
    [[nodiscard]] int64_t steps() const { return steps_; }
    [[nodiscard]] int64_t steps_done() const { return done_; }
    [[nodiscard]] bool is_done() const { return done_ >= steps_; }
    [[nodiscard]] NetworkCost cost() const { return units_.cost(living_); }

    /// Scores, ranks, masks. The least go first, of equal ones those of lower layers, then of lower index;
    /// each layer keeps one unit.
    void remove_next();
    /// Gradients of dead units to 0; after an update, their weights.
    void hold_gradients();
    void hold_weights();
    void clear_optimizer(Optimizer& optimizer);
    /// Cuts the dead units out. The pruner is of no more use.
    void finish();

    /// Continues where another stood: its `living` and `steps_done`. Throws Error when it was of another
    /// network.
    void restore(LivingUnits living, int64_t steps_done);

private:
    void remove_global(const UnitScores& scores, int64_t target);
    void remove_by_layer(const UnitScores& scores, double share);

    Model& model_;
    PruningConfig config_;
    const PruningCriterion& criterion_;
    std::shared_ptr<const Dataset> references_;
    Tensor reference_input_;
    PrunableUnits units_;
    LivingUnits living_;
    int64_t steps_ = 0, done_ = 0;
};

}  // namespace backlight
