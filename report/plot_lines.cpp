// Line charts. From top to bottom: title, legend, name of the y axis, the plot, ticks, name of the x axis.
// The y axis has its name above it, level, because that is read without turning the head.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "report/plot.h"
#include "report/svg.h"

namespace backlight::report {
namespace {

constexpr double kTextSize = 12, kTitleSize = 15;

/// One axis: values to pixels, linear or by their logarithm.
struct Axis {
    double low = 0, high = 1;
    bool log = false;
    double from = 0, to = 1;  // pixels of low and high

    [[nodiscard]] double pixel(double value) const {
        const double share = log ? (std::log(value) - std::log(low)) / (std::log(high) - std::log(low))
                                 : (value - low) / (high - low);
        return from + (to - from) * share;
    }
    [[nodiscard]] std::vector<double> ticks(int count) const {
        return log ? log_ticks(low, high) : nice_ticks(low, high, count);
    }
};

struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    /// Beyond 1e150 (a run that diverged) differences overflow: such values do not widen an axis.
    void add(double value, bool log) {
        if (std::abs(value) < 1e150 && (!log || value > 1e-150)) {
            low = std::min(low, value);
            high = std::max(high, value);
        }
    }
    [[nodiscard]] bool empty() const { return low > high; }
};

void check(const Series& series) {
    const size_t size = series.x.size();
    BACKLIGHT_CHECK(series.y.size() == size, "line_chart: series \"", series.name, "\" has ", size, " x and ",
                    series.y.size(), " y");
    const bool band = !series.low.empty() || !series.high.empty();
    BACKLIGHT_CHECK(!band || (series.low.size() == size && series.high.size() == size),
                    "line_chart: series \"", series.name, "\" has ", size, " points and a band of ",
                    series.low.size(), " and ", series.high.size());
    for (const double x : series.x) {
        BACKLIGHT_CHECK(std::isfinite(x), "line_chart: series \"", series.name, "\" has an x of ", x);
    }
}

Axis x_axis(const LineChart& chart) {
    Range range;
    for (const Series& series : chart.series) {
        for (const double x : series.x) {
            range.add(x, chart.log_x);
        }
    }
    BACKLIGHT_CHECK(!range.empty(), "line_chart: there is nothing to draw",
                    chart.log_x ? " (a logarithmic axis needs x > 0)" : "");
    if (range.low == range.high) {
        const double room = chart.log_x ? 0 : std::max(0.5, std::abs(range.low) * 0.5);
        return {chart.log_x ? range.low / 2 : range.low - room,
                chart.log_x ? range.high * 2 : range.high + room, chart.log_x};
    }
    return {range.low, range.high, chart.log_x};
}

Axis y_axis(const LineChart& chart, int count) {
    Range range;
    for (const Series& series : chart.series) {
        for (const auto* values : {&series.y, &series.low, &series.high}) {
            for (const double value : *values) {
                range.add(value, chart.log_y);
            }
        }
    }
    if (range.empty()) {  // all gaps: an empty plot is the honest picture
        range = chart.log_y ? Range{0.1, 1} : Range{0, 1};
    }
    Axis axis{range.low, range.high, chart.log_y};
    if (chart.log_y) {
        const double room = std::max(std::exp(0.04 * (std::log(axis.high) - std::log(axis.low))), 1.05);
        axis.low /= room;
        axis.high *= room;
    } else {
        if (axis.low > 0 && axis.low < 0.35 * axis.high) {
            axis.low = 0;  // a curve that comes near to zero is shown with it
        }
        if (axis.low == axis.high) {
            const double room = axis.low == 0 ? 1 : 0.1 * std::abs(axis.low);
            axis.low -= room;
            axis.high += room;
        }
        // Out to the next ticks, but a share does not exceed one for it.
        const std::vector<double> ticks = nice_ticks(axis.low, axis.high, count);
        const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : axis.high - axis.low;
        const bool share = chart.y_percent && range.high <= 1;
        axis.low = std::floor(axis.low / step + 1e-9) * step;
        axis.high = std::ceil(axis.high / step - 1e-9) * step;
        if (share) {
            axis.high = std::min(axis.high, 1.0);
        }
    }
    axis.low = chart.y_min.value_or(axis.low);
    axis.high = chart.y_max.value_or(axis.high);
    BACKLIGHT_CHECK(axis.low < axis.high && (!chart.log_y || axis.low > 0), "line_chart: the y axis from ",
                    axis.low, " to ", axis.high, " is not possible");
    return axis;
}

std::string y_label(const LineChart& chart, double value, double step) {
    return chart.y_percent ? tick_label(value * 100, step * 100) + " %" : tick_label(value, step);
}

double step_of(const Axis& axis, const std::vector<double>& ticks, double tick) {
    return axis.log ? tick : ticks.size() > 1 ? ticks[1] - ticks[0] : 0;
}

/// The pieces of a line between its gaps.
std::vector<std::vector<Point>> pieces(const Series& series, const std::vector<double>& values, const Axis& x,
                                       const Axis& y) {
    std::vector<std::vector<Point>> list(1);
    for (size_t i = 0; i < values.size(); ++i) {
        const bool drawn =
            std::isfinite(values[i]) && (!y.log || values[i] > 0) && (!x.log || series.x[i] > 0);
        if (drawn) {
            // Outside a fixed axis the line runs along its edge.
            const double value = std::clamp(values[i], y.low, y.high);
            list.back().push_back({x.pixel(series.x[i]), y.pixel(value)});
        } else if (!list.back().empty()) {
            list.emplace_back();
        }
    }
    if (list.back().empty()) {
        list.pop_back();
    }
    return list;
}

void draw_band(Svg& svg, const Series& series, const Axis& x, const Axis& y, Role role) {
    std::vector<Point> upper, lower;
    const auto flush = [&] {
        if (upper.size() > 1) {
            upper.insert(upper.end(), lower.rbegin(), lower.rend());
            svg.polygon(upper, role, 0.16);
        }
        upper.clear();
        lower.clear();
    };
    for (size_t i = 0; i < series.low.size(); ++i) {
        const bool drawn = std::isfinite(series.low[i]) && std::isfinite(series.high[i]) &&
                           (!x.log || series.x[i] > 0) && (!y.log || series.high[i] > 0);
        if (!drawn) {
            flush();
            continue;
        }
        const double at = x.pixel(series.x[i]);
        upper.push_back({at, y.pixel(std::clamp(series.high[i], y.low, y.high))});
        lower.push_back({at, y.pixel(std::clamp(series.low[i], y.low, y.high))});
    }
    flush();
}

Role role_of(const Series& series, size_t position) {
    return series_role(series.color >= 0 ? series.color : static_cast<int64_t>(position));
}

double opacity_of(const Series& series) { return series.pale ? 0.3 : 1; }

std::string_view dashes_of(const Series& series) { return series.dashed ? "6 4" : ""; }

/// Returns the y coordinate below the legend.
double draw_legend(Svg& svg, const LineChart& chart, double left, double right, double top) {
    double x = left, y = top;
    bool any = false;
    for (size_t i = 0; i < chart.series.size(); ++i) {
        const Series& series = chart.series[i];
        if (series.name.empty()) {
            continue;
        }
        const double width = 26 + text_length(series.name, kTextSize) + 18;
        if (any && x + width - 18 > right) {
            x = left;
            y += 18;
        }
        svg.line({x, y + 8}, {x + 20, y + 8}, role_of(series, i), 2.5, dashes_of(series));
        if (series.markers) {
            svg.circle({x + 10, y + 8}, 3.2, role_of(series, i), "", opacity_of(series));
        }
        svg.text({x + 26, y + 12.2}, series.name, {.size = kTextSize});
        x += width;
        any = true;
    }
    return any ? y + 24 : top;
}

}  // namespace

