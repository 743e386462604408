#include "core/backends/host_memory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"

using namespace backlight;

namespace {
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;  // the allocator keeps nothing then
#else
constexpr bool kCaching = true;
#endif

constexpr size_t kMiB = size_t{1} << 20;

// Sizes around every boundary of the size classes, and of small, medium and mapped blocks.
std::vector<size_t> interesting_sizes() {
    std::vector<size_t> sizes{0, 1, 63, 64, 65};
    for (size_t power = 128; power <= 8 * kMiB; power *= 2) {
        for (const size_t size : {power - 1, power, power + 1, power + power / 8, power + power / 8 + 1}) {
            sizes.push_back(size);
        }
    }
    return sizes;
}

// A limit for the time of one test; the default cannot be read back, so a generous one takes its place.
struct CacheLimit {
    explicit CacheLimit(size_t bytes) { set_host_memory_cache_limit(bytes); }
    ~CacheLimit() { set_host_memory_cache_limit(1024 * kMiB); }
};
}  // namespace

TEST_CASE(
    "host memory: blocks of every size are aligned, apart from each other and writable to the last byte") {
    std::vector<std::pair<unsigned char*, size_t>> blocks;
    for (const size_t size : interesting_sizes()) {
        auto* data = static_cast<unsigned char*>(host_allocate(size));
        REQUIRE(data != nullptr);
        CHECK(reinterpret_cast<uintptr_t>(data) % 64 == 0);
        std::memset(data, static_cast<int>(blocks.size() % 251), size);
        blocks.emplace_back(data, size);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
        const auto [data, size] = blocks[i];
        const auto expected = static_cast<unsigned char>(i % 251);
        CHECK(
            (size == 0 || (data[0] == expected && data[size / 2] == expected && data[size - 1] == expected)));
        host_deallocate(data, size);
    }
}

TEST_CASE("host memory: statistics count what is in use, and at most an eighth more than was asked for") {
    for (const size_t size : interesting_sizes()) {
        const size_t before = host_memory_statistics().in_use;
        void* data = host_allocate(size);
        const size_t held = host_memory_statistics().in_use - before;
        INFO("size ", size, " held ", held);
        CHECK(held >= size);
        CHECK(held <= size + size / 8 + 64);
        host_deallocate(data, size);
        CHECK(host_memory_statistics().in_use == before);
    }
}

TEST_CASE("host memory: the peak stays until it is reset") {
    reset_host_memory_peak();
    const size_t before = host_memory_statistics().in_use;
    void* data = host_allocate(64 * kMiB);
    host_deallocate(data, 64 * kMiB);
    CHECK(host_memory_statistics().peak >= before + 60 * kMiB);
    CHECK(host_memory_statistics().peak <= before + 68 * kMiB);
    reset_host_memory_peak();
    CHECK(host_memory_statistics().peak == host_memory_statistics().in_use);
}

TEST_CASE("host memory: a freed block comes back, and trim returns it to the system" *
          doctest::skip(!kCaching)) {
    for (const size_t size : {size_t{100}, size_t{100000}, 5 * kMiB}) {
        trim_host_memory();
        CHECK(host_memory_statistics().cached == 0);
        void* first = host_allocate(size);
        host_deallocate(first, size);
        CHECK(host_memory_statistics().cached >= size);
        void* second = host_allocate(size - 1);  // the same size class
        CHECK(second == first);
        host_deallocate(second, size - 1);
        trim_host_memory();
        CHECK(host_memory_statistics().cached == 0);
    }
}

TEST_CASE("host memory: the cache does not grow beyond its limit" * doctest::skip(!kCaching)) {
    trim_host_memory();
    const CacheLimit limit(10 * kMiB);
    std::vector<void*> blocks;
    for (int i = 0; i < 8; ++i) {
        blocks.push_back(host_allocate(4 * kMiB));
    }
    for (void* block : blocks) {
        host_deallocate(block, 4 * kMiB);
        CHECK(host_memory_statistics().cached <= 10 * kMiB);
    }
    CHECK(host_memory_statistics().cached >= 4 * kMiB);
    void* huge = host_allocate(16 * kMiB);
    host_deallocate(huge, 16 * kMiB);
    CHECK(host_memory_statistics().cached <= 10 * kMiB);
    set_host_memory_cache_limit(0);
    CHECK(host_memory_statistics().cached == 0);
}

TEST_CASE("host memory: parts of mapped memory go back to the system while their neighbours are in use" *
          doctest::skip(!kCaching)) {
    trim_host_memory();
    // A page of its last huge page, and the rest of that is free.
    auto* first = static_cast<unsigned char*>(host_allocate(2 * kMiB + 1));
    auto* second = static_cast<unsigned char*>(host_allocate(7 * kMiB + 12345));
    auto* third = static_cast<unsigned char*>(host_allocate(3 * kMiB));
    std::memset(first, 1, 2 * kMiB + 1);
    std::memset(third, 3, 3 * kMiB);
    CHECK(host_memory_statistics().cached > 0);
    trim_host_memory();
    CHECK(host_memory_statistics().cached == 0);
    host_deallocate(second, 7 * kMiB + 12345);
    second = static_cast<unsigned char*>(host_allocate(2 * kMiB + 4096));  // leaves a piece
    std::memset(second, 2, 2 * kMiB + 4096);
    {
        const CacheLimit none(0);
        CHECK(host_memory_statistics().cached == 0);
        void* fourth = host_allocate(2 * kMiB + 1);
        host_deallocate(fourth, 2 * kMiB + 1);
        CHECK(host_memory_statistics().cached == 0);
    }
    CHECK((first[0] == 1 && first[2 * kMiB] == 1 && second[2 * kMiB] == 2 && third[3 * kMiB - 1] == 3));
    host_deallocate(first, 2 * kMiB + 1);
    host_deallocate(second, 2 * kMiB + 4096);
    host_deallocate(third, 3 * kMiB);
    trim_host_memory();
    CHECK(host_memory_statistics().cached == 0);
}

