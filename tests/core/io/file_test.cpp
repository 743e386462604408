#include "core/io/file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/core/io/support.h"

using namespace backlight;
using namespace backlight::io_testing;

namespace {

Bytes gzip(const Bytes& plain) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes packed(deflateBound(&stream, plain.size()) + 64);
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = packed.data();
    stream.avail_out = static_cast<uInt>(packed.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    return packed;
}

/// Repetitive, so that the gzip data is far smaller than what it unpacks to, and longer than the reader's
/// chunks.
Bytes sample(size_t size) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<uint8_t>(i / 1000 + i % 7);
    }
    return bytes;
}

/// While it lives no file can grow beyond this size: a disk that is full at a known place.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
        getrlimit(RLIMIT_FSIZE, &previous_);
        rlimit limited = previous_;
        limited.rlim_cur = bytes;
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limited) == 0);
    }
    ~FileSizeLimit() {
        setrlimit(RLIMIT_FSIZE, &previous_);
        std::signal(SIGXFSZ, handler_);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;

private:
    rlimit previous_{};
    void (*handler_)(int);
};

}  // namespace

TEST_CASE("read_file_bytes: returns every byte, whatever the size") {
    const TemporaryFolder folder;
    for (const size_t size : {size_t{0}, size_t{1}, size_t{65536}, size_t{65537}, size_t{3000001}}) {
        spill(folder / "x", sample(size));
        CHECK(read_file_bytes(folder / "x") == sample(size));
        CHECK(read_text_file(folder / "x").size() == size);
    }
    spill(folder / "text", to_bytes("two\r\nlines\0"));
    CHECK(read_text_file(folder / "text") == "two\r\nlines");
}

TEST_CASE("read_file_bytes: reads files that state no size to their end") {
    CHECK(contains(read_text_file("/proc/self/status"), "Name:"));
    const TemporaryFolder folder;
    const auto pipe = folder / "pipe";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    const pid_t writer = fork();
    if (writer == 0) {
        FILE* file = std::fopen(pipe.c_str(), "w");
        const Bytes bytes = sample(200000);
        _exit(file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() &&
                      std::fclose(file) == 0
                  ? 0
                  : 1);
    }
    CHECK(read_file_bytes(pipe) == sample(200000));
    int status = -1;
    CHECK(waitpid(writer, &status, 0) == writer);
    CHECK(status == 0);
}

TEST_CASE("read_file_bytes: an error names the path and the reason") {
    const TemporaryFolder folder;
    CHECK(contains(error_of([&] { (void)read_file_bytes(folder / "none"); }), "/none: No such file"));
    CHECK(contains(error_of([&] { (void)read_file_bytes(folder / "."); }), "it is a folder"));
    CHECK(contains(error_of([&] { (void)read_file_bytes(""); }), "cannot read"));
    spill(folder / "secret", {1});
    std::filesystem::permissions(folder / "secret", std::filesystem::perms::none);
    if (geteuid() == 0) {
        MESSAGE("skipped: root may read every file");
    } else {
        CHECK(contains(error_of([&] { (void)read_file_bytes(folder / "secret"); }),
                       "secret: Permission denied"));
    }
}

TEST_CASE("read_gzip_or_plain: unpacks gzip and passes on what is plain") {
    const TemporaryFolder folder;
    const Bytes plain = sample(3000001);
    spill(folder / "plain", plain);
    spill(folder / "packed", gzip(plain));
    CHECK(read_gzip_or_plain(folder / "plain") == plain);
    CHECK(read_gzip_or_plain(folder / "packed") == plain);

    spill(folder / "nothing", gzip({}));
    CHECK(read_gzip_or_plain(folder / "nothing").empty());
    spill(folder / "empty", {});
    CHECK(read_gzip_or_plain(folder / "empty").empty());

    Bytes two = gzip({1, 2});
    const Bytes second = gzip({3});
    two.insert(two.end(), second.begin(), second.end());
    two.resize(two.size() + 512);  // zeros fill up a block
    spill(folder / "two", two);
    CHECK(read_gzip_or_plain(folder / "two") == Bytes{1, 2, 3});
}

TEST_CASE("read_gzip_or_plain: damaged, truncated and oversized data is an error") {
    const TemporaryFolder folder;
    const Bytes packed = gzip(sample(5000));
    const auto error_for = [&](const Bytes& bytes, uint64_t limit = 10000) {
        spill(folder / "x.gz", bytes);
        return error_of([&] { (void)read_gzip_or_plain(folder / "x.gz", limit); });
    };
    CHECK(error_for(packed) == "no error");
    for (size_t length = 2; length < packed.size(); ++length) {
        CAPTURE(length);
        CHECK(contains(error_for(Bytes(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(length))),
                       "x.gz: gzip data is truncated"));
    }
    Bytes damaged = packed;
    damaged[packed.size() - 5] ^= 1U;  // the last byte of the checksum
    CHECK(contains(error_for(damaged), "x.gz: damaged gzip data: incorrect data check"));
    Bytes followed = packed;
    followed.push_back('x');
    CHECK(contains(error_for(followed), "1 bytes that are not gzip follow"));
    CHECK(contains(error_for(packed, 4999), "more than 4999 bytes"));
    CHECK(error_for(packed, 5000) == "no error");
}

