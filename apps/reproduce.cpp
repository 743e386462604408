// backlight reproduce: runs an experiment with its control and seeds, and says whether its claim held.
#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>

#include "apps/checks.h"
#include "apps/commands.h"
#include "core/error.h"
#include "experiments/concept_data.h"
#include "experiments/reproduction.h"

namespace backlight::apps {
namespace {

struct Config {
    std::string name;
    bool list = false;
    ReproduceOptions options;
    std::string out_dir;
};

int print_list() {
    for (const ReproductionEntry& entry : list_reproductions()) {
        std::cout << entry.name << "\n    " << entry.title << " (" << entry.source << ")\n    claim    "
                  << entry.claim << "\n    control  " << entry.control << "\n    seeds    " << entry.seeds
                  << ", " << entry.duration << (entry.takes_data ? ", takes --data" : "") << "\n";
    }
    return 0;
}

std::string command_of(const Config& config) {
    std::string text = "backlight reproduce " + config.name;
    if (config.options.seeds > 0) {
        text += concat_text(" --seeds ", config.options.seeds);
    }
    if (!config.options.data.empty()) {
        text += " --data \"" + config.options.data + "\"";
    }
    if (!config.options.model.empty()) {
        text += " --model \"" + config.options.model + "\"";
    }
    if (config.options.epochs > 0) {
        text += concat_text(" --epochs ", config.options.epochs);
    }
    return text;
}

/// The network of the experiment is made for its own data.
Reproduction run_on(const ReproductionEntry& entry, const ReproduceOptions& options) {
    try {
        return entry.run(entry, options);
    } catch (const Error& error) {
        if (!options.model.empty() ||
            std::string(error.what()).find("expected samples of shape") == std::string::npos) {
            throw;
        }
        throw Error(concat_text(error.what(), "; ", entry.name,
                                " has a network for its own data, --model names another one"));
    }
}

int run(const Config& config) {
    if (config.list || config.name.empty()) {
        return print_list();
    }
    const ReproductionEntry& entry = find_reproduction(config.name);
    BACKLIGHT_CHECK(entry.takes_data || (config.options.data.empty() && config.options.model.empty()),
                    "reproduce: ", entry.name,
                    " draws its own data and network; --data and --model are not for it");
    if (!config.out_dir.empty()) {
        make_output_folder(config.out_dir);
    }
    ReproduceOptions options = config.options;
    options.seeds = options.seeds > 0 ? options.seeds : entry.seeds;
    const auto begin = std::chrono::steady_clock::now();
    options.progress = [&](const std::string& text) {
        const auto seconds =
            std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin);
        std::cerr << "[" << seconds.count() << " s] " << text << "\n";
    };
    Reproduction result = run_on(entry, options);
    if (options.seeds < entry.seeds) {
        result.remarks.push_back(concat_text(options.seeds, " of the experiment's ", entry.seeds,
                                             " seeds: what held, and what did not, may be chance."));
    }
    print_reproduction(std::cout, entry, result);
    if (!config.out_dir.empty()) {
        write_reproduction(config.out_dir, entry, result, command_of(config));
        std::cout << "report: " << config.out_dir << "/report.html\n";
    }
    return 0;
}

}  // namespace

Run add_reproduce(CLI::App& app, const Common&) {
    CLI::App* cmd = app.add_subcommand(
        "reproduce", "Run an experiment against its control and say whether its claim held");
    auto config = std::make_shared<Config>();
    cmd->add_option("name", config->name, "Which (--list)");
    cmd->add_flag("--list", config->list, "Describe every experiment")->configurable(false);
    cmd->add_option("--seeds", config->options.seeds, "How many; 0: as the experiment has by itself")
        ->check(CLI::Range(int64_t{0}, int64_t{10000}));
    cmd->add_option("--data", config->options.data,
                    "Other data, where the experiment takes them (backlight list data)");
    cmd->add_option("--model", config->options.model,
                    "Another network, with other data (backlight list models)");
    cmd->add_option("--epochs", config->options.epochs,
                    "Another length, where the experiment has epochs; 0: its own")
        ->check(CLI::Range(int64_t{0}, int64_t{1000000}));
    cmd->add_option("--out-dir", config->out_dir, "Folder for results.json, figures and report.html");
    return [config] { return run(*config); };
}

}  // namespace backlight::apps
