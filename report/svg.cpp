// SVG elements through pugixml, which escapes what has to be escaped.
#include "report/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <pugixml.hpp>
#include <sstream>

#include "core/io/image.h"
#include "report/text.h"

namespace backlight::report {
namespace {

struct Paint {
    const char* name;
    const char* light;
    const char* dark;
};

// By Role. The series keep apart for colour-blind readers by lightness too, and stand out on both papers.
constexpr std::array<Paint, 14> kPaints{{{"c0", "#2a6fbb", "#6aa9f0"},
                                         {"c1", "#cf5c28", "#f2915c"},
                                         {"c2", "#2a8c6e", "#58c4a3"},
                                         {"c3", "#a2468a", "#d985c4"},
                                         {"c4", "#a98412", "#dcb94a"},
                                         {"c5", "#6656b3", "#a598ea"},
                                         {"c6", "#3f8aa3", "#7cc3da"},
                                         {"c7", "#6f757e", "#a9b0ba"},
                                         {"paper", "#ffffff", "#171a20"},
                                         {"ink", "#1d232c", "#e6e8eb"},
                                         {"soft", "#667080", "#9aa3b0"},
                                         {"grid", "#e6e8ec", "#2c323b"},
                                         {"axis", "#aab1bb", "#565f6c"},
                                         {"contrast", "#ffffff", "#10151c"}}};

constexpr const char* kFonts =
    "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/// Two decimals at most, no trailing zeros.
std::string number(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.2f", value);
    std::string text = buffer;
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') {
        text.pop_back();
    }
    return text == "-0" ? "0" : text;
}

std::string joined(std::span<const Point> points) {
    std::string text;
    for (const Point& point : points) {
        text += (text.empty() ? "" : " ") + number(point.x) + "," + number(point.y);
    }
    return text;
}

void set(pugi::xml_node node, const char* name, const std::string& value) {
    node.append_attribute(name).set_value(value.c_str());
}

}  // namespace

Role series_role(int64_t index) { return static_cast<Role>(index % kSeriesRoles); }

struct Svg::Document {
    pugi::xml_document xml;
    pugi::xml_node root;
    pugi::xml_node style;
    std::array<bool, kPaints.size()> fills{}, strokes{};

    pugi::xml_node shape(const char* name) { return root.append_child(name); }
    void fill(pugi::xml_node node, Role role) {
        const auto index = static_cast<size_t>(role);
        fills[index] = true;
        set(node, "fill", kPaints[index].light);
        set(node, "class", std::string("f-") + kPaints[index].name);
    }
    void stroke(pugi::xml_node node, Role role, double width, std::string_view dashes) {
        const auto index = static_cast<size_t>(role);
        strokes[index] = true;
        set(node, "fill", "none");
        set(node, "stroke", kPaints[index].light);
        set(node, "stroke-width", number(width));
        if (!dashes.empty()) {
            set(node, "stroke-dasharray", std::string(dashes));
        }
        set(node, "class", std::string("s-") + kPaints[index].name);
    }
};

Svg::Svg(double width, double height, std::string_view label) : document_(std::make_unique<Document>()) {
    pugi::xml_node root = document_->root = document_->xml.append_child("svg");
    set(root, "xmlns", "http://www.w3.org/2000/svg");
    set(root, "class", "bl-plot");
    set(root, "role", "img");
    set(root, "aria-label", clean_text(label));
    set(root, "viewBox", "0 0 " + number(width) + " " + number(height));
    set(root, "width", number(width));
    set(root, "height", number(height));
    set(root, "font-family", kFonts);
    document_->style = root.append_child("style");
    rectangle({0, 0}, width, height, Role::paper);
}

Svg::~Svg() = default;

void Svg::line(Point a, Point b, Role role, double width, std::string_view dashes) {
    pugi::xml_node node = document_->shape("line");
    set(node, "x1", number(a.x));
    set(node, "y1", number(a.y));
    set(node, "x2", number(b.x));
    set(node, "y2", number(b.y));
    document_->stroke(node, role, width, dashes);
}

void Svg::polyline(std::span<const Point> points, Role role, double width, std::string_view dashes) {
    pugi::xml_node node = document_->shape("polyline");
    set(node, "points", joined(points));
    document_->stroke(node, role, width, dashes);
    set(node, "stroke-linejoin", "round");
    set(node, "stroke-linecap", dashes.empty() ? "round" : "butt");
}

void Svg::polygon(std::span<const Point> points, Role role, double opacity) {
    pugi::xml_node node = document_->shape("polygon");
    set(node, "points", joined(points));
    document_->fill(node, role);
    set(node, "fill-opacity", number(opacity));
}

