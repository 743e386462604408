#include "datasets/transforms.h"

#include <cmath>
#include <utility>

#include "core/error.h"
#include "datasets/render.h"

namespace backlight {
namespace {

class ResizeTo final : public Transform {
public:
    ResizeTo(int64_t height, int64_t width) : height_(height), width_(width) {}
    void place(Frame& frame, RandomStream*) const override { frame.resize(height_, width_); }

private:
    int64_t height_, width_;
};

class ResizeShorterTo final : public Transform {
public:
    explicit ResizeShorterTo(int64_t size) : size_(size) {}
    void place(Frame& frame, RandomStream*) const override { frame.resize_shorter_side(size_); }

private:
    int64_t size_;
};

class CenterCropTo final : public Transform {
public:
    CenterCropTo(int64_t height, int64_t width) : height_(height), width_(width) {}
    [[nodiscard]] std::vector<TransformPtr> ten_crops() const override;
    void place(Frame& frame, RandomStream*) const override { frame.center_crop(height_, width_); }

private:
    int64_t height_, width_;
};

/// A window in a corner or in the centre, of the mirror image if asked: one of ten crops.
class FixedCrop final : public Transform {
public:
    enum class Place : uint8_t { top_left, top_right, bottom_left, bottom_right, centre };
    FixedCrop(int64_t height, int64_t width, Place place, bool mirrored)
        : height_(height), width_(width), place_(place), mirrored_(mirrored) {}
    void place(Frame& frame, RandomStream*) const override {
        BACKLIGHT_CHECK(frame.height() >= height_ && frame.width() >= width_, "ten_crops: an image of (",
                        frame.height(), ", ", frame.width(), ") has no window of (", height_, ", ", width_,
                        ")");
        if (mirrored_) {
            frame.flip();
        }
        if (place_ == Place::centre) {
            return frame.center_crop(height_, width_);
        }
        const bool bottom = place_ == Place::bottom_left || place_ == Place::bottom_right;
        const bool right = place_ == Place::top_right || place_ == Place::bottom_right;
        frame.crop(
            {bottom ? frame.height() - height_ : 0, right ? frame.width() - width_ : 0, height_, width_});
    }

private:
    int64_t height_, width_;
    Place place_;
    bool mirrored_;
};

std::vector<TransformPtr> CenterCropTo::ten_crops() const {
    using Place = FixedCrop::Place;
    std::vector<TransformPtr> crops;
    for (const bool mirrored : {false, true}) {
        for (const Place place :
             {Place::top_left, Place::top_right, Place::bottom_left, Place::bottom_right, Place::centre}) {
            crops.push_back(std::make_shared<FixedCrop>(height_, width_, place, mirrored));
        }
    }
    return crops;
}

class RandomCrop final : public Transform {
public:
    RandomCrop(int64_t height, int64_t width, int64_t padding)
        : height_(height), width_(width), padding_(padding) {}
    void place(Frame& frame, RandomStream* random) const override {
        const int64_t rows = frame.height() + 2 * padding_ - height_;
        const int64_t columns = frame.width() + 2 * padding_ - width_;
        BACKLIGHT_CHECK(rows >= 0 && columns >= 0, "random_crop: an image of (", frame.height(), ", ",
                        frame.width(), ") with padding ", padding_, " has no window of (", height_, ", ",
                        width_, ")");
        if (random == nullptr) {
            frame.center_crop(height_, width_);
            return;
        }
        const int64_t top = random->below(rows + 1) - padding_;
        const int64_t left = random->below(columns + 1) - padding_;
        frame.crop({top, left, height_, width_});
    }

private:
    int64_t height_, width_, padding_;
};

class RandomFlip final : public Transform {
public:
    explicit RandomFlip(double probability) : probability_(probability) {}
    void place(Frame& frame, RandomStream* random) const override {
        if (random != nullptr && random->bernoulli(probability_)) {
            frame.flip();
        }
    }

private:
    double probability_;
};

class RandomResizedCrop final : public Transform {
public:
    RandomResizedCrop(int64_t size, double low) : size_(size), low_(low) {}
    void place(Frame& frame, RandomStream* random) const override {
        if (random == nullptr) {
            frame.resize_shorter_side(size_);
            frame.center_crop(size_, size_);
            return;
        }
        frame.crop(draw(frame.height(), frame.width(), *random));
        frame.resize(size_, size_);
    }

private:
    static constexpr double kLowestRatio = 3.0 / 4.0, kHighestRatio = 4.0 / 3.0;

    [[nodiscard]] PixelWindow draw(int64_t rows, int64_t columns, RandomStream& random) const {
        const auto height = static_cast<double>(rows);
        const auto width = static_cast<double>(columns);
        for (int attempt = 0; attempt < 10; ++attempt) {
            const double area = height * width * random.uniform(low_, 1.0);
            const double ratio = std::exp(random.uniform(std::log(kLowestRatio), std::log(kHighestRatio)));
            const int64_t w = std::llround(std::sqrt(area * ratio));
            const int64_t h = std::llround(std::sqrt(area / ratio));
            if (w > 0 && w <= columns && h > 0 && h <= rows) {
                const int64_t top = random.below(rows - h + 1);
                return {top, random.below(columns - w + 1), h, w};
            }
        }
        int64_t h = rows;
        int64_t w = columns;
        if (width / height < kLowestRatio) {
            h = std::llround(width / kLowestRatio);
        } else if (width / height > kHighestRatio) {
            w = std::llround(height * kHighestRatio);
        }
        return {(rows - h) / 2, (columns - w) / 2, h, w};
    }

    int64_t size_;
    double low_;
};

void check_size(int64_t height, int64_t width, const char* who) {
    BACKLIGHT_CHECK(height > 0 && width > 0, who, ": expected a positive size, got (", height, ", ", width,
                    ")");
}

}  // namespace

void Transform::apply(RawSample& sample, RandomStream* random) const {
    Frame frame(sample.input.height, sample.input.width);
    place(frame, random);
    for (Image* image : {&sample.input, &sample.mask, &sample.decoy}) {
        if (!image->empty()) {
            Image moved(frame.height(), frame.width(), image->channels);
            render(*image, frame, {}, moved.values);
            *image = std::move(moved);
        }
    }
}

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
