// Patterns of names: "*" stands for any text, "?" for one character.
#pragma once

#include <string_view>

namespace backlight {

/// True when all of `name` matches the pattern.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view name);

}  // namespace backlight
