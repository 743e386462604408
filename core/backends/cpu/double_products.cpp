// y = A B in tiles of 4 x 8 that stay in registers while k runs. B is packed into panels of 8 columns, A into
// stripes of 4 rows; a convolution's A are the windows of its image, written row by row as they are needed.
#include "core/backends/cpu/double_products.h"

#include <algorithm>
#include <vector>

#include "core/backends/buffer.h"
#include "core/backends/cpu/parallel.h"
#include "core/backends/reference/geometry.h"

namespace backlight::cpu {
namespace {

using reference::Geometry;

constexpr int64_t kRows = 4, kColumns = 8;
constexpr int64_t kStripes = 16;               // rows of A that a thread packs at once, in stripes
constexpr int64_t kPacked = int64_t{1} << 23;  // elements of B that are packed at once
constexpr int64_t kSmallProducts = 1 << 12;    // below, packing costs more than it brings

using Lanes = double __attribute__((vector_size(kColumns * sizeof(double))));

/// sum[r][c] += Σ_k a[k][r] b[k][c]
BACKLIGHT_CLONES void tile(const double* a, const double* b, int64_t inner, double* sum) {
    Lanes s0, s1, s2, s3;
    __builtin_memcpy(&s0, sum, sizeof s0);
    __builtin_memcpy(&s1, sum + kColumns, sizeof s1);
    __builtin_memcpy(&s2, sum + 2 * kColumns, sizeof s2);
    __builtin_memcpy(&s3, sum + 3 * kColumns, sizeof s3);
    for (int64_t k = 0; k < inner; ++k, a += kRows, b += kColumns) {
        Lanes from_b;
        __builtin_memcpy(&from_b, b, sizeof from_b);
        s0 += a[0] * from_b;
        s1 += a[1] * from_b;
        s2 += a[2] * from_b;
        s3 += a[3] * from_b;
    }
    __builtin_memcpy(sum, &s0, sizeof s0);
    __builtin_memcpy(sum + kColumns, &s1, sizeof s1);
    __builtin_memcpy(sum + 2 * kColumns, &s2, sizeof s2);
    __builtin_memcpy(sum + 3 * kColumns, &s3, sizeof s3);
}

/// y (rows, columns; row step `y_row`) = A B, or y + A B. fill_a(row, to) writes a row of A, fill_b(k, first,
/// count, to) a part of row k of B.
template <typename FillA, typename FillB>
void product(int64_t rows, int64_t columns, int64_t inner, FillA&& fill_a, FillB&& fill_b, double* y,
             int64_t y_row, bool add) {
    const int64_t at_once = std::max<int64_t>(kPacked / std::max<int64_t>(inner, 1) / kColumns, 1) * kColumns;
    for (int64_t first = 0; first < columns; first += at_once) {
        const int64_t count = std::min(at_once, columns - first);
        const int64_t panels = (count + kColumns - 1) / kColumns;
        std::vector<double> packed(static_cast<size_t>(panels * inner * kColumns));
        parallel_items(inner, count, [&](int64_t begin, int64_t end) {
            std::vector<double> row(static_cast<size_t>(panels * kColumns), 0.0);
            for (int64_t k = begin; k < end; ++k) {
                fill_b(k, first, count, row.data());
                for (int64_t p = 0; p < panels; ++p) {
                    std::copy_n(row.data() + p * kColumns, kColumns,
                                packed.data() + (p * inner + k) * kColumns);
                }
            }
        });
        constexpr int64_t kChunk = kStripes * kRows;
        const int64_t chunks = (rows + kChunk - 1) / kChunk;
        parallel_items(chunks, kChunk * inner * count, [&](int64_t begin, int64_t end) {
            std::vector<double> row(static_cast<size_t>(inner));
            std::vector<double> stripes(static_cast<size_t>(kChunk * inner));
            for (int64_t chunk = begin; chunk < end; ++chunk) {
                const int64_t top = chunk * kChunk, height = std::min(kChunk, rows - top);
                for (int64_t r = 0; r < height; ++r) {
                    fill_a(top + r, row.data());
                    double* to = stripes.data() + r / kRows * kRows * inner + r % kRows;
                    for (int64_t k = 0; k < inner; ++k) {
                        to[k * kRows] = row[static_cast<size_t>(k)];
                    }
                }
                for (int64_t p = 0; p < panels; ++p) {
                    const int64_t width = std::min(kColumns, count - p * kColumns);
                    for (int64_t r = 0; r < height; r += kRows) {
                        const int64_t high = std::min(kRows, height - r);
                        double sum[kRows * kColumns] = {};
                        double* out = y + (top + r) * y_row + first + p * kColumns;
                        for (int64_t i = 0; add && i < high; ++i) {
                            std::copy_n(out + i * y_row, width, sum + i * kColumns);
                        }
                        tile(stripes.data() + r * inner, packed.data() + p * inner * kColumns, inner, sum);
                        for (int64_t i = 0; i < high; ++i) {
                            std::copy_n(sum + i * kColumns, width, out + i * y_row);
                        }
                    }
                }
            }
        });
    }
}

void add_row(const double* bias, int64_t rows, int64_t columns, double* y) {
    for (int64_t i = 0; bias != nullptr && i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
            y[i * columns + j] += bias[j];
        }
    }
}

/// `channels` values for each tap (a, b) of the kernel, from where source(a, b) points; zeros for null.
template <typename Source>
void gather_taps(const Geometry& g, int64_t channels, Source&& source, double* to) {
    for (int64_t a = 0; a < g.height.kernel; ++a) {
        for (int64_t b = 0; b < g.width.kernel; ++b, to += channels) {
            if (const double* from = source(a, b)) {
                std::copy_n(from, channels, to);
            } else {
                std::fill_n(to, channels, 0.0);
            }
        }
    }
}

/// The window of output pixel `at`, (a, b, c) in the order of a weight's row; zeros in the padding.
void window_of(const Geometry& g, const double* x, int64_t at, double* to) {
    const int64_t j = at % g.width.out, i = at / g.width.out % g.height.out;
    const int64_t n = at / g.width.out / g.height.out;
    const auto source = [&](int64_t a, int64_t b) {
        const int64_t h = g.height.input(i, a), w = g.width.input(j, b);
        return h < 0 || w < 0 ? nullptr : x + g.in_image(n, h, w, 0);
    };
    gather_taps(g, g.in_channels, source, to);
}

/// What output pixels receive of input pixel `at`, (a, b, o); zeros where no window has the tap there.
void windows_around(const Geometry& g, const double* d_y, int64_t at, double* to) {
    const int64_t w = at % g.width.in, h = at / g.width.in % g.height.in, n = at / g.width.in / g.height.in;
    const auto source = [&](int64_t a, int64_t b) {
        const int64_t i = g.height.window(h, a), j = g.width.window(w, b);
        return i < 0 || j < 0 ? nullptr : d_y + g.in_output(n, i, j, 0);
    };
    gather_taps(g, g.out_channels, source, to);
}

int64_t taps_of(const Geometry& g) { return g.height.kernel * g.width.kernel; }

/// y[begin..end) of row i without packing.
BACKLIGHT_CLONES void row_product(const DoubleMatrix& a, const DoubleMatrix& b, int64_t i, int64_t inner,
                                  int64_t begin, int64_t end, double* y) {
    const double* row = a.data + i * a.row;
    if (b.column == 1) {  // whole rows of b at once
        std::fill(y + begin, y + end, 0.0);
        for (int64_t k = 0; k < inner; ++k) {
            const double factor = row[k * a.column];
            const double* from = b.data + k * b.row;
            for (int64_t j = begin; j < end; ++j) {
                y[j] += factor * from[j];
            }
        }
        return;
    }
    for (int64_t j = begin; j < end; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k) {
            sum += row[k * a.column] * b.data[k * b.row + j * b.column];
        }
        y[j] = sum;
    }
}

}  // namespace

