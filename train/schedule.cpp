#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/options.h"

namespace backlight {

const std::vector<std::string>& list_schedules() {
    static const std::vector<std::string> names = {"constant", "step", "multi_step", "cosine"};
    return names;
}

std::function<double(int64_t)> make_schedule(const ScheduleConfig& config) {
    BACKLIGHT_CHECK(config.warmup_steps >= 0, "schedule: expected warm-up >= 0, got ", config.warmup_steps);
    const Spec spec = parse_spec(config.spec);
    const Options options(spec);
    const double per_epoch = static_cast<double>(std::max<int64_t>(config.steps_per_epoch, 1));
    std::function<double(int64_t)> factor;
    if (spec.name == "constant") {
        factor = [](int64_t) { return 1.0; };
    } else if (spec.name == "step") {
        const double every = options.get_within("every", 30.0, 1e-9, 1e12);
        const double gamma = options.get_within("gamma", 0.1, 0.0, 1e6);
        factor = [=](int64_t step) {
            return std::pow(gamma, std::floor(static_cast<double>(step) / per_epoch / every));
        };
    } else if (spec.name == "multi_step") {
        const auto at = options.get("at", std::vector<double>{30, 60});
        const double gamma = options.get_within("gamma", 0.1, 0.0, 1e6);
        factor = [=](int64_t step) {
            const double epoch = static_cast<double>(step) / per_epoch;
            return std::pow(gamma, std::count_if(at.begin(), at.end(), [&](double e) { return e <= epoch; }));
        };
    } else if (spec.name == "cosine") {
        const double floor = options.get_within("min", 0.0, 0.0, 1.0);
        const double total =
            static_cast<double>(std::max<int64_t>(config.total_steps - config.warmup_steps, 1));
        factor = [=](int64_t step) {
            const double t = std::min(static_cast<double>(step) / total, 1.0);
            return floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * t));
        };
    } else {
        throw_error(unknown_name("schedule", spec.name, list_schedules()));
    }
    options.finish();
    return [factor, warmup = config.warmup_steps](int64_t step) {
        return step < warmup ? static_cast<double>(step + 1) / static_cast<double>(warmup)
                             : factor(step - warmup);
    };
}

}  // namespace backlight
