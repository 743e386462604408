#include "core/io/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "core/backends/host_memory.h"
#include "core/error.h"
#include "core/io/file.h"
#include "core/io/stored_type.h"

namespace backlight {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr uint64_t kLargestHeader =
    100'000'000;  // as the public reader; keeps a hostile file from filling the memory
constexpr std::string_view kMetadata = "__metadata__";

constexpr std::pair<std::string_view, StoredType> kTypes[] = {
    {"BOOL", StoredType::boolean}, {"U8", StoredType::u8},   {"I8", StoredType::i8},
    {"I16", StoredType::i16},      {"U16", StoredType::u16}, {"F16", StoredType::f16},
    {"BF16", StoredType::bf16},    {"I32", StoredType::i32}, {"U32", StoredType::u32},
    {"F32", StoredType::f32},      {"F64", StoredType::f64}, {"I64", StoredType::i64}};

/// One tensor as the header describes it.
struct Entry {
    std::string name;
    StoredType type = StoredType::u8;
    Shape shape;
    uint64_t begin = 0, end = 0;  // in the data
};

/// Text of a file inside an error text: on one line and not endless.
std::string one_line(std::string_view text) {
    constexpr size_t kShown = 100;
    std::string shown(text.substr(0, kShown));
    std::ranges::replace_if(
        shown, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, '?');
    return concat_text('"', shown, text.size() > kShown ? "...\"" : "\"");
}

/// Watches the parser: a name that comes twice would silently win over the first, and nothing valid nests
/// deeper than file, tensor, list.
class ParserWatch {
public:
    explicit ParserWatch(const std::string& file) : file_(file) {}

