#include "core/backends/cpu/onednn.h"

#include <algorithm>
#include <iterator>

#include "core/backends/host_memory.h"

namespace backlight::cpu {

const dnnl::engine& dnnl_engine() {
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

dnnl::stream& dnnl_stream() {
    thread_local dnnl::stream stream(dnnl_engine());
    return stream;
}

const dnnl::primitive_attr& user_scratchpad() {
    static const dnnl::primitive_attr attributes = [] {
        dnnl::primitive_attr made;
        made.set_scratchpad_mode(dnnl::scratchpad_mode::user);
        return made;
    }();
    return attributes;
}

std::byte* ScratchMemory::reserve(size_t bytes) {
    if (bytes > bytes_) {
        release();
        data_ = static_cast<std::byte*>(host_allocate(bytes));
        bytes_ = bytes;
    }
    return data_;
}

void ScratchMemory::release() noexcept {
    if (data_ != nullptr) {
        host_deallocate(data_, bytes_);
    }
    data_ = nullptr;
    bytes_ = 0;
}

ScratchMemory& scratch_memory() {
    thread_local ScratchMemory memory;
    return memory;
}

void WeightCache::Free::operator()(void* data) const { host_deallocate(data, bytes); }

WeightCache::Place WeightCache::find(uint64_t storage, uint64_t version, const dnnl::memory::desc& format) {
    const auto [first, last] = index_.equal_range(storage);
    const auto known =
        std::find_if(first, last, [&](const auto& item) { return item.second->format == format; });
    if (known == last) {
        entries_.push_front({storage, version, format, format.get_size(), 1, {}});
        index_.emplace(storage, entries_.begin());
        if (entries_.size() > kMaxEntries) {
            drop_last();
        }
        return {};
    }
    entries_.splice(entries_.begin(), entries_, known->second);
    Entry& entry = entries_.front();
    if (entry.version != version) {
        // Worth its memory only if the version before was asked for again.
        if (entry.uses < 2 && entry.data != nullptr) {
            entry.data.reset();
            bytes_ -= entry.bytes;
        }
        entry.version = version;
        entry.uses = 1;
        return {entry.data.get(), false};
    }
    ++entry.uses;
    if (entry.data != nullptr) {
        return {entry.data.get(), true};
    }
    if (entry.bytes > kMaxBytes) {
        return {};
    }
    bytes_ += entry.bytes;
    while (bytes_ > kMaxBytes && entries_.size() > 1) {
        drop_last();
    }
    entry.data = {host_allocate(entry.bytes), Free{entry.bytes}};
    return {entry.data.get(), false};
}

void WeightCache::drop_last() {
    const Entry& entry = entries_.back();
    if (entry.data != nullptr) {
        bytes_ -= entry.bytes;
    }
    const auto [first, last] = index_.equal_range(entry.storage);
    index_.erase(std::find_if(first, last,
                              [&](const auto& item) { return item.second == std::prev(entries_.end()); }));
    entries_.pop_back();
}

WeightCache& weight_cache() {
    thread_local WeightCache cache;
    return cache;
}

}  // namespace backlight::cpu
