// backlight info: a model's layers and parameters, a weight file's contents, or the build itself.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "apps/commands.h"
#include "core/backend.h"
#include "core/io/safetensors.h"
#include "models/model.h"
#include "train/trainer.h"

namespace backlight::apps {
namespace {

void describe_model(Model& model) {
    std::cout << model.spec << "\n";
    for (const auto& [path, module] : model.net->modules()) {
        int64_t own = 0;
        for (const Parameter& parameter : module->own_parameters()) {
            own += parameter.value.numel();
        }
        std::cout << "  " << (path.empty() ? "(model)" : path) << "  " << module->describe();
        if (own > 0) {
            std::cout << "  " << own << " parameters";
        }
        std::cout << "\n";
    }
    std::cout << "parameters: " << model.net->parameter_count() << "\nclasses: " << model.classes << "\n";
}

}  // namespace

Run add_info(CLI::App& app, const Common&) {
    struct Config {
        std::string model, weights;
        int64_t classes = 0;
    };
    CLI::App* cmd =
        app.add_subcommand("info", "Layers of a model, contents of a weight file, facts of this build");
    auto c = std::make_shared<Config>();
    cmd->add_option("--model", c->model, "Model (backlight list models)");
    cmd->add_option("--weights", c->weights, "Weight file (safetensors)");
    cmd->add_option("--classes", c->classes, "Number of outputs");
    return [c] {
        if (!c->model.empty()) {
            Model model = c->weights.empty() ? build_model(c->model, c->classes)
                                             : load_model(c->model, c->classes, c->weights).model;
            describe_model(model);
        } else if (!c->weights.empty()) {
            const SafetensorsFile file = read_safetensors(c->weights);
            for (const auto& [name, tensor] : file.tensors) {
                std::cout << name << "  " << tensor.dtype() << ' ' << tensor.shape() << "\n";
            }
            for (const auto& [key, value] : file.metadata) {
                std::cout << "metadata " << key << ": " << value << "\n";
            }
        } else {
            std::cout << "backlight " << BACKLIGHT_VERSION << "\nbackend: " << backend_for({}).name()
                      << "\nthreads: " << threads() << "\n";
        }
        return 0;
    };
}

}  // namespace backlight::apps
