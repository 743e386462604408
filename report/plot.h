// Charts as SVG text: lines with bands, confusion matrices, bars, a colour bar. Each stands alone as a file
// and may be put into a page as it is. Colours follow the reader's light or dark theme; printing is always
// light.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace backlight::report {

struct Series {
    std::string name{};
    std::vector<double> x{}, y{};       // equally many; a y that is not finite leaves a gap in the line
    std::vector<double> low{}, high{};  // the spread (band) around y; empty, or as many as y
    bool dashed = false;
    bool markers = false;  // a dot at each point
    bool pale = false;     // of the dots: what lies behind the others
    int color = -1;        // 0..7 of the palette; -1: the position of the series
};

struct LineChart {
    std::string title{};
    std::string x_label{}, y_label{};
    std::vector<Series> series{};
    bool log_x = false, log_y = false;       // base 10; points <= 0 are left out
    std::optional<double> y_min{}, y_max{};  // widen or fix the axis; by default from the data
    bool y_percent = false;                  // y is a share: tick 0.9 reads 90 %
    int64_t width = 850, height = 340;  // of the view box; 850 fills a page, 440 half of one (Page::figures)
};

/// Throws Error when x and y differ in length, when x is not finite, or when there is nothing to draw.
[[nodiscard]] std::string line_chart(const LineChart& chart);

struct ConfusionMatrix {
    std::string title{};
    std::vector<std::string> classes{};
    std::vector<int64_t> counts{};  // (K,K) row-major; row: true class, column: predicted class
};

/// Cells are as strong as their share of the row; hits and misses have different hues. Numbers are left out
/// beyond 40 classes, class names are cut. Throws Error when counts are not (K,K) or negative.
[[nodiscard]] std::string confusion_matrix(const ConfusionMatrix& matrix);

struct Bar {
    std::string name{};
    double value = 0;
    std::string note{};  // printed behind the value, e.g. "n = 980"
};

struct BarChart {
    std::string title{};
    std::string x_label{};
    std::vector<Bar> bars{};  // top to bottom
    bool percent = false;     // values are shares: 0.9 reads 90.0 %
    std::optional<double> x_min{}, x_max{};
    std::optional<double> reference{};  // a dashed vertical line, e.g. the mean
    std::string reference_label{};
    int64_t width = 850;
};

/// Horizontal bars from zero; negative values go left in another hue. Throws Error on values that are not
/// finite.
[[nodiscard]] std::string bar_chart(const BarChart& chart);

/// Points in a plane without axes (an embedding), some of them as small pictures.
struct ScatterPlot {
    std::string title{};
    std::vector<std::string> groups{};  // names, in the legend
    std::vector<double> x{}, y{};
    std::vector<int64_t> group{};         // one a point, a number of `groups`; -1: none of them
    std::vector<Tensor> thumbnails{};     // empty, or one a point: u8 (H,W,1|3|4); undefined: a dot
    std::vector<std::string> tooltips{};  // empty, or one a point
    double thumbnail = 26;                // longer edge of a thumbnail in pixels
    int64_t width = 850, height = 600;
};

/// Thumbnails lie over dots, and have a frame of their group's colour; group g has colour g mod 8. Throws
/// Error when numbers of points differ, a coordinate is not finite, or there is nothing to draw.
[[nodiscard]] std::string scatter_plot(const ScatterPlot& plot);

/// The legend of a heatmap: the colormap with three labels ("-", "0", "+" by default; `low`, `middle`,
/// `high`).
struct ColorBar {
    std::string colormap = "blue-white-red";
    std::string low = "against", middle = "0", high = "for";
    int64_t width = 320;
};
[[nodiscard]] std::string color_bar(const ColorBar& bar);

/// Round numbers (1, 2 or 5 times a power of ten) that lie in [low, high]; about `count` of them.
[[nodiscard]] std::vector<double> nice_ticks(double low, double high, int count = 5);
/// Powers of ten in [low, high], both > 0; with 2 and 5 times them when there are fewer than three.
[[nodiscard]] std::vector<double> log_ticks(double low, double high);
/// The shortest text that tells ticks apart by `step`: "0.25", "1500", "1e-07"; minus is U+2212.
[[nodiscard]] std::string tick_label(double value, double step);

}  // namespace backlight::report
