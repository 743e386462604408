// The line of a progress bar. On a TTY: carriage return, the new line, blanks over what was longer; no escape
// sequences. Elsewhere only whole lines.
#include "report/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "core/error.h"

namespace backlight::report {
namespace {

double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool stderr_is_terminal() {
    const char* term = std::getenv("TERM");
    return isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

int terminal_width() {
    winsize size{};
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool locale_is_utf8() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const char* value = std::getenv(name);
        if (value != nullptr && *value != '\0') {
            const std::string_view locale(value);
            return locale.find("UTF-8") != std::string_view::npos ||
                   locale.find("utf8") != std::string_view::npos;
        }
    }
    return false;
}

/// Control characters could move the cursor: they become blanks.
std::string one_line(std::string_view text) {
    std::string clean(text);
    std::replace_if(
        clean.begin(), clean.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; },
        ' ');
    return clean;
}

/// Columns of UTF-8 text: bytes that start a character.
int64_t columns_of(std::string_view text) {
    return std::count_if(text.begin(), text.end(),
                         [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

template <typename... Values>
std::string print(const char* format, Values... values) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, format, values...);
    return buffer;
}

std::string format_rate(double rate) {
    if (rate >= 1e4) {
        return print("%.1fk", rate / 1e3);
    }
    return print(rate >= 100 ? "%.0f" : "%.1f", rate);
}

}  // namespace

std::string format_duration(double seconds) {
    if (!(seconds >= 0 && seconds < 1e9)) {
        return "?";
    }
    const auto whole = static_cast<long long>(std::llround(seconds));
    if (whole < 60) {
        return print("%lld s", whole);
    }
    if (whole < 3600) {
        return print("%lld:%02lld", whole / 60, whole % 60);
    }
    return print("%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
}

Progress::Progress(int64_t epochs, ProgressOptions options)
    : options_(std::move(options)),
      out_(options_.out != nullptr ? options_.out : &std::cerr),
      epochs_(epochs) {
    if (!options_.clock) {
        options_.clock = steady_seconds;
    }
    options_.tty = options_.tty.value_or(options_.out == nullptr && stderr_is_terminal());
    options_.unicode = options_.unicode.value_or(locale_is_utf8());
    run_begin_ = options_.clock();
}

Progress::~Progress() {
    if (drawn_ > 0) {
        *out_ << '\n' << std::flush;
    }
}

void Progress::begin_epoch(int64_t epoch, int64_t steps) {
    BACKLIGHT_CHECK(epoch >= 1 && steps >= 0, "progress: expected an epoch >= 1 and steps >= 0, got ", epoch,
                    " and ", steps);
    epoch_ = epoch;
    epochs_ = std::max(epochs_, epoch);
    steps_ = steps;
    step_ = epoch_images_ = last_line_step_ = 0;
    loss_.reset();
    summary_.clear();
    open_ = true;
    epoch_begin_ = options_.clock();
    last_draw_ = *options_.tty ? -HUGE_VAL : epoch_begin_;
}

void Progress::update(int64_t step, int64_t images, std::optional<double> loss) {
    run_steps_ += std::max<int64_t>(step - step_, 0);
    step_ = step;
    epoch_images_ += images;
    loss_ = loss;
    const double waited = options_.clock() - last_draw_;
    const bool tenth = (step_ - last_line_step_) * 10 >= steps_ && waited >= options_.line_seconds;
    const bool due = *options_.tty ? waited >= options_.redraw_seconds
                                   : step_ < steps_ && (tenth || waited >= options_.max_line_seconds);
    if (open_ && due) {
        draw(false);
    }
}

void Progress::end_epoch(std::string_view summary) {
    if (open_) {
        summary_ = one_line(summary);
        draw(true);
        open_ = false;
    }
}

void Progress::message(std::string_view text) {
    const bool redraw = drawn_ > 0;
    const std::string line = one_line(text);
    put(line, columns_of(line), true);
    if (redraw && open_) {
        draw(false);
    }
}

void Progress::draw(bool final) {
    last_draw_ = options_.clock();
    last_line_step_ = step_;
    const std::string head = epochs_ > 1 || epoch_ > 1
                                 ? print("epoch %*lld/%lld", static_cast<int>(std::to_string(epochs_).size()),
                                         static_cast<long long>(epoch_), static_cast<long long>(epochs_))
                                 : std::string(final ? "done" : "");
    const std::string tail = numbers(final);
    const std::string gap = head.empty() ? "" : "  ";
    if (!*options_.tty || final) {
        const std::string steps =
            final ? ""
                  : print("step %lld/%lld  ", static_cast<long long>(step_), static_cast<long long>(steps_));
        const std::string text = head + gap + steps + tail;
        put(text, columns_of(text), true);
        return;
    }
    // The last column stays free: some terminals wrap there.
    const int64_t width = options_.width.value_or(terminal_width()) - 1;
    const int64_t free = width - columns_of(head + gap) - 2 - columns_of(tail);
    std::string text =
        free >= 8 ? head + gap + bar(std::min<int64_t>(free, 40)) + "  " + tail : head + gap + tail;
    if (columns_of(text) > width) {
        text.resize(static_cast<size_t>(std::max<int64_t>(width, 0)));  // no bar, hence ASCII only
    }
    put(text, columns_of(text), false);
}

std::string Progress::numbers(bool final) const {
    const double now = options_.clock();
    const double seconds = now - epoch_begin_;
    std::string text;
    if (!final && steps_ > 0) {
        text +=
            print("%3.0f %%  ", std::floor(100.0 * static_cast<double>(step_) / static_cast<double>(steps_)));
    }
    if (step_ > 0 && loss_) {
        // The same width most of the time, so that the line does not jump.
        const bool plain = std::abs(*loss_) < 1e4 && (*loss_ == 0 || std::abs(*loss_) >= 1e-3);
        text += std::isnan(*loss_) ? "loss nan  " : print(plain ? "loss %.4f  " : "loss %.2e  ", *loss_);
    }
    if (epoch_images_ > 0 && seconds > 0) {
        text += format_rate(static_cast<double>(epoch_images_) / seconds) + " " + options_.unit + "/s  ";
    }
    if (final) {
        text += format_duration(seconds) + (summary_.empty() ? "" : "  " + summary_);
    } else if (run_steps_ > 0) {
        // The whole run: what is between epochs (evaluation, checkpoints) counts into the time of a step.
        const auto left = static_cast<double>((steps_ - step_) + (epochs_ - epoch_) * steps_);
        text += "ETA " + format_duration((now - run_begin_) / static_cast<double>(run_steps_) * left);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

std::string Progress::bar(int64_t columns) const {
    const double share =
        steps_ > 0 ? std::clamp(static_cast<double>(step_) / static_cast<double>(steps_), 0.0, 1.0) : 0;
    const auto full = static_cast<int64_t>(share * static_cast<double>(columns));
    std::string text;
    for (int64_t i = 0; i < columns; ++i) {
        text += *options_.unicode ? (i < full    ? "\u2501"
                                     : i == full ? "\u257a"
                                                 : "\u2500")
                                  : (i < full ? "#" : ".");
    }
    return text;
}

void Progress::put(const std::string& text, int64_t columns, bool stay) {
    std::string out;
    if (drawn_ > 0) {
        out += '\r';
    }
    out += text;
    if (drawn_ > columns) {
        out.append(static_cast<size_t>(drawn_ - columns), ' ');
    }
    if (stay) {
        out += '\n';
    }
    drawn_ = stay ? 0 : columns;
    *out_ << out << std::flush;
}

PatientProgress::PatientProgress(std::string unit)
    : unit_(std::move(unit)), patience_(stderr_is_terminal() ? 1.5 : 30), begin_(steady_seconds()) {}

void PatientProgress::update(int64_t done, int64_t of) {
    if (!bar_ && steady_seconds() - begin_ > patience_ && done < of) {
        bar_.emplace(1, ProgressOptions{.unit = unit_});
        bar_->begin_epoch(1, of);
        shown_ = done;
    }
    if (bar_) {
        bar_->update(done, done - shown_);
        shown_ = done;
    }
    if (done == of) {
        if (bar_) {
            bar_->end_epoch();
        }
        bar_.reset();
        begin_ = steady_seconds();
    }
}

}  // namespace backlight::report
