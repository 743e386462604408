// How kernels step through tensors of any rank. A position (i_0, i_1, ...) lies at offset sum_k i_k stride_k;
// an axis along which an operand does not move has stride 0. Broadcasting, reducing, permuting and cutting
// out differ only in their strides.
#pragma once

#include <array>
#include <cstdint>

#include "core/types.h"

namespace backlight {

using Strides = std::array<int64_t, kMaxRank>;

/// Strides of a contiguous tensor in elements: the product of the extents behind each axis.
[[nodiscard]] inline Strides strides_of(const Shape& shape) {
    Strides strides{};
    int64_t step = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
        strides[static_cast<size_t>(axis)] = step;
        step *= shape[axis];
    }
    return strides;
}

/// Strides of `shape` for positions of `target`, which it broadcasts to: aligned at the last axis, 0 where it
/// stretches.
[[nodiscard]] inline Strides broadcast_strides(const Shape& shape, const Shape& target) {
    const Strides own = strides_of(shape);
    Strides strides{};
    const int missing = target.rank() - shape.rank();
    for (int axis = 0; axis < shape.rank(); ++axis) {
        const bool stretched = shape[axis] == 1;
        strides[static_cast<size_t>(axis + missing)] = stretched ? 0 : own[static_cast<size_t>(axis)];
    }
    return strides;
}

/// Where a position lies.
[[nodiscard]] inline int64_t offset_of(const Shape& position, const Strides& strides) {
    int64_t offset = 0;
    for (int axis = 0; axis < position.rank(); ++axis) {
        offset += position[axis] * strides[static_cast<size_t>(axis)];
    }
    return offset;
}

/// Calls visit(i, offset_a, offset_b) for each position of `shape` in row order; i counts them.
template <typename Visit>
void walk(const Shape& shape, const Strides& a, const Strides& b, Visit&& visit) {
    const int64_t count = shape.numel();
    const auto extents = shape.extents();
    Strides position{};
    int64_t offset_a = 0;
    int64_t offset_b = 0;
    for (int64_t i = 0; i < count; ++i) {
        visit(i, offset_a, offset_b);
        // Like the wheels of a counter: the last axis turns first, a full turn moves the one before it.
        for (size_t axis = extents.size(); axis-- > 0;) {
            offset_a += a[axis];
            offset_b += b[axis];
            if (++position[axis] < extents[axis]) {
                break;
            }
            offset_a -= a[axis] * extents[axis];
            offset_b -= b[axis] * extents[axis];
            position[axis] = 0;
        }
    }
}

/// The same with one operand: visit(i, offset).
template <typename Visit>
void walk(const Shape& shape, const Strides& a, Visit&& visit) {
    walk(shape, a, Strides{}, [&](int64_t i, int64_t offset, int64_t) { visit(i, offset); });
}

/// A tensor seen as rows along its last axis; a scalar is one row of one element.
struct Rows {
    int64_t count = 0;
    int64_t length = 0;
};
[[nodiscard]] inline Rows rows_of(const Shape& shape) {
    const int64_t length = shape.rank() == 0 ? 1 : shape[-1];
    return {length == 0 ? 0 : shape.numel() / length, length};
}

}  // namespace backlight
