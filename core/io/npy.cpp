#include "core/io/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/io/file.h"
#include "core/io/stored_type.h"

namespace backlight {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;  // the elements begin at a multiple of this

/// What a header says; the data follows it at `data_offset`.
struct Header {
    std::string descr;
    bool fortran_order = false;
    std::vector<int64_t> extents;
    uint64_t data_offset = 0;
};

/// Reads the dictionary literal: quoted text, True, False, and a tuple of integers are all that can occur in
/// it.
class HeaderParser {
public:
    HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

    Header parse() {
        Header header;
        bool has_descr = false, has_order = false, has_shape = false;
        expect('{');
        while (!accept('}')) {
            const std::string key = quoted();
            expect(':');
            bool* seen = nullptr;
            if (key == "descr") {
                BACKLIGHT_CHECK(peek() != '[', name_,
                                ": arrays of records (structured types) are not supported");
                header.descr = quoted();
                seen = &has_descr;
            } else if (key == "fortran_order") {
                header.fortran_order = boolean();
                seen = &has_order;
            } else if (key == "shape") {
                header.extents = tuple();
                seen = &has_shape;
            } else {
                fail("a key other than descr, fortran_order and shape");
            }
            if (std::exchange(*seen, true)) {
                fail("the same key twice");
            }
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        peek();
        if (position_ < text_.size()) {
            fail("text after the dictionary");
        }
        if (!has_descr || !has_order || !has_shape) {
            fail("a dictionary without descr, fortran_order or shape");
        }
        return header;
    }

private:
    [[noreturn]] void fail(std::string_view what) const {
        throw_error(
            concat_text(name_, ": malformed npy header: found ", what, " near character ", position_));
    }

    /// The next character that is not white space; 0 at the end.
    char peek() {
        position_ = std::min(text_.find_first_not_of(" \t\r\n\f\v", position_), text_.size());
        return position_ < text_.size() ? text_[position_] : '\0';
    }

    bool accept(char wanted) {
        const bool found = peek() == wanted && position_ < text_.size();
        position_ += found ? 1 : 0;
        return found;
    }

    void expect(char wanted) {
        if (!accept(wanted)) {
            fail(concat_text(position_ < text_.size() ? "another character" : "the end", " where '", wanted,
                             "' belongs"));
        }
    }

    std::string quoted() {
        const char quote = peek();
        const size_t end =
            quote == '\'' || quote == '"' ? text_.find(quote, position_ + 1) : std::string_view::npos;
        if (end == std::string_view::npos) {
            fail("no quoted text where it belongs");
        }
        const size_t begin = std::exchange(position_, end + 1) + 1;
        return std::string(text_.substr(begin, end - begin));
    }

    bool boolean() {
        peek();
        for (const bool value : {true, false}) {
            const std::string_view word = value ? "True" : "False";
            if (text_.substr(position_).starts_with(word)) {
                position_ += word.size();
                return value;
            }
        }
        fail("neither True nor False");
    }

    std::vector<int64_t> tuple() {
        std::vector<int64_t> extents;
        expect('(');
        while (!accept(')')) {
            peek();
            int64_t extent = 0;
            const char* begin = text_.data() + position_;
            const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), extent);
            if (error == std::errc::result_out_of_range) {
                fail("an extent beyond 64 bits");
            }
            if (error != std::errc()) {
                fail("no integer in the shape");
            }
            position_ += static_cast<size_t>(end - begin);
            if (position_ < text_.size() && text_[position_] == 'L') {  // Python 2 wrote long integers as 3L
                ++position_;
            }
            BACKLIGHT_CHECK(extent >= 0, name_, ": negative extent ", extent, " in the shape");
            extents.push_back(extent);
            BACKLIGHT_CHECK(extents.size() <= size_t{kMaxRank}, name_, ": expected at most ", kMaxRank,
                            " axes");
            if (!accept(',')) {
                expect(')');
                break;
            }
        }
        return extents;
    }

    std::string_view text_;
    const std::string& name_;
    size_t position_ = 0;
};

Header read_header(const InputFile& file, const std::string& name) {
    // magic (6), major and minor version (1 each), then the header's length: 2 bytes in version 1, else 4
    std::array<uint8_t, 12> prefix{};
    const size_t available = std::min<size_t>(file.size(), prefix.size());
    file.read_at(0, std::span(prefix).first(available));
    BACKLIGHT_CHECK(
        available >= kMagic.size() && std::memcmp(prefix.data(), kMagic.data(), kMagic.size()) == 0, name,
        ": not an npy file: expected it to begin with \\x93NUMPY");
    BACKLIGHT_CHECK(available >= 8, name, ": truncated in the npy version");
    const int major = prefix[6], minor = prefix[7];
    BACKLIGHT_CHECK(major >= 1 && major <= 3 && minor == 0, name,
                    ": expected npy version 1.0, 2.0 or 3.0, got ", major, '.', minor);
    const size_t begin = major == 1 ? 10 : 12;
    BACKLIGHT_CHECK(available >= begin, name, ": truncated in the length of the npy header");
    uint32_t length = uint32_t{prefix[8]} | uint32_t{prefix[9]} << 8;
    if (major > 1) {
        length |= uint32_t{prefix[10]} << 16 | uint32_t{prefix[11]} << 24;
    }
    BACKLIGHT_CHECK(length <= file.size() - begin, name, ": truncated: the npy header claims ", length,
                    " bytes, the file holds ", file.size() - begin, " after its length");
    std::string text(length, '\0');
    file.read_at(begin, std::span(reinterpret_cast<uint8_t*>(text.data()), text.size()));
    Header header = HeaderParser(text, name).parse();
    header.data_offset = begin + length;
    return header;
}

