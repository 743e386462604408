// backlight prune: removes the filters and neurons that matter least, step by step, with training between or
// without, and writes the smaller network.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "apps/checks.h"
#include "apps/commands.h"
#include "augment/model/prune.h"
#include "core/error.h"
#include "core/io/safetensors.h"
#include "experiments/run_report.h"
#include "layers/state.h"
#include "train/trainer.h"

namespace backlight::apps {
namespace {

struct Config {
    std::string model, weights, data, out;
    double fraction = 0.5, step = 0.05;
    std::string criterion = "lrp_abs", composite, ranking = "criterion", tied = "mask";
    int64_t samples_per_class = 10;
    int64_t fine_tune_epochs = 0, final_epochs = 0;
    TrainConfig tuning;                   // lr, batch size, optimiser, seed
    std::vector<CLI::Option*> of_tuning;  // options that mean something with training only
    [[nodiscard]] bool is_tuned() const { return fine_tune_epochs > 0 || final_epochs > 0; }
};

void add_options(CLI::App& cmd, Config& c) {
    cmd.add_option("--model", c.model, "Model (backlight list models)")->required();
    cmd.add_option("--weights", c.weights, "Weights (safetensors)")->required();
    cmd.add_option("--data", c.data,
                   "Data set: units are scored on its training part, accuracy is of its test part")
        ->required();
    cmd.add_option("--out", c.out, "The smaller network (safetensors), for the same --model")->required();
    cmd.add_option("--fraction", c.fraction, "Share of the units to remove");
    cmd.add_option("--step", c.step, "Share of the units removed at once; 1: all in one step");
    cmd.add_option("--criterion", c.criterion,
                   "lrp_abs, lrp, weight, gradient, taylor, deeplift, deeplift_zero, random");
    cmd.add_option("--composite", c.composite, "Of lrp: epsilon on linear layers (default), or zplus_all");
    cmd.add_option(
        "--ranking", c.ranking,
        "global: units of all layers together; layer: the same share of each; criterion: layer for deeplift, "
        "else global");
    cmd.add_option(
        "--tied", c.tied,
        "Units that feed a residual sum or a grouped convolution cannot be cut out: mask sets them to 0, "
        "leave spares them");
    cmd.add_option("--samples-per-class", c.samples_per_class, "Training samples to score units on; 0: all")
        ->check(at_least_zero());
    cmd.add_option("--fine-tune-epochs", c.fine_tune_epochs, "Epochs of training after each step; 0: none")
        ->check(at_least_zero());
    cmd.add_option("--final-epochs", c.final_epochs, "Further epochs of training after the last step")
        ->check(at_least_zero());
    c.of_tuning = {
        cmd.add_option("--lr", c.tuning.lr, "Learning rate of that training"),
        cmd.add_option("--batch-size", c.tuning.batch_size, "Samples a step of it")->check(at_least_one()),
        cmd.add_option("--optimizer", c.tuning.optimizer.name, "sgd, adam, adamw, adadelta, rmsprop"),
        cmd.add_option("--momentum", c.tuning.optimizer.momentum, "Momentum of sgd and rmsprop"),
        cmd.add_option("--weight-decay", c.tuning.optimizer.weight_decay, "L2 penalty")};
    cmd.add_option("--seed", c.tuning.seed, "Random seed of the scored samples and of the training");
}

/// The options in the grammar of the augmentation, which checks them.
PruningConfig pruning_of(const Config& c) {
    std::map<std::string, std::string> given{{"fraction", concat_text(c.fraction)},
                                             {"step", concat_text(c.step)},
                                             {"criterion", c.criterion},
                                             {"ranking", c.ranking},
                                             {"tied", c.tied},
                                             {"samples_per_class", concat_text(c.samples_per_class)}};
    if (!c.composite.empty()) {
        given["composite"] = c.composite;
    }
    const Options options("prune", given);
    PruningConfig pruning = read_pruning_config(options);
    pruning.seed = c.tuning.seed;
    return pruning;
}

/// What is printed: a row a removal.
class Table {
public:
    Table(const Dataset& measured, bool is_tuned) : measured_(measured), is_tuned_(is_tuned) {
        std::printf("%8s %9s %s%12s %12s %14s %10s\n", "removed", "accuracy", is_tuned ? " trained " : "",
                    "parameters", "MACs", "storage", "seconds");
    }
    /// The network as it stands after a removal that took so long.
    void removed(const Pruner& pruner, double seconds) {
        const NetworkCost cost = pruner.cost();
        const double share =
            static_cast<double>(pruner.removed()) / static_cast<double>(pruner.units().count());
        std::printf("%8s %9s ", percent_text(share).c_str(),
                    percent_text(evaluate(pruner.net(), measured_).accuracy).c_str());
        char rest[96];
        std::snprintf(rest, sizeof rest, "%12lld %12lld %9lld bit %10.2f\n",
                      static_cast<long long>(cost.parameters), static_cast<long long>(cost.macs),
                      static_cast<long long>(cost.bits()), seconds);
        rest_ = rest;
        if (!is_tuned_) {
            end_row();
        }
    }
    /// Accuracy after the training that followed the removal.
    void trained(double accuracy) { trained_ = percent_text(accuracy); }
    void end_row() {
        if (rest_.empty()) {
            return;
        }
        if (is_tuned_) {
            std::printf("%8s ", trained_.c_str());
        }
        std::printf("%s", rest_.c_str());
        std::fflush(stdout);
        rest_.clear();
        trained_.clear();
    }

private:
    const Dataset& measured_;
    bool is_tuned_;
    std::string rest_, trained_;
};

void describe(const PrunableUnits& units) {
    int64_t tied = 0;
    for (const UnitLayer& layer : units.layers()) {
        tied += layer.tied.empty() ? 0 : layer.units;
    }
    std::printf("%lld units in %zu layers", static_cast<long long>(units.count()), units.layers().size());
    if (tied > 0) {
        std::printf("; %lld of them are tied to others and are set to 0, not cut out",
                    static_cast<long long>(tied));
    }
    std::printf("\n");
}

/// The training loop loads the weights, removes before the first epoch and after every so many, and cuts out
/// at the end.
Model prune_while_training(const Config& c, const PruningConfig& pruning, int64_t steps, Table& table) {
    TrainConfig config = c.tuning;
    config.model = c.model;
    config.weights = c.weights;
    config.data = c.data;
    config.epochs = steps * c.fine_tune_epochs + c.final_epochs;
    config.augment = {"prune"};
    const PruneSchedule schedule{.pruning = pruning, .first = 0, .every_epochs = c.fine_tune_epochs};
    TrainHooks hooks;
    hooks.make_augmentation = [&](const std::string& text) {
        auto system = make_prune(schedule, [&](const Pruner& pruner, double seconds) {
            table.end_row();  // of the step before, trained
            table.removed(pruner, seconds);
        });
        system->schedule(text, 0, 1);
        return system;
    };
    hooks.epoch = [&](const TrainProgress&, const Evaluation& evaluation) {
        table.trained(evaluation.accuracy);
    };
    Model model = train(config, hooks).model;
    table.end_row();
    return model;
}

int run(const Config& c) {
    check_output("--out", c.out);
    for (const CLI::Option* option : c.of_tuning) {
        BACKLIGHT_CHECK(c.is_tuned() || option->count() == 0, option->get_name(),
                        ": nothing is trained; --fine-tune-epochs or --final-epochs say for how long");
    }
    const PruningConfig pruning = pruning_of(c);
    LoadedModel loaded = load_model(c.model, 0, c.weights);
    const auto data = load_data(c.data);
    BACKLIGHT_CHECK(!data->train->is_multi_label(), "prune: needs data with one label a sample");
    BACKLIGHT_CHECK(data->train->num_classes() == loaded.model.classes, "prune: the network has ",
                    loaded.model.classes, " classes, the data ", data->train->num_classes());
    Shape sample{1};
    for (const int64_t extent : data->train->sample_shape()) {
        sample.push_back(extent);
    }
    loaded.model.check_input(sample);
    Pruner pruner(loaded.model, data->train, pruning);
    BACKLIGHT_CHECK(pruner.steps() > 0, "--fraction: ", c.fraction, " of ", pruner.units().count(),
                    " units is none of them");
    describe(pruner.units());
    Table table(*data->test, c.is_tuned());
    table.removed(pruner, 0);
    table.end_row();
    Model tuned;
    if (c.is_tuned()) {
        tuned = prune_while_training(c, pruning, pruner.steps(), table);
    } else {
        while (!pruner.is_done()) {
            const auto begin = std::chrono::steady_clock::now();
            pruner.remove_next();
            table.removed(pruner,
                          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        }
        pruner.finish();
    }
    const Model& smaller = c.is_tuned() ? tuned : loaded.model;
    write_safetensors(c.out, state_dict(*smaller.net), weight_metadata(smaller, *data));
    std::printf("written: %s, %ju bytes, before %ju\n", c.out.c_str(), std::filesystem::file_size(c.out),
                std::filesystem::file_size(c.weights));
    return 0;
}

}  // namespace

Run add_prune(CLI::App& app, const Common&) {
    CLI::App* cmd =
        app.add_subcommand("prune", "Remove the units that matter least and write the smaller network");
    auto config = std::make_shared<Config>();
    add_options(*cmd, *config);
    return [config] { return run(*config); };
}

}  // namespace backlight::apps
