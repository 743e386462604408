#include "experiments/explain_page.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "autograd/functions.h"
#include "core/io/image.h"
#include "report/colormap.h"
#include "report/page.h"
#include "report/plot.h"

namespace backlight {
namespace {

using nlohmann::json;

/// The map of a sample by a method; undefined where there is none to be seen.
Tensor picture_of(const ExplainPage& page, const std::string& name, const std::string& method,
                  const Tensor& x) {
    const json* entry = page.index.find(name, method);
    if (entry == nullptr) {
        return {};
    }
    const json& shape = entry->at("shape");
    const bool shows = shape.size() == 4 && shape[1] != 1 && shape[2] != 1;  // one value has nothing to show
    return shows ? page.pictures.of_map(page.index.map_of(*entry), x, entry->value("coarse", false))
                 : Tensor();
}

/// One row a method: there are more of them than samples on a page. Where one failed on a sample its place
/// stays empty; a row without pictures is left out.
report::FigureGrid grid_of(const ExplainPage& page) {
    report::FigureGrid grid{.columns = {},
                            .legend = report::color_bar({.colormap = page.config.heatmap.colormap})};
    std::vector<std::vector<Tensor>> rows(page.methods.size() + 1);  // the first: inputs
    const int64_t shown = std::min(page.config.shown, page.config.samples);
    for (int64_t i = 0; i < shown; ++i) {
        const std::string& name = page.names[static_cast<size_t>(i)];
        if (std::none_of(page.methods.begin(), page.methods.end(), [&](const auto& method) {
                return page.index.find(name, method.first) != nullptr;
            })) {
            continue;
        }
        const ExplainSample sample = page.config.sample(i);
        if (sample.input.rank() != 4) {
            continue;
        }
        grid.columns.push_back(sample.label.empty() ? sample.name : sample.label);
        rows[0].push_back(MapPictures::is_drawable(sample.input) ? page.pictures.of_sample(sample.input)
                                                                 : Tensor());
        for (size_t m = 0; m < page.methods.size(); ++m) {
            rows[m + 1].push_back(picture_of(page, name, page.methods[m].first, sample.input));
        }
    }
    for (size_t row = 0; row < rows.size(); ++row) {
        if (std::any_of(rows[row].begin(), rows[row].end(), [](const Tensor& p) { return p.defined(); })) {
            grid.rows.push_back(row == 0 ? "input" : page.methods[row - 1].first);
            grid.pictures.push_back(std::move(rows[row]));
        }
    }
    const report::HeatmapOptions& heatmap = page.config.heatmap;
    grid.caption =
        std::string(
            report::colormap(heatmap.colormap).diverging()
                ? "Red speaks for the class that is explained, blue against it, white (or the "
                  "picture itself) is zero. "
                : "Colours are magnitudes, whatever their sign, from zero (or the picture itself). ") +
        "Each map has its own scale; its strongest colour is the " +
        std::to_string(heatmap.percentile).substr(0, 4) +
        "th percentile of its magnitude. Maps of regions that are positive everywhere begin at their "
        "smallest value.";
    return grid;
}

std::string mean_text(double total, int64_t count) {
    std::ostringstream stream;
    stream << std::setprecision(4) << total / static_cast<double>(count);
    return count > 0 ? stream.str() : std::string("–");
}

/// Means over the samples of this call, a row a method.
report::Table numbers_of(const ExplainPage& page) {
    report::Table table{
        .columns = {"method", "start", "maps", "mean sum", "should be", "mean |gap|", "seconds a map"},
        .caption = "Where a method is complete, its maps should sum to what stands beside."};
    for (const auto& [method, start] : page.methods) {
        double total = 0, expected = 0, gap = 0, seconds = 0;
        int64_t count = 0, complete = 0;
        for (const std::string& name : page.names) {
            const json* entry = page.index.find(name, method);
            if (entry == nullptr) {
                continue;
            }
            ++count;
            const double sum = entry->at("sum").get<double>();
            total += sum;
            seconds += entry->at("seconds").get<double>();
            if (entry->contains("expected_sum")) {
                ++complete;
                expected += entry->at("expected_sum").get<double>();
                gap += std::abs(entry->at("expected_sum").get<double>() - sum);
            }
        }
        if (count > 0) {
            table.rows.push_back({method, start, std::to_string(count), mean_text(total, count),
                                  mean_text(expected, complete), mean_text(gap, complete),
                                  mean_text(seconds, count)});
        }
    }
    return table;
}

}  // namespace

void write_explain_page(const ExplainPage& contents) {
    const NoGrad off;
    const std::filesystem::path& folder = contents.index.folder();
    report::Page page("Explanations", contents.config.identity);
    page.kicker("Backlight");
    page.tile(std::to_string(contents.config.samples), "samples");
    page.tile(std::to_string(contents.methods.size()), "methods");
    const report::FigureGrid grid = grid_of(contents);
    if (!grid.pictures.empty()) {
        const Tensor sheet = sheet_of(grid);
        write_png(folder / "grid.png", sheet);
        page.section("Maps");
        constexpr size_t kFew = 2;  // a column of pictures would leave the page empty
        if (grid.columns.size() <= kFew) {
            page.figure({.image = sheet, .caption = grid.caption});
        } else {
            page.grid(grid);
        }
    } else {  // that of an earlier call does not belong to this page
        std::error_code none;
        std::filesystem::remove(folder / "grid.png", none);
    }
    page.section("Numbers").table(numbers_of(contents));
    if (!contents.left_out.empty()) {
        page.section("Left out").list(contents.left_out);
    }
    page.write(folder / "report.html");
}

}  // namespace backlight
