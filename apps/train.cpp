// backlight train: trains a model on a data set into a run folder and writes its report.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "apps/commands.h"
#include "apps/progress.h"
#include "augment/registry.h"
#include "core/error.h"
#include "core/io/file.h"
#include "experiments/run_report.h"
#include "train/trainer.h"

namespace backlight::apps {
namespace {

void add_options(CLI::App& cmd, TrainConfig& c, std::vector<std::string>& groups) {
    cmd.add_option("--model", c.model, "Model, e.g. \"cnn_small(in=1)\" (backlight list models)")->required();
    cmd.add_option("--data", c.data, "Data set, e.g. digits, cifar10:DIR (backlight list data)")->required();
    cmd.add_option("--run", c.run, "Folder for everything the run writes")->required();
    cmd.add_option("--weights", c.weights, "Start from these weights (safetensors)");
    cmd.add_option("--classes", c.classes, "Number of outputs; 0: as the data has");
    cmd.add_option("--epochs", c.epochs, "Passes over the training set");
    cmd.add_option("--max-steps", c.max_steps, "End after so many steps in all; 0: after the epochs");
    cmd.add_option("--batch-size", c.batch_size,
                   "Samples a step; a last one of an epoch that is alone joins the step before it");
    cmd.add_option("--accumulate", c.accumulate, "Batches a step: their gradients are averaged");
    cmd.add_option("--precision", c.precision,
                   "f32, or bf16: images and activations of convolutions in bfloat16, weights in float; "
                   "evaluation stays f32")
        ->check(CLI::IsMember({"f32", "bf16"}));
    cmd.add_option("--lr", c.lr, "Learning rate");
    cmd.add_option("--optimizer", c.optimizer.name, "sgd, adam, adamw, adadelta, rmsprop");
    cmd.add_option("--momentum", c.optimizer.momentum, "Momentum of sgd and rmsprop");
    cmd.add_flag("--nesterov", c.optimizer.nesterov, "Nesterov momentum of sgd");
    cmd.add_option("--alpha", c.optimizer.alpha, "Smoothing of rmsprop");
    cmd.add_flag("--centered", c.optimizer.centered, "Divide by the standard deviation (rmsprop)");
    cmd.add_option("--weight-decay", c.optimizer.weight_decay, "L2 penalty (decoupled for adamw)");
    cmd.add_flag("--no-decay-norm-bias", c.optimizer.no_decay_norm_bias,
                 "No weight decay of biases and of parameters with one axis");
    cmd.add_option("--group", groups,
                   "Factor on the learning rate and decay of the parameters that match, "
                   "\"GLOB:lr=0.1,weight_decay=0\"; repeatable")
        ->allow_extra_args(false);
    cmd.add_option(
           "--freeze", c.freeze,
           "Parameters that stay as they are, \"features.*\"; repeatable. Running statistics of batch "
           "norm go on adapting")
        ->allow_extra_args(false);
    cmd.add_option("--schedule", c.schedule,
                   "constant, step(every=30, gamma=0.1), multi_step(at=30:60, gamma=0.1), "
                   "exponential(gamma=0.95), cosine(min=0), polynomial(power=1, min=0), "
                   "one_cycle(warm=0.3, div=25, final_div=1e4); lengths in epochs after the warm-up");
    cmd.add_option("--warmup", c.warmup_steps, "Steps over which the learning rate grows to its value");
    cmd.add_option("--clip-norm", c.clip_norm, "Largest norm of the gradient; 0: any");
    cmd.add_option(
        "--ema", c.ema,
        "Decay of averaged weights (0.999), evaluated beside and saved as weights_ema.safetensors");
    cmd.add_option("--label-smoothing", c.label_smoothing, "Share of the target spread over all classes");
    cmd.add_option("--class-weights", c.class_weights,
                   "Weights of the classes in the training loss: balanced, or one number a class, 1:2:0.5; "
                   "of the positives of multi-label data");
    cmd.add_option("--top-k", c.top_k, "Also measure top-k accuracy; 0: no");
    cmd.add_flag("--recompute", c.recompute,
                 "Keep only the inputs of residual blocks or VGG stages and run them again in the backward "
                 "pass: less memory, the same bits");
    cmd.add_option("--sampler", c.sampler,
                   "Which training samples an epoch has: uniform (each once), balanced, "
                   "classes(probabilities=0.1:0.9), classes(weights=1:3)");
    cmd.add_option("--mini-epoch", c.mini_epoch,
                   "Samples an epoch, for schedules and evaluations too; 0: as the training set has");
    cmd.add_flag("--ten-crop", c.ten_crop, "Measure the test set by the mean probabilities of ten crops");
    cmd.add_option(
           "--augment", c.augment,
           "A system that changes training, \"rrr(lambda=10)\"; repeatable (backlight augment --list)")
        ->allow_extra_args(false);
    cmd.add_option("--seed", c.seed, "Random seed of weights, order and dropout");
    cmd.add_option("--validation", c.validation, "Share of the training set held out");
    cmd.add_option("--early-stop", c.early_stop, "Epochs without a better held-out loss; 0: never");
    cmd.add_option("--checkpoint-every", c.checkpoint_every, "Steps between checkpoints; 0: each epoch");
    cmd.add_option("--workers", c.workers, "Loader threads; -1: chosen by the data");
    cmd.add_option("--on-corrupt", c.on_corrupt,
                   "Samples that cannot be read: skip (counted, named at the end and listed in the run's "
                   "skipped.txt) or stop (--resume goes on from the step before)");
    cmd.add_flag("--resume", c.resume, "Continue the run in the folder, bit for bit")->configurable(false);
    cmd.add_flag("--overwrite", c.overwrite, "Begin anew in a folder that holds a run")->configurable(false);
    cmd.add_flag("--tune", c.tune,
                 "Time the convolution implementations of each shape once and record the choice");
}

int run(const CLI::App& app, const TrainConfig& config) {
    BACKLIGHT_CHECK(!config.run.empty(), "--run: expected a folder");
    TrainingDisplay display;
    TrainHooks hooks = display.hooks();
    hooks.make_augmentation = build_augmentation;
    hooks.begin = [&] { write_file_atomically(config.run / "config.toml", config_text(app, "train")); };
    const TrainResult result = train(config, hooks);
    if (!result.skipped.empty()) {
        std::cout << result.skipped << "\n";
    }
    if (result.interrupted) {
        std::cout << "interrupted after step " << result.steps << "; saved in " << config.run.string()
                  << ", continue with --resume\n";
        return 0;
    }
    if (result.stopped_early) {
        std::cout << "stopped early after " << result.epochs_done << " epochs\n";
    }
    print_evaluation(std::cout, result.test, result.data->test->class_names());
    if (result.test_ema) {
        std::cout << "averaged weights: " << result.test_ema->score_name() << ' '
                  << percent_text(result.test_ema->score()) << "\n";
    }
    write_run_report(config.run, result);
    std::cout << "run folder: " << config.run.string()
              << "\nreport:     " << (config.run / "report.html").string() << "\n";
    return 0;
}

}  // namespace

Run add_train(CLI::App& app, const Common&) {
    CLI::App* cmd = app.add_subcommand("train", "Train a model on a data set");
    struct Config {
        TrainConfig train;
        std::vector<std::string> groups;  // as text
    };
    auto config = std::make_shared<Config>();
    add_options(*cmd, config->train, config->groups);
    return [&app, config] {
        for (const std::string& group : config->groups) {
            config->train.optimizer.groups.push_back(parse_group(group));
        }
        return run(app, config->train);
    };
}

}  // namespace backlight::apps
