// Augmentation: a system that changes training, by hooks named after the components of the loop (Weber et
// al., "Beyond explaining", 2022, Eq. 4 to 9): data, features, loss, gradients, model. The loop knows the
// hooks and nothing of the systems.
#pragma once

#include <any>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "autograd/recording.h"
#include "datasets/dataset.h"
#include "models/model.h"

namespace backlight {

class Optimizer;

/// What a system may read of a run before its first step.
struct TrainingRun {
    Model* model = nullptr;
    std::shared_ptr<const Dataset> data;  // the training set, without what is held out
    int64_t batch_size = 0, steps_per_epoch = 0, epochs = 0;
    uint64_t seed = 0;
    Optimizer* optimizer = nullptr;  // its state tensors, for who changes weights behind its back
    bool averages = false;           // averaged weights are kept beside (--ema)
    /// Some samples of `data`, drawn by the first explainer that compares with them.
    std::shared_ptr<Tensor> background = std::make_shared<Tensor>();
};

/// One step as the hooks see it; with --accumulate, one batch of it.
struct TrainingStep {
    const TrainingRun& run;
    Batch& batch;
    int64_t step = 0, epoch = 0;  // from 0
    Variable input{};             // of the forward pass: a leaf where a system `reads_input_gradient`
    Variable logits{};            // once there was a forward pass
    const Recording::Layers* layers = nullptr;  // where a system `reads_layers`
    /// What several systems need is computed once: by the name of what it is.
    std::map<std::string, std::any> shared{};

    [[nodiscard]] Module& net() const { return *run.model->net; }
};

class Augmentation {
public:
    virtual ~Augmentation() = default;
    /// The text that builds it again: "rrr(lambda=10)".
    [[nodiscard]] const std::string& spec() const { return spec_; }
    [[nodiscard]] std::string name() const { return spec_.substr(0, spec_.find('(')); }
    /// Whether its hooks are called in this step: from epoch `start_epoch` on, every `every`-th step.
    [[nodiscard]] bool is_active(int64_t epoch, int64_t step) const {
        return epoch >= start_epoch_ && step % every_ == 0;
    }
    [[nodiscard]] int64_t every() const { return every_; }
    /// Set by who builds it.
    void schedule(std::string spec, int64_t start_epoch, int64_t every) {
        spec_ = std::move(spec);
        start_epoch_ = start_epoch;
        every_ = every;
    }

    /// What only one system of a run may do: "the samples of an epoch", "the samples of a batch".
    [[nodiscard]] virtual std::vector<std::string> claims() const { return {}; }
    /// What it reads and another one's claim would change.
    [[nodiscard]] virtual std::vector<std::string> relies_on() const { return {}; }
    [[nodiscard]] int64_t start_epoch() const { return start_epoch_; }
    /// What the forward pass must keep for it.
    [[nodiscard]] virtual bool reads_input_gradient() const { return false; }
    [[nodiscard]] virtual bool reads_layers() const { return false; }

    /// The training set that the run shall have instead, with other masks or more samples. Called first.
    [[nodiscard]] virtual std::shared_ptr<Dataset> change_data(std::shared_ptr<Dataset> data) { return data; }
    /// Once, before the first step and after a restore. Throws Error when the system does not fit model or
    /// data.
    virtual void begin(const TrainingRun& /*run*/) {}
    /// The share of each class in the samples of the next epoch, drawn with replacement; nothing: as the
    /// sampler has it.
    [[nodiscard]] virtual std::optional<std::vector<double>> class_shares(const TrainingRun& /*run*/,
                                                                          int64_t /*epoch*/) {
        return std::nullopt;
    }
    /// Data: changes the batch before the forward pass.
    virtual void change_batch(TrainingStep& /*step*/) {}
    /// The batch is as the forward pass will see it. What a feature hook needs of explanations is computed
    /// here.
    virtual void before_forward(TrainingStep& /*step*/) {}
    /// Features: layers whose output it changes, and the change.
    [[nodiscard]] virtual std::vector<std::string> feature_layers() const { return {}; }
    [[nodiscard]] virtual Variable change_features(TrainingStep& /*step*/, const std::string& /*layer*/,
                                                   const Variable& features) {
        return features;
    }
    /// Loss: a term that is added to the mean loss of the batch; undefined: none.
    [[nodiscard]] virtual Variable loss_term(TrainingStep& /*step*/) { return {}; }
    /// Gradients: changes those of the parameters before they are clipped and used.
    virtual void change_gradients(TrainingStep& /*step*/) {}
    /// After the optimiser's update.
    virtual void after_step(TrainingStep& /*step*/) {}
    virtual void end_epoch(const TrainingRun& /*run*/, int64_t /*epoch*/) {}
    /// Around each test: what only training has is taken out of the network, and put back.
    virtual void begin_test(const TrainingRun& /*run*/) {}
    virtual void end_test(const TrainingRun& /*run*/) {}
    /// Model: after the last step, before the final evaluation and before weights are written. Returns
    /// whether the model now answers otherwise, and is to be measured again.
    virtual bool finish(const TrainingRun& /*run*/) { return false; }

    /// What a resume must bring back.
    [[nodiscard]] virtual std::map<std::string, Tensor> state() const { return {}; }
    virtual void restore(const std::map<std::string, Tensor>& /*state*/) {}
    /// Means over the epoch so far, for its line in metrics.jsonl; cleared by the call.
    [[nodiscard]] std::map<std::string, double> take_metrics();
    /// Their sums, for a checkpoint in the middle of an epoch: (2) f64, sum and count.
    [[nodiscard]] std::map<std::string, Tensor> metrics_state() const;
    void restore_metrics(const std::map<std::string, Tensor>& state);

protected:
    void note(const std::string& name, double value);

private:
    std::string spec_;
    int64_t start_epoch_ = 0, every_ = 1;
    std::map<std::string, std::pair<double, int64_t>> metrics_;
};

using Augmentations = std::vector<std::unique_ptr<Augmentation>>;

}  // namespace backlight
