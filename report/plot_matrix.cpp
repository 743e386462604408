// Confusion matrices: rows are the true classes, columns the predicted ones, the share of hits (recall) at
// the right.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "report/plot.h"
#include "report/svg.h"
#include "report/text.h"

namespace backlight::report {
namespace {

constexpr int64_t kMaxNumbered = 40;    // classes
constexpr int64_t kMaxNameLength = 18;  // characters

std::string percent(double share, int decimals) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.*f %%", decimals, 100 * share);
    return buffer;
}

}  // namespace

std::string confusion_matrix(const ConfusionMatrix& matrix) {
    const auto classes = static_cast<int64_t>(matrix.classes.size());
    BACKLIGHT_CHECK(classes > 0, "confusion_matrix: there are no classes");
    BACKLIGHT_CHECK(static_cast<int64_t>(matrix.counts.size()) == classes * classes,
                    "confusion_matrix: expected ", classes, " x ", classes, " counts, got ",
                    matrix.counts.size());
    const auto count = [&](int64_t row, int64_t column) {
        return matrix.counts[static_cast<size_t>(row * classes + column)];
    };
    BACKLIGHT_CHECK(std::all_of(matrix.counts.begin(), matrix.counts.end(), [](int64_t n) { return n >= 0; }),
                    "confusion_matrix: a count is negative");

    const bool numbered = classes <= kMaxNumbered;
    const int64_t largest = *std::max_element(matrix.counts.begin(), matrix.counts.end());
    const double size = numbered ? (classes <= 12 ? 12 : classes <= 24 ? 10 : 8) : 0;
    const double digits = text_length(std::to_string(largest), size) + 8;
    const double cell = numbered ? std::max({digits, classes <= 12   ? 36.0
                                                     : classes <= 24 ? 26.0
                                                                     : 18.0})
                                 : std::max(3.0, 640.0 / static_cast<double>(classes));
    const double name_size = std::clamp(cell - 2, 7.0, 12.0);
    const bool named = cell >= 9;
    std::vector<std::string> names;
    double longest = 0;
    for (const std::string& name : matrix.classes) {
        names.push_back(named ? shorten(clean_text(name), kMaxNameLength) : "");
        longest = std::max(longest, text_length(names.back(), name_size));
    }
    const bool slanted = longest > cell - 4;

    const double edge = 4, side = cell * static_cast<double>(classes);
    const double title = matrix.title.empty() ? 0 : 28;
    const double above = 18 + (named ? (slanted ? longest * 0.72 + 12 : 18) : 6);
    const double left = edge + 18 + (named ? longest + 8 : 4), top = edge + title + above;
    const double recall = named ? 62 : 0;
    const double spill = slanted ? longest * 0.72 : 0;  // the last slanted name leans over the edge
    const double width = left + side + std::max(recall, spill) + edge;
    const double height = top + side + 26;

    Svg svg(width, height, matrix.title.empty() ? "confusion matrix" : matrix.title);
    svg.text({edge, edge + 14}, matrix.title, {.size = 15, .bold = true});
    svg.text({left, edge + title + 11}, "predicted class", {.size = 11, .role = Role::soft});
    svg.text({edge + 11, top + side}, "true class", {.size = 11, .role = Role::soft, .rotate = -90});
    if (named) {
        svg.text({left + side + 10, top - 7}, slanted ? "" : "recall", {.size = 11, .role = Role::soft});
    }
    for (int64_t row = 0; row < classes; ++row) {
        const auto& name = names[static_cast<size_t>(row)];
        const double y = top + cell * static_cast<double>(row), middle = y + cell / 2 + name_size * 0.36;
        const double across = left + cell * (static_cast<double>(row) + 0.5);
        svg.text({left - 8, middle}, name, {.size = name_size, .anchor = Anchor::end});
        if (slanted) {
            svg.text({across, top - 6}, name, {.size = name_size, .rotate = -45});
        } else {
            svg.text({across, top - 7}, name, {.size = name_size, .anchor = Anchor::middle});
        }
        int64_t total = 0;
        for (int64_t column = 0; column < classes; ++column) {
            total += count(row, column);
        }
        for (int64_t column = 0; column < classes; ++column) {
            const double share =
                total == 0 ? 0 : static_cast<double>(count(row, column)) / static_cast<double>(total);
            const bool hit = row == column;
            // Misses are rare: the square root makes one percent visible.
            const double strength = hit ? share : std::sqrt(share);
            const double gap = cell > 12 ? 1 : 0.25;
            const Point corner{left + cell * static_cast<double>(column) + gap, y + gap};
            const std::string tooltip =
                classes > 30 ? ""
                             : concat_text(matrix.classes[static_cast<size_t>(row)], " seen as ",
                                           matrix.classes[static_cast<size_t>(column)], ": ",
                                           count(row, column), " (", percent(share, 1), ")");
            svg.rectangle(corner, cell - 2 * gap, cell - 2 * gap, Role::grid, 0.45, cell > 12 ? 3 : 0,
                          tooltip);
            if (count(row, column) > 0) {
                svg.rectangle(corner, cell - 2 * gap, cell - 2 * gap, hit ? Role::series0 : Role::series1,
                              std::max(0.06, strength), cell > 12 ? 3 : 0, tooltip);
                if (numbered) {
                    svg.text({corner.x + cell / 2 - gap, y + cell / 2 + size * 0.36},
                             std::to_string(count(row, column)),
                             {.size = size,
                              .role = strength > 0.55 ? Role::contrast : Role::ink,
                              .anchor = Anchor::middle});
                }
            }
        }
        if (named) {
            const double share =
                total == 0 ? 0 : static_cast<double>(count(row, row)) / static_cast<double>(total);
            svg.text({left + side + 10, middle}, total == 0 ? "\u2013" : percent(share, 1),
                     {.size = name_size, .role = Role::soft});
        }
    }
    svg.text({left, top + side + 17},
             shorten("colour: share of the row; misses by its square root",
                     static_cast<int64_t>((width - left) / 5.4)),
             {.size = 11, .role = Role::soft});
    return svg.str();
}

}  // namespace backlight::report
