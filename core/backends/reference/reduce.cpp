// Reductions over any set of axes, the position of the extreme along one axis, and the k largest of each row.
//   sum: y[kept] = sum over the reduced axes of x;   maximum, minimum: a NaN among the elements is the result
//   argmax, argmin, top_k: the first of equals; NaN counts as the extreme, as in PyTorch
// A sum over nothing is 0, a maximum over nothing the lowest value that there is (-inf for floating numbers).
#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"
#include "core/backends/reference/walk.h"
#include "core/backends/reference/widen.h"

namespace backlight {
namespace {

// Strides into y for positions of x: reduced axes stand still.
Strides reduced_strides(const Shape& x, AxisMask axes) {
    Shape kept = x;
    for (int axis = 0; axis < x.rank(); ++axis) {
        if ((axes >> axis & 1U) != 0) {
            kept = kept.with(axis, 1);
        }
    }
    return broadcast_strides(kept, x);
}

template <typename T, typename Combine>
void reduce_with(const Tensor& x, AxisMask axes, Tensor& y, Accumulator<T> initial, Combine combine) {
    std::vector<Accumulator<T>> result(static_cast<size_t>(y.numel()), initial);
    const T* in = buffer<T>(x);
    walk(x.shape(), reduced_strides(x.shape(), axes), [&](int64_t i, int64_t at) {
        auto& element = result[static_cast<size_t>(at)];
        element = combine(element, static_cast<Accumulator<T>>(in[i]));
    });
    std::ranges::transform(result, buffer<T>(y), [](Accumulator<T> value) { return static_cast<T>(value); });
}

template <typename T>
constexpr Accumulator<T> lowest() {
    using Limits = std::numeric_limits<Accumulator<T>>;
    return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
}
template <typename T>
constexpr Accumulator<T> highest() {
    using Limits = std::numeric_limits<Accumulator<T>>;
    return Limits::has_infinity ? Limits::infinity() : Limits::max();
}

// Whether `a` comes before `b` in descending order: NaN first.
template <typename T>
bool is_larger(T a, T b) {
    return a > b || (a != a && b == b);
}
template <typename T>
bool is_smaller(T a, T b) {
    return a < b || (a != a && b == b);
}

}  // namespace

void ReferenceBackend::reduce(ReduceOp op, const Tensor& x, AxisMask axes, Tensor& y) {
    if (x.dtype() == DType::bf16) {
        return reduce(op, widened(x), axes, y);
    }
    dispatch_numeric("reduce", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        switch (op) {
            case ReduceOp::sum:
                return reduce_with<T>(x, axes, y, 0, [](auto a, auto b) { return a + b; });
            case ReduceOp::maximum:
                return reduce_with<T>(x, axes, y, lowest<T>(), functors::Maximum{});
            case ReduceOp::minimum:
                return reduce_with<T>(x, axes, y, highest<T>(), functors::Minimum{});
        }
    });
}

void ReferenceBackend::arg_reduce(ArgReduceOp op, const Tensor& x, int axis, Tensor& y) {
    // x is (outer, length, inner), y is (outer, inner).
    const int64_t length = x.dim(axis);
    const int64_t inner = strides_of(x.shape())[static_cast<size_t>(x.shape().axis(axis))];
    dispatch_numeric("arg_reduce", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t i = 0; i < y.numel(); ++i) {
            const T* first = buffer<T>(x) + i / inner * length * inner + i % inner;
            int64_t best = 0;
            for (int64_t j = 1; j < length; ++j) {
                const T candidate = first[j * inner];
                const T current = first[best * inner];
                if (op == ArgReduceOp::argmax ? is_larger(candidate, current)
                                              : is_smaller(candidate, current)) {
                    best = j;
                }
            }
            buffer<int64_t>(y)[i] = best;
        }
    });
}

void ReferenceBackend::top_k(const Tensor& x, int64_t k, Tensor& values, Tensor& index) {
    const Rows rows = rows_of(x.shape());
    dispatch_numeric("top_k", x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        std::vector<int64_t> order(static_cast<size_t>(rows.length));
        for (int64_t r = 0; r < rows.count; ++r) {
            const T* row = buffer<T>(x) + r * rows.length;
            std::iota(order.begin(), order.end(), int64_t{0});
            std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t a, int64_t b) {
                return is_larger(row[a], row[b]) || (!is_larger(row[b], row[a]) && a < b);
            });
            for (int64_t j = 0; j < k; ++j) {
                buffer<int64_t>(index)[r * k + j] = order[static_cast<size_t>(j)];
                buffer<T>(values)[r * k + j] = row[order[static_cast<size_t>(j)]];
            }
        }
    });
}

}  // namespace backlight
