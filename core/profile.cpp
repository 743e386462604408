#include "core/profile.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace backlight {
namespace {

thread_local Profile* current_profile = nullptr;

double microseconds(std::chrono::steady_clock::time_point from) {
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - from).count();
}

}  // namespace

Profile::Profile() : previous_(std::exchange(current_profile, this)) {}
Profile::~Profile() { current_profile = previous_; }
Profile* Profile::current() { return current_profile; }

std::string Profile::table() const {
    struct Sum {
        std::string name;
        int64_t calls = 0;
        double own_us = 0, products = 0;
    };
    std::map<std::string, Sum> by_name;
    double total = 0;
    for (const Event& event : events_) {
        Sum& sum = by_name[event.name];
        sum.name = event.name;
        ++sum.calls;
        sum.own_us += event.own_us;
        sum.products += event.products;
        total += event.own_us;
    }
    std::vector<Sum> sums;
    for (const auto& [name, sum] : by_name) {
        sums.push_back(sum);
    }
    std::sort(sums.begin(), sums.end(), [](const Sum& a, const Sum& b) { return a.own_us > b.own_us; });
    std::string text = "op                            calls         ms      %   GFLOP/s\n";
    for (const Sum& sum : sums) {
        char line[128];
        std::snprintf(line, sizeof line, "%-28s %6lld %10.2f %6.1f", sum.name.c_str(),
                      static_cast<long long>(sum.calls), sum.own_us / 1e3,
                      100.0 * sum.own_us / std::max(total, 1e-9));
        text += line;
        if (sum.products > 0) {
            std::snprintf(line, sizeof line, " %9.1f", 2e-3 * sum.products / sum.own_us);
            text += line;
        }
        text += '\n';
    }
    char line[64];
    std::snprintf(line, sizeof line, "%-28s %6zu %10.2f\n", "sum", events_.size(), total / 1e3);
    return text + line;
}

std::string Profile::chrome_trace() const {
    nlohmann::json list = nlohmann::json::array();
    for (const Event& event : events_) {
        nlohmann::json entry = {{"name", event.name},       {"ph", "X"}, {"ts", event.start_us},
                                {"dur", event.duration_us}, {"pid", 1},  {"tid", 1}};
        if (!event.layer.empty()) {
            entry["args"]["layer"] = event.layer;
        }
        if (event.products > 0) {
            entry["args"]["GFLOP/s"] = 2e-3 * event.products / std::max(event.own_us, 1e-9);
        }
        list.push_back(std::move(entry));
    }
    return nlohmann::json{{"traceEvents", std::move(list)}, {"displayTimeUnit", "ms"}}.dump();
}

Span::Span(std::string_view name, std::string_view suffix) : profile_(current_profile) {
    if (profile_ == nullptr) {
        return;
    }
    outer_ = std::exchange(profile_->innermost_, this);
    event_.name = std::string(name).append(suffix);
    event_.layer = ScopeName::path();
    event_.start_us = microseconds(profile_->begin_);
}

Span::~Span() {
    if (profile_ == nullptr) {
        return;
    }
    event_.duration_us = microseconds(profile_->begin_) - event_.start_us;
    event_.own_us = event_.duration_us - within_us_;
    profile_->innermost_ = outer_;
    if (outer_ != nullptr) {
        outer_->within_us_ += event_.duration_us;
    }
    profile_->events_.push_back(std::move(event_));
}

void Span::count(double products) {
    if (current_profile != nullptr && current_profile->innermost_ != nullptr) {
        current_profile->innermost_->event_.products += products;
    }
}

}  // namespace backlight
