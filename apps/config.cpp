// What a run writes as config.toml: the options that made it, as --config reads them.
#include <CLI/CLI.hpp>
#include <sstream>

#include "apps/commands.h"

namespace backlight::apps {

std::string config_text(const CLI::App& app, const std::string& command) {
    // The parser writes the options of every command, as command.option=value.
    std::istringstream all(app.config_to_str(true, false));
    std::string common, own;
    for (std::string line; std::getline(all, line);) {
        const std::string key = line.substr(0, line.find('='));
        if (line.ends_with("=\"[]\"")) {
            continue;  // an empty list has no text that is read as one
        }
        if (key.find('.') == std::string::npos) {
            common += line + "\n";
        } else if (key.starts_with(command + ".")) {
            own += line.substr(command.size() + 1) + "\n";
        }
    }
    return common + "\n[" + command + "]\n" + own;
}

}  // namespace backlight::apps
