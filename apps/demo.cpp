// backlight demo: the main job.
#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <iostream>
#include <memory>

#include "apps/commands.h"
#include "apps/progress.h"
#include "core/io/file.h"
#include "experiments/demo.h"

namespace backlight::apps {

Run add_demo(CLI::App& app, const Common&) {
    CLI::App* cmd =
        app.add_subcommand("demo", "Train on digits, explain, find a planted mark; writes a report");
    auto config = std::make_shared<DemoConfig>();
    cmd->add_option("--run", config->run, "Folder for everything the run writes");
    cmd->add_flag("--quick", config->quick, "Few epochs: shows that everything works");
    cmd->add_option("--weights", config->weights,
                    "Also explain photographs, with these weights (scripts/efficientnet_lite0.py)");
    config->photos = "datasets/data/photos";
    cmd->add_option("--photos", config->photos, "Folder of the photographs");
    cmd->add_option("--seed", config->seed, "Random seed");
    return [&app, config] {
        TrainingDisplay display;
        run_demo(*config, display.hooks(), std::cout);
        if (display.stopped()) {
            std::cout << "interrupted\n";
            return 0;
        }
        write_file_atomically(config->run / "config.toml", config_text(app, "demo"));
        std::cout << "\nrun folder: " << config->run.string()
                  << "\nreport:     " << (config->run / "report.html").string() << "\n";
        return 0;
    };
}

}  // namespace backlight::apps
