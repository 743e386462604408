#include "explain/segmentation.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "autograd/functions.h"
#include "core/error.h"
#include "core/io/npy.h"

namespace backlight {
namespace {

Shape with_batch(int64_t samples, const Shape& sample) {
    Shape shape{samples};
    for (const int64_t extent : sample) {
        shape.push_back(extent);
    }
    return shape;
}

Shape without_batch(const Shape& shape) { return Shape(shape.extents().subspan(1)); }

std::vector<int64_t> whole_numbers(const Tensor& ids) {
    std::vector<int64_t> whole;
    for (const double id : ids.to(DType::f64).to_vector<double>()) {
        BACKLIGHT_CHECK(std::abs(id) < 1e15 && id == std::round(id), "masks: expected whole numbers, got ",
                        id);
        whole.push_back(std::llround(id));
    }
    return whole;
}

/// The network's input as the picture it was.
Tensor without_normalisation(const Tensor& x, const std::vector<double>& mean,
                             const std::vector<double>& std) {
    const auto fits = [&](const std::vector<double>& values) {
        return values.size() == 1 || static_cast<int64_t>(values.size()) == x.dim(-1);
    };
    const NoGrad off;
    Variable picture(x.to(DType::f64));
    if (fits(std)) {
        picture = picture * Variable(Tensor::from(std, {static_cast<int64_t>(std.size())}, x.device()));
    }
    if (fits(mean)) {
        picture = picture + Variable(Tensor::from(mean, {static_cast<int64_t>(mean.size())}, x.device()));
    }
    return picture.data();
}

}  // namespace

std::array<int64_t, 2> grid_cells(int64_t height, int64_t width, int64_t count) {
    const auto h = static_cast<double>(height), w = static_cast<double>(width),
               n = static_cast<double>(count);
    const int64_t rows = std::clamp<int64_t>(std::llround(std::sqrt(n * h / w)), 1, std::min(height, count));
    const int64_t columns = std::clamp<int64_t>(std::llround(n / static_cast<double>(rows)), 1, width);
    return {rows, columns};
}

std::vector<int64_t> grid_segments(int64_t height, int64_t width, int64_t count) {
    const auto [rows, columns] = grid_cells(height, width, count);
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < height; ++i) {
        for (int64_t j = 0; j < width; ++j) {
            ids.push_back(i * rows / height * columns + j * columns / width);
        }
    }
    return ids;
}

Segmentation segments_from(const Tensor& ids, const Shape& x) {
    const Shape sample = without_batch(x);
    std::vector<Shape> grains{sample};
    if (x.rank() == 4) {
        grains.insert(grains.begin(), {Shape{x[1], x[2]}, Shape{x[1], x[2], 1}});
    }
    for (const Shape& grain : grains) {
        const bool each = ids.shape() == with_batch(x[0], grain);
        if (!each && ids.shape() != grain && ids.shape() != with_batch(1, grain)) {
            continue;
        }
        Segmentation found{.grain = grain.rank() == 2 ? Shape{x[1], x[2], 1} : grain};
        const std::vector<int64_t> given = whole_numbers(ids);
        const int64_t positions = grain.numel();
        for (int64_t n = 0; n < x[0]; ++n) {
            const auto first = given.begin() + (each ? n * positions : 0);
            std::map<int64_t, int64_t> numbers;  // in ascending order of the ids
            std::for_each(first, first + positions, [&](int64_t id) { numbers[id] = 0; });
            int64_t count = 0;
            for (auto& [id, number] : numbers) {
                number = count++;
            }
            std::vector<int64_t> own;
            std::transform(first, first + positions, std::back_inserter(own),
                           [&](int64_t id) { return numbers.at(id); });
            found.ids.push_back(std::move(own));
            found.counts.push_back(count);
        }
        return found;
    }
    throw_error(concat_text("masks: ids of shape ", ids.shape(), " do not fit inputs of shape ", x,
                            ": expected ",
                            x.rank() == 4 ? "(H,W), (N,H,W), (H,W,C) or (N,H,W,C)" : "(D) or (N,D)"));
}

Segmentation single_values(const Shape& x) {
    const Shape grain = without_batch(x);
    std::vector<int64_t> ids(static_cast<size_t>(grain.numel()));
    for (size_t i = 0; i < ids.size(); ++i) {
        ids[i] = static_cast<int64_t>(i);
    }
    const auto samples = static_cast<size_t>(x[0]);
    return {.grain = grain,
            .ids = std::vector<std::vector<int64_t>>(samples, ids),
            .counts = std::vector<int64_t>(samples, grain.numel())};
}

