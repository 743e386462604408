// Systems together: in every pair of different families both act; who cannot be together is refused in one
// line; state of several systems through a resume; what a run leaves behind when a term of the loss is not
// finite.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "autograd/functions.h"
#include "core/io/safetensors.h"
#include "tests/augment/step.h"

using namespace backlight;
using namespace backlight::augment_testing;

namespace {

/// Pictures with masks and decoys, a network with convolutions and a hidden layer: three steps an epoch.
TrainConfig tiny_config() {
    TrainConfig config;
    config.model = "cnn_g(in=3, size=16)";
    config.data = "context16(n=24, n_test=8)";
    config.epochs = 2;
    config.batch_size = 8;
    config.lr = 0.004;
    config.optimizer.name = "adam";
    config.seed = 5;
    return config;
}

/// What a system needs beyond its name to act in a run of two epochs: a layer, no warm-up.
std::string spec_of(const std::string& name) {
    static const std::map<std::string, std::string> specs{{"attention", "layer=features.4"},
                                                          {"explanation_dropout", "layer=features.4"},
                                                          {"excitation_dropout", "layer=features.4"},
                                                          {"random_dropout", "layer=features.4"},
                                                          {"weight_lrp", "warmup=0"},
                                                          {"prune", "fraction=0.2, step=0.2"}};
    const auto found = specs.find(name);
    return found == specs.end() ? name : name + "(" + found->second + ")";
}

/// Names that both systems claim.
std::set<std::string> shared_claims(const std::string& a, const std::string& b) {
    const auto claims_of = [](const std::string& spec) {
        const auto claims = build_augmentation(spec)->claims();
        return std::set<std::string>(claims.begin(), claims.end());
    };
    const std::set<std::string> of_a = claims_of(a), of_b = claims_of(b);
    std::set<std::string> both;
    std::set_intersection(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                          std::inserter(both, both.begin()));
    return both;
}

/// All weights after a run.
std::vector<float> learned(TrainConfig config, const std::vector<std::string>& systems) {
    config.augment = systems;
    const TrainResult run = train(config, with_augmentations());
    CHECK(run.epochs_done == config.epochs);
    CHECK(std::isfinite(run.test.loss));
    std::vector<float> all;
    for (const Parameter& parameter : run.model.net->parameters()) {
        const auto values = parameter.value.data().to_vector<float>();
        all.insert(all.end(), values.begin(), values.end());
    }
    return all;
}

/// What is said against these systems.
std::string failure_of(const TrainConfig& config, const std::vector<std::string>& systems) {
    return error_of([&] { (void)learned(config, systems); });
}

/// Scales gradients by how much gradient it has seen: a state that decides every later step.
class Fatigue final : public Augmentation {
public:
    void change_gradients(TrainingStep& step) override {
        const NoGrad off;
        for (const Parameter& p : step.net().parameters()) {
            seen_ += sum(abs(Variable(p.value.grad()))).item();
            p.value.set_grad((Variable(p.value.grad()) * (1 / (1 + seen_))).data());
        }
        note("seen", seen_);
    }
    [[nodiscard]] std::map<std::string, Tensor> state() const override {
        return {{"seen", Tensor::scalar(seen_, DType::f64)}};
    }
    void restore(const std::map<std::string, Tensor>& state) override {
        if (state.contains("seen")) {
            seen_ = state.at("seen").item();
        }
    }

private:
    double seen_ = 0;
};

/// Draws the mean logits to those of the step before.
class Inertia final : public Augmentation {
public:
    [[nodiscard]] Variable loss_term(TrainingStep& step) override {
        const Variable now = mean(step.logits, {0});
        const Variable term = before_.defined() ? sum(square(now - Variable(before_))) : Variable();
        before_ = now.data().clone();
        return term;
    }
    [[nodiscard]] std::map<std::string, Tensor> state() const override {
        return before_.defined() ? std::map<std::string, Tensor>{{"logits", before_}}
                                 : std::map<std::string, Tensor>{};
    }
    void restore(const std::map<std::string, Tensor>& state) override {
        before_ = state.contains("logits") ? state.at("logits") : Tensor();
    }

private:
    Tensor before_;
};

/// A term without bound from one step on.
class Explodes final : public Augmentation {
public:
    /// `backwards`: the term stays what it was, and its gradient is not a number.
    explicit Explodes(int64_t step, bool backwards = false) : step_(step), backwards_(backwards) {}
    [[nodiscard]] Variable loss_term(TrainingStep& step) override {
        const Variable size = mean(square(step.logits));
        if (step.step < step_) {
            return size * 0.5;
        }
        return backwards_ ? size * 0.5 + sqrt(size * 0.0) : size * std::numeric_limits<double>::infinity();
    }

private:
    int64_t step_;
    bool backwards_;
};

/// Leaves weights that are not numbers behind the fourth step.
class Breaks final : public Augmentation {
public:
    void after_step(TrainingStep& step) override {
        if (step.step == 3) {
            Tensor weight = step.net().parameters()[0].value.data();
            weight.copy_from(Tensor::full(weight.shape(), std::nan("")));
        }
    }
};

AugmentationBuilder with_own(int64_t explodes_at = 1000) {
    return [explodes_at](const std::string& text) -> std::unique_ptr<Augmentation> {
        std::unique_ptr<Augmentation> own;
        if (text == "fatigue") {
            own = std::make_unique<Fatigue>();
        } else if (text == "inertia") {
            own = std::make_unique<Inertia>();
        } else if (text == "explodes") {
            own = std::make_unique<Explodes>(explodes_at);
        } else if (text == "explodes backwards") {
            own = std::make_unique<Explodes>(explodes_at, true);
        } else if (text == "breaks") {
            own = std::make_unique<Breaks>();
        } else {
            return build_augmentation(text);
        }
        own->schedule(text, 0, 1);
        return own;
    };
}

/// The tensors of a run's checkpoint whose names begin so.
std::map<std::string, std::vector<double>> checkpoint_of(const std::filesystem::path& run,
                                                         const std::string& prefix) {
    std::map<std::string, std::vector<double>> found;
    for (const auto& [name, value] : read_safetensors(run / "checkpoint.safetensors").tensors) {
        if (name.starts_with(prefix)) {
            found[name] = value.to(DType::f64).to_vector<double>();
        }
    }
    return found;
}

/// Systems of the registry whose checkpoints hold something of theirs.
std::vector<std::string> stateful_systems() {
    std::vector<std::string> found;
    for (const AugmentationEntry& entry : list_augmentations()) {
        const TemporaryFolder folder;
        TrainConfig config = tiny_config();
        config.run = folder.path() / "run";
        config.augment = {spec_of(entry.name)};
        (void)train(config, with_augmentations());
        if (!checkpoint_of(config.run, "augment.0.state.").empty()) {
            found.push_back(entry.name);
        }
    }
    return found;
}

}  // namespace

