// Errors: one exception type, thrown with a text that says who speaks, what was expected and what came.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace backlight {

/// Wrong use of the library or wrong input data. The binaries turn it into one line and exit code 2.
class Error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The environment failed (disk full, file not writable, a library call that broke): exit code 1 in the
/// binaries.
class SystemError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Concatenates its arguments as `operator<<` prints them.
template <typename... Args>
[[nodiscard]] std::string concat_text(const Args&... args) {
    std::ostringstream out;
    (out << ... << args);
    return out.str();
}

/// Throws Error with the text, followed by ` [layer NAME]` when a layer is being executed.
[[noreturn]] void throw_error(const std::string& text);

/// Names what this thread executes now: a stack of local names ("features", "5"). Error texts and the names
/// of graph nodes come from it. `name` must outlive the scope; an empty name adds nothing.
class ScopeName {
public:
    explicit ScopeName(std::string_view name);
    ~ScopeName();
    ScopeName(const ScopeName&) = delete;
    ScopeName& operator=(const ScopeName&) = delete;

    /// The names from the outermost scope inwards, joined by dots: "features.5"; empty outside all scopes.
    [[nodiscard]] static std::string path();
};

/// `unknown rule "zpluss"; did you mean zplus? known: epsilon, zplus, ...`
[[nodiscard]] std::string unknown_name(std::string_view what, std::string_view name,
                                       const std::vector<std::string>& known);

}  // namespace backlight

/// Checks a condition that a caller can break; builds the text only on failure.
#define BACKLIGHT_CHECK(condition, ...)                                      \
    do {                                                                     \
        if (!(condition)) [[unlikely]] {                                     \
            ::backlight::throw_error(::backlight::concat_text(__VA_ARGS__)); \
        }                                                                    \
    } while (false)