SegmentOptions::SegmentOptions(const Options& options, const ExplainContext& context)
    : mean_(context.mean), std_(context.std) {
    const std::string file = options.get("masks", "");
    if (!file.empty()) {
        masks_ = read_npy(file);
        return;
    }
    chosen_ = options.has("segments") || options.has("n_segments") || options.has("compactness");
    grid_ = options.choose("segments", "slic", {"slic", "grid"}) == "grid";
    slic_.count = options.get_within("n_segments", slic_.count, 1, 1'000'000);
    if (!grid_) {
        slic_.compactness = options.get_within("compactness", slic_.compactness, 1e-6, 1e6);
    }
}

Segmentation SegmentOptions::of(const Tensor& x) const {
    if (masks_.defined()) {
        return segments_from(masks_, x.shape());
    }
    if (x.rank() != 4) {
        BACKLIGHT_CHECK(!chosen_, "segments: of vectors each feature is one; group them with masks=FILE.npy");
        return single_values(x.shape());
    }
    Segmentation found{.grain = {x.dim(1), x.dim(2), 1}};
    const Tensor pictures = grid_ ? x : without_normalisation(x, mean_, std_);
    const NoGrad off;
    for (int64_t n = 0; n < x.dim(0); ++n) {
        const Tensor picture =
            grid_ ? Tensor()
                  : slice(Variable(pictures), 0, n, 1).data().reshape({x.dim(1), x.dim(2), x.dim(3)});
        found.ids.push_back(grid_ ? grid_segments(x.dim(1), x.dim(2), slic_.count)
                                  : slic_segments(picture, slic_));
        found.counts.push_back(*std::max_element(found.ids.back().begin(), found.ids.back().end()) + 1);
    }
    return found;
}

Tensor segment_means(const Tensor& x, const Segmentation& segmentation) {
    BACKLIGHT_CHECK(
        x.rank() == 4 && segmentation.grain == Shape({x.dim(1), x.dim(2), 1}),
        "fill=segment-mean: needs segments of the pixels of pictures (N,H,W,C); a single value is its "
        "own mean, got inputs of shape ",
        x.shape());
    std::vector<double> values = x.to(DType::f64).to_vector<double>();
    const auto channels = static_cast<size_t>(x.dim(3));
    const auto pixels = static_cast<size_t>(x.dim(1) * x.dim(2));
    for (size_t n = 0; n < segmentation.ids.size(); ++n) {
        const std::vector<int64_t>& ids = segmentation.ids[n];
        double* own = &values[n * pixels * channels];
        const auto count = static_cast<size_t>(segmentation.counts[n]);
        std::vector<double> sums(count * channels, 0.0), sizes(count, 0.0);
        for (size_t i = 0; i < pixels; ++i) {
            const auto id = static_cast<size_t>(ids[i]);
            sizes[id] += 1;
            for (size_t c = 0; c < channels; ++c) {
                sums[id * channels + c] += own[i * channels + c];
            }
        }
        for (size_t i = 0; i < pixels; ++i) {
            const auto id = static_cast<size_t>(ids[i]);
            for (size_t c = 0; c < channels; ++c) {
                own[i * channels + c] = sums[id * channels + c] / sizes[id];
            }
        }
    }
    return Tensor::from(values, x.shape(), x.device()).to(x.dtype());
}

Tensor paint(const Segmentation& segmentation, const std::vector<std::vector<double>>& values, bool share,
             const Tensor& like) {
    std::vector<double> map;
    for (size_t n = 0; n < segmentation.ids.size(); ++n) {
        const std::vector<int64_t>& ids = segmentation.ids[n];
        std::vector<double> painted = values[n];
        if (share) {
            std::vector<double> sizes(painted.size(), 0.0);
            for (const int64_t id : ids) {
                sizes[static_cast<size_t>(id)] += 1;
            }
            std::transform(painted.begin(), painted.end(), sizes.begin(), painted.begin(), std::divides<>());
        }
        for (const int64_t id : ids) {
            map.push_back(painted[static_cast<size_t>(id)]);
        }
    }
    const auto samples = static_cast<int64_t>(segmentation.ids.size());
    return Tensor::from(map, with_batch(samples, segmentation.grain), like.device()).to(like.dtype());
}

}  // namespace backlight
