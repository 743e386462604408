// Free stretches of mapped memory: neighbours join, and the shortest that is long enough is cut. Networks ask
// for other sizes in each layer, so that lists by size would keep what one layer freed from the next.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace backlight {

/// Not thread-safe.
class FreeRanges {
public:
    struct Range {
        std::byte* first;
        size_t bytes;
    };
    /// Throws std::bad_alloc, unchanged, when there is no memory to note it.
    void add(Range range);
    /// `bytes` from the beginning of the shortest range that holds them, the lowest of equals; null: none
    /// does.
    [[nodiscard]] std::byte* take(size_t bytes);
    /// Calls visit(range) for each, the lowest first.
    template <typename Visit>
    void for_each(Visit visit) const {
        for (const auto& [first, bytes] : by_address_) {
            visit(Range{first, bytes});
        }
    }
    [[nodiscard]] size_t bytes() const { return bytes_; }

private:
    using ByAddress = std::map<std::byte*, size_t>;
    void erase(ByAddress::iterator range);

    ByAddress by_address_;
    std::set<std::pair<size_t, std::byte*>> by_length_;
    size_t bytes_ = 0;
};

}  // namespace backlight
