// skipped.txt of a run folder: every sample that a run left out because it cannot be read.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "datasets/corrupt.h"

namespace backlight {

class SkippedList {
public:
    /// What the run left out before it was interrupted; nothing where there is no such file.
    void read(const std::filesystem::path& file);
    /// Also what `corrupt` has now, a line each; writes nothing where that has nothing new.
    void write(const std::filesystem::path& file, const CorruptSamples& corrupt);

private:
    std::set<std::string> lines_;
    int64_t written_ = 0;  // how many of this process the file holds
};

}  // namespace backlight
