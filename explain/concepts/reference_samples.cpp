#include "explain/concepts/reference_samples.h"

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "core/error.h"
#include "explain/composite.h"

namespace backlight {

ReferenceSamples::ReferenceSamples(int64_t channels, int64_t keep, PositionPooling pooling)
    : keep_(keep), pooling_(pooling) {
    BACKLIGHT_CHECK(channels > 0 && keep > 0,
                    "reference samples: expected channels and a number to keep, got ", channels, " and ",
                    keep);
    best_.resize(static_cast<size_t>(channels));
}

void ReferenceSamples::add(const Tensor& values, std::span<const int64_t> indices) {
    BACKLIGHT_CHECK((values.rank() == 2 || values.rank() == 4) && values.dim(-1) == channels(),
                    "reference samples: expected (N,h,w,", channels(), ") or (N,", channels(), "), got ",
                    values.shape());
    BACKLIGHT_CHECK(values.dim(0) == static_cast<int64_t>(indices.size()),
                    "reference samples: ", values.dim(0), " rows need as many sample numbers, got ",
                    indices.size());
    const auto v = values.to(DType::f64).to_vector<double>();
    const int64_t width = values.rank() == 4 ? values.dim(2) : 1;
    const auto count = static_cast<size_t>(channels());
    const size_t positions = values.rank() == 4 ? static_cast<size_t>(values.dim(1) * width) : 1;
    for (size_t n = 0; n < indices.size(); ++n) {
        for (size_t c = 0; c < count; ++c) {
            size_t largest = 0;
            double sum = 0;
            const auto at = [&](size_t p) { return v[(n * positions + p) * count + c]; };
            for (size_t p = 0; p < positions; ++p) {
                sum += at(p);
                largest = at(p) > at(largest) ? p : largest;
            }
            BACKLIGHT_CHECK(std::isfinite(sum), "reference samples: channel ", c, " of sample ", indices[n],
                            " is not finite");
            offer(best_[c], {.sample = indices[n],
                             .value = pooling_ == PositionPooling::max ? at(largest) : sum,
                             .row = static_cast<int64_t>(largest) / width,
                             .column = static_cast<int64_t>(largest) % width});
        }
    }
    seen_ += values.dim(0);
}

void ReferenceSamples::offer(std::vector<Entry>& best, const Entry& entry) const {
    const auto before = [](const Entry& a, const Entry& b) {
        return a.value != b.value ? a.value > b.value : a.sample < b.sample;
    };
    if (static_cast<int64_t>(best.size()) == keep_ && !before(entry, best.back())) {
        return;
    }
    best.insert(std::upper_bound(best.begin(), best.end(), entry, before), entry);
    if (static_cast<int64_t>(best.size()) > keep_) {
        best.pop_back();
    }
}

const std::vector<ReferenceSamples::Entry>& ReferenceSamples::of(int64_t channel) const {
    BACKLIGHT_CHECK(channel >= 0 && channel < channels(), "reference samples: no channel ", channel,
                    ", there are channels 0..", channels() - 1);
    return best_[static_cast<size_t>(channel)];
}

std::vector<PictureWindow> receptive_fields(const ExplainedForward& forward, const std::string& layer,
                                            std::span<const std::array<int64_t, 2>> positions) {
    const Variable output = forward.layers().at(layer);
    const Variable& input = forward.input();
    BACKLIGHT_CHECK(output.rank() == 4 && input.rank() == 4, "receptive field: layer ", layer,
                    " and the input need a spatial extent, they are ", output.shape(), " and ",
                    input.shape());
    BACKLIGHT_CHECK(static_cast<int64_t>(positions.size()) == input.dim(0),
                    "receptive field: expected one position a "
                    "sample, ",
                    input.dim(0), ", got ", positions.size());
    const auto channels = static_cast<size_t>(output.dim(3));
    std::vector<double> start(static_cast<size_t>(output.numel()), 0.0);
    for (size_t n = 0; n < positions.size(); ++n) {
        const auto [row, column] = positions[n];
        BACKLIGHT_CHECK(row >= 0 && row < output.dim(1) && column >= 0 && column < output.dim(2),
                        "receptive field: layer ", layer, " has no position (", row, ", ", column, ")");
        const auto at =
            static_cast<size_t>((static_cast<int64_t>(n) * output.dim(1) + row) * output.dim(2) + column);
        std::fill_n(start.begin() + static_cast<int64_t>(at * channels), channels, 1.0);
    }
    LrpRules spread(parse_composite("any:flat; sum:even; average:even; max_pool:even"));
    const Variable seed = Variable(Tensor::from(start, output.shape()).to(output.dtype()));
    const Variable reached = grad(output, seed, {input}, {.retain_graph = true, .rules = &spread})[0];
    const auto values = sum(reached.detach(), {3}).data().to(DType::f64).to_vector<double>();
    const int64_t height = input.dim(1), width = input.dim(2);
    std::vector<PictureWindow> windows;
    for (size_t n = 0; n < positions.size(); ++n) {
        int64_t top = height, left = width, bottom = -1, right = -1;
        for (int64_t row = 0; row < height; ++row) {
            for (int64_t column = 0; column < width; ++column) {
                if (values[n * static_cast<size_t>(height * width) +
                           static_cast<size_t>(row * width + column)] > 0) {
                    top = std::min(top, row);
                    left = std::min(left, column);
                    bottom = std::max(bottom, row);
                    right = std::max(right, column);
                }
            }
        }
        const bool reaches = bottom >= 0;
        windows.push_back(reaches ? PictureWindow{top, left, bottom - top + 1, right - left + 1}
                                  : PictureWindow{0, 0, height, width});
    }
    return windows;
}

}  // namespace backlight
