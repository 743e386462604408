// backlight concepts: what inner channels and directions of a network stand for, and how its decisions
// cluster.
#include "apps/concepts.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <numeric>

#include "apps/checks.h"
#include "apps/input.h"
#include "core/error.h"

namespace backlight::apps {

void add_concept_options(CLI::App& cmd, ConceptOptions& o, const std::string& layer, bool layer_required) {
    cmd.add_option("--model", o.model, "Model (backlight list models)")->required();
    cmd.add_option("--weights", o.weights, "Weights (safetensors)")->required();
    cmd.add_option("--data", o.data, "Data set (backlight list data)")->required();
    cmd.add_option("--split", o.split, "Part of the data: test, train, or what the data set names besides");
    cmd.add_option("--layer", o.layer, layer)->required(layer_required);
    cmd.add_option("--out-dir", o.out_dir, "Folder for files and report.html")->required();
    cmd.add_option("--classes", o.classes, "Number of outputs; 0: as the weights have");
    cmd.add_option("--batch-size", o.batch_size,
                   "Samples at once; if not given so many as have a million values")
        ->check(at_least_one());
    cmd.add_option("--seed", o.seed, "Random seed");
}

ExplainContext ConceptInputs::context(uint64_t seed) const {
    return {.cam_layer = loaded.model.cam_layer,
            .low = loaded.low,
            .high = loaded.high,
            .mean = loaded.model.mean,
            .std = loaded.model.std,
            .seed = seed};
}

std::string ConceptInputs::class_name(int64_t number) const {
    const auto& names = loaded.class_names.empty() ? data->class_names() : loaded.class_names;
    return static_cast<size_t>(number) < names.size() ? names[static_cast<size_t>(number)]
                                                      : std::to_string(number);
}

ConceptInputs open_concept_inputs(const ConceptOptions& options) {
    ConceptInputs inputs{.loaded = load_model(options.model, options.classes, options.weights),
                         .source = load_data(options.data)};
    for (const std::string& note : inputs.source->notes) {
        std::cout << note << "\n";
    }
    inputs.data = inputs.source->split(options.split);
    take_input_of(inputs.loaded, *inputs.data);
    Shape sample{1};
    for (const int64_t extent : inputs.data->sample_shape()) {
        sample.push_back(extent);
    }
    inputs.loaded.model.check_input(sample);
    make_output_folder(options.out_dir);
    return inputs;
}

std::vector<int64_t> classes_of(const std::string& text, const ConceptInputs& inputs) {
    const int64_t count = std::min(inputs.loaded.model.classes, inputs.data->num_classes());
    if (text == "all") {
        std::vector<int64_t> all(static_cast<size_t>(count));
        std::iota(all.begin(), all.end(), int64_t{0});
        return all;
    }
    return {class_number(text, inputs.data->class_names(), count)};
}

Run add_concepts(CLI::App& app, const Common&) {
    CLI::App* cmd =
        app.add_subcommand("concepts", "Concept vectors, concept relevance and clusters of explanations");
    cmd->require_subcommand(1);
    const std::vector<Run> runs = {add_cav(*cmd), add_tcav(*cmd), add_crp(*cmd), add_spray(*cmd)};
    return [cmd, runs] {
        const auto subcommands = cmd->get_subcommands([](CLI::App*) { return true; });
        for (size_t i = 0; i < subcommands.size(); ++i) {
            if (subcommands[i]->parsed()) {
                return runs[i]();
            }
        }
        return 2;
    };
}

}  // namespace backlight::apps
