// Occlusion: how much of the score is lost under a window that slides over the input.
//   A_k = f(x) - f(x with window k filled);   R_p = mean of A_k over the windows that cover p
//   Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014.
#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "explain/fill.h"
#include "explain/methods.h"
#include "explain/perturbation.h"

namespace backlight {
namespace {

struct Window {
    int64_t top, left, bottom, right;  // bottom and right excluded

    [[nodiscard]] double area() const { return static_cast<double>((bottom - top) * (right - left)); }
    /// Calls `visit` with each position of a grid `width` wide.
    template <typename Visit>
    void for_each(int64_t width, const Visit& visit) const {
        for (int64_t i = top; i < bottom; ++i) {
            for (int64_t j = left; j < right; ++j) {
                visit(static_cast<size_t>(i * width + j));
            }
        }
    }
};

/// [begin, end) of each window along one axis: the last one reaches the border, and is cut there.
std::vector<std::array<int64_t, 2>> stretches(int64_t extent, int64_t window, int64_t stride) {
    std::vector<std::array<int64_t, 2>> found;
    for (int64_t begin = 0;; begin += stride) {
        found.push_back({begin, std::min(begin + window, extent)});
        if (begin + window >= extent) {
            return found;
        }
    }
}

class Occlusion final : public PerturbationExplainer {
public:
    struct Config {
        std::vector<int64_t> window, stride;  // rows and columns, or both; empty: by the input's size
        Fill fill;
        Score score = Score::logit;
        bool share = false;
    };
    Occlusion(ExplainContext context, Config config)
        : PerturbationExplainer("occlusion", std::move(context)), config_(std::move(config)) {}

private:
    [[nodiscard]] Explanation measure(const ExplainedForward& forward,
                                      const ExplainRequest& request) const override {
        const Tensor& x = forward.input().data();
        const bool is_picture = x.rank() == 4;
        // A vector is a picture of one row.
        const int64_t height = is_picture ? x.dim(1) : 1, width = x.dim(is_picture ? 2 : 1);
        const auto [window, stride] = sizes(is_picture, height, width);
        std::vector<Window> windows;
        for (const auto& [top, bottom] : stretches(height, window[0], stride[0])) {
            for (const auto& [left, right] : stretches(width, window[1], stride[1])) {
                windows.push_back({top, left, bottom, right});
            }
        }
        const std::vector<int64_t> parts(static_cast<size_t>(x.dim(0)), static_cast<int64_t>(windows.size()));
        const Shape grain = is_picture ? Shape{height, width, 1} : Shape{width};
        ChangedCopies copies(
            forward, request, filled(x, config_.fill, context(), numbers_of(request, x.dim(0))), grain,
            {.score = config_.score, .total = removal_copies(parts), .progress = context().progress});
        const RemovalEffects found =
            removal_effects(copies, parts, [&](size_t, int64_t k, std::span<double> kept) {
                windows[static_cast<size_t>(k)].for_each(width, [&](size_t position) { kept[position] = 0; });
            });
        std::vector<double> map;
        for (const std::vector<double>& effect : found.effect) {
            const std::vector<double> means = mean_over_windows(windows, effect, height * width, width);
            map.insert(map.end(), means.begin(), means.end());
        }
        const Shape shape = is_picture ? Shape{x.dim(0), height, width, 1} : Shape{x.dim(0), width};
        return {.maps = {Variable(Tensor::from(map, shape, x.device()).to(x.dtype()))},
                .coarse = is_picture,
                .notes = {concat_text("occlusion[", text_of(config_.fill), "]: ", windows.size(),
                                      " windows of ", window[0], " x ", window[1], " at strides ", stride[0],
                                      " and ", stride[1], ", ", windows.size() + 1,
                                      " forward passes a sample, score ", name_of(config_.score))}};
    }

    struct Sizes {
        std::array<int64_t, 2> window, stride;
    };
    [[nodiscard]] Sizes sizes(bool is_picture, int64_t height, int64_t width) const {
        const auto share_of_side = [&](double part) {
            return is_picture ? std::max<int64_t>(
                                    1, std::llround(static_cast<double>(std::min(height, width)) / part))
                              : int64_t{1};
        };
        const auto both = [&](const std::vector<int64_t>& given, int64_t usual) -> std::array<int64_t, 2> {
            if (given.empty()) {
                return {usual, usual};
            }
            return {given.front(), given.back()};
        };
        Sizes sizes{.window = both(config_.window, share_of_side(14)),
                    .stride = both(config_.stride, share_of_side(28))};
        if (!is_picture) {
            sizes.window[0] = sizes.stride[0] = 1;
        }
        for (size_t axis = 0; config_.stride.empty() && axis < 2; ++axis) {
            sizes.stride[axis] = std::min(sizes.stride[axis], sizes.window[axis]);
        }
        for (const size_t axis : {0U, 1U}) {
            BACKLIGHT_CHECK(sizes.window[axis] <= (axis == 0 ? height : width), "occlusion: a window of ",
                            sizes.window[0], " x ", sizes.window[1], " is larger than the input, ", height,
                            " x ", width);
            BACKLIGHT_CHECK(sizes.stride[axis] <= sizes.window[axis], "occlusion: stride ",
                            sizes.stride[axis], " leaves gaps between windows of ", sizes.window[axis],
                            "; expected a stride no larger than the window");
        }
        return sizes;
    }

    [[nodiscard]] std::vector<double> mean_over_windows(const std::vector<Window>& windows,
                                                        const std::vector<double>& effect, int64_t positions,
                                                        int64_t width) const {
        std::vector<double> sums(static_cast<size_t>(positions), 0.0), covers(sums.size(), 0.0);
        for (size_t k = 0; k < windows.size(); ++k) {
            const double value = config_.share ? effect[k] / windows[k].area() : effect[k];
            windows[k].for_each(width, [&](size_t position) {
                sums[position] += value;
                covers[position] += 1;
            });
        }
        std::transform(sums.begin(), sums.end(), covers.begin(), sums.begin(), std::divides<>());
        return sums;
    }

    Config config_;
};

std::vector<int64_t> extents_option(const Options& options, const std::string& key) {
    const std::vector<int64_t> given = options.get(key, std::vector<int64_t>{});
    BACKLIGHT_CHECK(
        given.size() <= 2 && std::all_of(given.begin(), given.end(), [](int64_t v) { return v >= 1; }),
        options.owner(), ": ", key, " is a number of pixels, or rows:columns, of at least 1");
    return given;
}

}  // namespace

std::unique_ptr<Explainer> build_occlusion(const Options& options, const ExplainContext& context) {
    Occlusion::Config config{.window = extents_option(options, "window"),
                             .stride = extents_option(options, "stride"),
                             .fill = read_fill(options),
                             .score = read_score(options),
                             .share = options.get("share", false)};
    return std::make_unique<Occlusion>(context, std::move(config));
}

}  // namespace backlight
