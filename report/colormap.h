// Colours for numbers: one diverging map whose middle is a neutral near-white, two sequential maps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace backlight::report {

struct Color {
    uint8_t red = 0, green = 0, blue = 0;
    bool operator==(const Color&) const = default;
};

/// 257 colours, an odd number: the middle of a diverging map is one colour exactly.
class Colormap {
public:
    static constexpr int kEntries = 257;

    Colormap(std::string name, bool diverging, std::vector<Color> entries);

    [[nodiscard]] const std::string& name() const { return name_; }
    /// True when the middle is neutral and stands for zero.
    [[nodiscard]] bool diverging() const { return diverging_; }
    /// The colour at `position`, clamped to [0, 1]; nearest entry. `position` must not be NaN.
    [[nodiscard]] Color at(double position) const;
    /// The colour of value / scale, clamped: [-1, 1] in a diverging map, [0, 1] in a sequential one. Zero is
    /// the neutral colour (diverging) or the first one (sequential).
    [[nodiscard]] Color of_signed(double ratio) const { return at(diverging_ ? 0.5 + 0.5 * ratio : ratio); }

private:
    std::string name_;
    bool diverging_;
    std::vector<Color> entries_;
};

/// "blue-white-red" (diverging; equal distances from zero are equally light), "grey" (black to white),
/// "viridis". Throws Error on an unknown name, naming the near ones.
[[nodiscard]] const Colormap& colormap(std::string_view name);
[[nodiscard]] std::vector<std::string> colormap_names();

/// "#rrggbb".
[[nodiscard]] std::string to_hex(Color color);

}  // namespace backlight::report
