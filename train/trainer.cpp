#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "autograd/functions.h"
#include "autograd/grad.h"
#include "autograd/precision.h"
#include "core/error.h"
#include "core/io/file.h"
#include "core/io/safetensors.h"
#include "core/random.h"
#include "datasets/loader.h"
#include "datasets/sampler.h"
#include "layers/layers.h"
#include "layers/state.h"
#include "train/augmentations.h"
#include "train/checkpoint.h"
#include "train/loss.h"
#include "train/metrics_log.h"
#include "train/schedule.h"
#include "train/skipped_list.h"
#include "train/weight_average.h"

namespace backlight {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

bool is_finite(const Tensor& x) {
    const NoGrad off;
    return amin(Variable(mask(UnaryOp::is_finite, x))).item() != 0;
}

/// The first parameter whose gradient is not finite. A sum over what is finite may overflow, but one over
/// what is not is never finite: almost always one pass that only reads.
const Parameter* without_finite_gradient(const std::vector<Parameter>& parameters) {
    const NoGrad off;
    for (const Parameter& parameter : parameters) {
        const Tensor& gradient = parameter.value.grad();
        if (gradient.defined() && !std::isfinite(sum(Variable(gradient)).item()) && !is_finite(gradient)) {
            return &parameter;
        }
    }
    return nullptr;
}

/// What a sum is divided by: where nothing counts it is 0, and stays so.
double or_one(double weight) { return weight > 0 ? weight : 1.0; }

class Trainer {
public:
    Trainer(const TrainConfig& config, const TrainHooks& hooks)
        : config_(config), hooks_(hooks), average_(config.ema) {
        if (config.on_corrupt == "skip") {
            corrupt_ = std::make_shared<CorruptSamples>();
        }
    }

    TrainResult run() {
        check_config(config_);
        make_systems();
        prepare_data();
        prepare_model();
        const SamplerPtr sampler = make_sampler(config_.sampler, *train_set_, config_.mini_epoch);
        const int64_t batch_size = std::min(config_.batch_size, sampler->length());
        Loader loader(train_set_, {.batch_size = batch_size,
                                   .join_single = true,
                                   .workers = config_.workers,
                                   .seed = config_.seed,
                                   .sampler = sampler,
                                   .on_corrupt = corrupt_ ? OnCorrupt::replace : OnCorrupt::stop,
                                   .corrupt = corrupt_});
        schedule_ = make_schedule({.spec = config_.schedule,
                                   .warmup_steps = config_.warmup_steps,
                                   .steps_per_epoch = steps_of(loader.batches_per_epoch()),
                                   .total_steps = steps_of(loader.batches_per_epoch()) * config_.epochs});
        describe_run(loader);
        start_or_resume();
        for (const auto& system : systems_) {
            system->begin(run_);
            BACKLIGHT_CHECK(
                !config_.recompute || system->feature_layers().empty(), "recompute: ", system->spec(),
                " changes features, and a segment that runs again does not; train without recompute");
        }
        if (state_.batch == 0) {
            ask_for_shares();
        }
        seek(loader, sampler->length());
        if (!config_.run.empty() && !config_.resume) {  // nothing is wrong: from here on the run is this one
            forget_old_run();
        }
        MetricsLog log(in_run("metrics.jsonl"), state_.metrics_bytes);
        log_ = &log;
        if (hooks_.begin) {
            hooks_.begin();
        }
        result_.stopped_early = no_longer_better();
        while (state_.epoch < config_.epochs && !result_.interrupted && !result_.stopped_early &&
               (!at_last_step() || state_.batch == loader.batches_per_epoch())) {
            train_epoch(loader);
            if (state_.batch == 0 && state_.epoch < config_.epochs) {
                ask_for_shares();
                seek(loader, sampler->length());
            }
        }
        if (at_last_step() && state_.batch > 0 && !result_.interrupted) {
            save();  // in the middle of an epoch; what follows in the log is dropped by a resume
            (void)record_epoch(loader);
        }
        finish();
        return std::move(result_);
    }

private:
    [[nodiscard]] std::filesystem::path in_run(const char* file) const {
        return config_.run.empty() ? std::filesystem::path() : config_.run / file;
    }

