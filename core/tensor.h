// Tensor: data without a history. Shape, element type, device, shared storage; always contiguous and
// row-major. No strides and no offset views: reshape shares the storage, everything else that moves data
// copies.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "core/storage.h"
#include "core/types.h"

namespace backlight {

class Backend;

class Tensor {
public:
    /// An undefined tensor: no shape that means anything, no data.
    Tensor() = default;

    /// Uninitialised elements.
    [[nodiscard]] static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = {});
    [[nodiscard]] static Tensor empty_like(const Tensor& other);
    [[nodiscard]] static Tensor full(const Shape& shape, double value, DType dtype = DType::f32,
                                     Device device = {});
    [[nodiscard]] static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = {});
    [[nodiscard]] static Tensor ones(const Shape& shape, DType dtype = DType::f32, Device device = {});
    /// A tensor of shape ().
    [[nodiscard]] static Tensor scalar(double value, DType dtype = DType::f32, Device device = {});
    /// 0, 1, ..., n-1.
    [[nodiscard]] static Tensor arange(int64_t n, DType dtype = DType::f32, Device device = {});
    /// Copies host values. Throws Error when their number is not the shape's.
    template <typename T>
    [[nodiscard]] static Tensor from(std::span<const T> values, const Shape& shape, Device device = {});
    template <typename T>
    [[nodiscard]] static Tensor from(const std::vector<T>& values, const Shape& shape, Device device = {}) {
        return from(std::span<const T>(values), shape, device);
    }
    template <typename T>
    [[nodiscard]] static Tensor from(std::initializer_list<T> values, const Shape& shape,
                                     Device device = {}) {
        return from(std::span<const T>(values.begin(), values.size()), shape, device);
    }
    /// Copies `shape.numel()` elements of `dtype` from host memory.
    [[nodiscard]] static Tensor from_bytes(const void* host, const Shape& shape, DType dtype,
                                           Device device = {});

    [[nodiscard]] bool defined() const { return defined_; }
    /// False for what stands in for data that was not kept: shape and type are known, the elements are gone.
    [[nodiscard]] bool has_data() const { return static_cast<bool>(storage_); }
    [[nodiscard]] const Shape& shape() const { return shape_; }
    [[nodiscard]] int rank() const { return shape_.rank(); }
    [[nodiscard]] int64_t dim(int axis) const { return shape_[axis]; }
    [[nodiscard]] int64_t numel() const { return shape_.numel(); }
    [[nodiscard]] DType dtype() const { return dtype_; }
    [[nodiscard]] Device device() const { return device_; }
    [[nodiscard]] size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }
    /// The kernels for this tensor's device.
    [[nodiscard]] Backend& backend() const;

    /// Same elements in the same order, shared storage; one extent may be -1. Throws Error when the numbers
    /// differ.
    [[nodiscard]] Tensor reshape(const std::vector<int64_t>& extents) const;
    [[nodiscard]] Tensor reshape(const Shape& shape) const;
    [[nodiscard]] Tensor reshape(std::initializer_list<int64_t> extents) const {
        return reshape(std::vector<int64_t>(extents));
    }
    /// A copy with its own storage.
    [[nodiscard]] Tensor clone() const;
    /// Converts the element type (rounds to nearest, floating to integer truncates); itself when it is the
    /// same.
    [[nodiscard]] Tensor to(DType dtype) const;
    [[nodiscard]] Tensor to(Device device) const;
    /// Shape and type without the elements.
    [[nodiscard]] Tensor without_data() const;

    /// The explicit copy to the host. Throws Error when T is not the tensor's type.
    template <typename T>
    [[nodiscard]] std::vector<T> to_vector() const;
    /// Copies all elements to host memory of bytes() bytes.
    void copy_to_host(void* host) const;
    /// The one element of a tensor with one element, as double.
    [[nodiscard]] double item() const;

    /// In-place updates: each raises the version of the storage. Shapes and types must be equal.
    void copy_from(const Tensor& source);
    void copy_from_host(const void* host);
    void fill(double value);
    void mark_modified() const { ++storage_->version; }

    /// For caches and for the check that nothing that backward needs was overwritten.
    [[nodiscard]] uint64_t version() const { return storage_ ? storage_->version : 0; }
    [[nodiscard]] uint64_t storage_id() const { return storage_ ? storage_->id : 0; }
    [[nodiscard]] bool shares_storage_with(const Tensor& other) const {
        return storage_ && storage_.get() == other.storage_.get();
    }

private:
    friend struct BufferAccess;  // core/backends/buffer.h: for kernels only
    StorageHandle storage_;
    Shape shape_;
    DType dtype_ = DType::f32;
    Device device_;
    bool defined_ = false;
};

/// Shape, type and the first elements, for logs and tests.
[[nodiscard]] std::string to_string(const Tensor& tensor);

}  // namespace backlight
