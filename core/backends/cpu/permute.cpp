// Permutations of axes. Axes that stay neighbours are one; what remains is nearly always a transposition of a
// matrix, once or for each of a batch, with elements that may be runs:
//   (B, R, C, D) -> (B, C, R, D)      nhwc <-> nchw, weights between (O, I, Kh, Kw) and (O, Kh, Kw, I)
#include <cstring>

#include "core/backends/buffer.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/parallel.h"

namespace backlight {
namespace {

struct Transposition {
    int64_t batch = 1, rows = 1, columns = 1, run = 1;
};

// False for other permutations.
bool merge_axes(const Shape& x, std::span<const int> axes, Transposition& t) {
    // Groups of axes of x in the order of y: (B) (C) (R) (D), axes of extent 1 left out.
    std::array<int, kMaxRank> order{};
    int rank = 0;
    for (const int axis : axes) {
        if (x[axis] != 1) {
            order[static_cast<size_t>(rank++)] = axis;
        }
    }
    std::array<int, kMaxRank> position{};  // of x's axes with extents other than 1, counted without them
    for (int i = 0; i < rank; ++i) {
        for (int j = 0; j < rank; ++j) {
            position[static_cast<size_t>(i)] +=
                order[static_cast<size_t>(j)] < order[static_cast<size_t>(i)] ? 1 : 0;
        }
    }
    int begin = 0;
    int end = rank;
    const auto extent = [&](int i) { return x[order[static_cast<size_t>(i)]]; };
    while (begin < end && position[static_cast<size_t>(begin)] == begin) {
        t.batch *= extent(begin++);
    }
    while (end > begin && position[static_cast<size_t>(end - 1)] == end - 1) {
        t.run *= extent(--end);
    }
    // What is left must be one block of axes moved in front of another.
    const int shift = begin < end ? position[static_cast<size_t>(begin)] - begin : 0;
    for (int i = begin; i < end; ++i) {
        const int length = end - begin;
        if (position[static_cast<size_t>(i)] != begin + (i - begin + shift) % length) {
            return false;
        }
        (i - begin < length - shift ? t.columns : t.rows) *= extent(i);
    }
    return true;
}

// y[c, r] = x[r, c], in squares that stay in the first-level cache.
BACKLIGHT_CLONES void transpose_block(const uint32_t* x, int64_t rows, int64_t columns, int64_t first_column,
                                      int64_t last_column, uint32_t* y) {
    constexpr int64_t kSquare = 16;
    for (int64_t c0 = first_column; c0 < last_column; c0 += kSquare) {
        const int64_t c1 = std::min(c0 + kSquare, last_column);
        for (int64_t r0 = 0; r0 < rows; r0 += kSquare) {
            const int64_t r1 = std::min(r0 + kSquare, rows);
            for (int64_t c = c0; c < c1; ++c) {
                for (int64_t r = r0; r < r1; ++r) {
                    y[c * rows + r] = x[r * columns + c];
                }
            }
        }
    }
}

}  // namespace

void CpuBackend::permute(const Tensor& x, std::span<const int> axes, Tensor& y) {
    Transposition t;
    if (x.dtype() != DType::f32 || x.numel() == 0 || !merge_axes(x.shape(), axes, t)) {
        return ReferenceBackend::permute(x, axes, y);
    }
    if (t.rows == 1 || t.columns == 1) {
        return copy(x, y);
    }
    const auto* in = buffer<uint32_t>(x);
    auto* out = buffer<uint32_t>(y);
    const int64_t matrix = t.rows * t.columns * t.run;
    if (t.run > 1) {
        return cpu::parallel_items(t.batch * t.columns, t.rows * t.run, [=](int64_t begin, int64_t end) {
            for (int64_t item = begin; item < end; ++item) {
                const uint32_t* from = in + item / t.columns * matrix + item % t.columns * t.run;
                uint32_t* to = out + item * t.rows * t.run;
                for (int64_t r = 0; r < t.rows; ++r) {
                    std::memcpy(to + r * t.run, from + r * t.columns * t.run,
                                static_cast<size_t>(t.run) * sizeof(*to));
                }
            }
        });
    }
    constexpr int64_t kStrip = 16;  // columns of one item of work
    const int64_t strips = (t.columns + kStrip - 1) / kStrip;
    cpu::parallel_items(t.batch * strips, t.rows * kStrip, [=](int64_t begin, int64_t end) {
        for (int64_t item = begin; item < end; ++item) {
            const int64_t first = item % strips * kStrip;
            const int64_t at = item / strips * matrix;
            transpose_block(in + at, t.rows, t.columns, first, std::min(first + kStrip, t.columns), out + at);
        }
    });
}

}  // namespace backlight
