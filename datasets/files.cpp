#include "datasets/files.h"

#include <zlib.h>

#include <algorithm>
#include <fstream>

#include "core/error.h"

namespace backlight {
namespace {

/// Owns zlib's state.
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

}  // namespace

std::vector<uint8_t> gunzip(std::span<const uint8_t> packed, std::string_view name) {
    constexpr size_t kLargest = size_t{1} << 33;  // no data set file is larger; damaged or hostile data may claim so
    Inflater inflater;
    std::vector<uint8_t> out;
    std::vector<uint8_t> chunk(size_t{1} << 18);
    size_t consumed = 0;
    int status = Z_OK;
    while (consumed < packed.size()) {
        const size_t feed = std::min(packed.size() - consumed, size_t{1} << 20);
        inflater->next_in = const_cast<Bytef*>(packed.data() + consumed);  // zlib reads through a non-const pointer
        inflater->avail_in = static_cast<uInt>(feed);
        do {
            inflater->next_out = chunk.data();
            inflater->avail_out = static_cast<uInt>(chunk.size());
            status = inflate(inflater.get(), Z_NO_FLUSH);
            BACKLIGHT_CHECK(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, name,
                            ": damaged gzip data", inflater->msg != nullptr ? ": " : "",
                            inflater->msg != nullptr ? inflater->msg : "");
            out.insert(out.end(), chunk.begin(), chunk.end() - inflater->avail_out);
            BACKLIGHT_CHECK(out.size() <= kLargest, name, ": unpacks to more than ", kLargest, " bytes");
        } while (status == Z_OK && inflater->avail_out == 0);
        consumed += feed - inflater->avail_in;
        if (status == Z_STREAM_END) {
            if (consumed == packed.size()) {
                return out;
            }
            inflateReset(inflater.get());  // gzip files may be put behind one another
        }
    }
    throw_error(concat_text(name, ": gzip data is truncated"));
}

std::vector<uint8_t> read_file(const std::filesystem::path& path) {
    std::error_code error;
    BACKLIGHT_CHECK(std::filesystem::exists(path, error), "cannot read ", path.string(), ": no such file");
    BACKLIGHT_CHECK(!std::filesystem::is_directory(path, error), "cannot read ", path.string(), ": it is a folder");
    std::ifstream file(path, std::ios::binary);
    BACKLIGHT_CHECK(file.is_open(), "cannot read ", path.string(), ": opening failed (permissions?)");
    std::vector<uint8_t> bytes;
    const auto size = std::filesystem::file_size(path, error);
    if (!error) {
        bytes.reserve(size);
    }
    std::vector<char> chunk(size_t{1} << 20);
    while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || file.gcount() > 0) {
        bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + file.gcount());
    }
    if (file.bad()) {
        throw SystemError(concat_text("cannot read ", path.string(), ": reading failed"));
    }
    const bool is_gzip = bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
    return is_gzip ? gunzip(bytes, path.string()) : bytes;
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
    std::vector<std::string> lines(1);
    for (const uint8_t byte : read_file(path)) {
        if (byte == '\n') {
            lines.emplace_back();
        } else if (byte != '\r') {
            lines.back().push_back(static_cast<char>(byte));
        }
    }
    std::erase_if(lines, [](const std::string& line) { return line.find_first_not_of(" \t") == std::string::npos; });
    return lines;
}

void check_folder(const std::filesystem::path& path, std::string_view who) {
    std::error_code error;
    BACKLIGHT_CHECK(std::filesystem::exists(path, error), who, ": no such folder: ", path.string());
    BACKLIGHT_CHECK(std::filesystem::is_directory(path, error), who, ": not a folder: ", path.string());
}

}  // namespace backlight