    bool operator()(int depth, json::parse_event_t event, const json& parsed) {
        constexpr int kDeepest = 3;
        BACKLIGHT_CHECK(depth <= kDeepest, file_,
                        ": the safetensors header nests deeper than a tensor's entry");
        if (event == json::parse_event_t::object_start) {
            keys_.emplace_back();
        } else if (event == json::parse_event_t::object_end) {
            keys_.pop_back();
        } else if (event == json::parse_event_t::key) {
            const auto& key = parsed.get_ref<const std::string&>();
            BACKLIGHT_CHECK(keys_.back().insert(key).second, file_, ": duplicate name ", one_line(key),
                            " in the safetensors header");
        }
        return true;
    }

private:
    const std::string& file_;
    std::vector<std::set<std::string>> keys_;  // of the objects that are open
};

json parse_header(const std::string& text, const std::string& file) {
    BACKLIGHT_CHECK(text.starts_with('{'), file,
                    ": not a safetensors file: its header does not begin with '{'");
    try {
        return json::parse(text, ParserWatch(file));
    } catch (const json::parse_error& error) {
        throw_error(
            concat_text(file, ": the safetensors header is not valid JSON near its byte ", error.byte));
    } catch (const json::exception&) {
        throw_error(concat_text(file, ": the safetensors header is not valid JSON"));
    }
}

std::map<std::string, std::string> parse_metadata(const json& value, const std::string& file) {
    BACKLIGHT_CHECK(value.is_object(), file, ": ", kMetadata, " is not a map of text to text");
    std::map<std::string, std::string> metadata;
    for (const auto& [key, text] : value.items()) {
        BACKLIGHT_CHECK(text.is_string(), file, ": ", kMetadata, " holds ", one_line(key),
                        ", which is not text");
        metadata.emplace(key, text.get<std::string>());
    }
    return metadata;
}

StoredType parse_type(const json& value, const std::string& who) {
    BACKLIGHT_CHECK(value.is_string(), who, " has a dtype that is not text");
    const auto& type = value.get_ref<const std::string&>();
    std::string text;
    for (const auto& [known, stored] : kTypes) {
        if (type == known) {
            return stored;
        }
        text += concat_text(' ', known);
    }
    throw_error(concat_text(who, " has dtype ", one_line(type), ", which is not supported; known:", text));
}

/// Non-negative integers below 2^63.
std::vector<int64_t> parse_integers(const json& value, const std::string& who, std::string_view what) {
    BACKLIGHT_CHECK(value.is_array(), who, ": ", what, " is not a list");
    std::vector<int64_t> integers;
    integers.reserve(value.size());
    for (const json& item : value) {
        BACKLIGHT_CHECK(item.is_number_unsigned() && item.get<uint64_t>() <= uint64_t{INT64_MAX}, who, ": ",
                        what, " holds something else than integers from 0 to 2^63 - 1");
        integers.push_back(item.get<int64_t>());
    }
    return integers;
}

const json& member(const json& entry, const char* key, const std::string& who) {
    const auto found = entry.find(key);
    BACKLIGHT_CHECK(found != entry.end(), who, " has no ", key);
    return *found;
}

/// `data` is the number of bytes behind the header.
Entry parse_entry(const std::string& name, const json& value, uint64_t data, const std::string& file) {
    const std::string who = concat_text(file, ": tensor ", one_line(name));
    BACKLIGHT_CHECK(value.is_object(), who, " is not described by an object");
    Entry entry;
    entry.name = name;
    entry.type = parse_type(member(value, "dtype", who), who);
    const std::vector<int64_t> extents = parse_integers(member(value, "shape", who), who, "shape");
    BACKLIGHT_CHECK(extents.size() <= size_t{kMaxRank}, who, " has ", extents.size(),
                    " axes, expected at most ", kMaxRank);
    entry.shape = Shape(extents);
    const std::vector<int64_t> offsets =
        parse_integers(member(value, "data_offsets", who), who, "data_offsets");
    BACKLIGHT_CHECK(offsets.size() == 2, who, ": data_offsets holds ", offsets.size(),
                    " numbers, expected 2");
    entry.begin = static_cast<uint64_t>(offsets[0]);
    entry.end = static_cast<uint64_t>(offsets[1]);
    BACKLIGHT_CHECK(entry.begin <= entry.end, who, " ends at ", entry.end, " before it begins at ",
                    entry.begin);
    const std::optional<int64_t> expected = stored_bytes(extents, entry.type);
    BACKLIGHT_CHECK(expected && static_cast<uint64_t>(*expected) == entry.end - entry.begin, who, ": shape ",
                    entry.shape, " does not match data_offsets, which span ", entry.end - entry.begin,
                    " bytes");
    BACKLIGHT_CHECK(entry.end <= data, who, " ends at byte ", entry.end, " of the data, but the file holds ",
                    data, " (truncated?)");
    return entry;
}

/// The tensors cover the data: each begins where the one before it ends, the last ends with the file.
void check_coverage(std::vector<Entry>& entries, uint64_t data, const std::string& file) {
    std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
    uint64_t covered = 0;
    for (const Entry& entry : entries) {
        BACKLIGHT_CHECK(entry.begin >= covered, file, ": tensor ", one_line(entry.name),
                        " overlaps the one before it: ", "it begins at ", entry.begin, ", expected ",
                        covered);
        BACKLIGHT_CHECK(entry.begin == covered, file, ": hole of ", entry.begin - covered,
                        " bytes before tensor ", one_line(entry.name));
        covered = entry.end;
    }
    BACKLIGHT_CHECK(covered == data, file, ": ", data - covered, " bytes follow the last tensor",
                    entries.empty() ? std::string() : concat_text(' ', one_line(entries.back().name)));
}

/// The public package sorts by falling alignment, so that each tensor is aligned to its element size.
int layout_rank(DType dtype) {
    switch (dtype) {
        case DType::i64:
            return 0;
        case DType::f64:
            return 1;
        case DType::f32:
            return 2;
        case DType::bf16:
            return 3;
        case DType::u8:
            return 4;
    }
    return 5;
}

std::string_view type_name(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return "F32";
        case DType::f64:
            return "F64";
        case DType::i64:
            return "I64";
        case DType::u8:
            return "U8";
        case DType::bf16:
            return "BF16";
    }
    return "";
}

using NamedTensor = std::pair<const std::string, Tensor>;