TEST_CASE(
    "host memory: a long random sequence of large blocks, with trims and limits between, keeps what is in "
    "them") {
    struct Owned {
        unsigned char* data;
        size_t size;
        unsigned char mark;
    };
    const size_t before = host_memory_statistics().in_use;
    std::vector<Owned> owned;
    uint64_t state = 11;
    const auto draw = [&](uint64_t below) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        return static_cast<size_t>((state >> 33) % below);
    };
    int errors = 0;
    for (int round = 0; round < 2000; ++round) {
        if (round % 97 == 0) {
            trim_host_memory();
        } else if (round % 211 == 0) {
            const CacheLimit small(draw(3) * kMiB);
        }
        if (owned.size() > 12 || (!owned.empty() && draw(2) == 0)) {
            const size_t which = draw(owned.size());
            const Owned block = owned[which];
            for (const size_t at : {size_t{0}, block.size / 2, block.size - 1}) {
                errors += block.data[at] == block.mark ? 0 : 1;
            }
            host_deallocate(block.data, block.size);
            owned.erase(owned.begin() + static_cast<std::ptrdiff_t>(which));
            continue;
        }
        const size_t size = kMiB + draw(6 * kMiB);
        auto* data = static_cast<unsigned char*>(host_allocate(size));
        const auto mark = static_cast<unsigned char>(round % 251);
        for (const size_t at : {size_t{0}, size / 2, size - 1}) {
            data[at] = mark;
        }
        owned.push_back({data, size, mark});
    }
    for (const Owned& block : owned) {
        host_deallocate(block.data, block.size);
    }
    CHECK(errors == 0);
    CHECK(host_memory_statistics().in_use == before);
    set_host_memory_cache_limit(1024 * kMiB);
}

TEST_CASE("host memory: what no system has is a SystemError that names the bytes") {
    const size_t before = host_memory_statistics().in_use;
    std::string text;
    try {
        (void)host_allocate(size_t{1} << 60);
    } catch (const SystemError& error) {
        text = error.what();
    }
    CHECK(text.find("host memory: the system has no block of 1152921504606846976 bytes") == 0);
    CHECK(host_memory_statistics().in_use == before);
}

TEST_CASE("host memory: poison fills new and reused blocks with NaN") {
    set_host_memory_poison(true);
    for (const size_t count : {size_t{10}, size_t{30000}, size_t{1} << 20}) {
        for (int round = 0; round < 2; ++round) {
            auto* data = static_cast<float*>(host_allocate(count * sizeof(float)));
            CHECK(data[0] != data[0]);
            CHECK(data[count - 1] != data[count - 1]);
            std::memset(data, 0, count * sizeof(float));
            host_deallocate(data, count * sizeof(float));
        }
    }
    set_host_memory_poison(false);
}

TEST_CASE("host memory: threads hand blocks to each other without mixing them up") {
    constexpr int kThreads = 4;
    constexpr int kRounds = 200;
    constexpr size_t kBlocks = 40;
    std::vector<std::vector<uint32_t*>> owned(kThreads);
    const auto size_of_block = [](size_t i) { return 4 + i * i * 97; };  // 4 bytes to 150 KB
    std::atomic<int> errors{0};
    const size_t before = host_memory_statistics().in_use;
    for (int round = 0; round < kRounds / 20; ++round) {
        std::vector<std::thread> threads;
        for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back([&, t] {
                auto& blocks = owned[static_cast<size_t>(t)];
                for (int repeat = 0; repeat < 20; ++repeat) {
                    for (size_t i = 0; i < blocks.size(); ++i) {
                        // Written by this thread, or in the round before by the thread that had the list.
                        const uint32_t mark = *blocks[i];
                        errors += mark % 1000 == i ? 0 : 1;
                        host_deallocate(blocks[i], size_of_block(i));
                    }
                    blocks.clear();
                    for (size_t i = 0; i < kBlocks; ++i) {
                        auto* data = static_cast<uint32_t*>(host_allocate(size_of_block(i)));
                        *data = static_cast<uint32_t>(static_cast<size_t>(t + 1) * 1000 + i);
                        blocks.push_back(data);
                    }
                    for (size_t i = 0; i < kBlocks; ++i) {
                        errors += *blocks[i] == static_cast<uint32_t>(t + 1) * 1000 + i ? 0 : 1;
                    }
                }
            });
        }
        for (auto& thread : threads) {
            thread.join();
        }
        std::rotate(owned.begin(), owned.begin() + 1, owned.end());
    }
    std::thread([&] {
        for (auto& blocks : owned) {
            for (size_t i = 0; i < blocks.size(); ++i) {
                host_deallocate(blocks[i], size_of_block(i));
            }
        }
    }).join();
    CHECK(errors == 0);
    CHECK(host_memory_statistics().in_use == before);
    trim_host_memory();
    if (kCaching) {
        CHECK(host_memory_statistics().cached == 0);  // threads that have ended keep nothing
    }
}
