// A drawing as SVG text. Shapes are painted by role: the light colour is written into the shape, so that any
// viewer shows it, and a style sheet replaces it on a dark screen. Printing is light.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/tensor.h"
#include "report/colormap.h"

namespace backlight::report {

enum class Role : uint8_t {
    series0,
    series1,
    series2,
    series3,
    series4,
    series5,
    series6,
    series7,
    paper,
    ink,
    soft,
    grid,
    axis,
    contrast
};
inline constexpr int kSeriesRoles = 8;
/// The palette's colour `index`, round and round.
[[nodiscard]] Role series_role(int64_t index);

struct Point {
    double x, y;
};

enum class Anchor : uint8_t { start, middle, end };

struct TextStyle {
    double size = 12;
    Role role = Role::ink;
    Anchor anchor = Anchor::start;
    bool bold = false;
    double rotate = 0;  // degrees, clockwise, about the anchor
    bool halo = false;  // a rim in the colour of the paper, where the text may lie on lines
};

class Svg {
public:
    /// `label` is what a screen reader says.
    Svg(double width, double height, std::string_view label);
    ~Svg();
    Svg(const Svg&) = delete;
    Svg& operator=(const Svg&) = delete;

    void line(Point a, Point b, Role role, double width = 1, std::string_view dashes = "");
    void polyline(std::span<const Point> points, Role role, double width, std::string_view dashes = "");
    void polygon(std::span<const Point> points, Role role, double opacity);
    /// `tooltip`: shown while the pointer rests there.
    void rectangle(Point corner, double width, double height, Role role, double opacity = 1,
                   double radius = 0, std::string_view tooltip = "");
    /// One colour in every theme.
    void swatch(Point corner, double width, double height, Color color);
    void circle(Point centre, double radius, Role role, std::string_view tooltip = "", double opacity = 1);
    /// An outline.
    void frame(Point corner, double width, double height, Role role, double line_width);
    /// A picture u8 (H,W,1|3|4), its pixels visible, in the drawing itself.
    void image(Point corner, double width, double height, const Tensor& pixels,
               std::string_view tooltip = "");
    void text(Point anchor, std::string_view text, const TextStyle& style = {});

    /// Without an XML declaration; may be put into HTML.
    [[nodiscard]] std::string str() const;

private:
    struct Document;  // pugixml stays in the .cpp
    std::unique_ptr<Document> document_;
};

/// About how wide a text will be: fonts differ, layouts leave room.
[[nodiscard]] double text_length(std::string_view text, double size, bool bold = false);

}  // namespace backlight::report