    /// Steps that so many batches of an epoch make; the last may have fewer.
    [[nodiscard]] int64_t steps_of(int64_t batches) const {
        return batches / config_.accumulate + (batches % config_.accumulate != 0 ? 1 : 0);
    }

    void prepare_data() {
        result_.data = load_data(config_.data);
        for (const std::string& text : result_.data->notes) {
            note(text);
        }
        train_set_ = result_.data->train;
        for (const auto& system : systems_) {
            train_set_ = system->change_data(train_set_);
        }
        if (config_.validation > 0) {  // the same samples for every epoch and every resume
            auto order = RandomStream(RandomKey{.seed = config_.seed, .purpose = purpose::kDataset})
                             .permutation(train_set_->size());
            const auto held =
                static_cast<int64_t>(std::llround(config_.validation * static_cast<double>(order.size())));
            BACKLIGHT_CHECK(held >= 1 && held < train_set_->size(), "train: validation=", config_.validation,
                            " leaves no samples on one side of ", train_set_->size());
            validation_set_ = subset(train_set_, {order.begin(), order.begin() + held});
            train_set_ = subset(train_set_, {order.begin() + held, order.end()});
        }
        BACKLIGHT_CHECK(train_set_->size() > 0, "train: ", config_.data, " has no training samples");
        BACKLIGHT_CHECK(config_.top_k == 0 || !train_set_->is_multi_label(),
                        "train: top-k accuracy needs one label a sample, the data is multi-label");
        test_set_ = config_.ten_crop ? ten_crops(result_.data->test) : result_.data->test;
    }

    void prepare_model() {
        const int64_t classes = config_.classes > 0 ? config_.classes : train_set_->num_classes();
        BACKLIGHT_CHECK(classes >= train_set_->num_classes(), "train: the data has ",
                        train_set_->num_classes(), " classes, the model ", classes);
        result_.model = config_.weights.empty() ? build_model(config_.model, classes, config_.seed)
                                                : build_network(config_.model, classes);
        Shape sample{1};
        for (const int64_t extent : train_set_->sample_shape()) {
            sample.push_back(extent);
        }
        result_.model.check_input(sample);
        BACKLIGHT_CHECK(!train_set_->is_multi_label() || result_.model.classes == train_set_->num_classes(),
                        "train: multi-label data of ", train_set_->num_classes(),
                        " classes needs as many outputs, the model has ", result_.model.classes);
        class_weights_ = class_weights(config_.class_weights, *train_set_, result_.model.classes);
        BACKLIGHT_CHECK(config_.top_k <= result_.model.classes,
                        "train: expected top-k <= ", result_.model.classes, ", got ", config_.top_k);
        if (!config_.weights.empty()) {
            SafetensorsFile file = read_safetensors(config_.weights);
            file.tensors = from_timm(std::move(file.tensors));
            adopt_pruning(result_.model, file.tensors, file.metadata);
            const std::string left =
                load_body(result_.model, std::move(file.tensors), config_.weights, config_.seed);
            if (!left.empty()) {
                note(left);
            }
        }
        BACKLIGHT_CHECK(!config_.recompute || result_.model.net->set_recompute(true) > 0, "recompute: model ",
                        result_.model.spec, " has no segments to run again");
        for (const std::string& pattern : config_.freeze) {
            BACKLIGHT_CHECK(result_.model.net->freeze(pattern) > 0, "freeze: no parameter matches \"",
                            pattern, "\"");
        }
        for (const Parameter& parameter : result_.model.net->parameters()) {
            if (parameter.value.requires_grad()) {
                parameters_.push_back(parameter);
            }
        }
        BACKLIGHT_CHECK(!parameters_.empty(), "freeze: no parameter is left to train");
        optimizer_ = make_optimizer(config_.optimizer, parameters_);
    }

