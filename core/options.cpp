#include "core/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.h"

namespace backlight {
namespace {

std::string_view trim(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
    while (!text.empty() && blank(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && blank(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

bool is_word(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == '.';
    });
}

/// Position of the "(" that the final ")" of a balanced text closes.
size_t opening_of_last(std::string_view text) {
    int depth = 0;
    size_t i = text.size();
    do {
        --i;
        depth += text[i] == ')' ? 1 : 0;
        depth -= text[i] == '(' ? 1 : 0;
    } while (depth != 0);
    return i;
}

bool is_balanced(std::string_view text) {
    int depth = 0;
    for (const char c : text) {
        depth += c == '(' ? 1 : 0;
        depth -= c == ')' ? 1 : 0;
        if (depth < 0) {
            return false;
        }
    }
    return depth == 0;
}

std::map<std::string, std::string> parse_values(std::string_view inside, std::string_view whole) {
    std::map<std::string, std::string> values;
    for (const std::string& item : split_list(inside, ',')) {
        const size_t equals = item.find('=');
        BACKLIGHT_CHECK(equals != std::string::npos, "options: expected key=value, got \"", item, "\" in \"",
                        whole, "\"");
        const std::string key(trim(std::string_view(item).substr(0, equals)));
        const std::string value(trim(std::string_view(item).substr(equals + 1)));
        BACKLIGHT_CHECK(is_word(key), "options: \"", key, "\" is not a key, in \"", whole, "\"");
        BACKLIGHT_CHECK(!value.empty(), "options: key \"", key, "\" has no value in \"", whole, "\"");
        BACKLIGHT_CHECK(values.emplace(key, value).second, "options: key \"", key, "\" is given twice in \"",
                        whole, "\"");
    }
    return values;
}

bool parse_number(std::string_view text, double& value) {
    text = trim(text);
    if (text.starts_with('+')) {
        text.remove_prefix(1);
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

bool parse_number(std::string_view text, int64_t& value) {
    text = trim(text);
    if (text.starts_with('+')) {
        text.remove_prefix(1);
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::vector<std::string> split_list(std::string_view text, char separator) {
    std::vector<std::string> pieces;
    if (trim(text).empty()) {
        return pieces;
    }
    int depth = 0;
    size_t start = 0;
    for (size_t i = 0; i <= text.size(); ++i) {
        if (i == text.size() || (text[i] == separator && depth == 0)) {
            pieces.emplace_back(trim(text.substr(start, i - start)));
            start = i + 1;
        } else {
            depth += text[i] == '(' ? 1 : 0;
            depth -= text[i] == ')' ? 1 : 0;
        }
    }
    return pieces;
}

Spec parse_spec(std::string_view whole) {
    BACKLIGHT_CHECK(is_balanced(whole), "options: the parentheses do not pair up in \"", whole, "\"");
    Spec spec;
    std::string_view head = trim(whole);
    if (head.ends_with(')')) {
        const size_t open = opening_of_last(head);
        spec.values = parse_values(head.substr(open + 1, head.size() - open - 2), whole);
        head = trim(head.substr(0, open));
    }
    const size_t colon = head.find(':');
    const std::string_view name = trim(head.substr(0, colon));
    BACKLIGHT_CHECK(name.find('(') == std::string_view::npos, "options: nothing may follow \")\" in \"",
                    whole, "\"");
    BACKLIGHT_CHECK(is_word(name), "options: expected a name such as digits or digits(mark=7), got \"", whole,
                    "\"");
    spec.name = name;
    if (colon != std::string_view::npos) {
        spec.place = trim(head.substr(colon + 1));
        BACKLIGHT_CHECK(!spec.place.empty(), "options: expected a place after \"", name, ":\" in \"", whole,
                        "\"");
    }
    return spec;
}

std::string to_text(const Spec& spec) {
    std::string text = spec.name;
    if (!spec.place.empty()) {
        text += ":" + spec.place;
    }
    if (spec.values.empty()) {
        return spec.place.ends_with(')') ? text + "()" : text;
    }
    char before = '(';
    for (const auto& [key, value] : spec.values) {
        text += before;
        text += key + "=" + value;
        before = ',';
    }
    return text + ")";
}

const std::string* Options::find(const std::string& key) const {
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
        asked_.push_back(key);
    }
    const auto it = values_.find(key);
    return it == values_.end() ? nullptr : &it->second;
}

void Options::fail(const std::string& key, std::string_view expected, const std::string& text) const {
    throw_error(concat_text(owner_, ": option ", key, " expects ", expected, ", got \"", text, "\""));
}

bool Options::has(const std::string& key) const { return find(key) != nullptr; }

double Options::get(const std::string& key, double fallback) const {
    const std::string* text = find(key);
    if (text != nullptr && !parse_number(*text, fallback)) {
        fail(key, "a number", *text);
    }
    return fallback;
}

int64_t Options::get(const std::string& key, int64_t fallback) const {
    const std::string* text = find(key);
    if (text != nullptr && !parse_number(*text, fallback)) {
        fail(key, "an integer", *text);
    }
    return fallback;
}

bool Options::get(const std::string& key, bool fallback) const {
    const std::string* text = find(key);
    if (text == nullptr) {
        return fallback;
    }
    for (const std::string_view yes : {"true", "yes", "on", "1"}) {
        if (*text == yes) {
            return true;
        }
    }
    for (const std::string_view no : {"false", "no", "off", "0"}) {
        if (*text == no) {
            return false;
        }
    }
    fail(key, "true or false", *text);
}

std::string Options::get(const std::string& key, const std::string& fallback) const {
    const std::string* text = find(key);
    return text == nullptr ? fallback : *text;
}

std::vector<int64_t> Options::get(const std::string& key, const std::vector<int64_t>& fallback) const {
    const std::string* text = find(key);
    if (text == nullptr) {
        return fallback;
    }
    std::vector<int64_t> values;
    for (const std::string& item : split_list(*text, ':')) {
        if (!parse_number(item, values.emplace_back())) {
            fail(key, "integers separated by \":\"", *text);
        }
    }
    return values;
}

std::vector<double> Options::get(const std::string& key, const std::vector<double>& fallback) const {
    const std::string* text = find(key);
    if (text == nullptr) {
        return fallback;
    }
    std::vector<double> values;
    for (const std::string& item : split_list(*text, ':')) {
        if (!parse_number(item, values.emplace_back())) {
            fail(key, "numbers separated by \":\"", *text);
        }
    }
    return values;
}

std::vector<std::string> Options::get(const std::string& key,
                                      const std::vector<std::string>& fallback) const {
    const std::string* text = find(key);
    return text == nullptr ? fallback : split_list(*text, ':');
}

double Options::number_within(const std::string& key, double fallback, double low, double high) const {
    const double value = get(key, fallback);
    BACKLIGHT_CHECK(value >= low && value <= high, owner_, ": option ", key, " expects a number from ", low,
                    " to ", high, ", got ", value);
    return value;
}

int64_t Options::integer_within(const std::string& key, int64_t fallback, int64_t low, int64_t high) const {
    const int64_t value = get(key, fallback);
    BACKLIGHT_CHECK(value >= low && value <= high, owner_, ": option ", key, " expects an integer from ", low,
                    " to ", high, ", got ", value);
    return value;
}

std::string Options::choose(const std::string& key, const std::string& fallback,
                            const std::vector<std::string>& choices) const {
    const std::string value = get(key, fallback);
    BACKLIGHT_CHECK(std::find(choices.begin(), choices.end(), value) != choices.end(), owner_, ": ",
                    unknown_name(key, value, choices));
    return value;
}

void Options::refuse(const std::vector<std::string>& keys, std::string_view because) const {
    for (const std::string& key : keys) {
        if (has(key)) {
            throw_error(concat_text(owner_, ": ", because, "; leave ", key, " out"));
        }
    }
}

void Options::finish() const {
    for (const auto& [key, value] : values_) {
        if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
            throw_error(concat_text(owner_, ": ",
                                    asked_.empty() ? concat_text("takes no options, got \"", key, "\"")
                                                   : unknown_name("option", key, asked_)));
        }
    }
}

}  // namespace backlight
