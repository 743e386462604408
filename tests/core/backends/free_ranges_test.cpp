#include "core/backends/free_ranges.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

using namespace backlight;

namespace {

std::array<std::byte, 1000> memory;
std::byte* at(size_t i) { return memory.data() + i; }

std::vector<std::pair<size_t, size_t>> listed(const FreeRanges& ranges) {
    std::vector<std::pair<size_t, size_t>> all;
    ranges.for_each([&](FreeRanges::Range range) {
        all.emplace_back(static_cast<size_t>(range.first - memory.data()), range.bytes);
    });
    return all;
}
using Listed = std::vector<std::pair<size_t, size_t>>;

}  // namespace

TEST_CASE("free ranges: join their neighbours on either side") {
    FreeRanges ranges;
    ranges.add({at(100), 50});
    ranges.add({at(200), 50});
    CHECK(listed(ranges) == Listed{{100, 50}, {200, 50}});
    ranges.add({at(250), 10});  // behind one
    ranges.add({at(90), 10});   // in front of one
    CHECK(listed(ranges) == Listed{{90, 60}, {200, 60}});
    ranges.add({at(150), 50});  // between two
    CHECK(listed(ranges) == Listed{{90, 170}});
    CHECK(ranges.bytes() == 170);
}

TEST_CASE("free ranges: the shortest that is long enough is cut, the lowest of equals") {
    FreeRanges ranges;
    for (const auto& [first, bytes] : Listed{{0, 100}, {200, 30}, {300, 30}, {400, 40}}) {
        ranges.add({at(first), bytes});
    }
    CHECK(ranges.take(25) == at(200));
    CHECK(ranges.take(25) == at(300));
    CHECK(ranges.take(40) == at(400));
    CHECK(ranges.take(101) == nullptr);
    CHECK(listed(ranges) == Listed{{0, 100}, {225, 5}, {325, 5}});
    CHECK(ranges.bytes() == 110);
}

TEST_CASE("free ranges: after any sequence every byte is free once or in use once") {
    FreeRanges ranges;
    ranges.add({at(0), 500});
    ranges.add({at(500), 500});
    Listed used;
    std::array<bool, 1000> taken{};
    uint64_t state = 7;
    const auto draw = [&](uint64_t below) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        return (state >> 33) % below;
    };
    for (int round = 0; round < 5000; ++round) {
        if (draw(2) == 0 && !used.empty()) {
            const size_t which = draw(used.size());
            const auto [first, bytes] = used[which];
            used.erase(used.begin() + static_cast<std::ptrdiff_t>(which));
            std::fill_n(taken.begin() + static_cast<std::ptrdiff_t>(first), bytes, false);
            ranges.add({at(first), bytes});
        } else if (const size_t bytes = 1 + draw(60); std::byte* data = ranges.take(bytes)) {
            const auto first = static_cast<size_t>(data - memory.data());
            for (size_t i = first; i < first + bytes; ++i) {
                REQUIRE(!taken[i]);
                taken[i] = true;
            }
            used.emplace_back(first, bytes);
        }
        Listed expected;  // the stretches of bytes that nobody has
        for (size_t i = 0; i < taken.size(); ++i) {
            if (!taken[i] && (i == 0 || taken[i - 1])) {
                expected.emplace_back(i, 0);
            }
            if (!taken[i]) {
                ++expected.back().second;
            }
        }
        REQUIRE(listed(ranges) == expected);
    }
    CHECK(ranges.bytes() == static_cast<size_t>(std::count(taken.begin(), taken.end(), false)));
}
