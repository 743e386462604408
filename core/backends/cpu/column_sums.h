// Reductions over the rows of a (rows, columns) matrix, the columns side by side in vector registers, and how
// the rows are shared among threads. Sums are accumulated in double.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/backends/cpu/parallel.h"

namespace backlight::cpu {

struct SumReduction {
    using Accumulator = double;
    static constexpr double kInitial = 0;
    static double combine(double a, double b) { return a + b; }
};
struct MaximumReduction {
    using Accumulator = float;
    static constexpr float kInitial = -std::numeric_limits<float>::infinity();
    // functors::Maximum without branches: a NaN is the result.
    static float combine(float a, float b) {
        const float larger = a > b ? a : b;
        return a != a ? a : larger;
    }
};
struct MinimumReduction {
    using Accumulator = float;
    static constexpr float kInitial = std::numeric_limits<float>::infinity();
    static float combine(float a, float b) {
        const float smaller = a < b ? a : b;
        return a != a ? a : smaller;
    }
};

/// result[c] = combine(result[c], x[r step + c]) over the rows r. Four rows are combined with each other
/// first, so that `result` is read and written once for four.
template <typename Reduction>
void reduce_columns(const float* x, int64_t rows, int64_t step, int64_t columns,
                    typename Reduction::Accumulator* result);
extern template void reduce_columns<SumReduction>(const float*, int64_t, int64_t, int64_t, double*);
extern template void reduce_columns<MaximumReduction>(const float*, int64_t, int64_t, int64_t, float*);
extern template void reduce_columns<MinimumReduction>(const float*, int64_t, int64_t, int64_t, float*);

/// Reduces `items` rows of `elements` each: body(begin, end, result) combines rows begin..end-1 into
/// `result`, `width` accumulators. How the rows are cut depends on the extents only, so the result is the
/// same for any number of threads.
template <typename Reduction, typename Body>
void reduce_rows_in_chunks(int64_t rows, int64_t elements, int64_t width,
                           typename Reduction::Accumulator* result, Body&& body) {
    using Accumulator = typename Reduction::Accumulator;
    constexpr int64_t kMaxChunks = 32;
    const int64_t chunks = std::min(std::clamp<int64_t>(rows * elements / kParallelElements, 1, kMaxChunks),
                                    std::max<int64_t>(rows, 1));
    if (chunks == 1) {
        return body(int64_t{0}, rows, result);
    }
    std::vector<Accumulator> partial(static_cast<size_t>(chunks * width), Reduction::kInitial);
    parallel_ranges(chunks, 1, 1, [&](int64_t first, int64_t last) {
        for (int64_t chunk = first; chunk < last; ++chunk) {
            body(rows * chunk / chunks, rows * (chunk + 1) / chunks, partial.data() + chunk * width);
        }
    });
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        for (int64_t c = 0; c < width; ++c) {
            result[c] = Reduction::combine(result[c], partial[static_cast<size_t>(chunk * width + c)]);
        }
    }
}

/// A (rows, channels) matrix seen as fewer, wider rows, so that few channels fill vector registers too.
/// `rest` elements are left over; they are the beginning of a wide row.
struct WideRows {
    int64_t channels, repeat, width, rows, rest;

    WideRows(int64_t elements, int64_t channel_count)
        : channels(channel_count),
          repeat(std::max<int64_t>(1, kWidth / channel_count)),
          width(channel_count * repeat),
          rows(elements / width),
          rest(elements - rows * width) {}

    /// One number a channel, repeated along a wide row.
    template <typename T, typename Value>
    [[nodiscard]] std::vector<T> spread(Value&& value) const {
        std::vector<T> wide(static_cast<size_t>(width));
        for (int64_t c = 0; c < channels; ++c) {
            wide[static_cast<size_t>(c)] = static_cast<T>(value(c));
        }
        for (int64_t i = channels; i < width; ++i) {
            wide[static_cast<size_t>(i)] = wide[static_cast<size_t>(i - channels)];
        }
        return wide;
    }
    /// The inverse for sums: adds up the repetitions.
    template <typename T>
    void fold(T* wide) const {
        for (int64_t i = channels; i < width; ++i) {
            wide[i % channels] += wide[i];
        }
    }

private:
    static constexpr int64_t kWidth = 256;
};

}  // namespace backlight::cpu
