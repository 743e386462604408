// Several changed copies of each sample in one batch: point-major rows, row p N + n is copy p of sample n.
#pragma once

#include <functional>

#include "explain/explainer.h"

namespace backlight {

/// How many copies of a batch of this shape one recorded pass takes: about a million input values at once, at
/// least one copy.
[[nodiscard]] int64_t copies_at_once(const Shape& batch);
/// Calls `body(first, count)` for all of `copies` in passes of copies_at_once, and `progress` behind each.
void for_each_pass(int64_t copies, const Shape& batch,
                   const std::function<void(int64_t done, int64_t of)>& progress,
                   const std::function<void(int64_t first, int64_t count)>& body);
/// x (N,...) -> (count N,...), point-major.
[[nodiscard]] Tensor repeat_rows(const Tensor& x, int64_t count);
/// The request for `count` copies: targets, numbers and start repeated.
[[nodiscard]] ExplainRequest repeat_request(const ExplainRequest& request, int64_t count);
/// rows (count N,...) -> (count,N,...), and back to their sum over copies (N,...).
[[nodiscard]] Variable split_copies(const Variable& rows, int64_t count);
[[nodiscard]] Variable sum_copies(const Variable& rows, int64_t count);

}  // namespace backlight
