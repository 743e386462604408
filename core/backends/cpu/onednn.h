// What this folder's oneDNN calls share: engine and stream, a bounded cache of primitives, reusable scratch
// memory, and a cache of weights in the formats that the library prefers. Everything but the engine belongs
// to one thread, so that nothing is locked; a thread's caches go when it ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <oneapi/dnnl/dnnl.hpp>

#include "core/error.h"
#include "core/tensor.h"

static_assert(DNNL_VERSION_MAJOR >= 3, "Backlight needs oneDNN 3; see docs/onednn.md");

/// Runs a statement of oneDNN calls and turns the library's exception into ours, naming the failing
/// expression.
#define BACKLIGHT_DNNL_CHECK(...)                                                                 \
    do {                                                                                          \
        try {                                                                                     \
            __VA_ARGS__;                                                                          \
        } catch (const dnnl::error& failure) {                                                    \
            throw ::backlight::SystemError(                                                       \
                ::backlight::concat_text("oneDNN: ", #__VA_ARGS__, " failed: ", failure.what())); \
        }                                                                                         \
    } while (false)

namespace backlight::cpu {

[[nodiscard]] const dnnl::engine& dnnl_engine();
[[nodiscard]] dnnl::stream& dnnl_stream();

/// Attributes that let the caller provide scratch memory.
[[nodiscard]] const dnnl::primitive_attr& user_scratchpad();

/// A block of memory that only grows, aligned to a cache line. `reserve` may move it: what was in it is gone.
class ScratchMemory {
public:
    ScratchMemory() = default;
    ~ScratchMemory() { release(); }
    ScratchMemory(const ScratchMemory&) = delete;
    ScratchMemory& operator=(const ScratchMemory&) = delete;
    [[nodiscard]] std::byte* reserve(size_t bytes);

private:
    void release() noexcept;
    std::byte* data_ = nullptr;
    size_t bytes_ = 0;
};
/// The calling thread's.
[[nodiscard]] ScratchMemory& scratch_memory();

/// Offsets of parts within one block, each at the beginning of a cache line.
class ScratchLayout {
public:
    size_t add(size_t bytes) { return std::exchange(size_, size_ + (bytes + 63) / 64 * 64); }
    [[nodiscard]] size_t size() const { return size_; }

private:
    size_t size_ = 0;
};

/// What a primitive is made from, as numbers.
using PlanKey = std::array<int64_t, 20>;
struct PlanKeyHash {
    size_t operator()(const PlanKey& key) const {
        uint64_t hash = 0xCBF29CE484222325U;
        for (const int64_t number : key) {
            hash = (hash ^ static_cast<uint64_t>(number)) * 0x100000001B3U;
            hash ^= hash >> 29;
        }
        return static_cast<size_t>(hash);
    }
};

/// Keeps the `capacity` plans that were used last.
template <typename Plan>
class PlanCache {
public:
    explicit PlanCache(size_t capacity) : capacity_(capacity) {}

    /// The plan of `key`; make() builds it when there is none. Valid until the next call.
    template <typename Make>
    Plan& get(const PlanKey& key, Make&& make) {
        if (const auto found = index_.find(key); found != index_.end()) {
            plans_.splice(plans_.begin(), plans_, found->second);
            return plans_.front().second;
        }
        plans_.emplace_front(key, make());
        index_[key] = plans_.begin();
        if (plans_.size() > capacity_) {
            index_.erase(plans_.back().first);
            plans_.pop_back();
        }
        return plans_.front().second;
    }
    void clear() {
        index_.clear();
        plans_.clear();
    }

private:
    using Plans = std::list<std::pair<PlanKey, Plan>>;
    size_t capacity_;
    Plans plans_;
    std::unordered_map<PlanKey, typename Plans::iterator, PlanKeyHash> index_;
};

/// Weights in oneDNN's formats, keyed by storage, version and format. Weights that are seen once per version,
/// as in a plain training step, are not kept: the second sighting of a version makes them so.
class WeightCache {
public:
    /// Where weights in `format` are to be found, or to be put.
    struct Place {
        void* data = nullptr;    // null: not kept, use scratch memory
        bool is_filled = false;  // data holds them already
    };
    [[nodiscard]] Place find(uint64_t storage, uint64_t version, const dnnl::memory::desc& format);

    static constexpr size_t kMaxBytes = size_t{512} << 20;
    static constexpr size_t kMaxEntries = 4096;

private:
    struct Free {
        size_t bytes;
        void operator()(void* data) const;
    };
    struct Entry {
        uint64_t storage, version;
        dnnl::memory::desc format;
        size_t bytes;
        uint32_t uses;
        std::unique_ptr<void, Free> data;
    };
    using Entries = std::list<Entry>;
    void drop_last();

    Entries entries_;  // last used first
    std::unordered_multimap<uint64_t, Entries::iterator> index_;
    size_t bytes_ = 0;
};
/// The calling thread's.
[[nodiscard]] WeightCache& weight_cache();

}  // namespace backlight::cpu
