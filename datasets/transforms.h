// Transforms: what happens to a sample between its file and the network. They move a frame
// (datasets/frame.h), through which input and masks are then seen together. Random ones draw from a stream
// keyed by (seed, epoch, sample), so the result depends on neither threads nor order; without a stream each
// takes its fixed form, named below.
#pragma once

#include <memory>

#include "core/random.h"
#include "datasets/dataset.h"
#include "datasets/frame.h"

namespace backlight {

class Transform {
public:
    virtual ~Transform() = default;
    /// Moves the frame. `random` may be null: the fixed form.
    virtual void place(Frame& frame, RandomStream* random) const = 0;
    /// The same on a sample in memory, at once.
    void apply(RawSample& sample, RandomStream* random) const;
    /// Of a central window: the ten windows of `ten_crops` (datasets/dataset.h) in its place; else none.
    [[nodiscard]] virtual std::vector<std::shared_ptr<const Transform>> ten_crops() const { return {}; }
};

using TransformPtr = std::shared_ptr<const Transform>;

/// To exactly (height, width); bilinear, antialiased when shrinking. Masks become area fractions.
[[nodiscard]] TransformPtr resize_to(int64_t height, int64_t width);
/// The shorter side to `size`, keeping the ratio.
[[nodiscard]] TransformPtr resize_shorter_to(int64_t size);
/// The central window; zeros where it reaches outside.
[[nodiscard]] TransformPtr center_crop_to(int64_t height, int64_t width);
/// Pads by `padding` zeros on every side and cuts a window at a uniform place. Fixed form: the central
/// window. Throws Error when the padded image is smaller than the window.
[[nodiscard]] TransformPtr random_crop(int64_t height, int64_t width, int64_t padding = 0);
/// Mirrors left and right with the given probability. Fixed form: never.
[[nodiscard]] TransformPtr random_flip(double probability = 0.5);
/// A window whose area is U(low, 1) of the image's and whose ratio is exp U(log 3/4, log 4/3), resized to
/// (size, size); ten tries, then the largest central window with an admissible ratio (torchvision's
/// RandomResizedCrop). Fixed form: shorter side to size, central window.
[[nodiscard]] TransformPtr random_resized_crop(int64_t size, double low = 0.08);

}  // namespace backlight
