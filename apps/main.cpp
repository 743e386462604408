// backlight: trains networks, explains them, and measures both.
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <vector>

#include "apps/commands.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/io/file.h"
#include "core/profile.h"

namespace {

/// Threads that wait for work must sleep: spinning ones slow every other run on the machine, and this one
/// too. libgomp reads its policy before main begins, so the process starts itself once more with it, unless
/// the user has set one.
void sleep_while_waiting(char** argv) {
    if (std::getenv("OMP_WAIT_POLICY") == nullptr && ::setenv("OMP_WAIT_POLICY", "passive", 1) == 0) {
        ::execv("/proc/self/exe", argv);  // comes back only where /proc is missing: then it works, but spins
    }
}

std::vector<std::string> names_of(const std::vector<const CLI::Option*>& options) {
    std::vector<std::string> names;
    for (const CLI::Option* option : options) {
        for (const std::string& name : option->get_lnames()) {
            names.push_back("--" + name);
        }
    }
    return names;
}

/// What the parser says, in one line; a mistyped command or option comes with the names that exist.
std::string text_of(const CLI::ParseError& error, const CLI::App& app) {
    const std::vector<std::string> rest = app.remaining(true);
    const CLI::App* command = &app;  // the innermost that was named
    while (!command->get_subcommands().empty()) {
        command = command->get_subcommands().front();
    }
    const auto below = command->get_subcommands([](const CLI::App*) { return true; });
    const bool in_line = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr ||
                         dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    if (in_line && !below.empty() && (rest.empty() || !rest[0].starts_with('-'))) {
        std::vector<std::string> commands;
        for (const CLI::App* one : below) {
            commands.push_back(one->get_name());
        }
        return backlight::unknown_name(command == &app ? "command" : "command of " + command->get_name(),
                                       rest.empty() ? "" : rest[0], commands);
    }
    if (in_line && !rest.empty() && rest[0].starts_with('-')) {
        std::vector<std::string> names = names_of(command->get_options());
        if (command != &app) {
            const std::vector<std::string> common = names_of(app.get_options());
            names.insert(names.end(), common.begin(), common.end());
        }
        return backlight::unknown_name("option", rest[0].substr(0, rest[0].find('=')), names);
    }
    const bool in_file = dynamic_cast<const CLI::ConfigError*>(&error) != nullptr;
    return (in_file ? "--config: " : "") + std::string(error.what());
}

int run(int argc, char** argv) {
    CLI::App app{"Backlight: train networks, explain them, and let explanations improve them."};
    app.name("backlight");
    app.require_subcommand(1);
    app.fallthrough();
    app.allow_config_extras(CLI::config_extras_mode::error);
    app.option_defaults()->always_capture_default();  // help and config.toml show what holds
    app.set_version_flag("--version", BACKLIGHT_VERSION);
    backlight::apps::Common common;
    app.add_option("--threads", common.threads, "Threads of the kernels; 0: as OpenMP decides")
        ->check(CLI::Range(0, 4096));
    app.add_option("--backend", common.backend, "Kernels: cpu (oneDNN, OpenMP) or reference (plain loops)")
        ->check(CLI::IsMember({"cpu", "reference"}));
    std::string profile_file;
    app.add_option("--profile", profile_file,
                   "Print where the time goes by op and write a Chrome trace (json) here");
    app.set_config("--config", "",
                   "Read options from a TOML file; those of a command stand in its section, [train]");

    using namespace backlight::apps;
    const std::vector<Run> runs = {
        add_train(app, common),   add_evaluate(app, common),  add_predict(app, common),
        add_explain(app, common), add_concepts(app, common),  add_info(app, common),
        add_list(app, common),    add_data(app, common),      add_augment(app, common),
        add_prune(app, common),   add_reproduce(app, common), add_demo(app, common)};
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) {  // --help, --version
            return app.exit(e);
        }
        std::cerr << "backlight: " << text_of(e, app) << "\n";
        return 2;
    }
    backlight::set_threads(common.threads);
    std::unique_ptr<backlight::BackendScope> reference;
    if (common.backend == "reference") {
        reference = std::make_unique<backlight::BackendScope>(backlight::reference_backend());
    }
    const auto subcommands = app.get_subcommands([](CLI::App*) { return true; });
    for (size_t i = 0; i < subcommands.size(); ++i) {
        if (!subcommands[i]->parsed()) {
            continue;
        }
        if (profile_file.empty()) {
            return runs[i]();
        }
        const backlight::Profile profile;
        const int code = runs[i]();
        std::cout << profile.table();
        backlight::write_file_atomically(profile_file, profile.chrome_trace());
        return code;
    }
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    sleep_while_waiting(argv);
    try {
        return run(argc, argv);
    } catch (const backlight::Error& e) {
        std::cerr << "backlight: " << e.what() << "\n";
        return 2;
    } catch (const std::exception& e) {
        std::cerr << "backlight: failed: " << e.what() << "\n";
        return 1;
    }
}