    void make_systems() {
        BACKLIGHT_CHECK(config_.augment.empty() || hooks_.make_augmentation,
                        "train: no augmentations are at hand");
        for (const std::string& text : config_.augment) {
            systems_.push_back(hooks_.make_augmentation(text));
        }
        std::map<std::string, std::string> taken;
        if (config_.sampler != "uniform") {
            taken["the samples of an epoch"] = "--sampler " + config_.sampler;
        }
        if (!config_.class_weights.empty()) {
            taken["the weights of classes"] = "--class-weights " + config_.class_weights;
        }
        check_claims(systems_, taken);
        for (const auto& system : systems_) {
            if (system->start_epoch() >= config_.epochs) {
                note(concat_text(system->spec(), " never acts: the run has ", config_.epochs,
                                 config_.epochs == 1 ? " epoch" : " epochs"));
            }
        }
    }

    void describe_run(const Loader& loader) {
        run_ = {.model = &result_.model,
                .data = train_set_,
                .batch_size = std::min(config_.batch_size, loader.options().batch_size),
                .steps_per_epoch = steps_of(loader.batches_per_epoch()),
                .epochs = config_.epochs,
                .seed = config_.seed,
                .optimizer = optimizer_.get(),
                .averages = config_.ema > 0};
    }

    /// The distribution of the epoch that begins, if a system that acts in it has one. A checkpoint of the
    /// end of an epoch is from before this.
    void ask_for_shares() {
        state_.class_shares.clear();
        for (const auto& system : systems_) {
            if (!system->is_active(state_.epoch, 0)) {
                continue;
            }
            if (const auto shares = system->class_shares(run_, state_.epoch)) {
                state_.class_shares = *shares;
            }
        }
    }

    void seek(Loader& loader, int64_t length) {
        if (state_.class_shares.empty()) {
            loader.seek({state_.epoch, state_.batch});
            return;
        }
        const SamplerPtr drawn = class_sampler(*train_set_, state_.class_shares, length);
        loader.seek({state_.epoch, state_.batch}, drawn->order(config_.seed, state_.epoch));
    }

    [[nodiscard]] std::vector<Augmentation*> active_systems() const {
        std::vector<Augmentation*> active;
        for (const auto& system : systems_) {
            if (system->is_active(state_.epoch, state_.step)) {
                active.push_back(system.get());
            }
        }
        return active;
    }

    void start_or_resume() {
        state_.identity = identity_of(config_, result_.model.spec);
        const auto path = in_run("checkpoint.safetensors");
        BACKLIGHT_CHECK(
            config_.run.empty() || config_.resume || config_.overwrite || !std::filesystem::exists(path),
            "train: ", config_.run.string(),
            " already holds a run; --resume continues it, --overwrite begins anew");
        if (!config_.run.empty()) {
            std::error_code failed;
            std::filesystem::create_directories(config_.run, failed);
            if (failed) {
                throw SystemError(concat_text(config_.run.string(), ": cannot be made: ", failed.message()));
            }
        }
        if (config_.resume && std::filesystem::exists(path)) {
            const std::string identity = state_.identity;
            state_ = load_checkpoint(path, *result_.model.net, *optimizer_, identity);
            average_.restore(*result_.model.net, state_.average);
            ConvTuning::restore(state_.tuning);
            restore(systems_, state_.systems);
            skipped_.read(in_run("skipped.txt"));
            note(concat_text("resumed at epoch ", state_.epoch + 1, ", step ", state_.step));
            if (state_.threads != 0 && state_.threads != threads()) {
                note(concat_text("the run had ", state_.threads, " threads, this has ", threads(),
                                 ": the results will differ in the last digits"));
            }
        } else if (config_.resume) {
            note("nothing to resume: starting anew");
        }
        ConvTuning::enable(config_.tune);
    }

