// backlight list: what there is.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "apps/commands.h"
#include "datasets/registry.h"
#include "explain/composite.h"
#include "explain/explainer.h"
#include "explain/metrics/metric.h"
#include "models/model.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace backlight::apps {
namespace {

void print(const std::string& name, const std::string& description) {
    constexpr size_t kColumn = 28;
    std::cout << name << std::string(name.size() < kColumn ? kColumn - name.size() : 1, ' ') << description
              << "\n";
}

template <typename Entries>
void print_all(const Entries& entries) {
    for (const auto& entry : entries) {
        print(entry.name, entry.description);
    }
}

int run(const std::string& what) {
    if (what == "models") {
        print_all(list_models());
    } else if (what == "data") {
        for (const DataEntry& entry : list_data()) {
            print(entry.needs_place ? entry.name + ":DIR" : entry.name, entry.description);
            if (!entry.options.empty()) {
                print("", "    " + entry.options);
            }
        }
    } else if (what == "methods") {
        print_all(list_methods());
        print("lrp", "epsilon_plus");
        print_all(list_composites());
    } else if (what == "rules") {
        print_all(list_rules());
    } else if (what == "composites") {
        print_all(list_composites());
    } else if (what == "metrics") {
        for (const MetricEntry& entry : list_metrics()) {
            print(entry.name, entry.description);
            print("", "    needs " + entry.needs + ", better: " + entry.better);
        }
    } else if (what == "optimizers") {
        for (const auto& name : list_optimizers()) {
            print(name, "");
        }
    } else {
        for (const auto& name : list_schedules()) {
            print(name, "");
        }
    }
    return 0;
}

}  // namespace

Run add_list(CLI::App& app, const Common&) {
    CLI::App* cmd = app.add_subcommand(
        "list", "Name what there is: models, data, methods, metrics, rules, composites, ...");
    auto what = std::make_shared<std::string>();
    cmd->add_option("what", *what, "models, data, methods, metrics, rules, composites, optimizers, schedules")
        ->required()
        ->check(CLI::IsMember(
            {"models", "data", "methods", "metrics", "rules", "composites", "optimizers", "schedules"}));
    return [what] { return run(*what); };
}

}  // namespace backlight::apps
