// Data movement by runs: what lies together in both tensors is copied at once, whatever the element type.
//   slice   y[p] = x[start + p]      pad   y[start + p] = x[p], 0 elsewhere      concat   each part is a box
//   of y gather_rows   y[i, ...] = x[index[i], ...]
#include <cstring>

#include "core/backends/buffer.h"
#include "core/backends/cpu/cpu_backend.h"
#include "core/backends/cpu/parallel.h"
#include "core/backends/reference/walk.h"
#include "core/error.h"

namespace backlight {
namespace {

// A box of elements in one tensor and in another one: rows of `run` bytes, numbered by the outer axes.
class BoxCopy {
public:
    // `inner`: the tensor that the box fills; `outer`: the tensor that the box lies in.
    BoxCopy(const Shape& inner, const Shape& outer, size_t element) : run_(element) {
        const Strides steps = strides_of(outer);
        int axis = inner.rank() - 1;
        for (; axis >= 0; --axis) {  // an axis that is not cut continues the run
            run_ *= static_cast<size_t>(inner[axis]);
            if (inner[axis] != outer[axis]) {
                --axis;
                break;
            }
        }
        for (int i = 0; i <= axis; ++i) {
            extents_[rank_] = inner[i];
            steps_[rank_++] = steps[static_cast<size_t>(i)] * static_cast<int64_t>(element);
            rows_ *= inner[i];
        }
    }

    // copy(offset in the inner tensor, offset in the outer one, bytes) for every row, shared among threads.
    template <typename Copy>
    void run(Copy copy) const {
        if (run_ == 0) {
            return;
        }
        const auto bytes = static_cast<int64_t>(run_);
        cpu::parallel_items(rows_, bytes / 4 + 4, [&](int64_t begin, int64_t end) {
            for (int64_t row = begin; row < end; ++row) {
                int64_t rest = row;
                int64_t offset = 0;
                for (size_t axis = rank_; axis-- > 0;) {
                    const cpu::Division split = cpu::divide(rest, extents_[axis]);
                    offset += split.remainder * steps_[axis];
                    rest = split.quotient;
                }
                copy(row * bytes, offset, run_);
            }
        });
    }

private:
    size_t run_;
    int64_t rows_ = 1;
    size_t rank_ = 0;
    Strides extents_{};
    Strides steps_{};
};

int64_t byte_offset(const Shape& start, const Tensor& t) {
    return offset_of(start, strides_of(t.shape())) * static_cast<int64_t>(size_of(t.dtype()));
}

// y's box at `offset` bytes = x
void copy_into(const Tensor& x, Tensor& y, int64_t offset) {
    const auto* from = buffer<std::byte>(x);
    auto* to = buffer<std::byte>(y) + offset;
    BoxCopy(x.shape(), y.shape(), size_of(x.dtype())).run([=](int64_t inner, int64_t outer, size_t bytes) {
        std::memcpy(to + outer, from + inner, bytes);
    });
}

}  // namespace

void CpuBackend::slice(const Tensor& x, const Shape& start, Tensor& y) {
    if (y.numel() == 0) {
        return;
    }
    const auto* from = buffer<std::byte>(x) + byte_offset(start, x);
    auto* to = buffer<std::byte>(y);
    BoxCopy(y.shape(), x.shape(), size_of(x.dtype())).run([=](int64_t inner, int64_t outer, size_t bytes) {
        std::memcpy(to + inner, from + outer, bytes);
    });
}

void CpuBackend::pad(const Tensor& x, const Shape& start, Tensor& y) {
    fill(y, 0);
    CpuBackend::write_slice(x, start, y);
}

void CpuBackend::write_slice(const Tensor& x, const Shape& start, Tensor& y) {
    if (x.numel() > 0) {
        copy_into(x, y, byte_offset(start, y));
    }
}

void CpuBackend::concat(std::span<const Tensor> parts, int axis, Tensor& y) {
    const auto step = strides_of(y.shape())[static_cast<size_t>(y.shape().axis(axis))];
    int64_t start = 0;
    for (const Tensor& part : parts) {
        if (part.numel() > 0) {
            copy_into(part, y, start * step * static_cast<int64_t>(size_of(y.dtype())));
        }
        start += part.dim(axis);
    }
}

void CpuBackend::gather_rows(const Tensor& x, const Tensor& index, Tensor& y) {
    const auto* rows = buffer<int64_t>(index);
    for (int64_t i = 0; i < index.numel(); ++i) {
        BACKLIGHT_CHECK(rows[i] >= 0 && rows[i] < x.dim(0), "gather_rows: expected an index in 0..",
                        x.dim(0) - 1, ", got ", rows[i]);
    }
    if (y.numel() == 0) {
        return;
    }
    const auto bytes = static_cast<int64_t>(y.bytes()) / index.numel();
    const auto* from = buffer<std::byte>(x);
    auto* to = buffer<std::byte>(y);
    cpu::parallel_items(index.numel(), bytes / 4 + 4, [=](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            std::memcpy(to + i * bytes, from + rows[i] * bytes, static_cast<size_t>(bytes));
        }
    });
}

}  // namespace backlight
