// Reductions. Neighbouring axes that are both kept or both reduced are one, and what remains is nearly always
//   (kept, reduced, columns) -> (kept, columns)
// with any of the three extents possibly 1: over trailing axes, over leading axes, over all, over the axes of
// an image.
#include "core/backends/buffer.h"
#include "core/backends/cpu/column_sums.h"
#include "core/backends/cpu/cpu_backend.h"

namespace backlight {
namespace cpu {
namespace {

template <typename Reduction>
BACKLIGHT_CLONES void reduce_columns_loop(const float* x, int64_t rows, int64_t step, int64_t columns,
                                          typename Reduction::Accumulator* result) {
    using Accumulator = typename Reduction::Accumulator;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const float* x0 = x + r * step;
        const float* x1 = x0 + step;
        const float* x2 = x1 + step;
        const float* x3 = x2 + step;
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            const Accumulator first =
                Reduction::combine(static_cast<Accumulator>(x0[c]), static_cast<Accumulator>(x1[c]));
            const Accumulator second =
                Reduction::combine(static_cast<Accumulator>(x2[c]), static_cast<Accumulator>(x3[c]));
            result[c] = Reduction::combine(result[c], Reduction::combine(first, second));
        }
    }
    for (; r < rows; ++r) {
        BACKLIGHT_INDEPENDENT
        for (int64_t c = 0; c < columns; ++c) {
            result[c] = Reduction::combine(result[c], static_cast<Accumulator>(x[r * step + c]));
        }
    }
}

}  // namespace

template <typename Reduction>
void reduce_columns(const float* x, int64_t rows, int64_t step, int64_t columns,
                    typename Reduction::Accumulator* result) {
    reduce_columns_loop<Reduction>(x, rows, step, columns, result);
}
template void reduce_columns<SumReduction>(const float*, int64_t, int64_t, int64_t, double*);
template void reduce_columns<MaximumReduction>(const float*, int64_t, int64_t, int64_t, float*);
template void reduce_columns<MinimumReduction>(const float*, int64_t, int64_t, int64_t, float*);

}  // namespace cpu

