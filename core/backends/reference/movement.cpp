// Data movement: each kernel says where an element comes from.
//   broadcast  y[p] = x[p with stretched axes at 0]        permute  y[p_0, p_1, ...] = x[q],  q_axes[k] = p_k
//   slice      y[p] = x[start + p]                         pad      y[start + p] = x[p], 0 elsewhere
//   gather_rows       y[i, ...] = x[index[i], ...]         gather_last   y[r] = x[r, index[r]]
//   scatter_add_rows  d_x[index[i], ...] += d_y[i, ...]    scatter_last  d_x[r, index[r]] = d_y[r], else 0
// slice and pad are adjoint, and so are each gather and its scatter. Any element type; scatter_add_rows adds
// and takes no u8. An index that is out of range throws Error: nobody else has looked at the values.
#include <algorithm>
#include <vector>

#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"
#include "core/backends/reference/walk.h"

namespace backlight {
namespace {

int64_t checked(std::string_view kernel, int64_t index, int64_t extent) {
    BACKLIGHT_CHECK(index >= 0 && index < extent, kernel, ": expected an index in 0..", extent - 1, ", got ",
                    index);
    return index;
}

// Elements of one row: everything behind axis 0.
int64_t row_size(const Shape& shape) {
    int64_t size = 1;
    for (int axis = 1; axis < shape.rank(); ++axis) {
        size *= shape[axis];
    }
    return size;
}

// y[i] = x[origin + offset], i over y in row order.
void read_strided(const Tensor& x, int64_t origin, const Strides& strides, Tensor& y) {
    dispatch_any(x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* in = buffer<T>(x) + origin;
        T* out = buffer<T>(y);
        walk(y.shape(), strides, [&](int64_t i, int64_t at) { out[i] = in[at]; });
    });
}

// y[origin + offset] = x[i], i over x in row order.
void write_strided(const Tensor& x, Tensor& y, int64_t origin, const Strides& strides) {
    dispatch_any(x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T* in = buffer<T>(x);
        T* out = buffer<T>(y) + origin;
        walk(x.shape(), strides, [&](int64_t i, int64_t at) { out[at] = in[i]; });
    });
}

}  // namespace

void ReferenceBackend::broadcast(const Tensor& x, Tensor& y) {
    read_strided(x, 0, broadcast_strides(x.shape(), y.shape()), y);
}

void ReferenceBackend::permute(const Tensor& x, std::span<const int> axes, Tensor& y) {
    const Strides own = strides_of(x.shape());
    Strides permuted{};
    for (size_t i = 0; i < axes.size(); ++i) {
        permuted[i] = own[static_cast<size_t>(axes[i])];
    }
    read_strided(x, 0, permuted, y);
}

void ReferenceBackend::slice(const Tensor& x, const Shape& start, Tensor& y) {
    const Strides strides = strides_of(x.shape());
    read_strided(x, offset_of(start, strides), strides, y);
}

void ReferenceBackend::pad(const Tensor& x, const Shape& start, Tensor& y) {
    fill(y, 0);
    ReferenceBackend::write_slice(x, start, y);
}

void ReferenceBackend::write_slice(const Tensor& x, const Shape& start, Tensor& y) {
    const Strides strides = strides_of(y.shape());
    write_strided(x, y, offset_of(start, strides), strides);
}

void ReferenceBackend::concat(std::span<const Tensor> parts, int axis, Tensor& y) {
    const Strides strides = strides_of(y.shape());
    int64_t start = 0;
    for (const Tensor& part : parts) {
        write_strided(part, y, start * strides[static_cast<size_t>(y.shape().axis(axis))], strides);
        start += part.dim(axis);
    }
}

void ReferenceBackend::gather_rows(const Tensor& x, const Tensor& index, Tensor& y) {
    const int64_t size = row_size(x.shape());
    dispatch_any(x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < index.numel(); ++i) {
            const int64_t row = checked("gather_rows", buffer<int64_t>(index)[i], x.dim(0));
            std::copy_n(buffer<T>(x) + row * size, size, buffer<T>(y) + i * size);
        }
    });
}

void ReferenceBackend::scatter_add_rows(const Tensor& d_y, const Tensor& index, Tensor& d_x) {
    const int64_t size = row_size(d_x.shape());
    dispatch_numeric("scatter_add_rows", d_y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<Accumulator<T>> sums(static_cast<size_t>(d_x.numel()), 0);
        for (int64_t i = 0; i < index.numel(); ++i) {
            const int64_t row = checked("scatter_add_rows", buffer<int64_t>(index)[i], d_x.dim(0));
            for (int64_t j = 0; j < size; ++j) {
                sums[static_cast<size_t>(row * size + j)] +=
                    static_cast<Accumulator<T>>(buffer<T>(d_y)[i * size + j]);
            }
        }
        std::ranges::transform(sums, buffer<T>(d_x), [](Accumulator<T> sum) { return static_cast<T>(sum); });
    });
}

void ReferenceBackend::gather_last(const Tensor& x, const Tensor& index, Tensor& y) {
    const int64_t length = rows_of(x.shape()).length;
    dispatch_any(x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t r = 0; r < index.numel(); ++r) {
            const int64_t at = checked("gather_last", buffer<int64_t>(index)[r], length);
            buffer<T>(y)[r] = buffer<T>(x)[r * length + at];
        }
    });
}

void ReferenceBackend::scatter_last(const Tensor& d_y, const Tensor& index, Tensor& d_x) {
    const int64_t length = rows_of(d_x.shape()).length;
    fill(d_x, 0);
    dispatch_any(d_y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t r = 0; r < index.numel(); ++r) {
            const int64_t at = checked("scatter_last", buffer<int64_t>(index)[r], length);
            buffer<T>(d_x)[r * length + at] = buffer<T>(d_y)[r];
        }
    });
}

}  // namespace backlight
