// Storage: one block of a backend's memory, shared by the tensors that view it, with a version for caches and
// checks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace backlight {

class Backend;

struct Storage {
    std::atomic<uint32_t> references{0};
    Backend* owner = nullptr;  // allocates and frees `data`
    void* data = nullptr;      // in the owner's memory: only kernels may read it
    size_t bytes = 0;
    uint64_t id = 0;       // unique over the process, never reused: caches may be keyed by (id, version)
    uint64_t version = 0;  // raised by every in-place update
};

/// Allocates `bytes` (uninitialised) from the backend.
[[nodiscard]] Storage* make_storage(Backend& owner, size_t bytes);
void destroy_storage(Storage* storage) noexcept;

/// Intrusive handle: a shared_ptr without a second allocation and at the size of a pointer.
class StorageHandle {
public:
    StorageHandle() = default;
    explicit StorageHandle(Storage* storage) : storage_(storage) { retain(); }
    StorageHandle(const StorageHandle& other) : storage_(other.storage_) { retain(); }
    StorageHandle(StorageHandle&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
    StorageHandle& operator=(StorageHandle other) noexcept {
        std::swap(storage_, other.storage_);
        return *this;
    }
    ~StorageHandle() {
        if (storage_ != nullptr && storage_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            destroy_storage(storage_);
        }
    }

    [[nodiscard]] Storage* get() const { return storage_; }
    Storage* operator->() const { return storage_; }
    explicit operator bool() const { return storage_ != nullptr; }

private:
    void retain() {
        if (storage_ != nullptr) {
            storage_->references.fetch_add(1, std::memory_order_relaxed);
        }
    }
    Storage* storage_ = nullptr;
};

}  // namespace backlight
