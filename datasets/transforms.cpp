#include "datasets/transforms.h"

#include <cmath>
#include <utility>

#include "core/error.h"

namespace backlight {
namespace {

/// Applies one picture operation to the input and to the masks that exist.
template <typename Operation>
void on_all(RawSample& sample, const Operation& operation) {
    for (Image* image : {&sample.input, &sample.mask, &sample.decoy}) {
        if (!image->empty()) {
            *image = operation(*image);
        }
    }
}

class ResizeTo final : public Transform {
public:
    ResizeTo(int64_t height, int64_t width) : height_(height), width_(width) {}
    void apply(RawSample& sample, RandomStream*) const override {
        on_all(sample, [this](const Image& image) { return resize(image, height_, width_); });
    }

private:
    int64_t height_, width_;
};

class ResizeShorterTo final : public Transform {
public:
    explicit ResizeShorterTo(int64_t size) : size_(size) {}
    void apply(RawSample& sample, RandomStream*) const override {
        on_all(sample, [this](const Image& image) { return resize_shorter_side(image, size_); });
    }

private:
    int64_t size_;
};

class TenCrops final : public Transform {
public:
    TenCrops(int64_t height, int64_t width) : height_(height), width_(width) {}
    void apply(RawSample& sample, RandomStream*) const override {
        on_all(sample, [this](const Image& image) {
            BACKLIGHT_CHECK(image.height >= height_ && image.width >= width_, "ten_crops: an image of (",
                            image.height, ", ", image.width, ") has no window of (", height_, ", ", width_,
                            ")");
            Image stacked(0, width_, image.channels);
            for (const Image& side : {image, flip_horizontal(image)}) {
                const int64_t bottom = side.height - height_, right = side.width - width_;
                for (const Image& window :
                     {crop(side, 0, 0, height_, width_), crop(side, 0, right, height_, width_),
                      crop(side, bottom, 0, height_, width_), crop(side, bottom, right, height_, width_),
                      center_crop(side, height_, width_)}) {
                    stacked.values.insert(stacked.values.end(), window.values.begin(), window.values.end());
                    stacked.height += height_;
                }
            }
            return stacked;
        });
    }

private:
    int64_t height_, width_;
};

class CenterCropTo final : public Transform {
public:
    CenterCropTo(int64_t height, int64_t width) : height_(height), width_(width) {}
    [[nodiscard]] TransformPtr ten_crops() const override {
        return std::make_shared<TenCrops>(height_, width_);
    }
    void apply(RawSample& sample, RandomStream*) const override {
        on_all(sample, [this](const Image& image) { return center_crop(image, height_, width_); });
    }

private:
    int64_t height_, width_;
};

class RandomCrop final : public Transform {
public:
    RandomCrop(int64_t height, int64_t width, int64_t padding)
        : height_(height), width_(width), padding_(padding) {}
    [[nodiscard]] bool is_random() const override { return true; }
    void apply(RawSample& sample, RandomStream* random) const override {
        const int64_t rows = sample.input.height + 2 * padding_ - height_;
        const int64_t columns = sample.input.width + 2 * padding_ - width_;
        BACKLIGHT_CHECK(rows >= 0 && columns >= 0, "random_crop: an image of (", sample.input.height, ", ",
                        sample.input.width, ") with padding ", padding_, " has no window of (", height_, ", ",
                        width_, ")");
        if (random == nullptr) {
            on_all(sample, [this](const Image& image) { return center_crop(image, height_, width_); });
            return;
        }
        const int64_t top = random->below(rows + 1) - padding_;
        const int64_t left = random->below(columns + 1) - padding_;
        on_all(sample, [&](const Image& image) { return crop(image, top, left, height_, width_); });
    }

private:
    int64_t height_, width_, padding_;
};

class RandomFlip final : public Transform {
public:
    explicit RandomFlip(double probability) : probability_(probability) {}
    [[nodiscard]] bool is_random() const override { return true; }
    void apply(RawSample& sample, RandomStream* random) const override {
        if (random != nullptr && random->bernoulli(probability_)) {
            on_all(sample, [](const Image& image) { return flip_horizontal(image); });
        }
    }

private:
    double probability_;
};

class RandomResizedCrop final : public Transform {
public:
    RandomResizedCrop(int64_t size, double low) : size_(size), low_(low) {}
    [[nodiscard]] bool is_random() const override { return true; }
    void apply(RawSample& sample, RandomStream* random) const override {
        if (random == nullptr) {
            on_all(sample, [this](const Image& image) {
                return center_crop(resize_shorter_side(image, size_), size_, size_);
            });
            return;
        }
        const Window w = draw(sample.input, *random);
        on_all(sample, [&](const Image& image) {
            return resize(crop(image, w.top, w.left, w.height, w.width), size_, size_);
        });
    }

private:
    static constexpr double kLowestRatio = 3.0 / 4.0, kHighestRatio = 4.0 / 3.0;
    struct Window {
        int64_t top, left, height, width;
    };

    [[nodiscard]] Window draw(const Image& image, RandomStream& random) const {
        const auto height = static_cast<double>(image.height);
        const auto width = static_cast<double>(image.width);
        for (int attempt = 0; attempt < 10; ++attempt) {
            const double area = height * width * random.uniform(low_, 1.0);
            const double ratio = std::exp(random.uniform(std::log(kLowestRatio), std::log(kHighestRatio)));
            const int64_t w = std::llround(std::sqrt(area * ratio));
            const int64_t h = std::llround(std::sqrt(area / ratio));
            if (w > 0 && w <= image.width && h > 0 && h <= image.height) {
                const int64_t top = random.below(image.height - h + 1);
                return {top, random.below(image.width - w + 1), h, w};
            }
        }
        int64_t h = image.height;
        int64_t w = image.width;
        if (width / height < kLowestRatio) {
            h = std::llround(width / kLowestRatio);
        } else if (width / height > kHighestRatio) {
            w = std::llround(height * kHighestRatio);
        }
        return {(image.height - h) / 2, (image.width - w) / 2, h, w};
    }

    int64_t size_;
    double low_;
};

void check_size(int64_t height, int64_t width, const char* who) {
    BACKLIGHT_CHECK(height > 0 && width > 0, who, ": expected a positive size, got (", height, ", ", width,
                    ")");
}

}  // namespace

TransformPtr resize_to(int64_t height, int64_t width) {
    check_size(height, width, "resize_to");
    return std::make_shared<ResizeTo>(height, width);
}

TransformPtr resize_shorter_to(int64_t size) {
    check_size(size, size, "resize_shorter_to");
    return std::make_shared<ResizeShorterTo>(size);
}

TransformPtr center_crop_to(int64_t height, int64_t width) {
    check_size(height, width, "center_crop_to");
    return std::make_shared<CenterCropTo>(height, width);
}

TransformPtr random_crop(int64_t height, int64_t width, int64_t padding) {
    check_size(height, width, "random_crop");
    BACKLIGHT_CHECK(padding >= 0, "random_crop: expected padding >= 0, got ", padding);
    return std::make_shared<RandomCrop>(height, width, padding);
}

TransformPtr random_flip(double probability) {
    BACKLIGHT_CHECK(probability >= 0 && probability <= 1, "random_flip: expected a probability, got ",
                    probability);
    return std::make_shared<RandomFlip>(probability);
}

TransformPtr random_resized_crop(int64_t size, double low) {
    check_size(size, size, "random_resized_crop");
    BACKLIGHT_CHECK(low > 0 && low <= 1, "random_resized_crop: expected an area in (0, 1], got ", low);
    return std::make_shared<RandomResizedCrop>(size, low);
}

}  // namespace backlight