    /// A crash before the first checkpoint must not bring the old run, or a part of it, back.
    void forget_old_run() {
        for (const char* old :
             {"checkpoint.safetensors", "weights.safetensors", "weights_ema.safetensors", "metrics.jsonl",
              "report.html", "skipped.txt", "tuning.txt", "explanations"}) {
            std::error_code failed;
            std::filesystem::remove_all(in_run(old), failed);
            if (failed) {
                throw SystemError(
                    concat_text(in_run(old).string(), ": cannot be removed: ", failed.message()));
            }
        }
    }

    void train_epoch(Loader& loader) {
        const Clock::time_point start = Clock::now();
        int64_t images = 0;
        if (state_.batch == 0) {
            state_.epoch_loss = 0;
        }
        while (state_.batch < loader.batches_per_epoch() && !at_last_step()) {
            const double lr = config_.lr * schedule_(state_.step);
            const int64_t trained = train_step(loader, lr);
            ++state_.step;
            images += trained;
            TrainProgress now =
                progress(loader, state_.epoch_loss / static_cast<double>(steps_of(state_.batch)), lr,
                         static_cast<double>(images) / seconds_since(start));
            now.images = trained;
            if (hooks_.step) {
                hooks_.step(now);
            }
            const bool stop = hooks_.stop != nullptr && hooks_.stop->load();
            const bool due = config_.checkpoint_every > 0 && state_.step % config_.checkpoint_every == 0;
            if ((stop || due) && state_.batch < loader.batches_per_epoch()) {
                save();
            }
            if (stop && state_.batch < loader.batches_per_epoch()) {
                result_.interrupted = true;
                return;
            }
        }
        epoch_seconds_ = seconds_since(start);
        epoch_images_ = images;
        if (state_.batch == loader.batches_per_epoch()) {
            (void)loader.next();  // nothing: the end of the epoch
            end_epoch(loader);
        }
    }

    [[nodiscard]] bool at_last_step() const {
        return config_.max_steps > 0 && state_.step >= config_.max_steps;
    }

    [[nodiscard]] bool no_longer_better() const {
        return config_.early_stop > 0 && state_.epoch - state_.best_epoch >= config_.early_stop;
    }

    /// One step with the next batches of the epoch: along the gradient of the mean over all their samples.
    /// Returns how many samples they have.
    int64_t train_step(Loader& loader, double lr) {
        Module& net = *result_.model.net;
        net.train();
        net.zero_grad();
        RandomContext::current().begin_step(config_.seed, static_cast<uint64_t>(state_.step));
        const int64_t batches = std::min(config_.accumulate, loader.batches_per_epoch() - state_.batch);
        int64_t trained = 0;
        double value = 0, total = 0;
        batch_begin_ = state_.batch;
        step_begin_ = StepBegin(net, systems_);
        const std::vector<Augmentation*> active = active_systems();
        for (int64_t i = 0; i < batches; ++i) {
            Batch batch = next_batch(loader);
            trained += batch.size();
            ++state_.batch;
            const PrecisionScope scope(config_.precision == "bf16" ? DType::bf16 : DType::f32);
            TrainingStep step{.run = run_, .batch = batch, .step = state_.step, .epoch = state_.epoch};
            const SummedLoss loss = active.empty() ? plain_loss(batch) : augmented_loss(active, step);
            value += loss.sum.item();
            total += loss.weight;
            check_finite(value, "the loss");
            backward(batches > 1 ? loss.sum : loss.sum / or_one(loss.weight));
            if (i + 1 == batches) {
                finish_gradients(active, step, batches, or_one(total));
                optimizer_->step(lr);
                for (Augmentation* system : active) {
                    system->after_step(step);
                }
            }
        }
        total = or_one(total);
        if (config_.ema > 0) {
            average_.update(net);
        }
        state_.epoch_loss += value / total;
        return trained;
    }

    [[nodiscard]] SummedLoss plain_loss(const Batch& batch) {
        return loss_of((*result_.model.net)(Variable(batch.input)), batch, config_.label_smoothing,
                       class_weights_);
    }

