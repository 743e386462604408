#include "experiments/map_pictures.h"

#include <algorithm>

#include "autograd/functions.h"
#include "report/colormap.h"
#include "report/contact_sheet.h"
#include "report/plot.h"

namespace backlight {

bool MapPictures::is_drawable(const Tensor& x) { return x.rank() == 4 && (x.dim(3) == 1 || x.dim(3) == 3); }

Tensor MapPictures::of_sample(const Tensor& x) const {
    double low = amin(Variable(x.to(DType::f64))).item();
    double high = amax(Variable(x.to(DType::f64))).item();
    if (!low_.empty() && !high_.empty()) {
        low = *std::min_element(low_.begin(), low_.end());
        high = *std::max_element(high_.begin(), high_.end());
    }
    return report::picture(report::batch_item(x.to(DType::f32), 0), low, std::max(high, low + 1e-9));
}

Tensor MapPictures::of_map(const Tensor& map, const Tensor& x, bool coarse) const {
    const NoGrad off;
    Tensor relevance = report::batch_item(report::reduce_channels(map.to(DType::f32), reduce_), 0);
    if (!report::colormap(heatmap_.colormap)
             .diverging()) {  // such a map has no colour for what speaks against
        relevance = abs(Variable(relevance)).data();
    }
    const int64_t factor = std::max<int64_t>(1, 128 / std::max<int64_t>(relevance.dim(0), 1));
    if (!is_drawable(x) || !coarse) {
        return report::enlarge(report::heatmap_image(relevance, heatmap_), factor);
    }
    const double least = amin(Variable(relevance)).item();
    const Tensor above = least > 0 ? (Variable(relevance) - least).data() : relevance;
    return report::enlarge(report::overlay(of_sample(x), above, {.alpha = 0.7, .heatmap = heatmap_}), factor);
}

Tensor sheet_of(const report::FigureGrid& grid) {
    constexpr size_t kBand = 8;
    std::vector<Tensor> bands;
    for (size_t first = 0; first < grid.rows.size(); first += kBand) {
        const size_t end = std::min(first + kBand, grid.rows.size());
        std::vector<std::vector<Tensor>> pictures(grid.columns.size());
        for (size_t sample = 0; sample < grid.columns.size(); ++sample) {
            for (size_t method = first; method < end; ++method) {
                pictures[sample].push_back(grid.pictures[method][sample]);
            }
            pictures[sample].resize(std::min(kBand, grid.rows.size()));
        }
        std::vector<std::string> captions(grid.rows.begin() + static_cast<int64_t>(first),
                                          grid.rows.begin() + static_cast<int64_t>(end));
        captions.resize(std::min(kBand, grid.rows.size()));
        bands.push_back(report::grid(pictures, {.columns = captions, .rows = grid.columns, .cell = 224}));
    }
    return report::stacked(bands);
}

}  // namespace backlight