StoredType stored_type(const std::string& descr, const std::string& name) {
    static constexpr std::pair<std::string_view, StoredType> kKnown[] = {
        {"b1", StoredType::boolean}, {"u1", StoredType::u8},  {"i1", StoredType::i8},
        {"i2", StoredType::i16},     {"u2", StoredType::u16}, {"i4", StoredType::i32},
        {"u4", StoredType::u32},     {"i8", StoredType::i64}, {"f2", StoredType::f16},
        {"f4", StoredType::f32},     {"f8", StoredType::f64}};
    const std::string_view code = descr.empty() ? std::string_view() : std::string_view(descr).substr(1);
    for (const auto& [known, type] : kKnown) {
        if (code != known) {
            continue;
        }
        BACKLIGHT_CHECK(descr[0] != '>' || size_of(type) == 1, name, ": big-endian elements ('", descr,
                        "') are not supported; save the array with array.astype('<", code, "')");
        if (descr[0] == '<' || (size_of(type) == 1 && (descr[0] == '|' || descr[0] == '>'))) {
            return type;
        }
    }
    std::string text;
    for (const auto& known : kKnown) {
        text += concat_text(' ', size_of(known.second) == 1 ? '|' : '<', known.first);
    }
    // Anything can stand in a damaged file: what is quoted stays on one line.
    std::string shown = descr.substr(0, 32);
    std::ranges::replace_if(
        shown, [](char c) { return c < ' ' || c > '~'; }, '?');
    throw_error(concat_text(name, ": element type '", shown, "' is not supported; known:", text));
}

/// Column order -> row order: element (i0, ..., ik) lies at i0 + e0 (i1 + e1 (i2 + ...)).
std::vector<uint8_t> to_row_order(std::span<const uint8_t> columns, const Shape& shape, size_t element) {
    std::vector<uint8_t> rows(columns.size());
    std::array<int64_t, kMaxRank> index{}, stride{};
    for (int axis = 0; axis < shape.rank(); ++axis) {
        stride[static_cast<size_t>(axis)] =
            axis == 0 ? 1 : stride[static_cast<size_t>(axis - 1)] * shape[axis - 1];
    }
    int64_t from = 0;
    for (size_t to = 0; to < rows.size(); to += element) {
        std::memcpy(rows.data() + to, columns.data() + static_cast<size_t>(from) * element, element);
        for (int axis = shape.rank() - 1; axis >= 0; --axis) {
            const auto a = static_cast<size_t>(axis);
            from += stride[a];
            if (++index[a] < shape[axis]) {
                break;
            }
            from -= stride[a] * shape[axis];
            index[a] = 0;
        }
    }
    return rows;
}

std::string_view descr_of(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return "<f4";
        case DType::f64:
            return "<f8";
        case DType::i64:
            return "<i8";
        case DType::u8:
            return "|u1";
        case DType::bf16:
            break;  // NumPy has no such type: widened before
    }
    return "";
}

std::string header_text(const Tensor& tensor) {
    constexpr size_t kGrowth =
        21;  // NumPy leaves room for the first extent to grow to so many digits in place
    std::string text = concat_text("{'descr': '", descr_of(tensor.dtype()),
                                   "', 'fortran_order': False, 'shape': ", tensor.shape(), ", }");
    if (tensor.rank() > 0) {
        text.append(kGrowth - std::to_string(tensor.dim(0)).size(), ' ');
    }
    const size_t unpadded = kMagic.size() + 2 + 2 + text.size() + 1;
    text.append(kAlignment - unpadded % kAlignment, ' ');  // a whole block where none is needed, as NumPy
    return text + '\n';
}

}  // namespace

Tensor read_npy(const std::filesystem::path& path) {
    const std::string name = path.string();
    const InputFile file(path);
    const Header header = read_header(file, name);
    const StoredType type = stored_type(header.descr, name);
    const std::optional<int64_t> expected = stored_bytes(header.extents, type);
    BACKLIGHT_CHECK(expected, name,
                    ": the shape in the npy header holds more elements than 64 bits can count");
    const uint64_t held = file.size() - header.data_offset;
    const Shape shape(header.extents);
    BACKLIGHT_CHECK(held >= static_cast<uint64_t>(*expected), name, ": truncated: shape ", shape, " of type ",
                    header.descr, " needs ", *expected, " bytes, the file holds ", held);
    BACKLIGHT_CHECK(held == static_cast<uint64_t>(*expected), name, ": ",
                    held - static_cast<uint64_t>(*expected), " bytes follow the array of shape ", shape,
                    "; expected one array a file");
    std::vector<uint8_t> bytes(static_cast<size_t>(*expected));
    file.read_at(header.data_offset, bytes);
    if (header.fortran_order && shape.rank() > 1) {
        bytes = to_row_order(bytes, shape, size_of(type));
    }
    return tensor_from_stored(type, bytes, shape);
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
    BACKLIGHT_CHECK(tensor.defined(), "cannot write ", path.string(), ": the tensor is undefined");
    if (tensor.dtype() == DType::bf16) {
        return write_npy(path, tensor.to(DType::f32));
    }
    std::vector<uint8_t> bytes(tensor.bytes());
    tensor.copy_to_host(bytes.data());
    const std::string header = header_text(tensor);
    const auto length = static_cast<uint16_t>(header.size());  // six extents of 20 digits stay far below 2^16
    AtomicFile file(path);
    file.write(kMagic);
    file.write(std::array<uint8_t, 4>{1, 0, static_cast<uint8_t>(length & 0xFFU),
                                      static_cast<uint8_t>(length >> 8)});
    file.write(header);
    file.write(bytes);
    file.commit();
}

}  // namespace backlight
