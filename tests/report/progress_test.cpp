#include "report/progress.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

using namespace backlight::report;

namespace {

/// Runs epochs of `steps` steps that last `seconds` each, and returns all that was printed.
std::string run(bool tty, int64_t steps, double seconds, int width = 80, int64_t epochs = 1) {
    std::ostringstream out;
    double now = 100;
    {
        Progress progress(epochs, {.out = &out, .tty = tty, .width = width, .unicode = false, .clock = [&] {
                                       return now;
                                   }});
        for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
            progress.begin_epoch(epoch, steps);
            for (int64_t step = 1; step <= steps; ++step) {
                now += seconds;
                progress.update(step, 10, 0.5);
            }
            progress.end_epoch("accuracy 97.8 %");
        }
    }
    return out.str();
}

int64_t count(const std::string& text, char character) {
    return std::count(text.begin(), text.end(), character);
}

}  // namespace

TEST_CASE("progress: without a terminal only whole plain lines are printed") {
    const std::string text = run(false, 100, 1);
    CHECK(text.find('\r') == std::string::npos);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.ends_with("\n"));
    CHECK(count(text, '\n') == 10);  // at 10 % ... 90 %, and the end
    CHECK(text.find("step 10/100") != std::string::npos);
    CHECK(text.find("accuracy 97.8 %\n") != std::string::npos);
}

TEST_CASE("progress: without a terminal quick epochs are one line each, slow steps one a minute") {
    CHECK(count(run(false, 100, 0.001, 80, 3), '\n') == 3);
    CHECK(count(run(false, 5, 100), '\n') == 5);
    CHECK(count(run(false, 1000, 3), '\n') > 25);  // 3000 s: each tenth and each minute at the latest
    CHECK(count(run(false, 1000, 3), '\n') < 65);
}

TEST_CASE("progress: a terminal line is redrawn at most ten times a second") {
    const std::string text = run(true, 1000, 0.001);  // one second
    CHECK(count(text, '\r') <= 11);
    CHECK(count(text, '\r') >= 5);
    CHECK(count(text, '\n') == 1);
    CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("progress: no redrawn line is wider than the terminal, down to silly widths") {
    for (const int width : {200, 80, 50, 30, 10, 1}) {
        std::string text = run(true, 50, 1, width);
        const size_t final_line = text.rfind('\r');  // that one stays and may wrap
        text.erase(final_line == std::string::npos ? 0 : final_line);
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line, '\r');) {
            CAPTURE(width);
            CAPTURE(line);
            CHECK(static_cast<int>(line.size()) < std::max(width, 2));
        }
    }
}

TEST_CASE("progress: shows epoch, loss, images per second and the time that is left") {
    const std::string text = run(true, 10, 2, 120, 3);
    CHECK(text.find("epoch 2/3") != std::string::npos);
    CHECK(text.find("loss 0.5") != std::string::npos);
    CHECK(text.find("5.0 images/s") != std::string::npos);
    CHECK(text.find(" 10 %  loss 0.5000  5.0 images/s  ETA 58 s") !=
          std::string::npos);  // 29 steps of 2 s are left
    CHECK(text.find("#####") != std::string::npos);
}

TEST_CASE("progress: a loss that is not a number is shown as such") {
    std::ostringstream out;
    double now = 0;
    Progress progress(1, {.out = &out, .tty = true, .width = 80, .clock = [&] { return now; }});
    progress.begin_epoch(1, 2);
    now = 1;
    progress.update(1, 1, -std::numeric_limits<double>::quiet_NaN());
    CHECK(out.str().find("loss nan") != std::string::npos);
}

TEST_CASE("progress: a message stands on its own line and cannot move the cursor") {
    std::ostringstream out;
    double now = 0;
    Progress progress(1, {.out = &out, .tty = true, .width = 80, .clock = [&] { return now; }});
    progress.begin_epoch(1, 2);
    now = 1;
    progress.update(1, 1, 0.5);
    progress.message("saved\r\x1b[2J it");
    const std::string text = out.str();
    CHECK(text.find("\rsaved  [2J it") != std::string::npos);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.rfind("loss") > text.find("saved"));  // the bar is back
}

TEST_CASE("format_duration: seconds, minutes, hours") {
    CHECK(format_duration(41.6) == "42 s");
    CHECK(format_duration(187) == "3:07");
    CHECK(format_duration(3729) == "1:02:09");
    CHECK(format_duration(std::numeric_limits<double>::quiet_NaN()) == "?");
}
