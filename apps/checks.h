// What several commands ask of their options.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

#include "core/error.h"

namespace backlight::apps {

inline CLI::Validator at_least(int64_t least) {
    const std::string bound = std::to_string(least);
    return {[least, bound](std::string& text) {
                int64_t value = 0;
                return CLI::detail::lexical_cast(text, value) && value >= least
                           ? std::string()
                           : "expected a whole number of at least " + bound + ", got " + text;
            },
            "INT >= " + bound};
}
/// Whole numbers of at least 1, of at least 0.
inline CLI::Validator at_least_one() { return at_least(1); }
inline CLI::Validator at_least_zero() { return at_least(0); }

/// That a file can be made there, before the work that it is for. Throws Error that names the option.
inline void check_output(const char* option, const std::filesystem::path& file) {
    const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
    BACKLIGHT_CHECK(std::filesystem::is_directory(folder), option, ": there is no folder ", folder.string(),
                    " for ", file.filename().string());
    BACKLIGHT_CHECK(!std::filesystem::is_directory(file), option, ": ", file.string(), " is a folder");
}

}  // namespace backlight::apps
