// Random tensors: element i is a function of the key and of i alone, see core/backends/random_values.h.
//   bernoulli: 1[u < p] with u uniform in [0, 1): p = 0 never, p = 1 always
#include "core/backends/buffer.h"
#include "core/backends/random_values.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"

namespace backlight {

void ReferenceBackend::random_uniform(Tensor& y, const RandomKey& key) {
    dispatch_floating("random_uniform", y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const auto stream = random_values::stream_of(key);
        for (int64_t i = 0; i < y.numel(); ++i) {
            buffer<T>(y)[i] = random_values::uniform_at<T>(stream, static_cast<uint64_t>(i));
        }
    });
}

void ReferenceBackend::random_normal(Tensor& y, const RandomKey& key) {
    dispatch_floating("random_normal", y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const auto stream = random_values::stream_of(key);
        for (int64_t i = 0; i < y.numel(); ++i) {
            buffer<T>(y)[i] = random_values::normal_at<T>(stream, static_cast<uint64_t>(i));
        }
    });
}

void ReferenceBackend::random_bernoulli(Tensor& y, double probability, const RandomKey& key) {
    dispatch_floating("random_bernoulli", y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const auto stream = random_values::stream_of(key);
        for (int64_t i = 0; i < y.numel(); ++i) {
            buffer<T>(y)[i] = random_values::bernoulli_at<T>(stream, static_cast<uint64_t>(i), probability);
        }
    });
}

}  // namespace backlight
