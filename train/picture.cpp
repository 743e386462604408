#include "train/picture.h"

#include <algorithm>

#include "core/error.h"
#include "core/io/image.h"
#include "datasets/image.h"

namespace backlight {

Tensor read_picture(const std::filesystem::path& path, const Model& model) {
    BACKLIGHT_CHECK(model.input.rank() == 3, path.string(),
                    ": the model takes vectors, not pictures; give it an .npy");
    const int64_t channels = model.input[2];
    BACKLIGHT_CHECK(channels == 1 || channels == 3, path.string(), ": the model takes ", channels,
                    " channels; pictures have 1 or 3");
    Image image = to_image(read_image(path, static_cast<int>(channels)));
    const bool any_size = model.input[0] == 0 || model.input[1] == 0;
    const Shape& size = any_size && model.picture.rank() == 3 ? model.picture : model.input;
    if (size[0] > 0 && size[1] > 0) {
        const int64_t shorter = std::min(size[0], size[1]), side = std::max(model.shorter_side, shorter);
        const int64_t rows = size[0] * side / shorter, columns = size[1] * side / shorter;  // at least
        const bool wide = image.width * rows > image.height * columns;
        const int64_t height = wide ? rows : std::max(rows, image.height * columns / image.width);
        const int64_t width = wide ? std::max(columns, image.width * rows / image.height) : columns;
        if (height != image.height || width != image.width) {
            image = resize(image, height, width);
        }
        image = center_crop(image, size[0], size[1]);
    }
    const auto per_channel = [&](const std::vector<double>& values, double otherwise, size_t channel) {
        return values.empty() ? otherwise : values[values.size() == 1 ? 0 : channel];
    };
    for (const auto* values : {&model.mean, &model.std}) {
        BACKLIGHT_CHECK(values->size() <= 1 || values->size() == static_cast<size_t>(channels), path.string(),
                        ": the weights state a normalisation of ", values->size(),
                        " channels, the model has ", channels);
    }
    for (size_t i = 0; i < image.values.size(); ++i) {
        const size_t channel = i % static_cast<size_t>(channels);
        image.values[i] = static_cast<float>((image.values[i] - per_channel(model.mean, 0, channel)) /
                                             per_channel(model.std, 1, channel));
    }
    return Tensor::from(image.values, {1, image.height, image.width, channels});
}

}  // namespace backlight
