#include "core/backends/host_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <new>

#include "core/error.h"

namespace backlight {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;
#else
constexpr bool kCaching = true;
#endif

constexpr size_t kUnit = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kLargest = size_t{1} << 46;
constexpr size_t kSmallClasses = 64;  // up to 64 KiB
constexpr size_t kClasses = 304;      // up to kLargest

// With u + 1 units of 64 bytes: u < 16 is its own class; otherwise u = m 2^k + rest with m in 8..15 is in
// class 8k + m, whose blocks have (m + 1) 2^k units.
constexpr size_t class_of(size_t bytes) {
    const size_t u = bytes == 0 ? 0 : (bytes - 1) / kUnit;
    if (u < 16) {
        return u;
    }
    const auto k = static_cast<size_t>(std::bit_width(u)) - 4;
    return 8 * k + (u >> k);
}
constexpr size_t block_bytes(size_t size_class) {
    return size_class < 16 ? (size_class + 1) * kUnit
                           : ((size_class % 8 + 9) << (size_class / 8 - 1)) * kUnit;
}
static_assert(class_of(kSmallClasses << 10) == kSmallClasses - 1 &&
              block_bytes(kSmallClasses - 1) == 64 << 10);
static_assert(class_of(kLargest) == kClasses - 1 && block_bytes(kClasses - 1) == kLargest);

// What a thread keeps of one small class: up to 512 KiB, but 8 to 256 blocks.
constexpr size_t thread_capacity(size_t size_class) {
    return std::clamp<size_t>((size_t{512} << 10) / block_bytes(size_class), 8, 256);
}

// A free block holds the address of the next.
struct Block {
    Block* next;
};

struct FreeList {
    Block* head = nullptr;
    size_t count = 0;

    void push(void* data) {
        head = new (data) Block{head};
        ++count;
    }
    void* pop() {
        Block* block = head;
        if (block != nullptr) {
            head = block->next;
            --count;
        }
        return block;
    }
    // Moves up to `most` blocks to another list.
    void move_to(FreeList& other, size_t most) {
        for (; most > 0 && head != nullptr; --most) {
            other.push(pop());
        }
    }
};

std::atomic<size_t> bytes_in_use{0};
std::atomic<size_t> bytes_reserved{0};  // taken from the system: in use and cached
std::atomic<size_t> bytes_peak{0};

// ------------------------------------------------------------------------------------------------ the system

// Maps more than asked for and gives back what lies before and behind the aligned part.
void* map_pages(size_t bytes) {
    void* mapped =
        mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return nullptr;
    }
    auto* first = static_cast<std::byte*>(mapped);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(first) % kHugePage) % kHugePage;
    if (before > 0) {
        munmap(first, before);
    }
    munmap(first + before + bytes, kHugePage - before);
    madvise(first + before, bytes, MADV_HUGEPAGE);  // a wish: without huge pages all works the same
    return first + before;
}

void* system_allocate(size_t size) {
    void* data = size >= kHugePage ? map_pages(size) : std::aligned_alloc(kUnit, size);
    if (data != nullptr) {
        bytes_reserved.fetch_add(size, std::memory_order_relaxed);
    }
    return data;
}

void system_free(void* data, size_t size) noexcept {
    if (size >= kHugePage) {
        munmap(data, size);
    } else {
        std::free(data);
    }
    bytes_reserved.fetch_sub(size, std::memory_order_relaxed);
}

// Half of the machine's memory, or of what its control group grants.
size_t default_cache_limit() {
    size_t memory = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    std::ifstream file("/sys/fs/cgroup/memory.max");
    size_t granted = 0;
    if (file >> granted) {  // "max" when there is no limit
        memory = std::min(memory, granted);
    }
    return memory / 2;
}

// ------------------------------------------------------------------------------------------------- the
// caches

class SharedCache {
public:
    void* take(size_t size_class) {
        const std::scoped_lock lock(mutex_);
        void* data = lists_[size_class].pop();
        bytes_ -= data != nullptr ? block_bytes(size_class) : 0;
        return data;
    }
    // Fills a thread's list to half of its capacity.
    void refill(FreeList& list, size_t size_class) {
        const std::scoped_lock lock(mutex_);
        const size_t before = list.count;
        lists_[size_class].move_to(list, thread_capacity(size_class) / 2);
        bytes_ -= (list.count - before) * block_bytes(size_class);
    }
    void put(FreeList& list, size_t most, size_t size_class) noexcept {
        const size_t added = std::min(most, list.count) * block_bytes(size_class);
        std::unique_lock lock(mutex_);
        if (bytes_ + added > limit_) {
            release(lock);
        }
        if (added > limit_) {
            lock.unlock();
            for (; most > 0 && list.head != nullptr; --most) {
                system_free(list.pop(), block_bytes(size_class));
            }
            return;
        }
        list.move_to(lists_[size_class], most);
        bytes_ += added;
    }
    void trim() noexcept {
        std::unique_lock lock(mutex_);
        release(lock);
    }
    void set_limit(size_t bytes) {
        std::unique_lock lock(mutex_);
        limit_ = bytes;
        if (bytes_ > limit_) {
            release(lock);
        }
    }

private:
    // Empties the lists; the lock is not held while the system works.
    void release(std::unique_lock<std::mutex>& lock) noexcept {
        std::array<FreeList, kClasses> released{};
        std::swap(released, lists_);
        bytes_ = 0;
        lock.unlock();
        for (size_t size_class = 0; size_class < kClasses; ++size_class) {
            while (void* data = released[size_class].pop()) {
                system_free(data, block_bytes(size_class));
            }
        }
        lock.lock();
    }

