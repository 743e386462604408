#include "datasets/image.h"

#include <algorithm>

#include "core/error.h"
#include "datasets/frame.h"
#include "datasets/render.h"

namespace backlight {
namespace {

Image rendered(const Image& image, const Frame& frame) {
    Image out(frame.height(), frame.width(), image.channels);
    render(image, frame, {}, out.values);
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
    Frame frame(image.height, image.width);
    frame.resize(height, width);
    return rendered(image, frame);
}

Image resize_shorter_side(const Image& image, int64_t size) {
    Frame frame(image.height, image.width);
    frame.resize_shorter_side(size);
    return rendered(image, frame);
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
    Frame frame(image.height, image.width);
    frame.center_crop(height, width);
    return rendered(image, frame);
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
