// StretchedReader: a tensor that broadcasts, read as if it had the target's shape. Blocks that lie together
// in memory are read where they are; others are put together in a buffer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "core/backends/buffer.h"
#include "core/backends/cpu/blocks.h"
#include "core/backends/cpu/parallel.h"
#include "core/backends/reference/walk.h"

namespace backlight::cpu {

class StretchedReader {
public:
    StretchedReader(const Tensor& x, const Shape& target) : data_(buffer<float>(x)) {
        // Neighbouring axes that are both stretched, or both run through x, are one axis.
        const Strides strides = broadcast_strides(x.shape(), target);
        for (int axis = 0; axis < target.rank(); ++axis) {
            const int64_t extent = target[axis];
            const int64_t stride = strides[static_cast<size_t>(axis)];
            if (extent == 1) {
                continue;
            }
            if (rank_ > 0 && strides_[rank_ - 1] == stride * extent) {
                extents_[rank_ - 1] *= extent;
                strides_[rank_ - 1] = stride;
            } else {
                extents_[rank_] = extent;
                strides_[rank_++] = stride;
            }
        }
        if (rank_ == 0) {
            rank_ = 1;
            extents_[0] = 1;
        }
    }

    // A copy has its own buffer, empty at first.
    StretchedReader(const StretchedReader& other)
        : data_(other.data_), rank_(other.rank_), extents_(other.extents_), strides_(other.strides_) {}
    StretchedReader& operator=(const StretchedReader&) = delete;

    [[nodiscard]] bool is_contiguous() const { return rank_ == 1 && (strides_[0] == 1 || extents_[0] == 1); }
    /// One element, read everywhere.
    [[nodiscard]] bool is_scalar() const { return rank_ == 1 && strides_[0] == 0; }
    [[nodiscard]] const float* data() const { return data_; }

    /// How often each element is read in succession, 0 if they are not all read so.
    [[nodiscard]] int64_t repetition() const { return rank_ == 2 && strides_[1] == 0 ? extents_[1] : 0; }
    /// The length of a row that is read again and again, 0 if there is none.
    [[nodiscard]] int64_t period() const { return rank_ == 2 && strides_[0] == 0 ? extents_[1] : 0; }

    /// Elements at..at+count-1 (at most kBlock).
    const float* read(int64_t at, int64_t count) {
        if (is_contiguous()) {
            return data_ + at;
        }
        const size_t last = rank_ - 1;
        const int64_t length = extents_[last];
        auto [rest, inside] = divide(at, length);
        if (inside == 0 && kept_ >= count) {
            return buffer_;  // a row repeated from its beginning, as it was before
        }
        std::array<int64_t, kMaxRank> position{};
        int64_t offset = 0;
        for (size_t axis = last; axis-- > 0;) {
            const Division split = divide(rest, extents_[axis]);
            position[axis] = split.remainder;
            offset += split.remainder * strides_[axis];
            rest = split.quotient;
        }
        if (strides_[last] == 1 && inside + count <= length) {
            return data_ + offset + inside;
        }
        kept_ = inside == 0 && period() > 0 ? count : 0;
        for (int64_t filled = 0; filled < count;) {
            const int64_t run = std::min(length - inside, count - filled);
            if (strides_[last] == 1) {
                std::memcpy(buffer_ + filled, data_ + offset + inside,
                            static_cast<size_t>(run) * sizeof(float));
            } else {
                std::fill_n(buffer_ + filled, run, data_[offset]);
            }
            filled += run;
            inside = 0;
            for (size_t axis = last; axis-- > 0;) {  // the wheels of a counter
                offset += strides_[axis];
                if (++position[axis] < extents_[axis]) {
                    break;
                }
                offset -= strides_[axis] * extents_[axis];
                position[axis] = 0;
            }
        }
        return buffer_;
    }

private:
    const float* data_;
    size_t rank_ = 0;
    std::array<int64_t, kMaxRank> extents_{};
    Strides strides_{};
    int64_t kept_ = 0;  // so many elements of the repeated row are in the buffer
    alignas(64) float buffer_[kBlock];
};

}  // namespace backlight::cpu
