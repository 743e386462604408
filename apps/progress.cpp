#include "apps/progress.h"

#include <atomic>
#include <csignal>
#include <iostream>

#include "experiments/run_report.h"

namespace backlight::apps {
namespace {

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may touch it");

extern "C" void request_stop(int) { stop_requested.store(true); }

}  // namespace

TrainingDisplay::TrainingDisplay() {
    std::signal(SIGINT, request_stop);
    std::signal(SIGTERM, request_stop);
}

bool TrainingDisplay::stopped() const { return stop_requested.load(); }

TrainHooks TrainingDisplay::hooks() {
    TrainHooks hooks;
    hooks.stop = &stop_requested;
    hooks.note = [this](const std::string& text) {
        if (progress_) {
            progress_->message(text);
        } else {
            std::cerr << text << "\n";
        }
    };
    hooks.step = [this](const TrainProgress& p) {
        if (p.epoch != epoch_) {
            if (progress_ == nullptr || p.epoch < epoch_) {  // another run begins
                progress_ = std::make_unique<report::Progress>(p.epochs);
            }
            progress_->begin_epoch(p.epoch, p.steps_per_epoch);
            epoch_ = p.epoch;
        }
        progress_->update(p.step_in_epoch, p.images, p.loss);
    };
    hooks.epoch = [this](const TrainProgress& p, const Evaluation& e) {
        if (progress_ == nullptr) {  // a resumed run may have nothing left but the end of an epoch
            return;
        }
        progress_->end_epoch(e.score_name() + (' ' + percent_text(e.score())));
        if (p.epoch == p.epochs) {
            progress_.reset();
            epoch_ = -1;
        }
    };
    return hooks;
}

}  // namespace backlight::apps
