#include "datasets/image.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace backlight {
namespace {

/// One output coordinate of a resize: y[i] = sum_k weight[k] x[first + k].
struct Taps {
    int64_t first = 0;
    std::vector<float> weight;
};

// Output i lies at c = (i + 1/2) s - 1/2 of the input, s = in / out. The triangle of half-width max(s, 1)
// around it is sampled at the input's pixels and normalised, so that a constant stays a constant and the
// border needs no rule.
std::vector<Taps> triangle_taps(int64_t in, int64_t out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double width = std::max(scale, 1.0);
    std::vector<Taps> taps(static_cast<size_t>(out));
    for (int64_t i = 0; i < out; ++i) {
        const double center = (static_cast<double>(i) + 0.5) * scale;
        const auto first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(center - width + 0.5)));
        const auto last = std::min<int64_t>(in, static_cast<int64_t>(std::floor(center + width + 0.5)));
        std::vector<double> weight;
        double sum = 0;
        for (int64_t k = first; k < last; ++k) {
            weight.push_back(std::max(0.0, 1.0 - std::abs((static_cast<double>(k) + 0.5 - center) / width)));
            sum += weight.back();
        }
        Taps& tap = taps[static_cast<size_t>(i)];
        tap.first = first;
        for (const double w : weight) {
            tap.weight.push_back(static_cast<float>(w / sum));
        }
    }
    return taps;
}

Image resize_width(const Image& image, int64_t width) {
    const std::vector<Taps> taps = triangle_taps(image.width, width);
    Image out(image.height, width, image.channels);
    for (int64_t row = 0; row < image.height; ++row) {
        for (int64_t column = 0; column < width; ++column) {
            const Taps& tap = taps[static_cast<size_t>(column)];
            for (size_t k = 0; k < tap.weight.size(); ++k) {
                for (int64_t c = 0; c < image.channels; ++c) {
                    out.at(row, column, c) +=
                        tap.weight[k] * image.at(row, tap.first + static_cast<int64_t>(k), c);
                }
            }
        }
    }
    return out;
}

Image resize_height(const Image& image, int64_t height) {
    const std::vector<Taps> taps = triangle_taps(image.height, height);
    const int64_t row_size = image.width * image.channels;
    Image out(height, image.width, image.channels);
    for (int64_t row = 0; row < height; ++row) {
        const Taps& tap = taps[static_cast<size_t>(row)];
        float* y = out.values.data() + row * row_size;
        for (size_t k = 0; k < tap.weight.size(); ++k) {
            const float* x = image.values.data() + (tap.first + static_cast<int64_t>(k)) * row_size;
            for (int64_t i = 0; i < row_size; ++i) {
                y[i] += tap.weight[k] * x[i];
            }
        }
    }
    return out;
}

}  // namespace

Image to_image(const Tensor& bytes) {
    BACKLIGHT_CHECK(bytes.rank() == 3 && bytes.dtype() == DType::u8, "image: expected u8 (H, W, C), got ",
                    bytes.dtype(), " ", bytes.shape());
    Image image(bytes.dim(0), bytes.dim(1), bytes.dim(2));
    const std::vector<uint8_t> values = bytes.to_vector<uint8_t>();
    std::transform(values.begin(), values.end(), image.values.begin(),
                   [](uint8_t value) { return static_cast<float>(value) / 255.0f; });
    return image;
}

Image resize(const Image& image, int64_t height, int64_t width) {
    BACKLIGHT_CHECK(height > 0 && width > 0 && !image.empty(), "resize: cannot make (", height, ", ", width,
                    ") of an image of (", image.height, ", ", image.width, ")");
    Image out = image.width == width ? image : resize_width(image, width);
    return out.height == height ? out : resize_height(out, height);
}

Image resize_shorter_side(const Image& image, int64_t size) {
    BACKLIGHT_CHECK(!image.empty(), "resize: the image is empty");
    const bool tall = image.height > image.width;
    const int64_t longer = size * std::max(image.height, image.width) / std::min(image.height, image.width);
    return tall ? resize(image, longer, size) : resize(image, size, longer);
}

Image crop(const Image& image, int64_t top, int64_t left, int64_t height, int64_t width, float fill) {
    BACKLIGHT_CHECK(height > 0 && width > 0, "crop: expected a window of positive size, got (", height, ", ",
                    width, ")");
    Image out(height, width, image.channels, fill);
    const int64_t first = std::max<int64_t>(0, -left);
    const int64_t last = std::min(width, image.width - left);
    for (int64_t row = 0; row < height; ++row) {
        const int64_t source = top + row;
        if (source >= 0 && source < image.height && first < last) {
            std::copy_n(image.values.begin() + ((source * image.width + left + first) * image.channels),
                        (last - first) * image.channels,
                        out.values.begin() + ((row * width + first) * image.channels));
        }
    }
    return out;
}

Image center_crop(const Image& image, int64_t height, int64_t width) {
    // nearbyint rounds halves to even in the default mode, as Python's round does.
    const auto offset = [](int64_t outer, int64_t inner) {
        return static_cast<int64_t>(std::nearbyint(static_cast<double>(outer - inner) / 2.0));
    };
    return crop(image, offset(image.height, height), offset(image.width, width), height, width);
}

Image flip_horizontal(const Image& image) {
    Image out = image;
    for (int64_t row = 0; row < image.height; ++row) {
        for (int64_t column = 0; column < image.width; ++column) {
            for (int64_t c = 0; c < image.channels; ++c) {
                out.at(row, column, c) = image.at(row, image.width - 1 - column, c);
            }
        }
    }
    return out;
}

}  // namespace backlight
