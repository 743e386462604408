#include "explain/rows.h"

#include <algorithm>

#include "autograd/functions.h"

namespace backlight {

int64_t copies_at_once(const Shape& batch) {
    constexpr int64_t kValues = 1'200'000;  // eight colour pictures of 224 x 224
    constexpr int64_t kRows = 256;
    const int64_t rows = std::max<int64_t>(batch[0], 1);
    return std::max<int64_t>(1, std::min(kValues / std::max<int64_t>(batch.numel(), 1), kRows / rows));
}

void for_each_pass(int64_t copies, const Shape& batch,
                   const std::function<void(int64_t done, int64_t of)>& progress,
                   const std::function<void(int64_t first, int64_t count)>& body) {
    const int64_t step = copies_at_once(batch);
    for (int64_t first = 0; first < copies; first += step) {
        const int64_t count = std::min(step, copies - first);
        body(first, count);
        if (progress) {
            progress(first + count, copies);
        }
    }
}

Tensor repeat_rows(const Tensor& x, int64_t count) {
    if (count == 1) {
        return x;
    }
    const NoGrad off;
    return concat(Variables(static_cast<size_t>(count), Variable(x)), 0).data();
}

ExplainRequest repeat_request(const ExplainRequest& request, int64_t count) {
    ExplainRequest repeated = request;
    for (int64_t i = 1; i < count; ++i) {
        repeated.targets.insert(repeated.targets.end(), request.targets.begin(), request.targets.end());
        repeated.numbers.insert(repeated.numbers.end(), request.numbers.begin(), request.numbers.end());
    }
    if (request.start.defined()) {
        repeated.start = repeat_rows(request.start, count);
    }
    return repeated;
}

Variable split_copies(const Variable& rows, int64_t count) {
    Shape shape{count, rows.dim(0) / count};
    for (int axis = 1; axis < rows.rank(); ++axis) {
        shape.push_back(rows.dim(axis));
    }
    return reshape(rows, shape);
}

Variable sum_copies(const Variable& rows, int64_t count) {
    return count == 1 ? rows : sum(split_copies(rows, count), {0});
}

}  // namespace backlight