void Svg::rectangle(Point corner, double width, double height, Role role, double opacity, double radius,
                    std::string_view tooltip) {
    pugi::xml_node node = document_->shape("rect");
    set(node, "x", number(corner.x));
    set(node, "y", number(corner.y));
    set(node, "width", number(width));
    set(node, "height", number(height));
    if (radius > 0) {
        set(node, "rx", number(radius));
    }
    document_->fill(node, role);
    if (opacity < 1) {
        set(node, "fill-opacity", number(opacity));
    }
    if (!tooltip.empty()) {
        node.append_child("title").text().set(clean_text(tooltip).c_str());
    }
}

void Svg::swatch(Point corner, double width, double height, Color color) {
    pugi::xml_node node = document_->shape("rect");
    set(node, "x", number(corner.x));
    set(node, "y", number(corner.y));
    set(node, "width", number(width));
    set(node, "height", number(height));
    set(node, "fill", to_hex(color));
    set(node, "shape-rendering", "crispEdges");  // neighbours touch without a seam
}

void Svg::circle(Point centre, double radius, Role role, std::string_view tooltip, double opacity) {
    pugi::xml_node node = document_->shape("circle");
    set(node, "cx", number(centre.x));
    set(node, "cy", number(centre.y));
    set(node, "r", number(radius));
    document_->fill(node, role);
    if (opacity < 1) {
        set(node, "fill-opacity", number(opacity));
    }
    if (!tooltip.empty()) {
        node.append_child("title").text().set(clean_text(tooltip).c_str());
    }
}

void Svg::frame(Point corner, double width, double height, Role role, double line_width) {
    pugi::xml_node node = document_->shape("rect");
    set(node, "x", number(corner.x));
    set(node, "y", number(corner.y));
    set(node, "width", number(width));
    set(node, "height", number(height));
    document_->stroke(node, role, line_width, "");
}

void Svg::image(Point corner, double width, double height, const Tensor& pixels, std::string_view tooltip) {
    pugi::xml_node node = document_->shape("image");
    set(node, "x", number(corner.x));
    set(node, "y", number(corner.y));
    set(node, "width", number(width));
    set(node, "height", number(height));
    set(node, "image-rendering", "pixelated");
    set(node, "href", "data:image/png;base64," + base64_encode(encode_png(pixels)));
    if (!tooltip.empty()) {
        node.append_child("title").text().set(clean_text(tooltip).c_str());
    }
}

void Svg::text(Point anchor, std::string_view text, const TextStyle& style) {
    if (text.empty()) {
        return;
    }
    pugi::xml_node node = document_->shape("text");
    set(node, "x", number(anchor.x));
    set(node, "y", number(anchor.y));
    set(node, "font-size", number(style.size));
    if (style.bold) {
        set(node, "font-weight", "600");
    }
    if (style.anchor != Anchor::start) {
        set(node, "text-anchor", style.anchor == Anchor::middle ? "middle" : "end");
    }
    if (style.rotate != 0) {
        set(node, "transform",
            "rotate(" + number(style.rotate) + " " + number(anchor.x) + " " + number(anchor.y) + ")");
    }
    document_->fill(node, style.role);
    if (style.halo) {
        const auto paper = static_cast<size_t>(Role::paper);
        document_->strokes[paper] = true;
        set(node, "stroke", kPaints[paper].light);
        set(node, "stroke-width", "3.5");
        set(node, "stroke-linejoin", "round");
        set(node, "paint-order", "stroke");
        node.attribute("class").set_value(
            (std::string(node.attribute("class").value()) + " s-paper").c_str());
    }
    node.text().set(clean_text(text).c_str());
}

std::string Svg::str() const {
    std::string dark;
    for (size_t i = 0; i < kPaints.size(); ++i) {
        const std::string name = kPaints[i].name, color = kPaints[i].dark;
        if (document_->fills[i]) {
            dark += ".bl-plot .f-" + name + "{fill:" + color + "}";
        }
        if (document_->strokes[i]) {
            dark += ".bl-plot .s-" + name + "{stroke:" + color + "}";
        }
    }
    const std::string css =
        ".bl-plot text{font-variant-numeric:tabular-nums}@media screen and "
        "(prefers-color-scheme:dark){" +
        dark + "}";
    document_->style.text().set(css.c_str());
    std::ostringstream out;
    document_->xml.save(out, "", pugi::format_raw | pugi::format_no_declaration);
    return out.str();
}

double text_length(std::string_view text, double size, bool bold) {
    double ems = 0;
    for (const char c : text) {
        const auto byte = static_cast<uint8_t>(c);
        if ((byte & 0xc0) == 0x80) {
            continue;
        }
        const std::string_view narrow = "iljtfrI.,:;'!|()[] ", wide = "mwMWGOQ@%";
        ems += narrow.find(c) != std::string_view::npos ? 0.33
               : wide.find(c) != std::string_view::npos ? 0.86
                                                        : 0.59;
    }
    return ems * size * (bold ? 1.07 : 1);
}

}  // namespace backlight::report
