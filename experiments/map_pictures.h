// Pictures of explanations and of what they explain, and the sheet that shows many of them.
#pragma once

#include "report/heatmap.h"
#include "report/page.h"
#include "report/reduce.h"
#include "train/trainer.h"

namespace backlight {

class MapPictures {
public:
    /// `model` says in which range its inputs lie.
    MapPictures(const LoadedModel& model, report::Reduce reduce, report::HeatmapOptions heatmap)
        : low_(model.low), high_(model.high), reduce_(reduce), heatmap_(std::move(heatmap)) {}

    /// Whether a sample (1,H,W,C) is a picture: of 1 or 3 channels.
    [[nodiscard]] static bool is_drawable(const Tensor& x);
    /// A sample, in the range that the model states or its own.
    [[nodiscard]] Tensor of_sample(const Tensor& x) const;
    /// A map (1,H,W,C) of sample x, a coarse one over its picture; where that is positive everywhere it
    /// begins at its smallest value.
    [[nodiscard]] Tensor of_map(const Tensor& map, const Tensor& x, bool coarse) const;

private:
    std::vector<double> low_, high_;
    report::Reduce reduce_;
    report::HeatmapOptions heatmap_;
};

/// The grid with a column a method, in bands of a width that a screen has.
[[nodiscard]] Tensor sheet_of(const report::FigureGrid& grid);

}  // namespace backlight