    /// The hooks around the forward pass. Terms count as means over the batch.
    [[nodiscard]] SummedLoss augmented_loss(const std::vector<Augmentation*>& active, TrainingStep& step) {
        for (Augmentation* system : active) {
            system->change_batch(step);
        }
        for (Augmentation* system : active) {
            system->before_forward(step);
        }
        const auto any = [&](bool (Augmentation::*asks)() const) {
            return std::any_of(active.begin(), active.end(),
                               [&](const Augmentation* a) { return (a->*asks)(); });
        };
        step.input = any(&Augmentation::reads_input_gradient) ? Variable::leaf(step.batch.input)
                                                              : Variable(step.batch.input);
        Recording::Layers layers;
        {
            const FeatureHooks features(active, step);
            if (any(&Augmentation::reads_layers)) {
                const Recording recording;
                step.logits = step.net()(step.input);
                layers = recording.layers();
                step.layers = &layers;
            } else {
                step.logits = step.net()(step.input);
            }
        }
        SummedLoss loss = loss_of(step.logits, step.batch, config_.label_smoothing, class_weights_);
        check_finite(loss.sum.item(), "the loss");  // before a term is blamed for it
        for (Augmentation* system : active) {
            const Variable term = system->loss_term(step);
            if (term.defined()) {
                check_finite(term.item(), "the term of " + system->spec());
                loss.sum = loss.sum + term * or_one(loss.weight);
            }
        }
        step.layers = nullptr;
        return loss;
    }

    void finish_gradients(const std::vector<Augmentation*>& active, TrainingStep& step, int64_t batches,
                          double total) {
        if (batches > 1) {
            scale_gradients(parameters_, 1.0 / total);
        }
        // Before a system sees them: what it keeps is of the step before still.
        if (const Parameter* found = without_finite_gradient(parameters_)) {
            end_not_finite("the gradient of " + found->name);
        }
        for (Augmentation* system : active) {
            system->change_gradients(step);
        }
        if (config_.clip_norm > 0) {
            clip_gradients(parameters_, config_.clip_norm);
        }
    }

    /// The weights are still those of the step before: with the rest brought back, so is the state.
    void undo_step() {
        state_.batch = batch_begin_;
        step_begin_.bring_back(*result_.model.net, systems_);
    }

    /// Saves the state for a run that ends by an error; returns what its text says of that. Weights that no
    /// one could load are not saved.
    [[nodiscard]] std::string save_at_error(const std::string& what) {
        if (config_.run.empty() || state_.step == 0) {
            return "";
        }
        const auto finite = [](const Tensor& x) { return !is_floating(x.dtype()) || is_finite(x); };
        const auto buffers = result_.model.net->buffers();
        try {
            if (!std::all_of(parameters_.begin(), parameters_.end(),
                             [&](const Parameter& p) { return finite(p.value.data()); }) ||
                !std::all_of(buffers.begin(), buffers.end(),
                             [&](const Buffer& b) { return finite(*b.value); })) {
                return "";
            }
            save();
        } catch (const std::exception& failed) {  // the error that ends the run is the one to tell
            return concat_text("; ", what, " cannot be saved: ", failed.what());
        }
        return concat_text("; ", what, " is saved in ", config_.run.string());
    }

    /// In a handler: saves the state, and throws what was caught again.
    [[noreturn]] void save_and_rethrow(const std::string& what) {
        const std::string saved = save_at_error(what);
        try {
            throw;
        } catch (const CorruptSample& error) {
            throw CorruptSample(error.what() + saved);
        } catch (const Error& error) {
            throw Error(error.what() + saved);
        } catch (const SystemError& error) {
            throw SystemError(error.what() + saved);
        }
    }

    /// A picture that cannot be read, or a disk that fails, costs no step that was done.
    [[nodiscard]] Batch next_batch(Loader& loader) {
        try {
            std::optional<Batch> batch = loader.next();
            BACKLIGHT_CHECK(batch.has_value(), "train: the epoch ended early");
            return std::move(*batch);
        } catch (...) {
            undo_step();
            save_and_rethrow("the step before");
        }
    }

