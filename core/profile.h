// Profile: where the time of a step goes. While one is installed, every op, its derivative and whatever else
// opens a span is recorded; without one a span costs the reading of a thread-local pointer.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace backlight {

class Profile {
public:
    Profile();
    ~Profile();
    Profile(const Profile&) = delete;
    Profile& operator=(const Profile&) = delete;

    struct Event {
        std::string name;   // "conv2d", "batch_norm'" for a derivative, "optimizer"
        std::string layer;  // the path of the layer, where one was being called
        double start_us = 0, duration_us = 0;
        double own_us = 0;    // without the spans within
        double products = 0;  // multiply-adds of convolutions and matrix products
    };
    /// In the order in which they ended.
    [[nodiscard]] const std::vector<Event>& events() const { return events_; }

    /// Sums by name, the longest first: calls, own time, share, GFLOP/s where products were counted.
    [[nodiscard]] std::string table() const;
    /// For chrome://tracing and Perfetto: {"traceEvents": [{"name", "ph": "X", "ts", "dur", ...}]}.
    [[nodiscard]] std::string chrome_trace() const;

    /// This thread's, or null.
    [[nodiscard]] static Profile* current();

private:
    friend class Span;
    Profile* previous_;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
    std::vector<Event> events_;
    class Span* innermost_ = nullptr;
};

/// A stretch of time under a name. `suffix` is appended to it.
class Span {
public:
    explicit Span(std::string_view name, std::string_view suffix = {});
    ~Span();
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

    /// Adds multiply-adds to the innermost span of this thread, if any.
    static void count(double products);

private:
    Profile* profile_;
    Span* outer_ = nullptr;
    Profile::Event event_;
    double within_us_ = 0;
};

}  // namespace backlight
