// Files as bytes, gzip included.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace backlight {

/// The whole file; unpacked if it is gzip. Throws Error that names the file.
[[nodiscard]] std::vector<uint8_t> read_file(const std::filesystem::path& path);
/// The lines of a text file without line ends; empty lines are left out.
[[nodiscard]] std::vector<std::string> read_lines(const std::filesystem::path& path);
/// Unpacks gzip data. `name` stands in the Error that damaged or truncated data throws.
[[nodiscard]] std::vector<uint8_t> gunzip(std::span<const uint8_t> packed, std::string_view name);
/// Throws Error unless the path is a folder. `who` is the data set's name.
void check_folder(const std::filesystem::path& path, std::string_view who);

}  // namespace backlight
