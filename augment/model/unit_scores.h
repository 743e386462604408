// How much each unit matters: the criteria of pruning, one line of a table each.
// Sources: lrp: Yeom et al., "Pruning by explaining: a novel criterion for deep neural network pruning",
// Pattern Recognition 115, 2021; deeplift: Sabih et al., "Utilizing explainable AI for quantization and
// pruning of deep neural networks", 2020; weight: Li et al., "Pruning filters for efficient ConvNets", 2017;
// gradient: Sun et al., "meProp", 2017; taylor: Molchanov et al., "Pruning convolutional neural networks for
// resource efficient inference", 2017.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "augment/model/prunable_units.h"
#include "datasets/dataset.h"
#include "models/model.h"

namespace backlight {

/// What scores are made from.
struct ScoreInput {
    const Model& model;
    const std::vector<UnitLayer>& layers;
    const LivingUnits& living;
    std::shared_ptr<const Dataset> references;  // samples with one label each
    Tensor reference_input;                     // (1,H,W,C) or (1,D): what deeplift compares with
    bool zplus_all = false;                     // of lrp: z+ on linear layers too
    uint64_t seed = 0;                          // of random
    int64_t step = 0;                           // likewise: which removal
};

using UnitScores = std::vector<std::vector<double>>;  // one row a layer, one entry a unit

struct PruningCriterion {
    std::string name, description;
    /// By which a layer's scores are divided before those of all layers are compared: Σ |s|, √Σ s², or not at
    /// all.
    enum class Scale : uint8_t { none, sum, root_of_squares } scale = Scale::none;
    bool reads_data = true;
    bool needs_reference = false;  // `reference_input`
    bool by_layer = false;         // units are ranked in each layer, where nothing else is asked for
    UnitScores (*scores)(const ScoreInput& input) = nullptr;
};
[[nodiscard]] const std::vector<PruningCriterion>& list_pruning_criteria();
/// Throws Error on an unknown name.
[[nodiscard]] const PruningCriterion& find_pruning_criterion(const std::string& name);

/// The criterion's scores, divided by the scale of each layer.
[[nodiscard]] UnitScores scaled_scores(const PruningCriterion& criterion, const ScoreInput& input);

/// `per_class` samples of each class (all where it has fewer), drawn by the seed; 0: the whole set. Throws
/// Error in a multi-label set.
[[nodiscard]] std::shared_ptr<const Dataset> draw_references(const std::shared_ptr<const Dataset>& data,
                                                             int64_t per_class, uint64_t seed);
/// Mean input of the set, of 10,000 evenly spread samples where it has more: (1,H,W,C) or (1,D).
[[nodiscard]] Tensor mean_input(const std::shared_ptr<const Dataset>& data);

}  // namespace backlight
