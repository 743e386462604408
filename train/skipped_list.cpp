#include "train/skipped_list.h"

#include "core/io/file.h"
#include "datasets/files.h"

namespace backlight {

void SkippedList::read(const std::filesystem::path& file) {
    if (std::filesystem::exists(file)) {
        for (const std::string& line : read_lines(file)) {
            lines_.insert(line);
        }
    }
}

void SkippedList::write(const std::filesystem::path& file, const CorruptSamples& corrupt) {
    if (corrupt.count() == written_) {
        return;
    }
    const std::vector<std::string> reasons = corrupt.reasons();
    written_ = static_cast<int64_t>(reasons.size());
    lines_.insert(reasons.begin(), reasons.end());
    std::string text;
    for (const std::string& line : lines_) {
        text += line + "\n";
    }
    write_file_atomically(file, text);
}

}  // namespace backlight
