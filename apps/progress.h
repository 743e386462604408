// What the terminal shows of a training run, and the signals that end it.
#pragma once

#include <memory>

#include "report/progress.h"
#include "train/trainer.h"

namespace backlight::apps {

/// Progress bar and messages; SIGINT and SIGTERM ask the loop to save and stop.
class TrainingDisplay {
public:
    TrainingDisplay();
    [[nodiscard]] TrainHooks hooks();
    [[nodiscard]] bool stopped() const;

private:
    std::unique_ptr<report::Progress> progress_;
    int64_t epoch_ = -1;
    int64_t images_ = 0;
};

}  // namespace backlight::apps
