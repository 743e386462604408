// What the tests of augmentations share: a training step by hand, in f64 where derivatives are checked, and
// short runs.
#pragma once

#include <doctest/doctest.h>

#include "augment/registry.h"
#include "augment/step_explanations.h"
#include "datasets/in_memory.h"
#include "layers/layers.h"
#include "tests/train/support.h"
#include "train/augmentations.h"

namespace backlight::augment_testing {

using testing::contains;
using testing::error_of;
using testing::TemporaryFolder;

/// A network and a batch, as the loop would hold them.
struct HandStep {
    Model model;
    std::shared_ptr<Dataset> data;
    TrainingRun run;
    Batch batch;
    TrainingStep step;
    Recording::Layers layers;

    /// `inputs` (N,D) or (N,H,W,C), f64; the network is made f64 too. Samples of the data set are those of
    /// the batch.
    HandStep(std::unique_ptr<Module> net, const Tensor& inputs, const std::vector<int64_t>& labels,
             int64_t classes)
        : model{.net = std::move(net), .classes = classes},
          data(make_dataset(inputs.to(DType::f32), labels, numbered_classes(classes))),
          run{.model = &model, .data = data, .batch_size = inputs.dim(0), .steps_per_epoch = 1, .epochs = 1},
          batch{.input = inputs, .label = Tensor::from(labels, {inputs.dim(0)})},
          step{.run = run, .batch = batch} {
        model.net->to(DType::f64);
        for (int64_t i = 0; i < inputs.dim(0); ++i) {
            batch.indices.push_back(i);
        }
    }
    HandStep(const HandStep&) = delete;
    HandStep& operator=(const HandStep&) = delete;

    /// The forward pass of the step, recorded, with the feature hooks of the systems.
    void forward(const std::vector<Augmentation*>& systems = {}) {
        step.input = Variable::leaf(batch.input);
        const FeatureHooks hooks(systems, step);
        const Recording recording;
        step.logits = (*model.net)(step.input);
        layers = recording.layers();
        step.layers = &layers;
    }

    /// The system's loss term on a fresh forward pass.
    [[nodiscard]] Variable loss_term(Augmentation& system) {
        forward();
        return system.loss_term(step);
    }
};

/// Two epochs on pictures with decoys and masks.
inline TrainConfig decoy_config() {
    TrainConfig config;
    config.model = "cnn_g";
    config.data = "corner_decoy(n=64, n_test=16)";
    config.epochs = 2;
    config.batch_size = 32;
    config.lr = 0.01;
    config.optimizer.name = "adam";
    return config;
}

/// A dense layer with these weights (O,I), f64.
inline std::unique_ptr<Sequential> dense(const std::vector<double>& weight, int64_t in, int64_t out,
                                         const std::vector<double>& bias = {}) {
    auto net = std::make_unique<Sequential>();
    net->add(std::make_unique<Linear>(Linear::Config{.in = in, .out = out}));
    net->to(DType::f64);
    Tensor w = net->parameters()[0].value.data(), b = net->parameters()[1].value.data();
    w.copy_from(Tensor::from(weight, {out, in}));
    b.copy_from(bias.empty() ? Tensor::zeros({out}, DType::f64) : Tensor::from(bias, {out}));
    return net;
}

/// d term / d weights of a system against central differences, entry by entry of every parameter.
inline double worst_gradient_error(HandStep& hand, Augmentation& system, double h = 1e-5) {
    hand.model.net->zero_grad();
    const Variable term = hand.loss_term(system);
    Variables leaves;
    for (const Parameter& p : hand.model.net->parameters()) {
        leaves.push_back(p.value);
    }
    const Variables analytic =
        grad(std::vector<Variable>{term}, std::vector<Variable>{}, leaves, {.allow_unused = true});
    double worst = 0, scale = 1e-8;
    for (size_t i = 0; i < leaves.size(); ++i) {
        Tensor weight = leaves[i].data();
        auto values = weight.to_vector<double>();
        const auto exact = analytic[i].defined() ? analytic[i].data().to_vector<double>()
                                                 : std::vector<double>(values.size(), 0.0);
        for (size_t k = 0; k < values.size(); ++k) {
            const double kept = values[k];
            const auto at = [&](double value) {
                values[k] = value;
                weight.copy_from(Tensor::from(values, weight.shape()));
                return hand.loss_term(system).item();
            };
            const double numeric = (at(kept + h) - at(kept - h)) / (2 * h);
            (void)at(kept);
            worst = std::max(worst, std::abs(numeric - exact[k]));
            scale = std::max(scale, std::abs(exact[k]));
        }
    }
    return worst / scale;
}

inline TrainHooks with_augmentations() {
    TrainHooks hooks;
    hooks.make_augmentation = build_augmentation;
    return hooks;
}

/// What a run of `config` with this system is refused with; "no error" where it trains.
inline std::string refusal_of(TrainConfig config, const std::string& system) {
    config.augment = {system};
    return error_of([&] { (void)train(config, with_augmentations()); });
}

/// Weights after a short run of `config` with these systems.
inline std::string weights_after(TrainConfig config, const std::vector<std::string>& systems) {
    const TemporaryFolder folder;
    config.run = folder.path() / "run";
    config.augment = systems;
    (void)train(config, with_augmentations());
    return train_testing::slurp(config.run / "weights.safetensors");
}

/// Whole, and interrupted after `steps` and resumed: the same bits.
inline void check_resume_with(TrainConfig config, const std::vector<std::string>& systems, int64_t steps,
                              const AugmentationBuilder& builder = build_augmentation) {
    const TemporaryFolder folder;
    TrainHooks whole;
    whole.make_augmentation = builder;
    config.augment = systems;
    config.run = folder.path() / "whole";
    (void)train(config, whole);
    config.run = folder.path() / "parts";
    const train_testing::StopAfter stop(steps);
    TrainHooks hooks = stop.hooks();
    hooks.make_augmentation = builder;
    CHECK(train(config, hooks).interrupted);
    config.resume = true;
    (void)train(config, whole);
    train_testing::check_same_run(folder.path() / "whole", folder.path() / "parts");
}

}  // namespace backlight::augment_testing