TEST_CASE("combinations: every system acts, alone and in every pair of different families, in both orders") {
    const std::vector<AugmentationEntry>& systems = list_augmentations();
    const std::vector<float> plain = learned(tiny_config(), {});
    CHECK(learned(tiny_config(), {}) == plain);
    std::map<std::string, std::vector<float>> alone;
    for (const AugmentationEntry& entry : systems) {
        CAPTURE(entry.name);
        alone[entry.name] = learned(tiny_config(), {spec_of(entry.name)});
        CHECK(alone[entry.name] != plain);
    }
    for (const AugmentationEntry& a : systems) {
        for (const AugmentationEntry& b : systems) {
            if (a.family == b.family) {
                continue;
            }
            CAPTURE(a.name);
            CAPTURE(b.name);
            REQUIRE(shared_claims(spec_of(a.name), spec_of(b.name)).empty());
            const std::vector<float> both = learned(tiny_config(), {spec_of(a.name), spec_of(b.name)});
            CHECK(both != alone.at(a.name));
            CHECK(both != alone.at(b.name));
        }
    }
}

TEST_CASE("combinations: who claims the same is refused in one line, before the first step") {
    const std::string failure = failure_of(tiny_config(), {"cutmix", "mixup"});
    CHECK(contains(failure, "cutmix and mixup both replace the labels of a batch"));
    CHECK(failure.find('\n') == std::string::npos);
    CHECK(contains(failure_of(tiny_config(), {"rrr", "rrr"}), "rrr is given twice"));
    TrainConfig twice = tiny_config();  // both ReLUs of a block are one layer
    twice.model = "resnet18(in=3, width=8, small=true)";
    for (const std::string system :
         {"attention", "explanation_dropout", "excitation_dropout", "random_dropout"}) {
        CAPTURE(system);
        CHECK(contains(failure_of(twice, {system + "(layer=layer1.0.relu)"}),
                       "layer layer1.0.relu is called several times"));
    }
    for (const std::string system : {"rrr(masks=all, ", "penalty("}) {
        CAPTURE(system);
        CHECK(contains(failure_of(twice, {system + "explainer=epsilon, layer=layer1.0.relu:in)"}),
                       "layer layer1.0.relu is called several times"));
    }

    const TemporaryFolder folder;  // masks of one's own are those of the run: nobody else may mean the data's
    for (const char* other : {"rrr", "rrr(masks=shuffled)", "gradient_mask(mask=decoy)"}) {
        const std::string own = "rrr(masks=" + folder.path().string() + ")";
        CHECK(contains(failure_of(tiny_config(), {own, other}),
                       own + " replaces the masks of decoys, which " + other + " reads"));
        CHECK(contains(failure_of(tiny_config(), {other, own}), "which " + std::string(other) + " reads"));
    }
}

