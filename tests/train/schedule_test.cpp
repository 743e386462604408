// Learning-rate factors at steps whose value follows from the formula.
#include "train/schedule.h"

#include <cmath>

#include "tests/layers/support.h"
#include "tests/train/golden_schedules.h"

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

TEST_CASE(
    "schedule: drops at given steps of the run lie so many steps of the warm-up earlier in the schedule") {
    // docs/recipes.md, Adience: 5,000, 10,000 and 15,000.
    check_factors({.spec = "multi_step(at=12.7795:28.7539:44.7284, gamma=0.3)",
                   .warmup_steps = 1000,
                   .steps_per_epoch = 313,
                   .total_steps = 60 * 313},
                  {0, 499, 999, 1000, 4999, 5000, 9999, 10000, 14999, 15000, 60 * 313 - 1},
                  {0.001, 0.5, 1, 1, 1, 0.3, 0.3, 0.09, 0.09, 0.027, 0.027});
}

TEST_CASE("schedule: every one follows PyTorch's") {
    for (const test::GoldenSchedule& golden : test::golden_schedules) {
        CAPTURE(golden.spec);
        const auto schedule = make_schedule(
            {.spec = golden.spec, .warmup_steps = golden.warmup, .steps_per_epoch = 3, .total_steps = 30});
        for (size_t step = 0; step < golden.factors.size(); ++step) {
            CAPTURE(step);
            CHECK(std::abs(schedule(static_cast<int64_t>(step)) - golden.factors[step]) <= 1e-12);
        }
    }
}

TEST_CASE("schedule: runs of a step or two, and steps behind the end") {
    for (const std::string& name : list_schedules()) {
        for (const int64_t total : {int64_t{1}, int64_t{2}}) {
            CAPTURE(name);
            const auto schedule = make_schedule({.spec = name, .total_steps = total});
            for (int64_t step = 0; step < 5; ++step) {
                CHECK(schedule(step) >= 0);
                CHECK(schedule(step) <= 1);
            }
        }
    }
    check_factors({.spec = "one_cycle(warm=0)", .total_steps = 10}, {9, 50}, {1 / 25e4, 1 / 25e4});
}

TEST_CASE("schedule: wrong names, options and numbers are refused, the known ones listed") {
    const std::string text = schedule_error({.spec = "cosin"});
    CHECK(contains(text, "unknown schedule \"cosin\"; did you mean cosine?"));
    CHECK(contains(text, "constant, step, multi_step, exponential, cosine, polynomial, one_cycle"));
    CHECK(contains(schedule_error({.spec = "step(evry=3)"}), "every"));
    CHECK(contains(schedule_error({.spec = "cosine(min=2)"}), "min"));
    CHECK(contains(schedule_error({.spec = "step(every=0)"}), "every"));
    CHECK(contains(schedule_error({.warmup_steps = -1}), "warm-up"));
    CHECK(contains(schedule_error({.spec = "constant(gamma=1)"}), "gamma"));
    CHECK(contains(schedule_error({.spec = "one_cycle(div=0.5)"}), "div"));
    CHECK(contains(schedule_error({.spec = "polynomial(power=-1)"}), "power"));
}
