#include "core/backends/host_memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <vector>

#include "core/backends/free_ranges.h"
#include "core/backends/host_pages.h"
#include "core/backends/size_classes.h"
#include "core/error.h"

namespace backlight {
namespace {

using size_classes::block_bytes;
using size_classes::class_of;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;
#else
constexpr bool kCaching = true;
#endif

constexpr size_t kSmallClasses = 64;
static_assert(block_bytes(kSmallClasses - 1) == size_t{64} << 10);

// Larger blocks than those of the last class are cut from mapped memory, and have whole pages.
constexpr size_t kClasses = class_of(host_pages::kHugePage);
constexpr size_t kLargestOfClass = block_bytes(kClasses - 1);
static_assert(kLargestOfClass < host_pages::kHugePage && block_bytes(kClasses) == host_pages::kHugePage);

constexpr size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }
constexpr bool is_mapped(size_t bytes) { return bytes > kLargestOfClass; }

size_t held_for(size_t bytes) {
    static const size_t kPage = host_pages::page_bytes();
    return is_mapped(bytes) ? round_up(bytes, kPage) : block_bytes(class_of(bytes));
}

// What a thread keeps of one small class: up to 512 KiB, but 8 to 256 blocks.
constexpr size_t thread_capacity(size_t size_class) {
    return std::clamp<size_t>((size_t{512} << 10) / block_bytes(size_class), 8, 256);
}

std::atomic<size_t> bytes_reserved{0};  // taken from the system: in use and cached

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
    // Returns up to `most` blocks to the system.
    void release(size_t most, size_t size_class) {
        for (; most > 0 && head != nullptr; --most) {
            host_pages::free(pop());
            bytes_reserved.fetch_sub(block_bytes(size_class), std::memory_order_relaxed);
        }
    }
};

// ------------------------------------------------------------ the cache of all threads

class SharedCache {
public:
    void* take_mapped(size_t held) {
        const std::scoped_lock lock(mutex_);
        void* data = mapped_.take(held);
        bytes_ -= data != nullptr ? held : 0;
        return data;
    }
    void put_mapped(void* data, size_t held) noexcept {
        std::unique_lock lock(mutex_);
        if (bytes_ + held > limit_) {
            empty(lock);
        }
        const bool kept = held <= limit_ && keep({static_cast<std::byte*>(data), held});
        if (!kept) {
            unmap(lock, {static_cast<std::byte*>(data), held});
        }
    }
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
    void put(FreeList& list, size_t most, size_t size_class) {
        const size_t added = std::min(most, list.count) * block_bytes(size_class);
        std::unique_lock lock(mutex_);
        if (bytes_ + added > limit_) {
            empty(lock);
        }
        if (added > limit_) {
            lock.unlock();
            list.release(most, size_class);
            return;
        }
        list.move_to(lists_[size_class], most);
        bytes_ += added;
    }
    void trim() {
        std::unique_lock lock(mutex_);
        empty(lock);
    }
    void set_limit(size_t bytes) {
        std::unique_lock lock(mutex_);
        limit_ = bytes;
        if (bytes_ > limit_) {
            empty(lock);
        }
    }

private:
    // Returns all blocks to the system; the lock is not held while the system works.
    void empty(std::unique_lock<std::mutex>& lock) {
        std::array<FreeList, kClasses> released{};
        std::swap(released, lists_);
        FreeRanges mapped;
        std::swap(mapped, mapped_);
        bytes_ = 0;
        lock.unlock();
        for (size_t size_class = 0; size_class < released.size(); ++size_class) {
            released[size_class].release(released[size_class].count, size_class);
        }
        lock.lock();
        mapped.for_each([&](FreeRanges::Range range) { unmap(lock, range); });
    }
    // False: there is no room for a note of it.
    bool keep(FreeRanges::Range range) {
        try {
            mapped_.add(range);
        } catch (const std::bad_alloc&) {
            return false;
        }
        bytes_ += range.bytes;
        return true;
    }
    // Returns it to the system; what that does not take stays here.
    void unmap(std::unique_lock<std::mutex>& lock, FreeRanges::Range range) {
        lock.unlock();
        const bool done = host_pages::unmap(range.first, range.bytes);
        lock.lock();
        if (done) {
            bytes_reserved.fetch_sub(range.bytes, std::memory_order_relaxed);
        } else {
            (void)keep(range);
        }
    }

