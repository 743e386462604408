// Options: the one grammar that names things on the command line, and the typed reader behind it.
//   spec    = name [":" place] ["(" [key "=" value {"," key "=" value}] ")"]
//   name    = letters, digits, "_", "-", "."
//   value   = text without a comma outside parentheses; a list separates its items by ":"
// epsilon_plus(epsilon=1e-6, layers=8:16:16)
// cifar10:/data/cifar(limit=500)
// composite(low=flat(scale=2))
// The options are the last balanced pair of parentheses of a text that ends in ")". A place that ends in
// ")" is therefore followed by "()": folder:/data/photos (old)().
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace backlight {

struct Spec {
    std::string name;
    std::string place;  // a file or folder; empty if there is none
    std::map<std::string, std::string> values;
};

/// Throws Error on malformed text; the message quotes it and says what was expected.
[[nodiscard]] Spec parse_spec(std::string_view text);

/// The text that parses to `spec`, keys in alphabetical order.
[[nodiscard]] std::string to_text(const Spec& spec);

/// Cuts at each `separator` that stands outside parentheses and trims the pieces. Empty text: no pieces.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text, char separator);

/// Typed values by key. It remembers which keys were asked for, so that `finish` can refuse the others:
///   Options o(parse_spec("zplus(stabilizer=1e-6)"));
///   const double stabilizer = o.get("stabilizer", 1e-9);
///   o.finish();
/// Every `get` throws Error when the text is not of the default's type.
class Options {
public:
    Options() = default;
    explicit Options(const Spec& spec) : owner_(spec.name), values_(spec.values) {}
    Options(std::string owner, std::map<std::string, std::string> values)
        : owner_(std::move(owner)), values_(std::move(values)) {}

    /// Who the options are for; error texts begin with it.
    [[nodiscard]] const std::string& owner() const { return owner_; }
    /// Whether the key was given; counts as having asked for it.
    [[nodiscard]] bool has(const std::string& key) const;

    [[nodiscard]] double get(const std::string& key, double fallback) const;
    [[nodiscard]] int64_t get(const std::string& key, int64_t fallback) const;
    [[nodiscard]] int64_t get(const std::string& key, int fallback) const {
        return get(key, int64_t{fallback});
    }
    /// true, yes, on, 1 or false, no, off, 0.
    [[nodiscard]] bool get(const std::string& key, bool fallback) const;
    [[nodiscard]] std::string get(const std::string& key, const std::string& fallback) const;
    [[nodiscard]] std::string get(const std::string& key, const char* fallback) const {
        return get(key, std::string(fallback));
    }
    [[nodiscard]] std::vector<int64_t> get(const std::string& key,
                                           const std::vector<int64_t>& fallback) const;
    [[nodiscard]] std::vector<double> get(const std::string& key, const std::vector<double>& fallback) const;
    [[nodiscard]] std::vector<std::string> get(const std::string& key,
                                               const std::vector<std::string>& fallback) const;

    /// As `get`, and throws Error when the value (given or fallback) is outside [low, high].
    template <std::floating_point T>
    [[nodiscard]] double get_within(const std::string& key, T fallback, double low, double high) const {
        return number_within(key, fallback, low, high);
    }
    template <std::integral T>
    [[nodiscard]] int64_t get_within(const std::string& key, T fallback, int64_t low, int64_t high) const {
        return integer_within(key, fallback, low, high);
    }
    /// One of `choices`; throws Error that lists them.
    [[nodiscard]] std::string choose(const std::string& key, const std::string& fallback,
                                     const std::vector<std::string>& choices) const;

    /// Throws Error when one of `keys` was given: `because` says what makes it void, and ends as a sentence
    /// does before "; leave KEY out".
    void refuse(const std::vector<std::string>& keys, std::string_view because) const;
    /// Throws Error when a key was given that nobody asked for.
    void finish() const;
    /// The keys asked for so far, in that order.
    [[nodiscard]] const std::vector<std::string>& asked() const { return asked_; }

private:
    [[nodiscard]] double number_within(const std::string& key, double fallback, double low,
                                       double high) const;
    [[nodiscard]] int64_t integer_within(const std::string& key, int64_t fallback, int64_t low,
                                         int64_t high) const;
    [[nodiscard]] const std::string* find(const std::string& key) const;
    [[noreturn]] void fail(const std::string& key, std::string_view expected, const std::string& text) const;

    std::string owner_;
    std::map<std::string, std::string> values_;
    mutable std::vector<std::string> asked_;
};

}  // namespace backlight