TEST_CASE("combinations: a loss that is not finite is not blamed on a term") {
    TrainConfig config = tiny_config();
    config.optimizer.name = "sgd";
    config.lr = 1e30;
    CHECK(contains(failure_of(config, {"rrr"}), "train: the loss is not finite at step 2"));
}

TEST_CASE("combinations: a resumed run with two systems of state has the bits of a whole one") {
    TrainConfig config = tiny_config();
    config.epochs = 3;
    for (const int64_t steps : {2, 3, 5}) {  // within an epoch, at its end
        CAPTURE(steps);
        check_resume_with(config, {"fatigue", "inertia"}, steps, with_own());
    }
    check_resume_with(config, {"inertia", "weight_lrp(on_step=true, warmup=0)", "fatigue"}, 4, with_own());
}

TEST_CASE("combinations: systems of the registry with a state, in pairs, through a resume") {
    const std::vector<std::string> stateful = stateful_systems();
    MESSAGE("systems with a state: ", stateful.size());
    for (size_t i = 0; i < stateful.size(); ++i) {
        const std::string a = spec_of(stateful[i]), b = spec_of(stateful[(i + 1) % stateful.size()]);
        CAPTURE(a);
        CAPTURE(b);
        TrainConfig config = tiny_config();
        config.epochs = 3;
        const bool together = a != b && shared_claims(a, b).empty();
        check_resume_with(config, together ? std::vector{a, b} : std::vector{a}, 4);
    }
}

TEST_CASE("combinations: a term or gradient that is not finite stops the run and leaves the step before") {
    const std::string plain = "cnn_g(in=3, size=16)", with_statistics = "cnn_small(in=3)";
    struct Case {
        std::string model, system, blamed;
    };
    for (const auto& [model, system, blamed] :
         {Case{plain, "explodes", "the term of explodes"},
          Case{with_statistics, "explodes", "the term of explodes"},
          Case{with_statistics, "explodes backwards", "the gradient of 0.weight"}}) {
        CAPTURE(model);
        CAPTURE(system);
        const TemporaryFolder folder;
        TrainConfig config = tiny_config();
        config.model = model;
        config.augment = {"fatigue", system};
        TrainHooks hooks;

        config.run = folder.path() / "fails";
        hooks.make_augmentation = with_own(4);
        const std::string failure = error_of([&] { (void)train(config, hooks); });
        CAPTURE(failure);
        CHECK(contains(failure, blamed + " is not finite at step 5"));
        CHECK(contains(failure, "the step before is saved in"));
        CHECK(failure.find('\n') == std::string::npos);

        config.run = folder.path() / "stops";
        hooks.make_augmentation = with_own();
        config.max_steps = 4;
        (void)train(config, hooks);
        for (const std::string part : {"model.", "optimizer.", "augment."}) {
            CAPTURE(part);
            const auto found = checkpoint_of(folder.path() / "fails", part);
            CHECK(!found.empty());
            CHECK((found == checkpoint_of(folder.path() / "stops", part)));
        }

        // Where the cause is gone the run goes on, with the bits of one that never failed.
        config.max_steps = 0;
        config.run = folder.path() / "fails";
        config.resume = true;
        (void)train(config, hooks);
        config.run = folder.path() / "whole";
        config.resume = false;
        (void)train(config, hooks);
        train_testing::check_same_run(folder.path() / "fails", folder.path() / "whole");
    }
}

TEST_CASE("combinations: weights that are not finite do not replace a checkpoint that can be loaded") {
    const TemporaryFolder folder;
    TrainConfig config = tiny_config();
    config.run = folder.path() / "run";
    config.augment = {"breaks"};  // the weights in the first step of the second epoch
    TrainHooks hooks;
    hooks.make_augmentation = with_own();
    const std::string failure = error_of([&] { (void)train(config, hooks); });
    CHECK(contains(failure, "the loss is not finite at step 5"));
    CHECK_FALSE(contains(failure, "is saved"));
    config.epochs = 1;
    config.resume = true;
    CHECK(train(config, hooks).epochs_done == 1);
}
