#include "experiments/reproductions/watch.h"

namespace backlight {
namespace {

/// Calls back at the end of every epoch.
class Watch final : public Augmentation {
public:
    explicit Watch(std::function<void(const TrainingRun&)> callback) : callback_(std::move(callback)) {
        schedule("watch", 0, 1);
    }
    void end_epoch(const TrainingRun& run, int64_t) override { callback_(run); }

private:
    std::function<void(const TrainingRun&)> callback_;
};

}  // namespace

TrainResult train_watched(TrainConfig config,
                          const std::function<void(const TrainingRun&, const Evaluation&)>& each_epoch) {
    config.run.clear();
    config.augment.push_back("watch");
    Evaluation last;  // of the epoch that ends: the loop evaluates before it tells the systems
    TrainHooks hooks;
    hooks.epoch = [&](const TrainProgress&, const Evaluation& evaluation) { last = evaluation; };
    hooks.make_augmentation = [&](const std::string& text) -> std::unique_ptr<Augmentation> {
        if (text != "watch") {
            return build_augmentation(text);
        }
        return std::make_unique<Watch>([&](const TrainingRun& run) { each_epoch(run, last); });
    };
    return train(config, hooks);
}

}  // namespace backlight
