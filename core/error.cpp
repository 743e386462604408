#include "core/error.h"

#include <algorithm>
#include <numeric>

namespace backlight {
namespace {

thread_local std::vector<std::string_view> scope_names;

/// Number of single-character edits between two words (Levenshtein).
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 0; i < a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.size(); ++j) {
            const size_t substitution = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substitution});
        }
    }
    return row.back();
}

}  // namespace

void throw_error(const std::string& text) {
    const std::string layer = ScopeName::path();
    throw Error(layer.empty() ? text : concat_text(text, " [layer ", layer, "]"));
}

ScopeName::ScopeName(std::string_view name) { scope_names.push_back(name); }

ScopeName::~ScopeName() { scope_names.pop_back(); }

std::string ScopeName::path() {
    std::string path;
    for (const std::string_view name : scope_names) {
        if (!path.empty() && !name.empty()) {
            path += '.';
        }
        path += name;
    }
    return path;
}

std::string unknown_name(std::string_view what, std::string_view name,
                         const std::vector<std::string>& known) {
    std::string text = concat_text("unknown ", what, " \"", name, "\"");
    const auto nearest = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(name, a) < edit_distance(name, b);
    });
    if (nearest != known.end() && edit_distance(name, *nearest) <= std::max<size_t>(2, name.size() / 3)) {
        text += concat_text("; did you mean ", *nearest, "?");
    }
    constexpr size_t kMany = 300, kNear = 10;  // a thousand classes are no help
    std::vector<std::string> shown = known;
    if (known.size() > kMany) {
        std::stable_sort(shown.begin(), shown.end(), [&](const auto& a, const auto& b) {
            return edit_distance(name, a) < edit_distance(name, b);
        });
        shown.resize(kNear);
        text += concat_text("; near, of ", known.size(), ":");
    } else {
        text += "; known:";
    }
    for (size_t i = 0; i < shown.size(); ++i) {
        text += (i == 0 ? " " : ", ") + shown[i];
    }
    return text;
}

}  // namespace backlight
