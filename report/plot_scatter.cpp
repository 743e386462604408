// Scatter plots of embeddings: title, legend, points. Distances mean something in them, axes do not.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "report/plot.h"
#include "report/svg.h"

namespace backlight::report {
namespace {

constexpr double kTextSize = 12, kTitleSize = 15, kMargin = 10, kDot = 3;

void check(const ScatterPlot& plot) {
    const size_t n = plot.x.size();
    BACKLIGHT_CHECK(n > 0, "scatter_plot: there is nothing to draw");
    BACKLIGHT_CHECK(plot.y.size() == n && plot.group.size() == n, "scatter_plot: ", n,
                    " x need as many y and groups, got ", plot.y.size(), " and ", plot.group.size());
    BACKLIGHT_CHECK((plot.thumbnails.empty() || plot.thumbnails.size() == n) &&
                        (plot.tooltips.empty() || plot.tooltips.size() == n),
                    "scatter_plot: ", n, " points, but ", plot.thumbnails.size(), " thumbnails and ",
                    plot.tooltips.size(), " tooltips");
    for (size_t i = 0; i < n; ++i) {
        BACKLIGHT_CHECK(std::isfinite(plot.x[i]) && std::isfinite(plot.y[i]), "scatter_plot: point ", i,
                        " is not finite");
        BACKLIGHT_CHECK(plot.group[i] >= -1 && plot.group[i] < static_cast<int64_t>(plot.groups.size()),
                        "scatter_plot: point ", i, " is of group ", plot.group[i], ", there are ",
                        plot.groups.size());
    }
}

Role role_of(int64_t group) { return group < 0 ? Role::soft : series_role(group); }

/// Returns where the plot begins.
double draw_head(Svg& svg, const ScatterPlot& plot) {
    double y = kMargin;
    if (!plot.title.empty()) {
        y += kTitleSize;
        svg.text({kMargin, y}, plot.title, {.size = kTitleSize, .bold = true});
        y += 10;
    }
    double x = kMargin;
    std::vector<std::pair<std::string, int64_t>> entries;
    for (size_t g = 0; g < plot.groups.size(); ++g) {
        entries.emplace_back(plot.groups[g], static_cast<int64_t>(g));
    }
    if (std::count(plot.group.begin(), plot.group.end(), -1) > 0) {
        entries.emplace_back("none", -1);
    }
    for (const auto& [name, group] : entries) {
        const double length = 22 + text_length(name, kTextSize);
        if (x + length > static_cast<double>(plot.width) - kMargin && x > kMargin) {
            x = kMargin;
            y += kTextSize + 6;
        }
        svg.rectangle({x, y}, 11, 11, role_of(group), 1, 2);
        svg.text({x + 16, y + 10}, name, {.size = kTextSize});
        x += length + 12;
    }
    return y + (entries.empty() ? 0 : kTextSize + 8);
}

}  // namespace

std::string scatter_plot(const ScatterPlot& plot) {
    check(plot);
    Svg svg(static_cast<double>(plot.width), static_cast<double>(plot.height),
            plot.title.empty() ? "scatter plot" : plot.title);
    const double room = plot.thumbnail / 2 + kMargin;
    const double top = draw_head(svg, plot) + room, left = room;
    const double right = static_cast<double>(plot.width) - room,
                 bottom = static_cast<double>(plot.height) - room;
    const auto [x_low, x_high] = std::minmax_element(plot.x.begin(), plot.x.end());
    const auto [y_low, y_high] = std::minmax_element(plot.y.begin(), plot.y.end());
    // One scale for both directions: distances are what the picture shows.
    const double span_x = std::max(*x_high - *x_low, 1e-12), span_y = std::max(*y_high - *y_low, 1e-12);
    const double scale = std::min((right - left) / span_x, (bottom - top) / span_y);
    const double x_shift = (left + right) / 2 - scale * (*x_low + *x_high) / 2;
    const double y_shift = (top + bottom) / 2 + scale * (*y_low + *y_high) / 2;
    const auto at = [&](size_t i) { return Point{x_shift + scale * plot.x[i], y_shift - scale * plot.y[i]}; };
    const auto tooltip = [&](size_t i) { return plot.tooltips.empty() ? std::string() : plot.tooltips[i]; };
    const auto has_picture = [&](size_t i) {
        return !plot.thumbnails.empty() && plot.thumbnails[i].defined();
    };
    for (size_t i = 0; i < plot.x.size(); ++i) {
        if (!has_picture(i)) {
            svg.circle(at(i), kDot, role_of(plot.group[i]), tooltip(i));
        }
    }
    for (size_t i = 0; i < plot.x.size(); ++i) {
        if (has_picture(i)) {
            const Tensor& picture = plot.thumbnails[i];
            const auto height = static_cast<double>(picture.dim(0)),
                       width = static_cast<double>(picture.dim(1));
            const double factor = plot.thumbnail / std::max(height, width);
            const Point centre = at(i);
            const Point corner{centre.x - width * factor / 2, centre.y - height * factor / 2};
            svg.image(corner, width * factor, height * factor, picture, tooltip(i));
            svg.frame(corner, width * factor, height * factor, role_of(plot.group[i]), 2);
        }
    }
    return svg.str();
}

}  // namespace backlight::report