void multiply(int64_t rows, int64_t columns, int64_t inner, const DoubleMatrix& a, const DoubleMatrix& b,
              const double* bias, double* y) {
    if (rows < kRows || rows * columns * inner < kSmallProducts) {
        parallel_items(columns, rows * inner, [&](int64_t begin, int64_t end) {
            for (int64_t i = 0; i < rows; ++i) {
                row_product(a, b, i, inner, begin, end, y + i * columns);
            }
        });
        return add_row(bias, rows, columns, y);
    }
    product(
        rows, columns, inner,
        [&](int64_t i, double* to) {
            for (int64_t k = 0; k < inner; ++k) {
                to[k] = a.data[i * a.row + k * a.column];
            }
        },
        [&](int64_t k, int64_t first, int64_t count, double* to) {
            const double* from = b.data + k * b.row + first * b.column;
            for (int64_t j = 0; j < count; ++j) {
                to[j] = from[j * b.column];
            }
        },
        y, columns, false);
    add_row(bias, rows, columns, y);
}

bool takes_double_convolution(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight,
                              const Tensor& y) {
    return x.dtype() == DType::f64 && attrs.groups == 1 && x.numel() > 0 && weight.numel() > 0 &&
           y.numel() * (weight.numel() / weight.dim(0)) >= kSmallProducts;
}

