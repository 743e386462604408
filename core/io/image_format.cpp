#include "core/io/image_format.h"

#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iomanip>
#include <numeric>
#include <sstream>

#include "core/error.h"

namespace backlight {
namespace {

using namespace std::string_view_literals;

/// Reads on from a position; every step beyond the end is the Error that the file is truncated.
class ByteReader {
public:
    ByteReader(std::span<const uint8_t> bytes, std::string_view name, std::string_view format)
        : rest_(bytes), name_(name), format_(format) {}

    std::span<const uint8_t> take(uint64_t count) {
        BACKLIGHT_CHECK(count <= rest_.size(), name_, ": truncated ", format_, " picture");
        const auto taken = rest_.first(static_cast<size_t>(count));
        rest_ = rest_.subspan(static_cast<size_t>(count));
        return taken;
    }
    uint8_t byte() { return take(1)[0]; }
    uint32_t big_endian(size_t count) {
        uint32_t value = 0;
        for (const uint8_t next : take(count)) {
            value = value << 8 | next;
        }
        return value;
    }
    uint32_t little_endian(size_t count) {
        uint32_t value = 0;
        uint32_t shift = 0;
        for (const uint8_t next : take(count)) {
            value |= uint32_t{next} << shift;
            shift += 8;
        }
        return value;
    }
    /// Moves behind the next byte of this value.
    void skip_past(uint8_t value) {
        const void* found = rest_.empty() ? nullptr : std::memchr(rest_.data(), value, rest_.size());
        take(found == nullptr ? rest_.size() + 1
                              : static_cast<uint64_t>(static_cast<const uint8_t*>(found) - rest_.data()) + 1);
    }

private:
    std::span<const uint8_t> rest_;
    std::string_view name_;
    std::string_view format_;
};

// Chunks of length, type, data and a CRC of type and data, up to IEND.
void check_png(std::span<const uint8_t> bytes, std::string_view name) {
    ByteReader reader(bytes, name, "PNG");
    reader.take(8);  // signature
    while (true) {
        const uint32_t length = reader.big_endian(4);
        const auto chunk = reader.take(uint64_t{4} + length);
        const uint32_t expected = reader.big_endian(4);
        const std::string_view type(reinterpret_cast<const char*>(chunk.data()), 4);
        BACKLIGHT_CHECK(crc32_z(0, chunk.data(), chunk.size()) == expected, name,
                        ": damaged PNG picture: wrong checksum");
        if (type == "IEND") {
            return;
        }
    }
}

// A segment of Huffman tables: each has a number, how many codes there are of 1 to 16 bits, and one byte a
// code. The decoder writes past its table when there are more codes than the 256 that bytes allow.
void check_huffman_tables(std::span<const uint8_t> segment, std::string_view name) {
    constexpr size_t kCounts = 16;
    while (!segment.empty()) {
        BACKLIGHT_CHECK(segment.size() >= 1 + kCounts, name, ": damaged JPEG picture: Huffman table");
        const auto counts = segment.subspan(1, kCounts);
        const size_t codes = std::accumulate(counts.begin(), counts.end(), size_t{0});
        BACKLIGHT_CHECK(codes <= 256 && codes <= segment.size() - 1 - kCounts, name,
                        ": damaged JPEG picture: Huffman table");
        segment = segment.subspan(1 + kCounts + codes);
    }
}

// Markers are FF and a code. Segments state their length; entropy-coded data lasts until the next marker,
// where FF00 is a literal FF and FFD0 to FFD7 restart the coder. The picture ends with FFD9.
void check_jpeg(std::span<const uint8_t> bytes, std::string_view name) {
    ByteReader reader(bytes, name, "JPEG");
    while (true) {
        reader.skip_past(0xFF);
        uint8_t code = reader.byte();
        while (code == 0xFF) {  // markers may be preceded by any number of FF
            code = reader.byte();
        }
        constexpr uint8_t kEnd = 0xD9;
        if (code == kEnd) {
            return;
        }
        const bool stands_alone = code <= 0x01 || (code >= 0xD0 && code <= 0xD8);
        if (!stands_alone) {
            const uint32_t length = reader.big_endian(2);  // counts its own two bytes
            const auto segment = reader.take(length >= 2 ? length - 2 : 0);
            constexpr uint8_t kHuffmanTables = 0xC4;
            if (code == kHuffmanTables) {
                check_huffman_tables(segment, name);
            }
        }
    }
}

// Header, colour table, then blocks of length and data, a zero length ending each series; until the first
// frame.
void check_gif(std::span<const uint8_t> bytes, std::string_view name) {
    ByteReader reader(bytes, name, "GIF");
    const auto skip_colour_table = [&](uint8_t flags) {
        if ((flags & 0x80U) != 0) {
            reader.take(uint64_t{3} << ((flags & 0x07U) + 1));
        }
    };
    const auto skip_blocks = [&] {
        while (const uint8_t length = reader.byte()) {
            reader.take(length);
        }
    };
    reader.take(10);  // signature and size
    const uint8_t screen_flags = reader.byte();
    reader.take(2);  // background, aspect ratio
    skip_colour_table(screen_flags);
    while (true) {
        const uint8_t introducer = reader.byte();
        if (introducer == 0x21) {  // extension: label, blocks
            reader.take(1);
            skip_blocks();
        } else if (introducer == 0x2C) {  // frame: position and size, flags, colours, code size, blocks
            reader.take(8);
            skip_colour_table(reader.byte());
            reader.take(1);
            skip_blocks();
            return;
        } else {
            throw_error(concat_text(name, ": GIF without a picture, or damaged"));
        }
    }
}

// Header with the offset of the pixels, information with their size; rows are padded to four bytes.
void check_bmp(std::span<const uint8_t> bytes, std::string_view name) {
    ByteReader reader(bytes, name, "BMP");
    reader.take(10);
    const uint32_t offset = reader.little_endian(4);
    const uint32_t info_size = reader.little_endian(4);
    constexpr uint32_t kOldInfoSize = 12;  // OS/2 1.x: 16-bit extents
    const size_t extent_size = info_size == kOldInfoSize ? 2 : 4;
    const uint64_t width = reader.little_endian(extent_size);
    const auto signed_height =
        static_cast<int32_t>(reader.little_endian(extent_size));  // negative: top row first
    const uint64_t height = static_cast<uint64_t>(std::abs(int64_t{signed_height}));
    reader.take(2);  // planes
    const uint64_t bits = reader.little_endian(2);
    constexpr uint32_t kRunLength8 = 1, kRunLength4 = 2;
    const uint32_t compression = info_size == kOldInfoSize ? 0 : reader.little_endian(4);
    if (compression == kRunLength8 || compression == kRunLength4) {
        return;  // the decoder refuses these, and says so
    }
    BACKLIGHT_CHECK(width <= 0xFFFFFF && height <= 0xFFFFFF && bits <= 64, name, ": damaged BMP header");
    const uint64_t pixels = (width * bits + 31) / 32 * 4 * height;
    ByteReader(bytes, name, "BMP").take(offset + pixels);
}

}  // namespace

ImageFormat identify_image(std::span<const uint8_t> bytes, std::string_view name) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                                std::min<size_t>(bytes.size(), 8));
    if (text.starts_with("\x89PNG\r\n\x1a\n"sv)) {
        return ImageFormat::png;
    }
    if (text.starts_with("\xFF\xD8\xFF"sv)) {
        return ImageFormat::jpeg;
    }
    if (text.starts_with("GIF87a"sv) || text.starts_with("GIF89a"sv)) {
        return ImageFormat::gif;
    }
    if (text.starts_with("BM"sv)) {
        return ImageFormat::bmp;
    }
    std::ostringstream shown;
    for (const char c : text) {
        shown << ' ' << std::hex << std::setw(2) << std::setfill('0') << unsigned{static_cast<uint8_t>(c)};
    }
    throw_error(concat_text(name, ": not a PNG, JPEG, GIF or BMP picture: ",
                            text.empty() ? "the file is empty" : "it begins with", shown.str()));
}

void check_image_complete(ImageFormat format, std::span<const uint8_t> bytes, std::string_view name) {
    switch (format) {
        case ImageFormat::png:
            return check_png(bytes, name);
        case ImageFormat::jpeg:
            return check_jpeg(bytes, name);
        case ImageFormat::gif:
            return check_gif(bytes, name);
        case ImageFormat::bmp:
            return check_bmp(bytes, name);
    }
}

}  // namespace backlight
