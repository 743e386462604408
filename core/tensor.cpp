#include "core/tensor.h"

#include <atomic>
#include <sstream>

#include "core/backend.h"
#include "core/error.h"

namespace backlight {

Storage* make_storage(Backend& owner, size_t bytes) {
    static std::atomic<uint64_t> next_id{1};
    auto* storage = new Storage;
    storage->owner = &owner;
    storage->bytes = bytes;
    storage->id = next_id.fetch_add(1, std::memory_order_relaxed);
    try {
        storage->data = owner.allocate(bytes);
    } catch (...) {
        delete storage;
        throw;
    }
    return storage;
}

void destroy_storage(Storage* storage) noexcept {
    storage->owner->deallocate(storage->data, storage->bytes);
    delete storage;
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
    Tensor t;
    t.shape_ = shape;
    t.dtype_ = dtype;
    t.device_ = device;
    t.defined_ = true;
    t.storage_ = StorageHandle(make_storage(backend_for(device), t.bytes()));
    return t;
}

Tensor Tensor::empty_like(const Tensor& other) { return empty(other.shape(), other.dtype(), other.device()); }

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
    Tensor t = empty(shape, dtype, device);
    t.backend().fill(t, value);
    return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
    return full(shape, 0.0, dtype, device);
}

Tensor Tensor::ones(const Shape& shape, DType dtype, Device device) {
    return full(shape, 1.0, dtype, device);
}

Tensor Tensor::scalar(double value, DType dtype, Device device) { return full({}, value, dtype, device); }

Tensor Tensor::arange(int64_t n, DType dtype, Device device) {
    std::vector<int64_t> values(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
        values[static_cast<size_t>(i)] = i;
    }
    return from(values, {n}, device).to(dtype);
}

Tensor Tensor::from_bytes(const void* host, const Shape& shape, DType dtype, Device device) {
    Tensor t = empty(shape, dtype, device);
    t.backend().copy_from_host(t, host);
    return t;
}

template <typename T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape, Device device) {
    BACKLIGHT_CHECK(static_cast<int64_t>(values.size()) == shape.numel(), "tensor: shape ", shape,
                    " expects ", shape.numel(), " values, got ", values.size());
    return from_bytes(values.data(), shape, DTypeOf<T>::value, device);
}

template <typename T>
std::vector<T> Tensor::to_vector() const {
    BACKLIGHT_CHECK(dtype_ == DTypeOf<T>::value, "tensor: expected ", DTypeOf<T>::value, ", got ", dtype_);
    std::vector<T> values(static_cast<size_t>(numel()));
    copy_to_host(values.data());
    return values;
}

#define BACKLIGHT_INSTANTIATE(T)                                               \
    template Tensor Tensor::from<T>(std::span<const T>, const Shape&, Device); \
    template std::vector<T> Tensor::to_vector<T>() const;
BACKLIGHT_INSTANTIATE(float)
BACKLIGHT_INSTANTIATE(double)
BACKLIGHT_INSTANTIATE(int64_t)
BACKLIGHT_INSTANTIATE(uint8_t)
BACKLIGHT_INSTANTIATE(BFloat16)
#undef BACKLIGHT_INSTANTIATE

Backend& Tensor::backend() const { return backend_for(device_); }

Tensor Tensor::reshape(const std::vector<int64_t>& extents) const {
    int64_t known = 1;
    int inferred = -1;
    for (size_t i = 0; i < extents.size(); ++i) {
        if (extents[i] == -1) {
            BACKLIGHT_CHECK(inferred < 0, "reshape: only one extent may be -1");
            inferred = static_cast<int>(i);
        } else {
            known *= extents[i];
        }
    }
    std::vector<int64_t> filled = extents;
    if (inferred >= 0) {
        BACKLIGHT_CHECK(known > 0 && numel() % known == 0, "reshape: cannot infer -1 for ", numel(),
                        " elements of ", shape_);
        filled[static_cast<size_t>(inferred)] = numel() / known;
    }
    return reshape(Shape(std::span<const int64_t>(filled)));
}

Tensor Tensor::reshape(const Shape& shape) const {
    BACKLIGHT_CHECK(shape.numel() == numel(), "reshape: ", shape_, " has ", numel(), " elements, ", shape,
                    " needs ", shape.numel());
    Tensor t = *this;
    t.shape_ = shape;
    return t;
}

Tensor Tensor::clone() const {
    Tensor t = empty_like(*this);
    t.backend().copy(*this, t);
    return t;
}

Tensor Tensor::to(DType dtype) const {
    if (dtype == dtype_) {
        return *this;
    }
    Tensor t = empty(shape_, dtype, device_);
    t.backend().cast(*this, t);
    return t;
}

Tensor Tensor::to(Device device) const {
    if (device == device_) {
        return *this;
    }
    std::vector<std::byte> host(bytes());
    copy_to_host(host.data());
    return from_bytes(host.data(), shape_, dtype_, device);
}

Tensor Tensor::without_data() const {
    Tensor t = *this;
    t.storage_ = StorageHandle();
    return t;
}

void Tensor::copy_to_host(void* host) const {
    BACKLIGHT_CHECK(has_data(), "tensor: the elements of this tensor of shape ", shape_, " were not kept");
    backend().copy_to_host(host, *this);
}

double Tensor::item() const {
    BACKLIGHT_CHECK(defined_ && numel() == 1, "item: expected one element, got shape ", shape_);
    switch (dtype_) {
        case DType::f32:
            return static_cast<double>(to_vector<float>()[0]);
        case DType::f64:
            return to_vector<double>()[0];
        case DType::i64:
            return static_cast<double>(to_vector<int64_t>()[0]);
        case DType::u8:
            return static_cast<double>(to_vector<uint8_t>()[0]);
        case DType::bf16:
            return static_cast<double>(to_vector<BFloat16>()[0]);
    }
    return 0;
}

void Tensor::copy_from(const Tensor& source) {
    BACKLIGHT_CHECK(source.shape() == shape_ && source.dtype() == dtype_, "copy_from: expected ", dtype_, " ",
                    shape_, ", got ", source.dtype(), " ", source.shape());
    backend().copy(source.to(device_), *this);
    mark_modified();
}

void Tensor::copy_from_host(const void* host) {
    backend().copy_from_host(*this, host);
    mark_modified();
}

void Tensor::fill(double value) {
    backend().fill(*this, value);
    mark_modified();
}

std::string to_string(const Tensor& tensor) {
    std::ostringstream out;
    if (!tensor.defined()) {
        return "undefined";
    }
    out << name_of(tensor.dtype()) << ' ' << tensor.shape();
    if (!tensor.has_data()) {
        return out.str() + " (no data)";
    }
    const std::vector<double> values = tensor.to(DType::f64).to_vector<double>();
    const size_t shown = std::min<size_t>(values.size(), 8);
    out << " [";
    for (size_t i = 0; i < shown; ++i) {
        out << (i == 0 ? "" : ", ") << values[i];
    }
    out << (shown < values.size() ? ", ...]" : "]");
    return out.str();
}

}  // namespace backlight