    std::mutex mutex_;
    std::array<FreeList, kClasses> lists_{};
    FreeRanges mapped_;
    size_t bytes_ = 0;
    size_t limit_ = host_pages::available_bytes() / 2;
};

// Never destroyed: tensors in static storage may be freed after everything else.
SharedCache& shared_cache() {
    static auto* cache = new SharedCache;
    return *cache;
}

// ------------------------------------------------------------ accounting

// Bytes in use. A thread counts for itself and adds to the total in steps of 256 KiB: an atomic addition to a
// shared number costs as much as the rest of an allocation.
class Usage {
public:
    static constexpr int64_t kStep = 256 << 10;
    using Count = std::atomic<int64_t>;

    static Usage& instance() {
        static auto* usage = new Usage;  // never destroyed, as the cache
        return *usage;
    }
    void add(int64_t bytes) {
        const int64_t total = total_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
        int64_t peak = peak_.load(std::memory_order_relaxed);
        while (total > peak && !peak_.compare_exchange_weak(peak, total, std::memory_order_relaxed)) {
        }
    }
    void enter(Count& pending) {
        const std::scoped_lock lock(mutex_);
        pending_.push_back(&pending);
    }
    void leave(Count& pending) {
        const std::scoped_lock lock(mutex_);
        std::erase(pending_, &pending);
        add(pending.load());
    }
    [[nodiscard]] size_t in_use() {
        const std::scoped_lock lock(mutex_);
        int64_t sum = total_;
        for (const Count* count : pending_) {
            sum += count->load(std::memory_order_relaxed);
        }
        return static_cast<size_t>(std::max<int64_t>(sum, 0));
    }
    [[nodiscard]] size_t peak() const { return static_cast<size_t>(peak_.load()); }
    void set_peak(size_t bytes) { peak_ = static_cast<int64_t>(bytes); }

private:
    std::mutex mutex_;
    std::vector<Count*> pending_;
    Count total_{0};
    Count peak_{0};
};

// ------------------------------------------------------------ what a thread has for itself

struct ThreadState;
// Both are readable from a thread's first to its last instruction.
thread_local constinit ThreadState* current_state = nullptr;
thread_local constinit bool thread_ends = false;

struct ThreadState {
    std::array<FreeList, kSmallClasses> lists{};
    Usage::Count pending{0};  // only this thread writes it

    ThreadState() {
        Usage::instance().enter(pending);
        current_state = this;
    }
    ~ThreadState() {
        current_state = nullptr;
        thread_ends = true;
        Usage::instance().leave(pending);
        flush();
    }
    ThreadState(const ThreadState&) = delete;
    ThreadState& operator=(const ThreadState&) = delete;

    void flush() {
        for (size_t size_class = 0; size_class < kSmallClasses; ++size_class) {
            if (lists[size_class].count > 0) {
                shared_cache().put(lists[size_class], lists[size_class].count, size_class);
            }
        }
    }
};

ThreadState* make_thread_state() {
    if (thread_ends) {
        return nullptr;
    }
    thread_local ThreadState state;
    return &state;
}

// Null when the thread ends and only destructors are left.
ThreadState* thread_state() { return current_state != nullptr ? current_state : make_thread_state(); }

void count_use(ThreadState* state, int64_t bytes) {
    if (state == nullptr) [[unlikely]] {
        Usage::instance().add(bytes);
        return;
    }
    int64_t pending = state->pending.load(std::memory_order_relaxed) + bytes;
    if (pending >= Usage::kStep || pending <= -Usage::kStep) {
        Usage::instance().add(pending);
        pending = 0;
    }
    state->pending.store(pending, std::memory_order_relaxed);
}

// ------------------------------------------------------------ allocation

void* take_cached(ThreadState* state, size_t bytes) {
    if (is_mapped(bytes)) {
        return shared_cache().take_mapped(held_for(bytes));
    }
    const size_t size_class = class_of(bytes);
    if (size_class >= kSmallClasses || state == nullptr) {
        return shared_cache().take(size_class);
    }
    FreeList& list = state->lists[size_class];
    if (list.head == nullptr) {
        shared_cache().refill(list, size_class);
    }
    return list.pop();
}

