// Horizontal bars, and the legend of a heatmap. Where the axis does not begin at zero a bar's length would
// mislead: a dot on a line stands there instead.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "report/plot.h"
#include "report/svg.h"
#include "report/text.h"

namespace backlight::report {
namespace {

std::string value_label(const BarChart& chart, double value) {
    char buffer[32];
    if (chart.percent) {
        std::snprintf(buffer, sizeof buffer, "%.1f %%", 100 * std::abs(value));
    } else {
        std::snprintf(buffer, sizeof buffer, "%.4g", std::abs(value));
    }
    return (value < 0 ? "\u2212" : "") + std::string(buffer);
}

}  // namespace

std::string bar_chart(const BarChart& chart) {
    BACKLIGHT_CHECK(!chart.bars.empty(), "bar_chart: there are no bars");
    BACKLIGHT_CHECK(chart.width >= 200, "bar_chart: expected a width of at least 200, got ", chart.width);
    double low = 0, high = 0;
    double name_width = 0, note_width = 0, value_width = 0;
    std::vector<std::string> names;
    for (const Bar& bar : chart.bars) {
        BACKLIGHT_CHECK(std::isfinite(bar.value), "bar_chart: bar \"", bar.name, "\" has the value ",
                        bar.value);
        low = std::min(low, bar.value);
        high = std::max(high, bar.value);
        names.push_back(shorten(clean_text(bar.name), 32));
        name_width = std::max(name_width, 1.06 * text_length(names.back(), 12));  // fonts differ
        value_width = std::max(value_width, text_length(value_label(chart, bar.value), 12));
        note_width = std::max(note_width, text_length(bar.note, 11));
    }
    if (chart.reference) {
        BACKLIGHT_CHECK(std::isfinite(*chart.reference), "bar_chart: the reference is ", *chart.reference);
        low = std::min(low, *chart.reference);
        high = std::max(high, *chart.reference);
    }
    low = chart.x_min.value_or(low);
    high = chart.x_max.value_or(chart.percent && high <= 1 && high > 0.5 ? 1 : high);
    if (low == high && !chart.x_min && !chart.x_max) {
        high = low + 1;
    }
    BACKLIGHT_CHECK(low < high, "bar_chart: the axis from ", low, " to ", high, " is not possible");

    const double edge = 8, row = 24, thickness = 14;
    const double title = chart.title.empty() ? 0 : 30,
                 note = chart.reference && !chart.reference_label.empty() ? 18 : 4;
    const auto width = static_cast<double>(chart.width);
    const double left = edge + name_width + 10 + (low < 0 ? value_width + 6 : 0);
    const double right = width - edge - value_width - 8 - (note_width > 0 ? note_width + 12 : 0);
    BACKLIGHT_CHECK(right > left + 40, "bar_chart: a width of ", chart.width,
                    " leaves no room beside the names");
    const double top = edge + title + note;
    const double bottom = top + row * static_cast<double>(chart.bars.size()) + 4;
    const double height = bottom + 22 + (chart.x_label.empty() ? 0 : 20);
    const auto pixel = [&](double value) {
        return left + (std::clamp(value, low, high) - low) / (high - low) * (right - left);
    };
    const bool from_zero = low <= 0 && high >= 0;
    const double origin = pixel(from_zero ? 0 : low);

    Svg svg(width, height, chart.title.empty() ? "bar chart" : chart.title);
    svg.text({edge, edge + 14}, chart.title, {.size = 15, .bold = true});
    const std::vector<double> ticks =
        nice_ticks(low, high, std::max(2, static_cast<int>((right - left) / 90)));
    const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 0;
    for (const double tick : ticks) {
        svg.line({pixel(tick), top}, {pixel(tick), bottom}, Role::grid);
        svg.text({pixel(tick), bottom + 16},
                 chart.percent ? tick_label(tick * 100, step * 100) + " %" : tick_label(tick, step),
                 {.size = 11, .role = Role::soft, .anchor = Anchor::middle});
    }
    if (chart.reference) {
        const double at = pixel(*chart.reference);
        svg.line({at, top - 3}, {at, bottom}, Role::soft, 1.25, "4 3");
        svg.text({at, top - 7}, chart.reference_label,
                 {.size = 11, .role = Role::soft, .anchor = Anchor::middle});
    }
    for (size_t i = 0; i < chart.bars.size(); ++i) {
        const Bar& bar = chart.bars[i];
        const double y = top + row * (static_cast<double>(i) + 0.5) + 2, end = pixel(bar.value);
        const Role role = bar.value < 0 ? Role::series1 : Role::series0;
        svg.text({edge + name_width, y + 4.3}, names[i], {.size = 12, .anchor = Anchor::end});
        if (from_zero) {
            svg.rectangle({std::min(origin, end), y - thickness / 2}, std::abs(end - origin), thickness, role,
                          1, 2, concat_text(bar.name, ": ", value_label(chart, bar.value)));
        } else {
            svg.line({origin, y}, {end, y}, role, 1.5);
            svg.circle({end, y}, 5, role);
        }
        svg.text({bar.value < 0 ? end - 7 : end + 8, y + 4.3}, value_label(chart, bar.value),
                 {.size = 12, .anchor = bar.value < 0 ? Anchor::end : Anchor::start, .halo = true});
        svg.text({width - edge, y + 4.1}, bar.note, {.size = 11, .role = Role::soft, .anchor = Anchor::end});
    }
    svg.line({origin, top}, {origin, bottom}, Role::axis);
    svg.text({(left + right) / 2, height - 5}, chart.x_label,
             {.size = 12, .role = Role::soft, .anchor = Anchor::middle});
    return svg.str();
}

std::string color_bar(const ColorBar& bar) {
    const Colormap& colors = colormap(bar.colormap);
    BACKLIGHT_CHECK(bar.width >= 80, "color_bar: expected a width of at least 80, got ", bar.width);
    const auto width = static_cast<double>(bar.width);
    Svg svg(width, 32, concat_text("colours from ", bar.low, " to ", bar.high));
    constexpr int kSteps = 65;  // odd: the middle one is the neutral colour
    const double step = width / kSteps;
    for (int i = 0; i < kSteps; ++i) {
        // Each reaches under the next ones, so that rounding leaves no gap; the last one ends at the edge.
        svg.swatch({i * step, 0}, std::min(2 * step, width - i * step), 12, colors.at(i / (kSteps - 1.0)));
    }
    svg.text({0, 27}, bar.low, {.size = 12, .role = Role::soft});
    svg.text({width / 2, 27}, bar.middle, {.size = 12, .role = Role::soft, .anchor = Anchor::middle});
    svg.text({width, 27}, bar.high, {.size = 12, .role = Role::soft, .anchor = Anchor::end});
    return svg.str();
}

}  // namespace backlight::report
