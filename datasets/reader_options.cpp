// The options that readers of images share, and what they do to a source.
#include <algorithm>

#include "core/error.h"
#include "datasets/sources.h"
#include "datasets/transforms.h"

namespace backlight {
namespace {

std::vector<float> to_floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

}  // namespace

Normalization imagenet_normalization() {
    return {.mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}};
}

ImageOptions image_options(const Options& options, const Normalization& own) {
    ImageOptions result;
    const std::string kind =
        options.choose("normalize", "dataset", {"dataset", "imagenet", "symmetric", "none"});
    if (kind == "dataset") {
        result.normalization = own;
    } else if (kind == "imagenet") {
        result.normalization = imagenet_normalization();
    } else if (kind == "symmetric") {
        result.normalization = {.mean = {0.5f}, .std = {0.5f}};
    }
    const bool given = options.has("mean") || options.has("std");
    BACKLIGHT_CHECK(!given || !options.has("normalize"), options.owner(),
                    ": give either normalize or mean and std");
    const std::vector<float> mean = to_floats(options.get("mean", std::vector<double>{}));
    const std::vector<float> deviation = to_floats(options.get("std", std::vector<double>{}));
    if (given) {
        result.normalization = {.mean = mean, .std = deviation};
    }
    result.size = options.get_within("size", 0, 0, 8192);
    result.crop = options.get_within("crop", 0, 0, 4096);
    result.flip = options.get("flip", false);
    result.limit = options.get_within("limit", 0, 0, INT64_MAX);
    result.limit_test = options.get_within("limit_test", 0, 0, INT64_MAX);
    return result;
}

void apply(const ImageOptions& options, DataSource& source) {
    for (const auto& dataset : {source.train, source.test}) {
        Shape shape = dataset->sample_shape();
        std::vector<TransformPtr> transforms;
        if (options.size > 0 && (shape[0] != options.size || shape[1] != options.size)) {
            shape = {options.size, options.size, shape[2]};
            transforms.push_back(resize_to(options.size, options.size));
        }
        if (dataset == source.train) {
            if (options.crop > 0) {
                transforms.push_back(random_crop(shape[0], shape[1], options.crop));
            }
            if (options.flip) {
                transforms.push_back(random_flip());
            }
        }
        dataset->set_transforms(std::move(transforms), shape);
        dataset->set_normalization(options.normalization);
    }
}

PictureOptions picture_options(const Options& options, int64_t size) {
    PictureOptions result{.image = image_options(options, imagenet_normalization())};
    if (!options.has("size")) {
        result.image.size = size;
    }
    result.resize = options.get_within("resize", 0, 0, 16384);
    const std::string augment = options.choose("augment", "none", {"none", "crop", "resized_crop"});
    using Window = PictureOptions::Window;
    result.training =
        augment == "none" ? Window::center : (augment == "crop" ? Window::random : Window::resized);
    return result;
}

void apply(const PictureOptions& picture, const Shape& shape, DataSource& source) {
    const ImageOptions& image = picture.image;
    source.shorter_side = image.size > 0 ? std::max(image.size, picture.resize) : 0;
    for (const auto& set : {source.train, source.test}) {
        std::vector<TransformPtr> transforms;
        using Window = PictureOptions::Window;
        const Window window = set == source.train ? picture.training : Window::center;
        if (image.size > 0 && window == Window::resized) {
            transforms.push_back(random_resized_crop(image.size));
        } else if (image.size > 0) {
            transforms.push_back(resize_shorter_to(source.shorter_side));
            transforms.push_back(window == Window::random ? random_crop(image.size, image.size)
                                                          : center_crop_to(image.size, image.size));
        }
        if (set == source.train && image.crop > 0) {
            transforms.push_back(random_crop(shape[0], shape[1], image.crop));
        }
        if (set == source.train && image.flip) {
            transforms.push_back(random_flip());
        }
        set->set_transforms(std::move(transforms), shape);
        set->set_normalization(image.normalization);
    }
}

}  // namespace backlight
