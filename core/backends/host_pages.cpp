#include "core/backends/host_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>

namespace backlight::host_pages {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

void* allocate(size_t bytes) noexcept { return std::aligned_alloc(kAlignment, bytes); }

void free(void* data) noexcept { std::free(data); }

// Maps more than asked for and gives back what lies before and behind the aligned part. That is the highest
// there is: the system maps downwards, so that blocks become neighbours.
void* map(size_t bytes) noexcept {
    void* mapped =
        mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return nullptr;
    }
    auto* first = static_cast<std::byte*>(mapped);
    const size_t before = kHugePage - reinterpret_cast<uintptr_t>(first) % kHugePage;
    munmap(first, before);
    if (before < kHugePage) {
        munmap(first + before + bytes, kHugePage - before);
    }
    madvise(first + before, bytes, MADV_HUGEPAGE);  // a wish: without huge pages all works the same
    return first + before;
}

bool unmap(void* data, size_t bytes) noexcept { return munmap(data, bytes) == 0; }

size_t page_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

size_t available_bytes() {
    const size_t pages = static_cast<size_t>(sysconf(_SC_PHYS_PAGES));
    const size_t memory = pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    std::ifstream file("/sys/fs/cgroup/memory.max");
    size_t granted = 0;
    return file >> granted ? std::min(memory, granted) : memory;  // "max" when there is no limit
}

}  // namespace backlight::host_pages