    void check_finite(double value, const std::string& what) {
        if (!std::isfinite(value)) {
            end_not_finite(what);
        }
    }

    [[noreturn]] void end_not_finite(const std::string& what) {
        undo_step();
        throw_error(concat_text("train: ", what, " is not finite at step ", state_.step + 1,
                                "; a smaller lr or clip-norm may help", save_at_error("the step before")));
    }

    /// Of the test set, or of what is held out; of the averaged weights too where there are some. When a
    /// sample cannot be read, the steps of the epoch are saved: a resume begins with this. Weights whose loss
    /// is not finite do not replace a checkpoint that may be better.
    [[nodiscard]] std::pair<Evaluation, std::optional<Evaluation>> measure_epoch() {
        const Dataset& measured = validation_set_ ? *validation_set_ : *test_set_;
        try {
            std::pair<Evaluation, std::optional<Evaluation>> both{measure(measured), std::nullopt};
            if (config_.ema > 0) {
                average_.with(*result_.model.net, [&] { both.second = measure(measured); });
            }
            return both;
        } catch (...) {
            save_and_rethrow(concat_text("step ", state_.step));
        }
    }

    /// Writes the line of the epoch so far.
    Evaluation record_epoch(const Loader& loader) {
        const auto steps = static_cast<double>(std::max<int64_t>(steps_of(state_.batch), 1));
        const auto [evaluation, averaged] = measure_epoch();
        BACKLIGHT_CHECK(std::isfinite(evaluation.loss), "train: the ", validation_set_ ? "held-out" : "test",
                        " loss is not finite after epoch ", state_.epoch + 1,
                        "; a smaller lr or clip-norm may help");
        nlohmann::json line = {
            {"epoch", state_.epoch + 1},
            {"step", state_.step},
            {"lr", config_.lr * schedule_(std::max<int64_t>(state_.step - 1, 0))},
            {"train_loss", finite_or_null(state_.epoch_loss / steps)},
            {validation_set_ ? "validation" : "test", to_json(evaluation)},
            {"seconds", epoch_seconds_},
            {"images_per_second", static_cast<double>(epoch_images_) / std::max(epoch_seconds_, 1e-9)}};
        if (averaged) {
            line[validation_set_ ? "validation_ema" : "test_ema"] = to_json(*averaged);
        }
        TrainProgress now =
            progress(loader, state_.epoch_loss / steps, line["lr"], line["images_per_second"]);
        for (const auto& system : systems_) {
            for (const auto& [name, mean] : now.augment[system->spec()] = system->take_metrics()) {
                line["augment"][system->spec()][name] = finite_or_null(mean);
            }
        }
        log_->write(line.dump());
        if (!validation_set_) {
            last_test_ = {state_.step, evaluation, averaged};
        }
        if (hooks_.step && epoch_images_ == 0) {  // resumed behind the last step of the epoch
            hooks_.step(now);
        }
        if (hooks_.epoch) {
            hooks_.epoch(now, evaluation);
        }
        return evaluation;
    }

    void end_epoch(const Loader& loader) {
        const Evaluation evaluation = record_epoch(loader);
        for (const auto& system : systems_) {
            system->end_epoch(run_, state_.epoch);
        }
        ++state_.epoch;
        state_.batch = 0;
        if (validation_set_ && evaluation.loss < state_.best_loss) {
            state_.best_loss = evaluation.loss;
            state_.best_epoch = state_.epoch;
        }
        result_.stopped_early = no_longer_better();
        save();
        result_.interrupted = hooks_.stop != nullptr && hooks_.stop->load() && state_.epoch < config_.epochs;
    }

