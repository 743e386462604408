#include "core/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace backlight {
namespace {

std::string describe(int error) { return std::generic_category().message(error); }

/// Whether it is this file, or its path, that cannot be opened. All else (no descriptors, no memory, a disk
/// that fails) says nothing of the file: whoever skips bad files must not skip that.
bool is_of_the_file(int error) {
    return error == ENOENT || error == ENOTDIR || error == EISDIR || error == ELOOP ||
           error == ENAMETOOLONG || error == EACCES || error == EPERM;
}

/// Owns a file descriptor that is open for reading.
class Descriptor {
public:
    explicit Descriptor(const std::string& name) : value_(::open(name.c_str(), O_RDONLY | O_CLOEXEC)) {
        const bool failed = value_ < 0 || ::fstat(value_, &status_) != 0;
        const int error = errno;
        if (!failed && !S_ISDIR(status_.st_mode)) {
            return;
        }
        if (value_ >= 0) {
            ::close(value_);
        }
        BACKLIGHT_CHECK(failed, "cannot read ", name, ": it is a folder, not a file");
        BACKLIGHT_CHECK(!is_of_the_file(error), "cannot read ", name, ": ", describe(error));
        throw SystemError(concat_text("cannot read ", name, ": ", describe(error)));
    }
    ~Descriptor() {
        if (value_ >= 0) {
            ::close(value_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    [[nodiscard]] int get() const { return value_; }
    [[nodiscard]] int release() { return std::exchange(value_, -1); }
    [[nodiscard]] const struct stat& status() const { return status_; }

private:
    int value_;
    struct stat status_ {};
};

constexpr size_t kLargestTransfer = size_t{1} << 30;  // Linux moves at most 2 GiB a call

/// Text or bytes: the file to its end.
template <typename Buffer>
Buffer read_to_end(const std::filesystem::path& path) {
    const std::string name = path.string();
    const Descriptor file(name);
    // One byte more than the size, so that the end of a file that did not grow is seen without growing the
    // buffer. Pipes and /proc state no size.
    const bool sized = S_ISREG(file.status().st_mode) && file.status().st_size > 0;
    Buffer bytes(sized ? static_cast<size_t>(file.status().st_size) + 1 : size_t{1} << 16, 0);
    size_t filled = 0;
    while (true) {
        if (filled == bytes.size()) {
            bytes.resize(2 * bytes.size());
        }
        const ssize_t got =
            ::read(file.get(), bytes.data() + filled, std::min(bytes.size() - filled, kLargestTransfer));
        if (got == 0) {
            break;
        }
        if (got > 0) {
            filled += static_cast<size_t>(got);
        } else if (errno != EINTR) {
            throw SystemError(concat_text("cannot read ", name, ": ", describe(errno)));
        }
    }
    bytes.resize(filled);
    return bytes;
}

/// zlib's state for reading gzip.
class Inflater {
public:
    Inflater() {
        constexpr int kGzipOnly = 16 + MAX_WBITS;
        if (inflateInit2(&stream_, kGzipOnly) != Z_OK) {
            throw SystemError("gzip: zlib could not be started");
        }
    }
    ~Inflater() { inflateEnd(&stream_); }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
    z_stream* operator->() { return &stream_; }
    z_stream* get() { return &stream_; }

private:
    z_stream stream_{};
};

bool begins_as_gzip(std::span<const uint8_t> bytes) {
    return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/// gzip files may stand behind one another; zeros may fill up the end (tapes, block devices).
std::vector<uint8_t> unpack_gzip(std::span<const uint8_t> packed, const std::string& name, uint64_t limit) {
    Inflater inflater;
    std::vector<uint8_t> unpacked;
    std::vector<uint8_t> chunk(size_t{1} << 18);
    while (true) {
        const size_t feed = std::min(packed.size(), kLargestTransfer);
        inflater->next_in = const_cast<Bytef*>(packed.data());  // zlib only reads
        inflater->avail_in = static_cast<uInt>(feed);
        inflater->next_out = chunk.data();
        inflater->avail_out = static_cast<uInt>(chunk.size());
        const int status = inflate(inflater.get(), Z_NO_FLUSH);
        BACKLIGHT_CHECK(status != Z_BUF_ERROR, name,
                        ": gzip data is truncated");  // neither input nor output moved
        BACKLIGHT_CHECK(status == Z_OK || status == Z_STREAM_END, name, ": damaged gzip data",
                        inflater->msg != nullptr ? ": " : "", inflater->msg != nullptr ? inflater->msg : "");
        unpacked.insert(unpacked.end(), chunk.begin(), chunk.end() - inflater->avail_out);
        BACKLIGHT_CHECK(unpacked.size() <= limit, name, ": gzip data unpacks to more than ", limit, " bytes");
        packed = packed.subspan(feed - inflater->avail_in);
        if (status == Z_STREAM_END) {
            if (!begins_as_gzip(packed)) {
                BACKLIGHT_CHECK(std::ranges::all_of(packed, [](uint8_t byte) { return byte == 0; }), name,
                                ": ", packed.size(), " bytes that are not gzip follow the gzip data");
                return unpacked;
            }
            inflateReset(inflater.get());
        }
    }
}

/// Where a rename has to go: the file behind a chain of symbolic links, which may not exist yet.
std::filesystem::path follow_links(std::filesystem::path path) {
    constexpr int kLongestChain = 40;  // as Linux
    std::error_code error;
    for (int i = 0; i < kLongestChain && std::filesystem::is_symlink(path, error); ++i) {
        const std::filesystem::path next = std::filesystem::read_symlink(path, error);
        path = next.is_absolute() ? next : path.parent_path() / next;
    }
    return path;
}

std::filesystem::path temporary_beside(const std::filesystem::path& target) {
    static std::atomic<uint32_t> counter{0};
    constexpr size_t kLongestStem = 200;  // the whole name has to stay below 256 bytes
    return target.parent_path() / concat_text('.', target.filename().string().substr(0, kLongestStem),
                                              ".tmp-", ::getpid(), '-', counter.fetch_add(1));
}

}  // namespace

std::vector<uint8_t> read_file_bytes(const std::filesystem::path& path) {
    return read_to_end<std::vector<uint8_t>>(path);
}

std::string read_text_file(const std::filesystem::path& path) { return read_to_end<std::string>(path); }

std::vector<uint8_t> read_gzip_or_plain(const std::filesystem::path& path, uint64_t limit) {
    std::vector<uint8_t> bytes = read_file_bytes(path);
    return begins_as_gzip(bytes) ? unpack_gzip(bytes, path.string(), limit) : bytes;
}

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()) {
    Descriptor file(name_);
    BACKLIGHT_CHECK(S_ISREG(file.status().st_mode), "cannot read ", name_, ": it is not a regular file");
    size_ = static_cast<uint64_t>(file.status().st_size);
    descriptor_ = file.release();
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read_at(uint64_t offset, std::span<uint8_t> bytes) const {
    while (!bytes.empty()) {
        const ssize_t got = ::pread(descriptor_, bytes.data(), std::min(bytes.size(), kLargestTransfer),
                                    static_cast<off_t>(offset));
        BACKLIGHT_CHECK(got != 0, name_, ": truncated: the file ends before byte ", offset + bytes.size());
        if (got > 0) {
            offset += static_cast<uint64_t>(got);
            bytes = bytes.subspan(static_cast<size_t>(got));
        } else if (errno != EINTR) {
            throw SystemError(concat_text("cannot read ", name_, ": ", describe(errno)));
        }
    }
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : target_(follow_links(path)) {
    struct stat status {};
    const bool replaces = ::stat(target_.c_str(), &status) == 0;
    BACKLIGHT_CHECK(
        !replaces || S_ISREG(status.st_mode), "cannot write ", target_.string(), ": it is a ",
        S_ISDIR(status.st_mode) ? "folder" : "device, pipe or socket, which renaming would replace");
    const std::filesystem::path temporary = temporary_beside(target_);
    descriptor_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) {
        fail(errno);
    }
    temporary_ = temporary;
    if (replaces) {
        // Fails only on file systems without permissions, where there is nothing to keep.
        [[maybe_unused]] const int ignored = ::fchmod(descriptor_, status.st_mode & 07777);
    }
}

AtomicFile::~AtomicFile() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
    if (!temporary_.empty()) {
        ::unlink(temporary_.c_str());
    }
}

void AtomicFile::fail(int error) const {
    throw SystemError(concat_text("cannot write ", target_.string(), ": ", describe(error)));
}

void AtomicFile::write(std::span<const uint8_t> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kLargestTransfer));
        if (written >= 0) {
            bytes = bytes.subspan(static_cast<size_t>(written));
        } else if (errno != EINTR) {
            fail(errno);
        }
    }
}

void AtomicFile::write(std::string_view text) {
    write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

void AtomicFile::commit() {
    // A network disk may report a late error only when the file is closed, so that comes before the rename.
    if (::fsync(descriptor_) != 0 || ::close(std::exchange(descriptor_, -1)) != 0) {
        fail(errno);
    }
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
        fail(errno);
    }
    temporary_.clear();
    // The rename itself reaches the disk with the folder. Some file systems cannot do this; the file is whole
    // anyway.
    const std::filesystem::path folder = target_.has_parent_path() ? target_.parent_path() : ".";
    const int folder_descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_descriptor >= 0) {
        ::fsync(folder_descriptor);
        ::close(folder_descriptor);
    }
}

void write_file_atomically(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
    AtomicFile file(path);
    file.write(bytes);
    file.commit();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
}

}  // namespace backlight
