// Learning-rate factors at steps whose value follows from the formula.
#include "train/schedule.h"

#include <cmath>

#include "tests/layers/support.h"

using namespace backlight;
using namespace backlight::layer_testing;

namespace {

std::vector<double> factors(const ScheduleConfig& config, const std::vector<int64_t>& steps) {
    const auto schedule = make_schedule(config);
    std::vector<double> values;
    for (const int64_t step : steps) {
        values.push_back(schedule(step));
    }
    return values;
}

void check_factors(const ScheduleConfig& config, const std::vector<int64_t>& steps,
                   const std::vector<double>& expected) {
    CAPTURE(config.spec);
    const std::vector<double> got = factors(config, steps);
    for (size_t i = 0; i < expected.size(); ++i) {
        INFO("step ", steps[i], ": ", got[i], " instead of ", expected[i]);
        CHECK(std::abs(got[i] - expected[i]) <= 1e-15);
    }
}

std::string schedule_error(const ScheduleConfig& config) {
    return error_of([&] { (void)make_schedule(config); });
}

}  // namespace

TEST_CASE("schedule: constant is 1") { check_factors({.total_steps = 10}, {0, 9, 100}, {1, 1, 1}); }

TEST_CASE("schedule: step falls by gamma every so many epochs, at the first step of the epoch") {
    check_factors({.spec = "step(every=2, gamma=0.5)", .steps_per_epoch = 3, .total_steps = 30},
                  {0, 5, 6, 11, 12, 29}, {1, 1, 0.5, 0.5, 0.25, 0.0625});
    check_factors({.spec = "step", .steps_per_epoch = 1, .total_steps = 100}, {29, 30, 60}, {1, 0.1, 0.01});
}

TEST_CASE("schedule: multi_step falls at the named epochs") {
    check_factors({.spec = "multi_step(at=1:4, gamma=0.1)", .steps_per_epoch = 2, .total_steps = 20},
                  {0, 1, 2, 7, 8, 19}, {1, 1, 0.1, 0.1, 0.01, 0.01});
}

TEST_CASE("schedule: cosine goes from 1 to its minimum and stays there") {
    check_factors({.spec = "cosine", .total_steps = 8}, {0, 2, 4, 8, 20},
                  {1, 0.5 + std::sqrt(0.125), 0.5, 0, 0});
    check_factors({.spec = "cosine(min=0.2)", .total_steps = 8}, {0, 4, 8}, {1, 0.6, 0.2});
}

TEST_CASE("schedule: warm-up grows linearly to the start of the schedule, which begins after it") {
    check_factors({.warmup_steps = 4, .total_steps = 12}, {0, 1, 2, 3, 4, 11}, {0.25, 0.5, 0.75, 1, 1, 1});
    check_factors({.spec = "cosine", .warmup_steps = 4, .total_steps = 12}, {3, 4, 8, 12}, {1, 1, 0.5, 0});
}

TEST_CASE("schedule: wrong names, options and numbers are refused, the known ones listed") {
    const std::string text = schedule_error({.spec = "cosin"});
    CHECK(contains(text, "unknown schedule \"cosin\"; did you mean cosine?"));
    CHECK(contains(text, "constant, step, multi_step, cosine"));
    CHECK(contains(schedule_error({.spec = "step(evry=3)"}), "every"));
    CHECK(contains(schedule_error({.spec = "cosine(min=2)"}), "min"));
    CHECK(contains(schedule_error({.spec = "step(every=0)"}), "every"));
    CHECK(contains(schedule_error({.warmup_steps = -1}), "warm-up"));
    CHECK(contains(schedule_error({.spec = "constant(gamma=1)"}), "gamma"));
}