void double_convolution(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        Tensor& y) {
    const Geometry g(attrs, x.shape(), weight.shape(), y.shape());
    const double *image = buffer<double>(x), *w = buffer<double>(weight);
    const int64_t inner = taps_of(g) * g.in_channels, pixels = y.numel() / g.out_channels;
    product(
        pixels, g.out_channels, inner, [&](int64_t at, double* to) { window_of(g, image, at, to); },
        [&](int64_t k, int64_t first, int64_t count, double* to) {
            for (int64_t o = 0; o < count; ++o) {
                to[o] = w[(first + o) * inner + k];
            }
        },
        buffer<double>(y), g.out_channels, false);
    add_row(bias.defined() ? buffer<double>(bias) : nullptr, pixels, g.out_channels, buffer<double>(y));
}

void double_convolution_data(const Conv2dAttrs& attrs, const Tensor& d_y, const Tensor& weight, Tensor& d_x) {
    const Geometry g(attrs, d_x.shape(), weight.shape(), d_y.shape());
    const double *gradient = buffer<double>(d_y), *w = buffer<double>(weight);
    const int64_t channels = g.in_channels, taps = taps_of(g);
    product(
        d_x.numel() / channels, channels, taps * g.out_channels,
        [&](int64_t at, double* to) { windows_around(g, gradient, at, to); },
        [&](int64_t k, int64_t first, int64_t count, double* to) {
            const int64_t o = k % g.out_channels, tap = k / g.out_channels;
            std::copy_n(w + (o * taps + tap) * channels + first, count, to);
        },
        buffer<double>(d_x), channels, false);
}

void double_convolution_weights(const Conv2dAttrs& attrs, const Tensor& x, const Tensor& d_y,
                                Tensor& d_weight) {
    const Geometry g(attrs, x.shape(), d_weight.shape(), d_y.shape());
    const double *image = buffer<double>(x), *gradient = buffer<double>(d_y);
    const int64_t columns = taps_of(g) * g.in_channels, pixels = d_y.numel() / g.out_channels;
    // So many pixels that all windows fit into what is packed at once.
    const int64_t at_once = std::clamp<int64_t>(kPacked / (columns + kColumns), 1, 512);
    for (int64_t first_pixel = 0; first_pixel < pixels; first_pixel += at_once) {
        const int64_t count = std::min(at_once, pixels - first_pixel);
        product(
            g.out_channels, columns, count,
            [&](int64_t o, double* to) {
                for (int64_t k = 0; k < count; ++k) {
                    to[k] = gradient[(first_pixel + k) * g.out_channels + o];
                }
            },
            [&](int64_t k, int64_t, int64_t, double* to) { window_of(g, image, first_pixel + k, to); },
            buffer<double>(d_weight), columns, first_pixel > 0);
    }
}

}  // namespace backlight::cpu