void put_cached(ThreadState* state, void* data, size_t bytes) {
    if (is_mapped(bytes)) {
        shared_cache().put_mapped(data, held_for(bytes));
        return;
    }
    const size_t size_class = class_of(bytes);
    if (size_class >= kSmallClasses || state == nullptr) {
        FreeList list;
        list.push(data);
        shared_cache().put(list, 1, size_class);
        return;
    }
    FreeList& list = state->lists[size_class];
    list.push(data);
    if (list.count > thread_capacity(size_class)) {
        shared_cache().put(list, thread_capacity(size_class) / 2, size_class);
    }
}

// Makes room before the machine's memory is nearly full: the system rarely refuses, it ends the process
// instead. `take(size)` is a way to get memory from it.
template <typename Take>
void* reserve(size_t size, Take take) {
    static const size_t kPlenty = host_pages::available_bytes() / 8 * 7;
    if (bytes_reserved.load(std::memory_order_relaxed) + size > kPlenty) {
        trim_host_memory();
    }
    void* data = take(size);
    if (data == nullptr) {
        trim_host_memory();
        data = take(size);
    }
    if (data != nullptr) {
        bytes_reserved.fetch_add(size, std::memory_order_relaxed);
    }
    return data;
}

void* allocate_fresh(size_t bytes) {
    const size_t held = held_for(bytes);
    if (!is_mapped(bytes)) {
        return reserve(held, host_pages::allocate);
    }
    const size_t whole = round_up(held, host_pages::kHugePage);
    auto* data = static_cast<std::byte*>(reserve(whole, host_pages::map));
    if (data != nullptr && whole > held) {  // the rest of the last huge page is for others
        shared_cache().put_mapped(data + held, whole - held);
    }
    return data;
}

bool is_set(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && std::strcmp(value, "1") == 0;
}

std::atomic<bool> poisoning = is_set("BACKLIGHT_POISON");

}  // namespace

void* host_allocate(size_t bytes) {
    ThreadState* state = thread_state();
    size_t held = bytes;
    void* data = nullptr;
    if (bytes <= size_classes::kLargest) [[likely]] {
        if constexpr (kCaching) {
            held = held_for(bytes);
            data = take_cached(state, bytes);
            if (data == nullptr) [[unlikely]] {
                data = allocate_fresh(bytes);
            }
        } else {
            // Exactly what was asked for, so that the first byte behind it is guarded.
            data = ::operator new (bytes, std::align_val_t{size_classes::kUnit}, std::nothrow);
            bytes_reserved.fetch_add(bytes, std::memory_order_relaxed);
        }
    }
    if (data == nullptr) [[unlikely]] {
        throw SystemError(concat_text("host memory: the system has no block of ", bytes, " bytes (",
                                      Usage::instance().in_use(), " bytes are in use)"));
    }
    count_use(state, static_cast<int64_t>(held));
    if (poisoning.load(std::memory_order_relaxed)) [[unlikely]] {
        std::memset(data, 0xFF, held);
    }
    return data;
}

void host_deallocate(void* data, size_t bytes) noexcept {
    ThreadState* state = thread_state();
    if constexpr (kCaching) {
        count_use(state, -static_cast<int64_t>(held_for(bytes)));
        put_cached(state, data, bytes);
    } else {
        count_use(state, -static_cast<int64_t>(bytes));
        bytes_reserved.fetch_sub(bytes, std::memory_order_relaxed);
        ::operator delete (data, std::align_val_t{size_classes::kUnit});
    }
}

HostMemoryStatistics host_memory_statistics() {
    const size_t in_use = Usage::instance().in_use();
    const size_t reserved = bytes_reserved.load(std::memory_order_relaxed);
    return {in_use, reserved > in_use ? reserved - in_use : 0, std::max(Usage::instance().peak(), in_use)};
}

void reset_host_memory_peak() { Usage::instance().set_peak(Usage::instance().in_use()); }

void trim_host_memory() noexcept {
    if (ThreadState* state = thread_state(); state != nullptr) {
        state->flush();
    }
    shared_cache().trim();
}

void set_host_memory_cache_limit(size_t bytes) { shared_cache().set_limit(bytes); }

void set_host_memory_poison(bool on) { poisoning = on; }

}  // namespace backlight
