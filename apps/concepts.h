// The subcommands of `backlight concepts`, and what they share.
#pragma once

#include <memory>
#include <string>

#include "apps/commands.h"
#include "datasets/registry.h"
#include "experiments/concept_data.h"
#include "train/trainer.h"

namespace backlight::apps {

/// Options of every subcommand.
struct ConceptOptions {
    std::string model, weights, data, split = "test", layer, out_dir;
    int64_t classes = 0, batch_size = 0;
    uint64_t seed = 0;
};
/// `layer`: what its help says; "" where the command has none.
void add_concept_options(CLI::App& cmd, ConceptOptions& options, const std::string& layer,
                         bool layer_required);

/// Model and data as the options name them.
struct ConceptInputs {
    LoadedModel loaded;
    std::unique_ptr<DataSource> source;
    std::shared_ptr<const Dataset> data;  // the split
    [[nodiscard]] ExplainContext context(uint64_t seed) const;
    [[nodiscard]] std::string class_name(int64_t number) const;
};
/// Prints the data set's notes and makes the output folder.
[[nodiscard]] ConceptInputs open_concept_inputs(const ConceptOptions& options);

/// "all", a class name or number, of the model's outputs.
[[nodiscard]] std::vector<int64_t> classes_of(const std::string& text, const ConceptInputs& inputs);

Run add_cav(CLI::App& concepts);
Run add_tcav(CLI::App& concepts);
Run add_crp(CLI::App& concepts);
Run add_spray(CLI::App& concepts);

}  // namespace backlight::apps
