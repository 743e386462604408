// Pruning while training: units are set to 0 before chosen epochs and held there while the rest is trained
// on; after the last step they are cut out, so that weights.safetensors holds a smaller network. Source: Yeom
// et al., "Pruning by explaining: a novel criterion for deep neural network pruning", Pattern Recognition
// 115, 2021, section 3.
#include "augment/model/prune.h"

#include <chrono>

#include "augment/registry.h"
#include "core/error.h"
#include "train/optimizer.h"

namespace backlight {
namespace {

class Prune final : public Augmentation {
public:
    Prune(const PruneSchedule& schedule, std::function<void(const Pruner&, double)> watch)
        : schedule_(schedule), watch_(std::move(watch)) {}

    [[nodiscard]] std::vector<std::string> claims() const override { return {"the size of the network"}; }

    void begin(const TrainingRun& run) override {
        BACKLIGHT_CHECK(is_active(0, 1),
                        "prune: acts in every step, first=N says after how many epochs it begins and "
                        "every_epochs=N how often it removes; start_epoch and every are not for it");
        BACKLIGHT_CHECK(!run.averages, "prune: averaged weights (ema) would bring back what was removed");
        schedule_.pruning.seed = run.seed;
        pruner_ = std::make_unique<Pruner>(*run.model, run.data, schedule_.pruning);
        if (!restored_.empty()) {
            pruner_->restore(restored_, steps_restored_);
        }
        const int64_t last = schedule_.first + (pruner_->steps() - 1) * schedule_.every_epochs;
        BACKLIGHT_CHECK(pruner_->steps() == 0 || last <= run.epochs, "prune: ", pruner_->steps(),
                        " removals, the first after ", schedule_.first, " epochs and one every ",
                        schedule_.every_epochs, ", need at least ", last, " epochs, the run has ",
                        run.epochs);
    }

    void before_forward(TrainingStep& step) override { remove_due(step.run, step.epoch); }

    void change_gradients(TrainingStep& /*step*/) override { pruner_->hold_gradients(); }

    void after_step(TrainingStep& /*step*/) override {
        pruner_->hold_weights();
        const auto share =
            static_cast<double>(pruner_->removed()) / static_cast<double>(pruner_->units().count());
        note("removed", share);
    }

    void end_epoch(const TrainingRun& /*run*/, int64_t epoch) override { epochs_done_ = epoch + 1; }

    bool finish(const TrainingRun& run) override {
        if (epochs_done_ == run.epochs) {  // a run that was stopped early ends with what it has
            remove_due(run, run.epochs);
        }
        if (pruner_->removed() == 0) {
            return false;
        }
        pruner_->finish();
        return true;
    }

    [[nodiscard]] std::map<std::string, Tensor> state() const override {
        std::map<std::string, Tensor> state{
            {"steps", Tensor::scalar(static_cast<double>(pruner_->steps_done()), DType::i64)},
            {"epochs", Tensor::scalar(static_cast<double>(epochs_done_), DType::i64)}};
        for (size_t i = 0; i < pruner_->living().size(); ++i) {
            const std::vector<uint8_t>& row = pruner_->living()[i];
            state[key_of(i)] = Tensor::from(row, {static_cast<int64_t>(row.size())});
        }
        return state;
    }
    void restore(const std::map<std::string, Tensor>& state) override {
        steps_restored_ = static_cast<int64_t>(state.at("steps").item());
        epochs_done_ = static_cast<int64_t>(state.at("epochs").item());
        for (auto row = state.find(key_of(0)); row != state.end();
             row = state.find(key_of(restored_.size()))) {
            restored_.push_back(row->second.to_vector<uint8_t>());
        }
    }

private:
    static std::string key_of(size_t layer) { return "living." + std::to_string(layer); }

    /// The removals that come before epoch `epoch`, where they were not done yet.
    void remove_due(const TrainingRun& run, int64_t epoch) {
        while (!pruner_->is_done() &&
               epoch >= schedule_.first + pruner_->steps_done() * schedule_.every_epochs) {
            const auto begin = std::chrono::steady_clock::now();
            pruner_->remove_next();
            if (run.optimizer != nullptr) {
                pruner_->clear_optimizer(*run.optimizer);
            }
            if (watch_) {
                watch_(*pruner_,
                       std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
            }
        }
    }

    PruneSchedule schedule_;
    std::function<void(const Pruner&, double)> watch_;
    std::unique_ptr<Pruner> pruner_;
    LivingUnits restored_;
    int64_t steps_restored_ = 0;
    int64_t epochs_done_ = 0;
};

}  // namespace

std::unique_ptr<Augmentation> make_prune(const PruneSchedule& schedule,
                                         std::function<void(const Pruner& pruner, double seconds)> watch) {
    return std::make_unique<Prune>(schedule, std::move(watch));
}

std::unique_ptr<Augmentation> build_prune(const Options& options) {
    PruneSchedule schedule{.pruning = read_pruning_config(options)};
    schedule.first = options.get_within("first", schedule.first, 0, 1'000'000);
    schedule.every_epochs = options.get_within("every_epochs", schedule.every_epochs, 0, 1'000'000);
    return make_prune(schedule);
}

}  // namespace backlight