std::string line_chart(const LineChart& chart) {
    BACKLIGHT_CHECK(chart.width >= 160 && chart.height >= 120,
                    "line_chart: expected at least 160 x 120, got ", chart.width, " x ", chart.height);
    for (const Series& series : chart.series) {
        check(series);
    }
    const auto width = static_cast<double>(chart.width), height = static_cast<double>(chart.height);
    const int y_count = std::max(2, static_cast<int>(chart.height / 75));
    Axis x = x_axis(chart), y = y_axis(chart, y_count);
    const std::vector<double> y_ticks = y.ticks(y_count);

    Svg svg(width, height, chart.title.empty() ? "line chart" : chart.title);
    const double edge = 4;
    double top = edge;
    if (!chart.title.empty()) {
        svg.text({edge, top + 14}, chart.title, {.size = kTitleSize, .bold = true});
        top += 28;
    }
    top = draw_legend(svg, chart, edge, width - edge, top);
    if (!chart.y_label.empty()) {
        svg.text({edge, top + 10}, chart.y_label, {.size = kTextSize, .role = Role::soft});
        top += 18;
    }
    top += 6;

    double label_width = 0;
    for (const double tick : y_ticks) {
        label_width =
            std::max(label_width, text_length(y_label(chart, tick, step_of(y, y_ticks, tick)), kTextSize));
    }
    const double left = edge + label_width + 10, right = width - 14;
    const double bottom = height - (chart.x_label.empty() ? 26 : 46);
    x.from = left;
    x.to = right;
    y.from = bottom;
    y.to = top;

    for (const double tick : y_ticks) {
        const double at = y.pixel(tick);
        svg.line({left, at}, {right, at}, Role::grid);
        svg.text({left - 8, at + 4.2}, y_label(chart, tick, step_of(y, y_ticks, tick)),
                 {.size = kTextSize, .role = Role::soft, .anchor = Anchor::end});
    }
    svg.line({left, bottom}, {right, bottom}, Role::axis);
    std::vector<double> x_ticks = x.ticks(std::max(2, static_cast<int>((right - left) / 100)));
    const bool whole = std::all_of(chart.series.begin(), chart.series.end(), [](const Series& series) {
        return std::all_of(series.x.begin(), series.x.end(),
                           [](double value) { return value == std::floor(value); });
    });
    const double x_step = step_of(x, x_ticks, x_ticks.back());
    if (whole && !x.log && x.low == 1 && x_ticks.front() > 2) {
        x_ticks.insert(x_ticks.begin(), 1);  // epochs count from one
    }
    for (const double tick : x_ticks) {
        if (whole && !x.log && tick != std::floor(tick)) {
            continue;  // there is no epoch 2.5
        }
        const double at = x.pixel(tick);
        const double step = x.log ? tick : whole ? std::max(1.0, x_step) : x_step;
        svg.line({at, bottom}, {at, bottom + 5}, Role::axis);
        svg.text({at, bottom + 19}, tick_label(tick, step),
                 {.size = kTextSize, .role = Role::soft, .anchor = Anchor::middle});
    }
    svg.text({(left + right) / 2, height - 7}, chart.x_label,
             {.size = kTextSize, .role = Role::soft, .anchor = Anchor::middle});

    for (size_t i = 0; i < chart.series.size(); ++i) {
        draw_band(svg, chart.series[i], x, y, role_of(chart.series[i], i));
    }
    for (size_t i = 0; i < chart.series.size(); ++i) {
        const Series& series = chart.series[i];
        for (const auto& piece : pieces(series, series.y, x, y)) {
            if (piece.size() > 1) {
                svg.polyline(piece, role_of(series, i), 2.25, dashes_of(series));
            }
            if (series.markers || piece.size() == 1) {
                for (const Point& point : piece) {
                    svg.circle(point, 3.2, role_of(series, i), "", opacity_of(series));
                }
            }
        }
    }
    return svg.str();
}

}  // namespace backlight::report