std::string header_text(const std::vector<const NamedTensor*>& ordered,
                        const std::map<std::string, std::string>& metadata, const std::string& file) {
    std::string text = "{";
    try {
        if (!metadata.empty()) {
            text += concat_text(json(kMetadata), ':', json(metadata));
        }
        uint64_t offset = 0;
        for (const NamedTensor* named : ordered) {
            const auto& [name, tensor] = *named;
            const uint64_t end = offset + tensor.bytes();
            const auto extents = tensor.shape().extents();
            ordered_json entry;
            entry["dtype"] = type_name(tensor.dtype());
            entry["shape"] = std::vector<int64_t>(extents.begin(), extents.end());
            entry["data_offsets"] = {offset, end};
            text += concat_text(text.size() > 1 ? "," : "", json(name), ':', entry);
            offset = end;
        }
    } catch (const json::exception&) {
        throw_error(
            concat_text("cannot write ", file, ": a tensor name or a metadata text is not valid UTF-8"));
    }
    text += '}';
    constexpr size_t kAlignment = 8;
    text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
    return text;
}

}  // namespace

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
    const std::string name = path.string();
    const InputFile file(path);
    std::array<uint8_t, 8> prefix{};
    BACKLIGHT_CHECK(file.size() >= prefix.size(), name, ": not a safetensors file: it has only ", file.size(),
                    " bytes");
    file.read_at(0, prefix);
    uint64_t length = 0;
    for (size_t i = 0; i < prefix.size(); ++i) {
        length |= uint64_t{prefix[i]} << (8 * i);
    }
    BACKLIGHT_CHECK(length <= file.size() - prefix.size(), name, ": the safetensors header claims ", length,
                    " bytes, the file holds ", file.size() - prefix.size(),
                    " (truncated, or not a safetensors file)");
    BACKLIGHT_CHECK(length <= kLargestHeader, name, ": the safetensors header claims ", length,
                    " bytes, expected at most ", kLargestHeader);
    std::string text(static_cast<size_t>(length), '\0');
    file.read_at(prefix.size(), std::span(reinterpret_cast<uint8_t*>(text.data()), text.size()));
    const json header = parse_header(text, name);

    const uint64_t data_offset = prefix.size() + length;
    const uint64_t data = file.size() - data_offset;
    SafetensorsFile result;
    std::vector<Entry> entries;
    for (const auto& [key, value] : header.items()) {
        if (key == kMetadata) {
            result.metadata = parse_metadata(value, name);
        } else {
            entries.push_back(parse_entry(key, value, data, name));
        }
    }
    check_coverage(entries, data, name);
    uint64_t largest = 0;
    for (const Entry& entry : entries) {
        largest = std::max(largest, entry.end - entry.begin);
    }
    // Of the tensors' allocator, which has huge pages for it, and uses it again.
    const auto free_room = [largest](void* block) { host_deallocate(block, static_cast<size_t>(largest)); };
    const std::unique_ptr<void, decltype(free_room)> room(host_allocate(static_cast<size_t>(largest)),
                                                          free_room);
    for (const Entry& entry : entries) {
        const std::span bytes(static_cast<uint8_t*>(room.get()),
                              static_cast<size_t>(entry.end - entry.begin));
        file.read_at(data_offset + entry.begin, bytes);
        result.tensors.emplace(entry.name, tensor_from_stored(entry.type, bytes, entry.shape));
    }
    return result;
}

void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
    const std::string name = path.string();
    std::vector<const NamedTensor*> ordered;
    for (const NamedTensor& named : tensors) {
        BACKLIGHT_CHECK(named.first != kMetadata, "cannot write ", name, ": no tensor can be named ",
                        kMetadata);
        BACKLIGHT_CHECK(named.second.defined() && named.second.has_data(), "cannot write ", name, ": tensor ",
                        one_line(named.first), " has no data");
        ordered.push_back(&named);
    }
    std::ranges::stable_sort(ordered, {},
                             [](const NamedTensor* named) { return layout_rank(named->second.dtype()); });
    const std::string header = header_text(ordered, metadata, name);
    std::array<uint8_t, 8> prefix{};
    for (size_t i = 0; i < prefix.size(); ++i) {
        prefix[i] = static_cast<uint8_t>(uint64_t{header.size()} >> (8 * i));
    }
    AtomicFile file(path);
    file.write(prefix);
    file.write(header);
    std::vector<uint8_t> bytes;
    for (const NamedTensor* named : ordered) {
        bytes.resize(named->second.bytes());
        named->second.copy_to_host(bytes.data());
        file.write(bytes);
    }
    file.commit();
}

}  // namespace backlight
