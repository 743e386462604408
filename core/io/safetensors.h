// The safetensors format: named tensors in one file that holds nothing but data.
//   u64 N (little-endian), N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end)}, ...},
//   the data
// The tensors cover the data without gap or overlap. `__metadata__` is a map of text to text.
// Source: the public `safetensors` package, format description and reader.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/tensor.h"

namespace backlight {

struct SafetensorsFile {
    std::map<std::string, Tensor> tensors;
    std::map<std::string, std::string> metadata;
};

/// Reads the whole file. Types: F32, F64, I64 and U8 as they are; F16 and BF16 become f32; I8, I16, U16, I32,
/// U32 become i64; BOOL becomes u8. Throws one Error that names the path, and the tensor where there is one,
/// when the file is missing, damaged or truncated, when offsets leave the data, overlap, leave holes or do
/// not match the shape, when a name comes twice, and for other types and more than kMaxRank axes. Nothing is
/// allocated on the word of a header that was not checked against the size of the file.
[[nodiscard]] SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// Writes the file atomically, laid out as the public package does: I64, F64, F32, U8, each in the order of
/// the names; the header is padded with spaces to a multiple of 8. Throws Error when a tensor is undefined or
/// a text is not UTF-8, SystemError when writing fails.
void write_safetensors(const std::filesystem::path& path, const std::map<std::string, Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace backlight
