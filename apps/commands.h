// The subcommands of `backlight`: each adds itself to the parser and runs when it was chosen.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace backlight::apps {

/// Options that every command takes.
struct Common {
    int threads = 0;
    std::string backend = "cpu";
};

/// Adds the subcommand; the returned function runs it and returns the exit code.
using Run = std::function<int()>;
Run add_train(CLI::App& app, const Common& common);
Run add_evaluate(CLI::App& app, const Common& common);
Run add_predict(CLI::App& app, const Common& common);
Run add_explain(CLI::App& app, const Common& common);
Run add_concepts(CLI::App& app, const Common& common);
Run add_info(CLI::App& app, const Common& common);
Run add_list(CLI::App& app, const Common& common);
Run add_data(CLI::App& app, const Common& common);
Run add_augment(CLI::App& app, const Common& common);
Run add_prune(CLI::App& app, const Common& common);
Run add_reproduce(CLI::App& app, const Common& common);
Run add_demo(CLI::App& app, const Common& common);

/// The options of this call as a TOML file: the common ones, then the section of the command.
std::string config_text(const CLI::App& app, const std::string& command);

}  // namespace backlight::apps
