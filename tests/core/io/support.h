// What the tests of file formats share: a folder that disappears, fixtures, the text of an error, damaged
// copies.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

#ifndef BACKLIGHT_TEST_DATA
#define BACKLIGHT_TEST_DATA BACKLIGHT_SOURCE_DIR "/tests/data"
#endif

namespace backlight::io_testing {

using Bytes = std::vector<uint8_t>;

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "backlight-io-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
    [[nodiscard]] size_t count_files() const {
        const std::filesystem::directory_iterator files(path_);
        return static_cast<size_t>(std::distance(begin(files), end(files)));
    }

private:
    std::filesystem::path path_;
};

/// A file that tests/oracle/make_fixtures.py wrote.
inline std::filesystem::path fixture(std::string_view name) {
    return std::filesystem::path(BACKLIGHT_TEST_DATA) / "io" / name;
}

/// Plain reading and writing, without the code under test.
inline Bytes slurp(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    REQUIRE_MESSAGE(file.good(), path.string());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
inline void spill(const std::filesystem::path& path, const Bytes& bytes) {
    std::filesystem::remove(
        path);  // some file systems wait for the disk when a file is cut and written again
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.close();
    REQUIRE(file.good());
}
inline Bytes to_bytes(std::string_view text) { return {text.begin(), text.end()}; }

/// The text of the Error (or SystemError) that `call` throws.
template <typename Exception = Error, typename Call>
std::string error_of(const Call& call) {
    try {
        call();
    } catch (const Exception& error) {
        return error.what();
    }
    return "no error";
}

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

/// Calls `read` on every truncation of `whole` and on `flips` copies of it with one to four bytes changed. It
/// may succeed or throw Error; anything else fails the test.
template <typename Read>
void read_damaged_copies(const Bytes& whole, int flips, const Read& read) {
    const char* chosen = std::getenv("BACKLIGHT_SEED");
    const unsigned seed = chosen != nullptr ? static_cast<unsigned>(std::strtoul(chosen, nullptr, 10)) : 1U;
    CAPTURE(seed);
    const auto try_read = [&](const Bytes& damaged) {
        try {
            read(damaged);
        } catch (const Error& error) {
            REQUIRE(!std::string_view(error.what()).empty());
            REQUIRE(!contains(error.what(), "\n"));
        }
    };
    for (size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        REQUIRE_NOTHROW(try_read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))));
    }
    std::mt19937 random(seed);
    for (int flip = 0; flip < flips; ++flip) {
        CAPTURE(flip);
        Bytes damaged = whole;
        for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
            damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
        }
        REQUIRE_NOTHROW(try_read(damaged));
    }
}

/// A file or folder of $BACKLIGHT_SHARED, or an empty path (and a message) where there is none.
inline std::filesystem::path shared_file(std::string_view name) {
    const char* root = std::getenv("BACKLIGHT_SHARED");
    const auto path = std::filesystem::path(root != nullptr ? root : "") / name;
    if (root == nullptr || !std::filesystem::exists(path)) {
        MESSAGE("skipped: BACKLIGHT_SHARED names no folder with " << name);
        return {};
    }
    return path;
}

}  // namespace backlight::io_testing
