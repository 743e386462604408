#include "datasets/frame.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace backlight {
namespace {

Frame::Stage whole(int64_t height, int64_t width) {
    const PixelWindow all{0, 0, height, width};
    return {.source = all, .height = height, .width = width, .target = all};
}

/// What of low..low+length lies in 0..limit.
struct Range {
    int64_t begin, end;
    bool operator==(const Range&) const = default;
};
Range inside(int64_t low, int64_t length, int64_t limit) {
    const int64_t begin = std::clamp<int64_t>(low, 0, limit);
    return {begin, std::clamp<int64_t>(low + length, begin, limit)};
}

bool contains(int64_t low, int64_t length, const Range& range) {
    return range.begin == range.end || (low <= range.begin && range.end <= low + length);
}

}  // namespace

Frame::Frame(int64_t height, int64_t width) : stages_{whole(height, width)} {}

void Frame::crop(const PixelWindow& window) {
    BACKLIGHT_CHECK(window.height > 0 && window.width > 0, "crop: expected a window of positive size, got (",
                    window.height, ", ", window.width, ")");
    if (window == PixelWindow{0, 0, height(), width()}) {
        return;
    }
    Stage& stage = stages_.back();
    const PixelWindow& seen = stage.target;
    const int64_t left = stage.mirrored ? seen.width - window.left - window.width : window.left;
    const PixelWindow target{seen.top + window.top, seen.left + left, window.height, window.width};
    // What an earlier crop cut off must not come back.
    if (contains(seen.top, seen.height, inside(target.top, target.height, stage.height)) &&
        contains(seen.left, seen.width, inside(target.left, target.width, stage.width))) {
        stage.target = target;
        return;
    }
    Stage next = whole(height(), width());
    next.target = window;
    stages_.push_back(next);
}

void Frame::center_crop(int64_t height, int64_t width) {
    // nearbyint rounds halves to even in the default mode, as Python's round does.
    const auto offset = [](int64_t outer, int64_t inner) {
        return static_cast<int64_t>(std::nearbyint(static_cast<double>(outer - inner) / 2.0));
    };
    crop({offset(this->height(), height), offset(this->width(), width), height, width});
}

void Frame::resize(int64_t height, int64_t width) {
    BACKLIGHT_CHECK(height > 0 && width > 0 && this->height() > 0 && this->width() > 0,
                    "resize: cannot make (", height, ", ", width, ") of an image of (", this->height(), ", ",
                    this->width(), ")");
    if (height == this->height() && width == this->width()) {
        return;
    }
    Stage& stage = stages_.back();
    const PixelWindow seen = stage.target;
    const bool is_resized = stage.height != stage.source.height || stage.width != stage.source.width;
    const bool is_inside = seen.top >= 0 && seen.left >= 0 && seen.top + seen.height <= stage.height &&
                           seen.left + seen.width <= stage.width;
    if (is_resized || !is_inside) {
        stages_.push_back(whole(seen.height, seen.width));
    } else {
        stage.source = seen;  // without a resize so far both count the same pixels
    }
    Stage& last = stages_.back();
    last.height = height;
    last.width = width;
    last.target = {0, 0, height, width};
}

void Frame::resize_shorter_side(int64_t size) {
    BACKLIGHT_CHECK(height() > 0 && width() > 0, "resize: the image is empty");
    const int64_t longer = size * std::max(height(), width()) / std::min(height(), width());
    height() > width() ? resize(longer, size) : resize(size, longer);
}

void Frame::flip() { stages_.back().mirrored = !stages_.back().mirrored; }

}  // namespace backlight
