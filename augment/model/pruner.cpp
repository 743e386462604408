#include "augment/model/pruner.h"

#include <algorithm>
#include <cmath>

#include "augment/model/unit_surgery.h"
#include "core/error.h"

namespace backlight {
namespace {

/// floor(share * count), where 0.29 * 100 counts as 29.
int64_t floor_of(double share, int64_t count) {
    return static_cast<int64_t>(std::floor(share * static_cast<double>(count) + 1e-9));
}

int64_t living_in(const std::vector<uint8_t>& row) { return std::count(row.begin(), row.end(), 1); }

struct Candidate {
    double score;
    size_t layer, unit;
};

/// Ascending by score; equal ones in order of layers and units, as they stand.
void rank(std::vector<Candidate>& candidates) {
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score < b.score; });
}

}  // namespace

PruningConfig read_pruning_config(const Options& options) {
    PruningConfig config;
    config.fraction = options.get_within("fraction", config.fraction, 0.0, 1.0);
    config.step = options.get_within("step", config.step, 1e-6, 1.0);
    config.criterion = options.get("criterion", config.criterion);
    (void)find_pruning_criterion(config.criterion);
    if (config.criterion != "lrp" && config.criterion != "lrp_abs") {
        options.refuse({"composite"}, "criterion=" + config.criterion + " is no LRP");
    }
    config.zplus_all = options.choose("composite", "epsilon", {"epsilon", "zplus_all"}) == "zplus_all";
    const std::string ranking = options.choose("ranking", "criterion", {"criterion", "global", "layer"});
    if (ranking != "criterion") {
        config.by_layer = ranking == "layer";
    }
    config.leave_tied = options.choose("tied", "mask", {"mask", "leave"}) == "leave";
    config.samples_per_class =
        options.get_within("samples_per_class", config.samples_per_class, 0, int64_t{1} << 40);
    return config;
}

Pruner::Pruner(Model& model, const std::shared_ptr<const Dataset>& data, const PruningConfig& config)
    : model_(model),
      config_(config),
      criterion_(find_pruning_criterion(config.criterion)),
      units_(*model.net, data->sample_shape()) {
    if (config.leave_tied) {
        units_.leave_tied();
    }
    BACKLIGHT_CHECK(units_.count() > 0, "prune: ", model.spec,
                    " has no hidden convolution or linear layer whose units can be removed");
    if (criterion_.reads_data) {
        references_ = draw_references(data, config.samples_per_class, config.seed);
        BACKLIGHT_CHECK(references_->size() > 0, "prune: the training set has no samples to score units on");
    }
    if (criterion_.needs_reference) {
        reference_input_ = mean_input(data);
    }
    living_ = units_.all_living();
    const double steps = config.fraction / config.step;
    steps_ =
        floor_of(config.fraction, units_.count()) == 0 ? 0 : static_cast<int64_t>(std::ceil(steps - 1e-9));
}

int64_t Pruner::removed() const {
    int64_t living = 0;
    for (const auto& row : living_) {
        living += living_in(row);
    }
    return units_.count() - living;
}

void Pruner::remove_next() {
    BACKLIGHT_CHECK(!is_done(), "prune: the fraction is reached");
    const UnitScores scores = scaled_scores(criterion_, {.model = model_,
                                                         .layers = units_.layers(),
                                                         .living = living_,
                                                         .references = references_,
                                                         .reference_input = reference_input_,
                                                         .zplus_all = config_.zplus_all,
                                                         .seed = config_.seed,
                                                         .step = done_});
    ++done_;
    const double share = std::min(static_cast<double>(done_) * config_.step, config_.fraction);
    if (config_.by_layer.value_or(criterion_.by_layer)) {
        remove_by_layer(scores, share);
    } else {
        remove_global(scores, floor_of(share, units_.count()));
    }
    hold_weights();
}

void Pruner::remove_global(const UnitScores& scores, int64_t target) {
    std::vector<Candidate> candidates;
    std::vector<int64_t> left;
    for (size_t layer = 0; layer < living_.size(); ++layer) {
        left.push_back(living_in(living_[layer]));
        for (size_t unit = 0; unit < living_[layer].size(); ++unit) {
            if (living_[layer][unit] != 0) {
                candidates.push_back({scores[layer][unit], layer, unit});
            }
        }
    }
    rank(candidates);
    int64_t gone = removed();
    for (const Candidate& c : candidates) {
        if (gone < target && left[c.layer] > 1) {
            living_[c.layer][c.unit] = 0;
            --left[c.layer];
            ++gone;
        }
    }
}

void Pruner::remove_by_layer(const UnitScores& scores, double share) {
    for (size_t layer = 0; layer < living_.size(); ++layer) {
        std::vector<uint8_t>& row = living_[layer];
        const auto count = static_cast<int64_t>(row.size());
        const int64_t target = std::min(floor_of(share, count), count - 1);
        std::vector<Candidate> candidates;
        for (size_t unit = 0; unit < row.size(); ++unit) {
            if (row[unit] != 0) {
                candidates.push_back({scores[layer][unit], layer, unit});
            }
        }
        rank(candidates);
        const int64_t remove = target - (count - living_in(row));
        for (int64_t i = 0; i < remove; ++i) {
            row[candidates[static_cast<size_t>(i)].unit] = 0;
        }
    }
}

void Pruner::hold_gradients() { mask_gradients(*model_.net, units_, living_); }
void Pruner::hold_weights() { mask_units(*model_.net, units_, living_); }
void Pruner::clear_optimizer(Optimizer& optimizer) {
    mask_optimizer(optimizer, *model_.net, units_, living_);
}
void Pruner::finish() { remove_units(model_, units_, living_); }

void Pruner::restore(LivingUnits living, int64_t steps_done) {
    bool fits = living.size() == living_.size();
    for (size_t i = 0; fits && i < living.size(); ++i) {
        fits = living[i].size() == living_[i].size();
    }
    BACKLIGHT_CHECK(fits, "prune: the saved units are of another network");
    living_ = std::move(living);
    done_ = steps_done;
}

}  // namespace backlight
