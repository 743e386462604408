#include "datasets/render.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/clones.h"
#include "core/error.h"

namespace backlight {
namespace {

/// Output coordinates begin..end of a resize: y[i] = sum_k weight[k] x[first + k], first counted in the
/// source.
struct Taps {
    struct Tap {
        int64_t first = 0;
        int64_t count = 0;
        int64_t weights = 0;  // where they begin
    };
    int64_t begin = 0, end = 0;
    std::vector<Tap> taps;
    std::vector<float> weights;

    [[nodiscard]] const Tap& at(int64_t i) const { return taps[static_cast<size_t>(i - begin)]; }
    [[nodiscard]] const float* weights_of(const Tap& tap) const { return weights.data() + tap.weights; }
};

// Output i lies at c = (i + 1/2) s of the window, s = in / out, pixel k at k + 1/2. The triangle of
// half-width max(s, 1) around it is sampled at the pixels and normalised, so that a constant stays a constant
// and the border needs no rule.
Taps triangle_taps(int64_t origin, int64_t in, int64_t out, int64_t begin, int64_t end) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double width = std::max(scale, 1.0);
    Taps all{.begin = begin, .end = end, .taps = {}, .weights = {}};
    all.taps.reserve(static_cast<size_t>(std::max<int64_t>(end - begin, 0)));
    std::vector<double> raw;
    for (int64_t i = begin; i < end; ++i) {
        const double center = (static_cast<double>(i) + 0.5) * scale;
        const auto first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - width + 0.5)));
        const auto last = std::min<int64_t>(in, static_cast<int64_t>(std::floor(center + width + 0.5)));
        raw.clear();
        double sum = 0;
        for (int64_t k = first; k < last; ++k) {
            raw.push_back(std::max(0.0, 1.0 - std::abs((static_cast<double>(k) + 0.5 - center) / width)));
            sum += raw.back();
        }
        while (raw.back() == 0) {  // the foot of the triangle may fall on a pixel
            raw.pop_back();
        }
        all.taps.push_back(
            {origin + first, static_cast<int64_t>(raw.size()), static_cast<int64_t>(all.weights.size())});
        for (const double weight : raw) {
            all.weights.push_back(static_cast<float>(weight / sum));
        }
    }
    return all;
}

Taps rows_of(const Frame::Stage& stage) {
    const int64_t begin = std::clamp<int64_t>(stage.target.top, 0, stage.height);
    const int64_t end = std::clamp<int64_t>(stage.target.top + stage.target.height, begin, stage.height);
    return triangle_taps(stage.source.top, stage.source.height, stage.height, begin, end);
}
Taps columns_of(const Frame::Stage& stage) {
    const int64_t begin = std::clamp<int64_t>(stage.target.left, 0, stage.width);
    const int64_t end = std::clamp<int64_t>(stage.target.left + stage.target.width, begin, stage.width);
    return triangle_taps(stage.source.left, stage.source.width, stage.width, begin, end);
}

struct Extent {
    int64_t begin = 0, end = 0;
};
Extent extent_of(const Taps& taps) {
    if (taps.taps.empty()) {
        return {};
    }
    const Taps::Tap& last = taps.taps.back();
    return {taps.taps.front().first, last.first + last.count};
}

BACKLIGHT_CLONES void set_row(float* sum, const uint8_t* row, float weight, int64_t n) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        sum[i] = weight * static_cast<float>(row[i]);
    }
}
BACKLIGHT_CLONES void set_row(float* sum, const float* row, float weight, int64_t n) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        sum[i] = weight * row[i];
    }
}
BACKLIGHT_CLONES void add_row(float* sum, const uint8_t* row, float weight, int64_t n) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        sum[i] += weight * static_cast<float>(row[i]);
    }
}
BACKLIGHT_CLONES void add_row(float* sum, const float* row, float weight, int64_t n) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        sum[i] += weight * row[i];
    }
}

BACKLIGHT_CLONES void normalize_row(float* out, const float* row, float unit, const float* mean,
                                    const float* std, int64_t n) {
    BACKLIGHT_INDEPENDENT
    for (int64_t i = 0; i < n; ++i) {
        out[i] = (row[i] / unit - mean[i]) / std[i];
    }
}

// Four floats at once: a pixel of three channels and one of its neighbour's, which is written and then
// overwritten. Rows therefore end in room for one float more.
using Float4 = float __attribute__((vector_size(16)));

void mix_columns_rgb(float* out, const float* row, int64_t row_begin, const Taps& taps, int64_t column,
                     int64_t step, int64_t count) {
    for (int64_t i = 0; i < count; ++i, column += step, out += 3) {
        const Taps::Tap& tap = taps.at(column);
        const float* weight = taps.weights_of(tap);
        const float* pixel = row + 3 * (tap.first - row_begin);
        Float4 sum{};
        for (int64_t k = 0; k < tap.count; ++k, pixel += 3) {
            Float4 value;
            std::memcpy(&value, pixel, sizeof(value));
            sum += weight[k] * value;
        }
        std::memcpy(out, &sum, sizeof(sum));
    }
}

