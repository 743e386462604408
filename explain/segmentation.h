// Segmentation: which positions of a sample are taken away together. Grids and SLIC superpixels of pictures,
// ids from a file, or every value on its own.
#pragma once

#include <array>
#include <vector>

#include "core/options.h"
#include "explain/explainer.h"

namespace backlight {

/// Of each sample of a batch: the segment of every position, 0 to count - 1.
struct Segmentation {
    Shape grain;                            // of one sample: (H,W,1) pixels, (H,W,C) or (D) single values
    std::vector<std::vector<int64_t>> ids;  // [sample][position], row-major
    std::vector<int64_t> counts;            // [sample]
};

/// Rows and columns of about `count` cells, as square as they can be; at most one a pixel.
[[nodiscard]] std::array<int64_t, 2> grid_cells(int64_t height, int64_t width, int64_t count);
/// Ids (H * W) of these cells.
[[nodiscard]] std::vector<int64_t> grid_segments(int64_t height, int64_t width, int64_t count);

struct SlicOptions {
    int64_t count = 50;       // about: the number found is near it
    double compactness = 10;  // how much a distance of one cell weighs, in units of lightness (0 to 100)
    int64_t iterations = 10;
};
/// SLIC superpixels (H * W): k-means of colour and place in which a centre sees the pixels of its
/// surroundings only, then every segment that is not connected (over edges of pixels) or too small joins a
/// neighbour. `image` (H,W,C) on any scale: it is stretched to [0,1], then three channels are taken for sRGB
/// and compared in CIE Lab, others as they are, times 100, the range of lightness. Source: Achanta et al.,
/// "SLIC superpixels compared to state-of-the-art superpixel methods", 2012.
[[nodiscard]] std::vector<int64_t> slic_segments(const Tensor& image, const SlicOptions& options = {});

/// From `ids`, whole numbers in any order, of shape (H,W), (N,H,W), (H,W,C) or (N,H,W,C) for pictures and (D)
/// or (N,D) for vectors; one sample's ids hold for all. Equal ids are one segment. Throws Error when nothing
/// fits `x`.
[[nodiscard]] Segmentation segments_from(const Tensor& ids, const Shape& x);
/// Every value of every sample is a segment.
[[nodiscard]] Segmentation single_values(const Shape& x);

/// The options segments=slic|grid, n_segments and compactness, or masks=FILE.npy of ids. Vectors without
/// masks: each feature is a segment.
class SegmentOptions {
public:
    SegmentOptions(const Options& options, const ExplainContext& context);
    [[nodiscard]] Segmentation of(const Tensor& x) const;

private:
    bool chosen_ = false;  // by the user
    bool grid_ = false;
    SlicOptions slic_;
    Tensor masks_;
    std::vector<double> mean_, std_;  // of the normalisation, undone before colours are compared
};

/// x with each segment's mean, by channel, in the place of its values. Segments of pictures' pixels only.
[[nodiscard]] Tensor segment_means(const Tensor& x, const Segmentation& segmentation);
/// (N, grain): every position has the value of its segment; with `share` that value over the number of the
/// segment's positions, so that the map's sum is the sum over segments.
[[nodiscard]] Tensor paint(const Segmentation& segmentation, const std::vector<std::vector<double>>& values,
                           bool share, const Tensor& like);

}  // namespace backlight