    std::mutex mutex_;
    std::array<FreeList, kClasses> lists_{};
    size_t bytes_ = 0;
    size_t limit_ = default_cache_limit();
};

// Never destroyed: tensors in static storage may be freed after everything else.
SharedCache& shared_cache() {
    static auto* cache = new SharedCache;
    return *cache;
}

// Trivially destructible, hence readable while a thread ends.
thread_local constinit bool thread_cache_closed = false;

struct ThreadCache {
    std::array<FreeList, kSmallClasses> lists{};

    void flush() noexcept {
        for (size_t size_class = 0; size_class < kSmallClasses; ++size_class) {
            if (lists[size_class].count > 0) {
                shared_cache().put(lists[size_class], lists[size_class].count, size_class);
            }
        }
    }
    ~ThreadCache() {
        thread_cache_closed = true;
        flush();
    }
};

ThreadCache& thread_cache() {
    thread_local ThreadCache cache;
    return cache;
}

void* take_cached(size_t size_class) {
    if (size_class < kSmallClasses && !thread_cache_closed) {
        FreeList& list = thread_cache().lists[size_class];
        if (list.head == nullptr) {
            shared_cache().refill(list, size_class);
        }
        return list.pop();
    }
    return shared_cache().take(size_class);
}

void put_cached(void* data, size_t size_class) noexcept {
    if (size_class < kSmallClasses && !thread_cache_closed) {
        FreeList& list = thread_cache().lists[size_class];
        list.push(data);
        if (list.count > thread_capacity(size_class)) {
            shared_cache().put(list, thread_capacity(size_class) / 2, size_class);
        }
        return;
    }
    FreeList list;
    list.push(data);
    shared_cache().put(list, 1, size_class);
}

// -------------------------------------------------------------------------------------------------
// accounting

void count_allocation(size_t size) {
    const size_t in_use = bytes_in_use.fetch_add(size, std::memory_order_relaxed) + size;
    size_t peak = bytes_peak.load(std::memory_order_relaxed);
    while (in_use > peak && !bytes_peak.compare_exchange_weak(peak, in_use, std::memory_order_relaxed)) {
    }
}

std::atomic<bool>& poisoning() {
    static std::atomic<bool> on = [] {
        const char* value = std::getenv("BACKLIGHT_POISON");
        return value != nullptr && std::strcmp(value, "1") == 0;
    }();
    return on;
}

[[noreturn]] void throw_exhausted(size_t bytes) {
    throw SystemError(concat_text("host memory: the system has no block of ", bytes, " bytes (",
                                  bytes_in_use.load(), " bytes are in use)"));
}

// The bytes behind host_allocate(bytes): under AddressSanitizer exactly those, so that the first one behind
// is guarded.
size_t held_bytes(size_t bytes) { return kCaching ? block_bytes(class_of(bytes)) : bytes; }

void* allocate_block(size_t bytes) {
    if constexpr (!kCaching) {
        bytes_reserved.fetch_add(bytes, std::memory_order_relaxed);
        return ::operator new (bytes, std::align_val_t{kUnit});
    }
    const size_t size_class = class_of(bytes);
    void* data = take_cached(size_class);
    if (data == nullptr) [[unlikely]] {
        data = system_allocate(block_bytes(size_class));
    }
    if (data == nullptr) [[unlikely]] {
        trim_host_memory();
        data = system_allocate(block_bytes(size_class));
    }
    return data;
}

}  // namespace

void* host_allocate(size_t bytes) {
    void* data = bytes <= kLargest ? allocate_block(bytes) : nullptr;
    if (data == nullptr) [[unlikely]] {
        throw_exhausted(bytes);
    }
    count_allocation(held_bytes(bytes));
    if (poisoning().load(std::memory_order_relaxed)) [[unlikely]] {
        std::memset(data, 0xFF, held_bytes(bytes));
    }
    return data;
}

void host_deallocate(void* data, size_t bytes) noexcept {
    bytes_in_use.fetch_sub(held_bytes(bytes), std::memory_order_relaxed);
    if constexpr (kCaching) {
        put_cached(data, class_of(bytes));
    } else {
        bytes_reserved.fetch_sub(bytes, std::memory_order_relaxed);
        ::operator delete (data, std::align_val_t{kUnit});
    }
}

HostMemoryStatistics host_memory_statistics() {
    const size_t in_use = bytes_in_use.load(std::memory_order_relaxed);
    const size_t reserved = bytes_reserved.load(std::memory_order_relaxed);
    return {in_use, reserved > in_use ? reserved - in_use : 0, bytes_peak.load(std::memory_order_relaxed)};
}

void reset_host_memory_peak() { bytes_peak.store(bytes_in_use.load(std::memory_order_relaxed)); }

void trim_host_memory() noexcept {
    if (!thread_cache_closed) {
        thread_cache().flush();
    }
    shared_cache().trim();
}

void set_host_memory_cache_limit(size_t bytes) { shared_cache().set_limit(bytes); }

void set_host_memory_poison(bool on) { poisoning() = on; }

}  // namespace backlight
