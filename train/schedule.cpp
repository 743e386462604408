#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/options.h"

namespace backlight {

namespace {

using Factor = std::function<double(int64_t)>;

struct Length {
    double per_epoch, total;  // steps
};

Factor constant(const Options&, const Length&) {
    return [](int64_t) { return 1.0; };
}

Factor every_epochs(double every, double gamma, double per_epoch) {
    return [=](int64_t step) {
        return std::pow(gamma, std::floor(static_cast<double>(step) / per_epoch / every));
    };
}

Factor step(const Options& options, const Length& length) {
    const double every = options.get_within("every", 30.0, 1e-9, 1e12);
    return every_epochs(every, options.get_within("gamma", 0.1, 0.0, 1e6), length.per_epoch);
}

Factor exponential(const Options& options, const Length& length) {
    return every_epochs(1, options.get_within("gamma", 0.95, 0.0, 1e6), length.per_epoch);
}

Factor multi_step(const Options& options, const Length& length) {
    const auto at = options.get("at", std::vector<double>{30, 60});
    const double gamma = options.get_within("gamma", 0.1, 0.0, 1e6);
    return [=](int64_t step) {
        const double epoch = static_cast<double>(step) / length.per_epoch;
        return std::pow(gamma, std::count_if(at.begin(), at.end(), [&](double e) { return e <= epoch; }));
    };
}

/// From `from` to `to` as t goes from 0 to 1, by half a cosine.
double half_cosine(double from, double to, double t) {
    return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * std::min(t, 1.0)));
}

Factor cosine(const Options& options, const Length& length) {
    const double floor = options.get_within("min", 0.0, 0.0, 1.0);
    return [=](int64_t step) { return half_cosine(1, floor, static_cast<double>(step) / length.total); };
}

Factor polynomial(const Options& options, const Length& length) {
    const double power = options.get_within("power", 1.0, 0.0, 1e3);
    const double floor = options.get_within("min", 0.0, 0.0, 1.0);
    return [=](int64_t step) {
        const double left = std::max(1 - static_cast<double>(step) / length.total, 0.0);
        return floor + (1 - floor) * std::pow(left, power);
    };
}

Factor one_cycle(const Options& options, const Length& length) {
    const double warm = options.get_within("warm", 0.3, 0.0, 1.0);
    const double low = 1 / options.get_within("div", 25.0, 1.0, 1e12);
    const double last = low / options.get_within("final_div", 1e4, 1.0, 1e12);
    const double peak = warm * length.total - 1;  // the step at the top, as PyTorch counts
    return [=, end = length.total - 1](int64_t step) {
        const auto s = static_cast<double>(step);
        if (s < peak) {
            return half_cosine(low, 1, s / peak);
        }
        return end > peak ? half_cosine(1, last, (s - peak) / (end - peak)) : 1.0;
    };
}

struct Entry {
    std::string name;
    Factor (*build)(const Options&, const Length&);
};

const std::vector<Entry>& entries() {
    static const std::vector<Entry> table = {{"constant", constant},     {"step", step},
                                             {"multi_step", multi_step}, {"exponential", exponential},
                                             {"cosine", cosine},         {"polynomial", polynomial},
                                             {"one_cycle", one_cycle}};
    return table;
}

}  // namespace

const std::vector<std::string>& list_schedules() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> all;
        for (const Entry& entry : entries()) {
            all.push_back(entry.name);
        }
        return all;
    }();
    return names;
}

std::function<double(int64_t)> make_schedule(const ScheduleConfig& config) {
    BACKLIGHT_CHECK(config.warmup_steps >= 0, "schedule: expected warm-up >= 0, got ", config.warmup_steps);
    const Spec spec = parse_spec(config.spec);
    const auto entry =
        std::find_if(entries().begin(), entries().end(), [&](const Entry& e) { return e.name == spec.name; });
    if (entry == entries().end()) {
        throw_error(unknown_name("schedule", spec.name, list_schedules()));
    }
    const Options options(spec);
    const Factor factor = entry->build(
        options,
        {.per_epoch = static_cast<double>(std::max<int64_t>(config.steps_per_epoch, 1)),
         .total = static_cast<double>(std::max<int64_t>(config.total_steps - config.warmup_steps, 1))});
    options.finish();
    return [factor, warmup = config.warmup_steps](int64_t step) {
        return step < warmup ? static_cast<double>(step + 1) / static_cast<double>(warmup)
                             : factor(step - warmup);
    };
}

}  // namespace backlight
