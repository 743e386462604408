// The small matrix product for one instruction set. Included several times by small_matmul.cpp, each time
// inside a namespace that defines: Vector, kLanes, kTileRows, kTileColumns, zero, load, load_first, store,
// store_first, broadcast, multiply_add, and for 4 x 4 squares in 128-bit lanes load_squares, unpack_low,
// unpack_high, low_halves, high_halves. No include guard.
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
        const Vector start = bias == nullptr    ? zero()
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

using Tile = void (*)(const SmallMatmul&, const float*, int64_t, int64_t, const float*, int64_t, const float*,
                      float*, int64_t);

template <size_t... I>
constexpr std::array<Tile, sizeof...(I)> make_tiles(std::index_sequence<I...>) {
    return {tile<static_cast<int>(I) / kTileColumns + 1, static_cast<int>(I) % kTileColumns + 1>...};
}
constexpr auto kTiles = make_tiles(std::make_index_sequence<size_t{kTileRows} * kTileColumns>{});

// Four rows of the panel from `columns` of b, in squares of 4 x 4 that lie side by side in the lanes of a
// vector: lane l of register r holds b[4 l + r, k..k+3].
inline void transpose_squares(const float* b, int64_t inner, float* panel) {
    const Vector r0 = load_squares(b, 4 * inner);
    const Vector r1 = load_squares(b + inner, 4 * inner);
    const Vector r2 = load_squares(b + 2 * inner, 4 * inner);
    const Vector r3 = load_squares(b + 3 * inner, 4 * inner);
    const Vector low01 = unpack_low(r0, r1);    // r0[0] r1[0] r0[1] r1[1]
    const Vector high01 = unpack_high(r0, r1);  // r0[2] r1[2] r0[3] r1[3]
    const Vector low23 = unpack_low(r2, r3);
    const Vector high23 = unpack_high(r2, r3);
    store(panel, low_halves(low01, low23));
    store(panel + kPanel, high_halves(low01, low23));
    store(panel + 2 * kPanel, low_halves(high01, high23));
    store(panel + 3 * kPanel, high_halves(high01, high23));
}

// panel[k, j] = b[j, k] for `columns` rows of b.
inline void transpose_panel(const float* b, int64_t inner, int64_t columns, float* panel) {
    const int64_t whole_columns = columns / kLanes * kLanes;
    const int64_t whole_inner = inner / 4 * 4;
    for (int64_t j = 0; j < whole_columns; j += kLanes) {
        for (int64_t k = 0; k < whole_inner; k += 4) {
            transpose_squares(b + j * inner + k, inner, panel + k * kPanel + j);
        }
    }
    for (int64_t j = 0; j < columns; ++j) {
        for (int64_t k = j < whole_columns ? whole_inner : 0; k < inner; ++k) {
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
