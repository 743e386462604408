// One builder a metric, each in the file named beside it, and what they share. The table of names is in
// list.cpp.
#pragma once

#include <functional>
#include <span>

#include "core/backend.h"
#include "core/options.h"
#include "explain/metrics/metric.h"

namespace backlight {

using MetricBuilder = std::unique_ptr<Metric>(const Options& options, const MetricContext& context);
MetricBuilder build_drop_prop, build_drop_mag, build_increase_prop, build_increase_mag;  // drop_increase.cpp
MetricBuilder build_pixel_flipping;                                                      // pixel_flipping.cpp
MetricBuilder build_region_perturbation;        // region_perturbation.cpp
MetricBuilder build_deletion, build_insertion;  // insertion_deletion.cpp
MetricBuilder build_irof;                       // irof.cpp
MetricBuilder build_road;                       // road.cpp
MetricBuilder build_infidelity;                 // infidelity.cpp
MetricBuilder build_faithfulness_correlation;   // faithfulness_correlation.cpp
MetricBuilder build_monotonicity;               // monotonicity.cpp
MetricBuilder build_pointing_game;              // pointing_game.cpp
MetricBuilder build_relevance_mass, build_relevance_rank, build_attribution_localisation, build_top_k,
    build_iou;                                                                      // localisation.cpp
MetricBuilder build_gini, build_entropy, build_effective_complexity, build_mass90;  // complexity.cpp
MetricBuilder build_max_sensitivity, build_avg_sensitivity;                         // sensitivity.cpp
MetricBuilder build_mprt, build_emprt;                                              // randomisation.cpp
MetricBuilder build_random_logit;                                                   // random_logit.cpp
MetricBuilder build_completeness, build_conservation;                               // completeness.cpp

/// "name[a,b]", without the empty ones; "name" where all are empty.
[[nodiscard]] std::string tagged(const std::string& name, const std::vector<std::string>& tags);
/// "key=value" where the option was given, else empty: what an option adds to a name.
[[nodiscard]] std::string option_tag(const Options& options, const std::string& key);

/// A metric that is one function of a unit.
using UnitFunction = std::function<double(const ExplainedBatch& explained, size_t unit)>;
[[nodiscard]] std::unique_ptr<Metric> unit_metric(std::string name, std::string better, UnitFunction value,
                                                  UnitFunction chance = nullptr);

/// What numbers are drawn for: streams of different uses never meet.
enum class Draw : uint64_t { order = 1, subset, noise, weights, other_class, imputation };
[[nodiscard]] RandomKey draw_key(const MetricContext& context, Draw use, int64_t sample, int64_t number = 0);

/// The option `score=probability|logit`.
[[nodiscard]] Score score_option(const Options& options, Score fallback);
/// "logit" or "probability" where it is not the metric's default, else empty.
[[nodiscard]] std::string score_tag(Score score, Score fallback);

}  // namespace backlight
