// Files as bytes: reading (gzip included), reading in pieces, and writing so that a reader never sees half a
// file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace backlight {

/// The whole file; pipes are read to their end. Throws Error that names the path when it is missing, a folder
/// or not readable, SystemError when the device fails.
[[nodiscard]] std::vector<uint8_t> read_file_bytes(const std::filesystem::path& path);

/// The same as text; the bytes are not interpreted.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path);

/// The whole file, unpacked when its first two bytes say gzip. Throws Error when the gzip data is damaged,
/// truncated, followed by something else, or unpacks to more than `limit` bytes (small files may claim to be
/// huge).
[[nodiscard]] std::vector<uint8_t> read_gzip_or_plain(const std::filesystem::path& path,
                                                      uint64_t limit = uint64_t{1} << 33);

/// A regular file, open for reading at any position: for formats whose header is judged before the data is
/// loaded.
class InputFile {
public:
    /// Throws Error that names the path when it is missing, not a regular file or not readable.
    explicit InputFile(const std::filesystem::path& path);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    [[nodiscard]] uint64_t size() const { return size_; }
    /// Fills `bytes` from `offset` on. Throws Error when the file ends before.
    void read_at(uint64_t offset, std::span<uint8_t> bytes) const;

private:
    std::string name_;
    int descriptor_ = -1;
    uint64_t size_ = 0;
};

/// A file that appears whole or not at all: written beside its place under a temporary name, flushed to the
/// disk and renamed by commit(). Without commit() the temporary is removed and what was there before stays. A
/// symbolic link is followed; the permissions of a replaced file are kept. Every failure throws SystemError;
/// a path that is something else than a regular file (a folder, a device) throws Error.
class AtomicFile {
public:
    explicit AtomicFile(const std::filesystem::path& path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(std::span<const uint8_t> bytes);
    void write(std::string_view text);
    void commit();

private:
    [[noreturn]] void fail(int error) const;

    std::filesystem::path target_;
    std::filesystem::path temporary_;
    int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_file_atomically(const std::filesystem::path& path, std::span<const uint8_t> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace backlight
