// The small matrix product for one instruction set. Included several times by small_matmul.cpp, each time inside a
// namespace that defines: Vector, kLanes, kTileRows, kTileColumns, zero, load, load_first, store, store_first,
// broadcast, multiply_add. No include guard.
//
// A tile of kTileRows x (kTileColumns vectors) of y stays in registers while k runs:
//   y[i, j..] += a[i, k] b[k, j..]     one broadcast a row, one load a vector, rows x vectors multiply-adds
// A transposed b is brought into (inner, columns) order first, a panel of columns at a time.

constexpr int64_t kPanel = int64_t{kTileColumns} * kLanes;

// `last`: elements in the last vector of each row.
template <int Rows, int Columns>
void tile(const SmallMatmul& m, const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step,
          const float* bias, float* y, int64_t last) {
    Vector sum[Rows][Columns];
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
        const Vector start = bias == nullptr      ? zero()
                             : c == Columns - 1 ? load_first(bias + c * kLanes, last)
                                                  : load(bias + c * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            sum[r][c] = start;
        }
    }
    for (int64_t k = 0; k < m.inner; ++k) {
        Vector from_b[Columns];
#pragma GCC unroll 16
        for (int c = 0; c < Columns; ++c) {
            from_b[c] = c == Columns - 1 ? load_first(b + c * kLanes, last) : load(b + c * kLanes);
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
            const Vector from_a = broadcast(a + r * a_row);
#pragma GCC unroll 16
            for (int c = 0; c < Columns; ++c) {
                sum[r][c] = multiply_add(from_a, from_b[c], sum[r][c]);
            }
        }
        a += a_step;
        b += b_step;
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
        for (int c = 0; c < Columns; ++c) {
            float* target = y + r * m.columns + c * kLanes;
            if (c == Columns - 1) {
                store_first(target, sum[r][c], last);
            } else {
                store(target, sum[r][c]);
            }
        }
    }
}

using Tile = void (*)(const SmallMatmul&, const float*, int64_t, int64_t, const float*, int64_t, const float*, float*,
                      int64_t);

template <size_t... I>
constexpr std::array<Tile, sizeof...(I)> make_tiles(std::index_sequence<I...>) {
    return {tile<static_cast<int>(I) / kTileColumns + 1, static_cast<int>(I) % kTileColumns + 1>...};
}
constexpr auto kTiles = make_tiles(std::make_index_sequence<size_t{kTileRows} * kTileColumns>{});

// panel[k, j] = b[j, k] for `columns` rows of b, in squares of 4 x 4.
inline void transpose_panel(const float* b, int64_t inner, int64_t columns, float* panel) {
    int64_t j = 0;
    for (; j + 4 <= columns; j += 4) {
        const float* row = b + j * inner;
        int64_t k = 0;
        for (; k + 4 <= inner; k += 4) {
            __m128 r0 = _mm_loadu_ps(row + k);
            __m128 r1 = _mm_loadu_ps(row + inner + k);
            __m128 r2 = _mm_loadu_ps(row + 2 * inner + k);
            __m128 r3 = _mm_loadu_ps(row + 3 * inner + k);
            _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
            float* target = panel + k * kPanel + j;
            _mm_storeu_ps(target, r0);
            _mm_storeu_ps(target + kPanel, r1);
            _mm_storeu_ps(target + 2 * kPanel, r2);
            _mm_storeu_ps(target + 3 * kPanel, r3);
        }
        for (; k < inner; ++k) {
            for (int64_t c = 0; c < 4; ++c) {
                panel[k * kPanel + j + c] = row[c * inner + k];
            }
        }
    }
    for (; j < columns; ++j) {
        for (int64_t k = 0; k < inner; ++k) {
            panel[k * kPanel + j] = b[j * inner + k];
        }
    }
}

void multiply(const SmallMatmul& m) {
    alignas(64) float panel[kSmallInner * kPanel];
    const int64_t a_row = m.transpose_a ? 1 : m.inner;
    const int64_t a_step = m.transpose_a ? m.rows : 1;
    // Panels of equal width: three vectors and one would waste more than two and two.
    const int64_t all_vectors = (m.columns + kLanes - 1) / kLanes;
    const int64_t panels = (all_vectors + kTileColumns - 1) / kTileColumns;
    const int64_t width = (all_vectors + panels - 1) / panels * kLanes;
    for (int64_t j = 0; j < m.columns; j += width) {
        const int64_t columns = std::min(width, m.columns - j);
        const int64_t vectors = (columns + kLanes - 1) / kLanes;
        const int64_t last = columns - (vectors - 1) * kLanes;
        const float* b = m.b + j;
        int64_t b_step = m.columns;
        if (m.transpose_b) {
            transpose_panel(m.b + j * m.inner, m.inner, columns, panel);
            b = panel;
            b_step = kPanel;
        }
        for (int64_t i = 0; i < m.rows; i += kTileRows) {
            const int64_t rows = std::min<int64_t>(kTileRows, m.rows - i);
            const Tile run = kTiles[static_cast<size_t>((rows - 1) * kTileColumns + vectors - 1)];
            run(m, m.a + i * a_row, a_row, a_step, b, b_step, m.bias == nullptr ? nullptr : m.bias + j,
                m.y + i * m.columns + j, last);
        }
    }
}
