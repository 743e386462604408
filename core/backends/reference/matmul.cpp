// Matrix product over the last two axes:  y[n,i,j] = bias[j] + sum_k op(a)[n,i,k] op(b)[n,k,j]
// op transposes or not. Leading axes number the batches; an operand without them is the same for every batch.
#include "core/backends/buffer.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"

namespace backlight {
namespace {

// One operand: element (row, column) of op(matrix) of batch n is at n batch + row row_step + column
// column_step.
struct Operand {
    int64_t batch, row, column;
};

Operand operand_of(const Tensor& t, bool transpose) {
    const int64_t columns = t.dim(-1);
    const int64_t batch = t.rank() > 2 ? t.dim(-2) * columns : 0;
    return transpose ? Operand{batch, 1, columns} : Operand{batch, columns, 1};
}

}  // namespace

void ReferenceBackend::matmul(const MatmulAttrs& attrs, const Tensor& a, const Tensor& b, const Tensor& bias,
                              Tensor& y) {
    const Operand in_a = operand_of(a, attrs.transpose_a);
    const Operand in_b = operand_of(b, attrs.transpose_b);
    const int64_t rows = y.dim(-2);
    const int64_t columns = y.dim(-1);
    const int64_t inner = a.dim(attrs.transpose_a ? -2 : -1);
    dispatch_floating("matmul", y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        for (int64_t element = 0; element < y.numel(); ++element) {
            const int64_t n = element / (rows * columns);
            const int64_t i = element / columns % rows;
            const int64_t j = element % columns;
            const T* row = buffer<T>(a) + n * in_a.batch + i * in_a.row;
            const T* column = buffer<T>(b) + n * in_b.batch + j * in_b.column;
            double sum = bias.defined() ? buffer<T>(bias)[j] : 0.0;
            for (int64_t k = 0; k < inner; ++k) {
                sum += static_cast<double>(row[k * in_a.column]) * static_cast<double>(column[k * in_b.row]);
            }
            buffer<T>(y)[element] = static_cast<T>(sum);
        }
    });
}

}  // namespace backlight