TEST_CASE("InputFile: reads any part and refuses to read beyond the end") {
    const TemporaryFolder folder;
    spill(folder / "x", {1, 2, 3, 4, 5});
    const InputFile file(folder / "x");
    CHECK(file.size() == 5);
    Bytes part(3);
    file.read_at(2, part);
    CHECK(part == Bytes{3, 4, 5});
    CHECK(contains(error_of([&] { file.read_at(3, part); }), "x: truncated"));
    CHECK_NOTHROW(file.read_at(100, {}));
    CHECK(contains(error_of([] { InputFile device("/dev/zero"); }), "not a regular file"));
}

TEST_CASE("write_file_atomically: writes and replaces, and leaves nothing else behind") {
    const TemporaryFolder folder;
    const auto path = folder / "x";
    write_file_atomically(path, sample(100000));
    CHECK(slurp(path) == sample(100000));
    write_file_atomically(path, "text");
    CHECK(slurp(path) == to_bytes("text"));
    write_file_atomically(path, Bytes{});
    CHECK(slurp(path).empty());
    CHECK(folder.count_files() == 1);

    const std::string longest(255, 'n');  // the temporary name has to be shorter
    write_file_atomically(folder / longest, "x");
    CHECK(slurp(folder / longest) == to_bytes("x"));
}

TEST_CASE("write_file_atomically: a relative path without a folder is written in the current folder") {
    const TemporaryFolder folder;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder / ".");
    const std::string text = error_of<std::exception>([] { write_file_atomically("name", "x"); });
    std::filesystem::current_path(before);
    CHECK(text == "no error");
    CHECK(slurp(folder / "name") == to_bytes("x"));
}

TEST_CASE("AtomicFile: without commit the old file stays and the temporary goes") {
    const TemporaryFolder folder;
    spill(folder / "x", {1});
    {
        AtomicFile file(folder / "x");
        file.write("half of it");
        CHECK(folder.count_files() == 2);
        CHECK(slurp(folder / "x") == Bytes{1});
    }
    CHECK(slurp(folder / "x") == Bytes{1});
    CHECK(folder.count_files() == 1);
}

TEST_CASE("AtomicFile: a full disk is a SystemError, the old file stays and the temporary goes") {
    const TemporaryFolder folder;
    spill(folder / "x", {1});
    std::string text;
    {
        const FileSizeLimit limit(1000);
        text = error_of<SystemError>([&] { write_file_atomically(folder / "x", sample(2000)); });
    }
    CHECK(contains(text, "cannot write"));
    CHECK(contains(text, "/x: File too large"));
    CHECK(slurp(folder / "x") == Bytes{1});
    CHECK(folder.count_files() == 1);
}

TEST_CASE("AtomicFile: a folder that does not exist is a SystemError") {
    const TemporaryFolder folder;
    CHECK(contains(error_of<SystemError>([&] { write_file_atomically(folder / "none/x", "x"); }),
                   "none/x: No such file or directory"));
}

TEST_CASE("AtomicFile: folders and devices are never replaced") {
    const TemporaryFolder folder;
    CHECK(contains(error_of([&] { write_file_atomically(folder / ".", "x"); }), "it is a folder"));
    CHECK(contains(error_of([] { write_file_atomically("/dev/null", "x"); }), "/dev/null: it is a device"));
    CHECK(std::filesystem::is_character_file("/dev/null"));
}

TEST_CASE("AtomicFile: a symbolic link stays one and permissions are kept") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder / "real");
    spill(folder / "real/x", {1});
    std::filesystem::permissions(folder / "real/x", std::filesystem::perms{0640});
    std::filesystem::create_symlink("real/x", folder / "link");
    std::filesystem::create_symlink("real/new", folder / "dangling");
    write_file_atomically(folder / "link", "x");
    write_file_atomically(folder / "dangling", "y");
    CHECK(std::filesystem::is_symlink(folder / "link"));
    CHECK(slurp(folder / "real/x") == to_bytes("x"));
    CHECK(std::filesystem::status(folder / "real/x").permissions() == std::filesystem::perms{0640});
    CHECK(std::filesystem::is_symlink(folder / "dangling"));
    CHECK(slurp(folder / "real/new") == to_bytes("y"));
}