void mix_columns(float* out, const float* row, int64_t row_begin, const Taps& taps, int64_t column,
                 int64_t step, int64_t count, int64_t channels) {
    if (channels == 3) {
        mix_columns_rgb(out, row, row_begin, taps, column, step, count);
        return;
    }
    for (int64_t i = 0; i < count; ++i, column += step, out += channels) {
        const Taps::Tap& tap = taps.at(column);
        const float* weight = taps.weights_of(tap);
        const float* pixel = row + channels * (tap.first - row_begin);
        for (int64_t c = 0; c < channels; ++c) {
            float sum = 0;
            for (int64_t k = 0; k < tap.count; ++k) {
                sum += weight[k] * pixel[k * channels + c];
            }
            out[c] = sum;
        }
    }
}

/// One value an element of a row, from one a channel, one for all, or `fallback`.
std::vector<float> spread(std::span<const float> values, float fallback, int64_t pixels, int64_t channels) {
    std::vector<float> row;
    row.reserve(static_cast<size_t>(pixels * channels));
    for (int64_t i = 0; i < pixels; ++i) {
        for (int64_t c = 0; c < channels; ++c) {
            row.push_back(values.empty() ? fallback
                                         : values[values.size() == 1 ? 0 : static_cast<size_t>(c)]);
        }
    }
    return row;
}

/// What `values` hold: the window of a picture, row by row.
template <typename T>
struct Source {
    const T* values;
    PixelWindow window;
    int64_t channels;

    [[nodiscard]] const T* at(int64_t row, int64_t column) const {
        return values + ((row - window.top) * window.width + column - window.left) * channels;
    }
};

// Vertical first: the sum of the rows of an output row stays in the first cache, and its columns are mixed
// from there into the output.
template <typename T>
void render_stage(const Source<T>& source, const Frame::Stage& stage, const Scaling& scaling, float* out) {
    const Taps rows = rows_of(stage);
    const Taps columns = columns_of(stage);
    const Extent used = extent_of(columns);
    const int64_t channels = source.channels;
    const int64_t row_size = stage.target.width * channels;
    const std::vector<float> mean = spread(scaling.mean, 0.0f, stage.target.width, channels);
    const std::vector<float> deviation = spread(scaling.std, 1.0f, stage.target.width, channels);
    std::vector<float> mixed(static_cast<size_t>((used.end - used.begin) * channels + 1));
    std::vector<float> row(static_cast<size_t>(row_size + 1));
    const int64_t shown = columns.end - columns.begin;
    // Columns of the target that lie left of the picture, or right of it when mirrored.
    const int64_t blank = stage.mirrored ? stage.target.left + stage.target.width - columns.end
                                         : columns.begin - stage.target.left;
    for (int64_t i = 0; i < stage.target.height; ++i, out += row_size) {
        const int64_t y = stage.target.top + i;
        std::fill(row.begin(), row.end(), 0.0f);
        if (y >= rows.begin && y < rows.end && shown > 0) {
            const Taps::Tap& tap = rows.at(y);
            const float* weight = rows.weights_of(tap);
            const int64_t n = (used.end - used.begin) * channels;
            set_row(mixed.data(), source.at(tap.first, used.begin), weight[0], n);
            for (int64_t k = 1; k < tap.count; ++k) {
                add_row(mixed.data(), source.at(tap.first + k, used.begin), weight[k], n);
            }
            mix_columns(row.data() + blank * channels, mixed.data(), used.begin, columns,
                        stage.mirrored ? columns.end - 1 : columns.begin, stage.mirrored ? -1 : 1, shown,
                        channels);
            if (blank + shown < stage.target.width) {
                row[static_cast<size_t>((blank + shown) * channels)] = 0;
            }
        }
        normalize_row(out, row.data(), scaling.unit, mean.data(), deviation.data(), row_size);
    }
}

template <typename T>
void render_all(Source<T> source, const Frame& frame, const Scaling& scaling, std::span<float> out) {
    BACKLIGHT_CHECK(static_cast<int64_t>(out.size()) == frame.height() * frame.width() * source.channels,
                    "render: expected room for (", frame.height(), ", ", frame.width(), ", ", source.channels,
                    "), got ", out.size(), " values");
    const std::vector<Frame::Stage>& stages = frame.stages();
    if (stages.size() == 1) {
        render_stage(source, stages.front(), scaling, out.data());
        return;
    }
    const auto run = [&](const auto& from, const Frame::Stage& stage) {
        Image image(stage.target.height, stage.target.width, source.channels);
        render_stage(from, stage, {}, image.values.data());
        return image;
    };
    Image image = run(source, stages.front());
    const auto of = [](const Image& whole) {
        return Source<float>{whole.values.data(), {0, 0, whole.height, whole.width}, whole.channels};
    };
    for (size_t i = 1; i + 1 < stages.size(); ++i) {
        image = run(of(image), stages[i]);
    }
    render_stage(of(image), stages.back(), scaling, out.data());
}

}  // namespace

PixelWindow needed(const Frame& frame) {
    const Extent rows = extent_of(rows_of(frame.stages().front()));
    const Extent columns = extent_of(columns_of(frame.stages().front()));
    return {rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin};
}

void render(const PixelBlock& pixels, const Frame& frame, const Scaling& scaling, std::span<float> out) {
    render_all(Source<uint8_t>{pixels.pixels.get(), pixels.window, pixels.channels}, frame, scaling, out);
}

void render(const Image& image, const Frame& frame, const Scaling& scaling, std::span<float> out) {
    render_all(Source<float>{image.values.data(), {0, 0, image.height, image.width}, image.channels}, frame,
               scaling, out);
}

}  // namespace backlight
