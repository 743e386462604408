// Small helpers of the readers: text files line by line, folders that must be there.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace backlight {

/// The lines of a text file without line ends; blank lines are left out. Throws Error that names the file.
[[nodiscard]] std::vector<std::string> read_lines(const std::filesystem::path& path);
/// Throws Error unless the path is a folder. `who` is the data set's name.
void check_folder(const std::filesystem::path& path, std::string_view who);

}  // namespace backlight
