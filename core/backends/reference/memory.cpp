// Memory of the host and copies within it. Conversions between element types: `convert` in dispatch.h.
#include <cstring>

#include "core/backends/buffer.h"
#include "core/backends/host_memory.h"
#include "core/backends/reference/dispatch.h"
#include "core/backends/reference/reference_backend.h"

namespace backlight {
namespace {

// The null pointers of empty ranges are not for memcpy.
void copy_bytes(void* to, const void* from, size_t bytes) {
    if (bytes > 0) {
        std::memmove(to, from, bytes);
    }
}

}  // namespace

void* ReferenceBackend::allocate(size_t bytes) { return host_allocate(bytes); }

void ReferenceBackend::deallocate(void* data, size_t bytes) noexcept { host_deallocate(data, bytes); }

void ReferenceBackend::copy_from_host(Tensor& y, const void* host) {
    copy_bytes(buffer<void>(y), host, y.bytes());
}

void ReferenceBackend::copy_to_host(void* host, const Tensor& x) {
    copy_bytes(host, buffer<void>(x), x.bytes());
}

void ReferenceBackend::copy(const Tensor& x, Tensor& y) {
    copy_bytes(buffer<void>(y), buffer<void>(x), x.bytes());
}

void ReferenceBackend::fill(Tensor& y, double value) {
    dispatch_any(y.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T element = convert<T>(value);
        for (int64_t i = 0; i < y.numel(); ++i) {
            buffer<T>(y)[i] = element;
        }
    });
}

void ReferenceBackend::cast(const Tensor& x, Tensor& y) {
    dispatch_any(x.dtype(), [&](auto from) {
        dispatch_any(y.dtype(), [&](auto to) {
            const auto* source = buffer<decltype(from)>(x);
            for (int64_t i = 0; i < y.numel(); ++i) {
                buffer<decltype(to)>(y)[i] = convert<decltype(to)>(source[i]);
            }
        });
    });
}

}  // namespace backlight
