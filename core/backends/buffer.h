// The one door to a tensor's elements in place. Only core/backends may include this file: everything else
// copies to the host explicitly, so that a device whose memory the host cannot read fits in.
#pragma once

#include "core/tensor.h"

namespace backlight {

struct BufferAccess {
    static void* data(const Tensor& t) { return t.storage_ ? t.storage_->data : nullptr; }
};

template <typename T>
[[nodiscard]] const T* buffer(const Tensor& t) {
    return static_cast<const T*>(BufferAccess::data(t));
}
template <typename T>
[[nodiscard]] T* buffer(Tensor& t) {
    return static_cast<T*>(BufferAccess::data(t));
}

}  // namespace backlight
