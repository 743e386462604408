// A progress bar for the terminal. On a TTY one line is redrawn in place, at most ten times a second;
// elsewhere (a file, a pipe) plain lines appear now and then. Own, because Debian packages no maintained
// library for it.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

namespace backlight::report {

struct ProgressOptions {
    std::ostream* out = nullptr;      // nullptr: stderr
    std::optional<bool> tty{};        // by default: whether stderr is one (never for another stream)
    std::optional<int> width{};       // columns; by default the terminal's, looked up at each redraw
    std::optional<bool> unicode{};    // draw the bar with line characters; by default if the locale is UTF-8
    std::string unit = "images";      // what the rate counts
    std::function<double()> clock{};  // seconds, monotonic; by default the steady clock
    double redraw_seconds = 0.1;      // on a TTY
    double line_seconds = 5;          // elsewhere: at least so long between the lines of an epoch ...
    double max_line_seconds = 60;     // ... and a line after this time at the latest
};

/// Not for use from several threads at once.
class Progress {
public:
    /// `epochs` is the number of the last epoch of the run, for the ETA.
    explicit Progress(int64_t epochs = 1, ProgressOptions options = {});
    /// Leaves the line as it is and goes to the next one.
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// Epoch 1..epochs with `steps` steps begins.
    void begin_epoch(int64_t epoch, int64_t steps);
    /// Step 1..steps of the epoch is done, with so many images since the last update. A loss of NaN is shown
    /// as "nan", none not at all.
    void update(int64_t step, int64_t images, std::optional<double> loss = {});
    /// Ends the epoch: the final line stays on the screen. `summary` follows it: "accuracy 97.8 %".
    void end_epoch(std::string_view summary = "");
    /// A line of text that does not collide with the bar.
    void message(std::string_view text);

private:
    void draw(bool final);
    [[nodiscard]] std::string numbers(bool final) const;
    [[nodiscard]] std::string bar(int64_t columns) const;
    void put(const std::string& text, int64_t columns, bool stay);

    ProgressOptions options_;
    std::ostream* out_;
    int64_t epochs_, epoch_ = 0, steps_ = 0, step_ = 0;
    int64_t epoch_images_ = 0, run_steps_ = 0;
    std::optional<double> loss_;
    double run_begin_ = 0, epoch_begin_ = 0, last_draw_ = 0;
    int64_t last_line_step_ = 0;
    int64_t drawn_ = 0;  // columns of the bar on the screen
    std::string summary_;
    bool open_ = false;  // an epoch is running
};

/// A Progress of one epoch that appears only when the work takes longer than a moment, in a file or a pipe
/// half a minute.
class PatientProgress {
public:
    explicit PatientProgress(std::string unit);
    /// `done` of `of`; the last call (done = of) ends it.
    void update(int64_t done, int64_t of);

private:
    std::string unit_;
    double patience_, begin_;
    int64_t shown_ = 0;
    std::optional<Progress> bar_;
};

/// "42 s", "3:07", "1:02:09".
[[nodiscard]] std::string format_duration(double seconds);

}  // namespace backlight::report
