#include "datasets/files.h"

#include <sstream>

#include "core/error.h"
#include "core/io/file.h"

namespace backlight {

std::vector<std::string> read_lines(const std::filesystem::path& path) {
    std::vector<std::string> lines;
    std::istringstream text(read_text_file(path));
    for (std::string line; std::getline(text, line);) {
        if (line.ends_with('\r')) {
            line.pop_back();
        }
        if (line.find_first_not_of(" \t") != std::string::npos) {
            lines.push_back(line);
        }
    }
    return lines;
}

void check_folder(const std::filesystem::path& path, std::string_view who) {
    std::error_code error;
    BACKLIGHT_CHECK(std::filesystem::exists(path, error), who, ": no such folder: ", path.string());
    BACKLIGHT_CHECK(std::filesystem::is_directory(path, error), who, ": not a folder: ", path.string());
}

}  // namespace backlight
