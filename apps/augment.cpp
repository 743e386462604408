// backlight augment: what can change training.
#include <CLI/CLI.hpp>
#include <iostream>

#include "apps/commands.h"
#include "augment/registry.h"
#include "core/error.h"

namespace backlight::apps {

Run add_augment(CLI::App& app, const Common&) {
    CLI::App* cmd =
        app.add_subcommand("augment", "Systems in which explanations change training, for train --augment");
    auto name = std::make_shared<std::string>();
    auto list = std::make_shared<bool>(false);
    cmd->add_flag("--list", *list, "Describe every system")->configurable(false);
    cmd->add_option("name", *name, "Describe this system alone");
    return [name, list] {
        std::vector<std::string> known;
        bool found = false;
        std::vector<AugmentationEntry> all = list_augmentations();
        all.insert(all.end(), list_own_loops().begin(), list_own_loops().end());
        for (const AugmentationEntry& entry : all) {
            known.push_back(entry.name);
            if (!name->empty() && entry.name != *name) {
                continue;
            }
            found = true;
            std::cout << entry.name << "\n    family    " << entry.family << "\n    improves  "
                      << entry.improves << "\n    explainer " << entry.explainer << "\n    cost      "
                      << entry.cost << (entry.build != nullptr ? "\n    options   " : "\n    command   ")
                      << entry.options << "\n    source    " << entry.source << "\n";
        }
        BACKLIGHT_CHECK(found, unknown_name("augmentation", *name, known));
        std::cout << "every system of train --augment also takes start_epoch=0 (it rests before) and every=1 "
                     "(it acts in every "
                     "so many steps)\n";
        return 0;
    };
}

}  // namespace backlight::apps
