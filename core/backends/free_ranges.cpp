#include "core/backends/free_ranges.h"

#include <iterator>

namespace backlight {

void FreeRanges::erase(ByAddress::iterator range) {
    by_length_.erase({range->second, range->first});
    by_address_.erase(range);
}

void FreeRanges::add(Range range) {
    auto next = by_address_.lower_bound(range.first);
    const size_t added = range.bytes;
    auto previous = next == by_address_.begin() ? by_address_.end() : std::prev(next);
    if (previous != by_address_.end() && previous->first + previous->second != range.first) {
        previous = by_address_.end();
    }
    if (next != by_address_.end() && range.first + range.bytes != next->first) {
        next = by_address_.end();
    }
    Range joined = range;
    if (previous != by_address_.end()) {
        joined = {previous->first, previous->second + joined.bytes};
    }
    if (next != by_address_.end()) {
        joined.bytes += next->second;
    }
    const auto noted = by_length_.emplace(joined.bytes, joined.first).first;
    if (previous != by_address_.end()) {
        by_length_.erase({previous->second, previous->first});
        previous->second = joined.bytes;
    } else {
        try {
            by_address_.emplace(joined.first, joined.bytes);
        } catch (...) {
            by_length_.erase(noted);
            throw;
        }
    }
    if (next != by_address_.end()) {
        erase(next);
    }
    bytes_ += added;
}

std::byte* FreeRanges::take(size_t bytes) {
    const auto shortest = by_length_.lower_bound({bytes, nullptr});
    if (shortest == by_length_.end()) {
        return nullptr;
    }
    const auto [length, first] = *shortest;
    // The nodes of both trees move on to what is left: nothing is allocated, nothing can fail.
    auto by_length = by_length_.extract(shortest);
    auto by_address = by_address_.extract(first);
    if (length > bytes) {
        by_length.value() = {length - bytes, first + bytes};
        by_address.key() = first + bytes;
        by_address.mapped() = length - bytes;
        by_length_.insert(std::move(by_length));
        by_address_.insert(std::move(by_address));
    }
    bytes_ -= bytes;
    return first;
}

}  // namespace backlight