    void save() {
        if (config_.run.empty()) {
            return;
        }
        state_.metrics_bytes = log_->bytes();
        state_.tuning = ConvTuning::record();
        state_.threads = threads();
        state_.average = average_.state();
        state_.systems = state_of(systems_);
        if (!state_.tuning.empty()) {
            write_file_atomically(in_run("tuning.txt"), state_.tuning);
        }
        write_skipped();
        save_checkpoint(in_run("checkpoint.safetensors"), *result_.model.net, *optimizer_, state_);
    }

    void finish() {
        result_.epochs_done = state_.epoch;
        result_.steps = state_.step;
        for (const auto& system : systems_) {
            if (!result_.interrupted && system->finish(run_)) {
                last_test_.step = -1;
            }
        }
        save_weights("weights.safetensors");
        const bool is_known = last_test_.step == state_.step;  // these weights were measured
        if (!result_.interrupted) {
            result_.test = is_known ? last_test_.plain : measure(*test_set_);
        }
        if (config_.ema > 0) {
            average_.with(*result_.model.net, [&] {
                save_weights("weights_ema.safetensors");
                if (!result_.interrupted) {
                    result_.test_ema = is_known ? last_test_.averaged : measure(*test_set_);
                }
            });
        }
        write_skipped();
        if (corrupt_ && corrupt_->count() > 0) {
            result_.skipped = corrupt_->summary();
            if (!config_.run.empty()) {
                result_.skipped += "; all are listed in " + in_run("skipped.txt").string();
            }
        }
    }

    void write_skipped() {
        if (corrupt_ && !config_.run.empty()) {
            skipped_.write(in_run("skipped.txt"), *corrupt_);
        }
    }

    /// Of large pictures no more at once than a batch of the training has: the evaluation shall not be what
    /// needs most memory.
    Evaluation measure(const Dataset& data) {
        const AsTested tested(systems_, run_);
        const int64_t usual = default_batch(data.sample_shape());
        const bool large = usual < default_batch({});
        return evaluate(*result_.model.net, data,
                        large ? std::min(usual * data.views(), config_.batch_size) : 0, config_.top_k,
                        corrupt_);
    }

    void save_weights(const char* file) {
        if (!config_.run.empty()) {
            const AsTested tested(systems_, run_);
            write_safetensors(in_run(file), state_dict(*result_.model.net),
                              weight_metadata(result_.model, *result_.data));
        }
    }

    [[nodiscard]] TrainProgress progress(const Loader& loader, double loss, double lr, double rate) const {
        return {.epoch = state_.epoch + 1,
                .epochs = config_.epochs,
                .step_in_epoch = steps_of(state_.batch),
                .steps_per_epoch = steps_of(loader.batches_per_epoch()),
                .loss = loss,
                .lr = lr,
                .images_per_second = rate};
    }

    void note(const std::string& text) const {
        if (hooks_.note) {
            hooks_.note(text);
        }
    }

    const TrainConfig& config_;
    const TrainHooks& hooks_;
    TrainResult result_;
    std::shared_ptr<Dataset> train_set_, validation_set_, test_set_;
    std::unique_ptr<Optimizer> optimizer_;
    std::vector<Parameter> parameters_;  // those that are trained
    Tensor class_weights_;
    std::shared_ptr<CorruptSamples> corrupt_;  // null: they stop the run
    std::function<double(int64_t)> schedule_;
    TrainState state_;
    struct {
        int64_t step = -1;
        Evaluation plain;
        std::optional<Evaluation> averaged;
    } last_test_;               // the last that the log has of the test set
    double epoch_seconds_ = 0;  // of this process in the epoch
    int64_t epoch_images_ = 0;
    WeightAverage average_;
    Augmentations systems_;
    TrainingRun run_;
    int64_t batch_begin_ = 0;  // of the epoch, where the step began
    StepBegin step_begin_;
    SkippedList skipped_;
    MetricsLog* log_ = nullptr;
};

}  // namespace

TrainResult train(const TrainConfig& config, const TrainHooks& hooks) { return Trainer(config, hooks).run(); }

}  // namespace backlight