namespace {

struct Extents {
    int64_t kept = 1, reduced = 1, columns = 1;
};

// False when kept and reduced axes alternate more often.
bool merge_axes(const Shape& x, AxisMask axes, Extents& e) {
    int stage = 0;  // 0: kept, 1: reduced, 2: columns
    for (int axis = 0; axis < x.rank(); ++axis) {
        if (x[axis] == 1) {
            continue;
        }
        const bool is_reduced = (axes >> axis & 1U) != 0;
        if (stage == 0 && is_reduced) {
            stage = 1;
        } else if (stage == 1 && !is_reduced) {
            stage = 2;
        } else if (stage == 2 && is_reduced) {
            return false;
        }
        (stage == 0 ? e.kept : stage == 1 ? e.reduced : e.columns) *= x[axis];
    }
    return true;
}

// result[r] over rows of `length` elements that lie one behind the other; a row is folded into 16 lanes
// first.
template <typename Reduction>
BACKLIGHT_CLONES void reduce_rows_loop(const float* x, int64_t rows, int64_t length,
                                       typename Reduction::Accumulator* result) {
    using Accumulator = typename Reduction::Accumulator;
    constexpr int64_t kLanes = 16;
    for (int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * length;
        Accumulator total = Reduction::kInitial;
        int64_t done = 0;
        if (length >= kLanes) {
            Accumulator lanes[kLanes];
            for (int64_t i = 0; i < kLanes; ++i) {
                lanes[i] = static_cast<Accumulator>(row[i]);
            }
            for (done = kLanes; done + kLanes <= length; done += kLanes) {
                for (int64_t i = 0; i < kLanes; ++i) {
                    lanes[i] = Reduction::combine(lanes[i], static_cast<Accumulator>(row[done + i]));
                }
            }
            for (int64_t width = kLanes / 2; width > 0; width /= 2) {
                for (int64_t i = 0; i < width; ++i) {
                    lanes[i] = Reduction::combine(lanes[i], lanes[i + width]);
                }
            }
            total = lanes[0];
        }
        for (; done < length; ++done) {
            total = Reduction::combine(total, static_cast<Accumulator>(row[done]));
        }
        result[r] = total;
    }
}

// A long range is folded into a matrix of 64 columns.
template <typename Reduction>
typename Reduction::Accumulator reduce_range(const float* x, int64_t count) {
    using Accumulator = typename Reduction::Accumulator;
    constexpr int64_t kColumns = 64;
    Accumulator lanes[kColumns];
    std::fill_n(static_cast<Accumulator*>(lanes), kColumns, Reduction::kInitial);
    const int64_t whole = count / kColumns * kColumns;
    cpu::reduce_columns<Reduction>(x, count / kColumns, kColumns, kColumns, lanes);
    cpu::reduce_columns<Reduction>(x + whole, 1, kColumns, count - whole, lanes);
    Accumulator result = Reduction::kInitial;
    for (const Accumulator lane : lanes) {
        result = Reduction::combine(result, lane);
    }
    return result;
}

template <typename Reduction>
void reduce_rows(const float* x, const Extents& e, float* y) {
    if (e.kept >= 8 || e.reduced < 1024) {
        return cpu::parallel_items(e.kept, e.reduced, [=](int64_t begin, int64_t end) {
            constexpr int64_t kTogether = 64;
            typename Reduction::Accumulator results[kTogether];
            for (int64_t i = begin; i < end; i += kTogether) {
                const int64_t rows = std::min(kTogether, end - i);
                reduce_rows_loop<Reduction>(x + i * e.reduced, rows, e.reduced, results);
                std::transform(results, results + rows, y + i,
                               [](auto value) { return static_cast<float>(value); });
            }
        });
    }
    for (int64_t i = 0; i < e.kept; ++i) {
        auto result = Reduction::kInitial;
        cpu::reduce_rows_in_chunks<Reduction>(
            e.reduced, 1, 1, &result, [&](int64_t begin, int64_t end, typename Reduction::Accumulator* out) {
                *out =
                    Reduction::combine(*out, reduce_range<Reduction>(x + i * e.reduced + begin, end - begin));
            });
        y[i] = static_cast<float>(result);
    }
}

// All rows of a strip of columns by one thread.
template <typename Reduction>
void reduce_strip(const float* x, const Extents& e, int64_t begin, int64_t end, float* y) {
    constexpr int64_t kStrip = 512;
    typename Reduction::Accumulator result[kStrip];
    for (int64_t c = begin; c < end; c += kStrip) {
        const int64_t count = std::min(kStrip, end - c);
        std::fill_n(result, count, Reduction::kInitial);
        cpu::reduce_columns<Reduction>(x + c, e.reduced, e.columns, count, result);
        std::transform(result, result + count, y + c, [](auto value) { return static_cast<float>(value); });
    }
}

template <typename Reduction>
void reduce_matrix(const float* x, const Extents& e, float* y) {
    constexpr int64_t kManyColumns = 8192;
    using Accumulator = typename Reduction::Accumulator;
    if (e.columns >= kManyColumns) {
        const int64_t grain = cpu::kParallelElements / 2 / e.reduced + 1;
        return cpu::parallel_ranges(e.columns, grain, 512, [=](int64_t begin, int64_t end) {
            reduce_strip<Reduction>(x, e, begin, end, y);
        });
    }
    std::vector<Accumulator> result(static_cast<size_t>(e.columns), Reduction::kInitial);
    cpu::reduce_rows_in_chunks<Reduction>(
        e.reduced, e.columns, e.columns, result.data(), [&](int64_t begin, int64_t end, Accumulator* out) {
            cpu::reduce_columns<Reduction>(x + begin * e.columns, end - begin, e.columns, e.columns, out);
        });
    std::ranges::transform(result, y, [](Accumulator value) { return static_cast<float>(value); });
}

// Few columns: wide rows, folded at the end.
template <typename Reduction>
void reduce_narrow(const float* x, const Extents& e, float* y) {
    using Accumulator = typename Reduction::Accumulator;
    const cpu::WideRows wide(e.reduced * e.columns, e.columns);
    std::vector<Accumulator> result(static_cast<size_t>(wide.width), Reduction::kInitial);
    cpu::reduce_rows_in_chunks<Reduction>(
        wide.rows, wide.width, wide.width, result.data(), [&](int64_t begin, int64_t end, Accumulator* out) {
            cpu::reduce_columns<Reduction>(x + begin * wide.width, end - begin, wide.width, wide.width, out);
        });
    cpu::reduce_columns<Reduction>(x + wide.rows * wide.width, 1, wide.rest, wide.rest, result.data());
    for (int64_t c = 0; c < e.columns; ++c) {
        Accumulator sum = result[static_cast<size_t>(c)];
        for (int64_t i = c + e.columns; i < wide.width; i += e.columns) {
            sum = Reduction::combine(sum, result[static_cast<size_t>(i)]);
        }
        y[c] = static_cast<float>(sum);
    }
}

template <typename Reduction>
void reduce_all(const float* x, const Extents& e, float* y) {
    if (e.columns == 1) {
        return reduce_rows<Reduction>(x, e, y);
    }
    const int64_t size = e.reduced * e.columns;
    if (e.kept >= 8) {
        return cpu::parallel_items(e.kept, size, [=](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                reduce_strip<Reduction>(x + i * size, e, 0, e.columns, y + i * e.columns);
            }
        });
    }
    for (int64_t i = 0; i < e.kept; ++i) {
        if (e.columns < 128 && e.reduced >= 64) {
            reduce_narrow<Reduction>(x + i * size, e, y + i * e.columns);
        } else {
            reduce_matrix<Reduction>(x + i * size, e, y + i * e.columns);
        }
    }
}

}  // namespace

void CpuBackend::reduce(ReduceOp op, const Tensor& x, AxisMask axes, Tensor& y) {
    Extents e;
    if (x.dtype() != DType::f32 || x.numel() == 0 || !merge_axes(x.shape(), axes, e)) {
        return ReferenceBackend::reduce(op, x, axes, y);
    }
    const auto* in = buffer<float>(x);
    auto* out = buffer<float>(y);
    switch (op) {
        case ReduceOp::sum:
            return reduce_all<cpu::SumReduction>(in, e, out);
        case ReduceOp::maximum:
            return reduce_all<cpu::MaximumReduction>(in, e, out);
        case ReduceOp::minimum:
            return reduce_all<cpu::MinimumReduction>(in, e, out);
    }
}

}  // namespace backlight
