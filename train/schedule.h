// Learning-rate schedules by name: a factor for each step.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace backlight {

struct ScheduleConfig {
    std::string spec = "constant";
    int64_t warmup_steps = 0;  // the factor grows linearly from 1/warmup to 1, then the schedule starts: its
                               // steps and epochs count from there
    int64_t steps_per_epoch = 1;
    int64_t total_steps = 1;
};

/// Learning-rate factor of step 0, 1, ...
///   constant                         1
///   step(every=30, gamma=0.1)        gamma^floor(epoch / every)
///   multi_step(at=30:60, gamma=0.1)  gamma^(number of `at` <= epoch)
///   exponential(gamma=0.95)          gamma^floor(epoch)
///   cosine(min=0)                    min + (1 - min) (1 + cos(pi step / total)) / 2
///   polynomial(power=1, min=0)       min + (1 - min) (1 - step / total)^power
///   one_cycle(warm=0.3, div=25, final_div=1e4)
///                                    by half cosines from 1 / div up to 1 in that share of the steps, then
///                                    down to 1 / (div final_div)
/// Throws Error on an unknown name or option.
[[nodiscard]] std::function<double(int64_t)> make_schedule(const ScheduleConfig& config);
[[nodiscard]] const std::vector<std::string>& list_schedules();

}  // namespace backlight
