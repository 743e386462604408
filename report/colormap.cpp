// The colour tables.
//   blue-white-red: control points in OKLab, (lightness, chroma, hue), lightness and chroma equal on both
//   sides of the middle, so that R and -R look equally strong. Source of the space: Ottosson, "A perceptual
//   color space for image processing", 2020. viridis: ten points of the CC0 map by Smith and van der Walt,
//   linear between them.
#include "report/colormap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace backlight::report {
namespace {

struct Lab {
    double lightness, a, b;
};

uint8_t to_byte(double linear) {
    const double clipped = std::clamp(linear, 0.0, 1.0);
    const double encoded =
        clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * std::pow(clipped, 1 / 2.4) - 0.055;
    return static_cast<uint8_t>(std::lround(255 * encoded));
}

Color to_color(const Lab& lab) {
    const double l = std::pow(lab.lightness + 0.3963377774 * lab.a + 0.2158037573 * lab.b, 3);
    const double m = std::pow(lab.lightness - 0.1055613458 * lab.a - 0.0638541728 * lab.b, 3);
    const double s = std::pow(lab.lightness - 0.0894841775 * lab.a - 1.2914855480 * lab.b, 3);
    return {to_byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
            to_byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
            to_byte(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

double mix(double a, double b, double t) { return a + (b - a) * t; }

Colormap blue_white_red() {
    struct Stop {
        double at, lightness, chroma;
    };
    // Distance from zero -> strength. The chroma stays inside sRGB for both hues.
    constexpr std::array<Stop, 5> stops{
        {{0, 0.985, 0}, {0.25, 0.875, 0.065}, {0.5, 0.735, 0.135}, {0.75, 0.565, 0.190}, {1, 0.385, 0.155}}};
    constexpr double kBlue = 262, kRed = 25;  // hues in degrees
    constexpr int kHalf = Colormap::kEntries / 2;
    std::vector<Color> entries(Colormap::kEntries);
    for (int i = -kHalf; i <= kHalf; ++i) {
        const double distance = std::abs(i) / static_cast<double>(kHalf);
        size_t k = 1;
        while (k + 1 < stops.size() && distance > stops[k].at) {
            ++k;
        }
        const double t = (distance - stops[k - 1].at) / (stops[k].at - stops[k - 1].at);
        const double chroma = mix(stops[k - 1].chroma, stops[k].chroma, t);
        const double hue = (i < 0 ? kBlue : kRed) * 3.14159265358979 / 180;
        entries[static_cast<size_t>(i + kHalf)] =
            to_color({mix(stops[k - 1].lightness, stops[k].lightness, t), chroma * std::cos(hue),
                      chroma * std::sin(hue)});
    }
    return {"blue-white-red", true, std::move(entries)};
}

/// Linear in sRGB between evenly spaced colours.
Colormap sequential(std::string name, const std::vector<Color>& points) {
    std::vector<Color> entries(Colormap::kEntries);
    for (size_t i = 0; i < entries.size(); ++i) {
        const double x = static_cast<double>(i * (points.size() - 1)) / (Colormap::kEntries - 1);
        const size_t k = std::min(static_cast<size_t>(x), points.size() - 2);
        const auto channel = [&](uint8_t Color::*c) {
            return static_cast<uint8_t>(
                std::lround(mix(points[k].*c, points[k + 1].*c, x - static_cast<double>(k))));
        };
        entries[i] = {channel(&Color::red), channel(&Color::green), channel(&Color::blue)};
    }
    return {std::move(name), false, std::move(entries)};
}

const std::vector<Colormap>& all() {
    static const std::vector<Colormap> maps = [] {
        std::vector<Colormap> list;
        list.push_back(blue_white_red());
        list.push_back(sequential("grey", {{0, 0, 0}, {255, 255, 255}}));
        list.push_back(sequential("viridis", {{68, 1, 84},
                                              {72, 40, 120},
                                              {62, 74, 137},
                                              {49, 104, 142},
                                              {38, 130, 142},
                                              {31, 158, 137},
                                              {53, 183, 121},
                                              {110, 206, 88},
                                              {181, 222, 43},
                                              {253, 231, 37}}));
        return list;
    }();
    return maps;
}

}  // namespace

Colormap::Colormap(std::string name, bool diverging, std::vector<Color> entries)
    : name_(std::move(name)), diverging_(diverging), entries_(std::move(entries)) {
    BACKLIGHT_CHECK(entries_.size() == kEntries, "colormap ", name_, ": expected ", kEntries,
                    " colours, got ", entries_.size());
}

Color Colormap::at(double position) const {
    const double clamped = std::clamp(position, 0.0, 1.0);
    return entries_[static_cast<size_t>(std::lround(clamped * (kEntries - 1)))];
}

const Colormap& colormap(std::string_view name) {
    for (const Colormap& map : all()) {
        if (map.name() == name) {
            return map;
        }
    }
    throw_error(unknown_name("colormap", name, colormap_names()));
}

std::vector<std::string> colormap_names() {
    std::vector<std::string> names;
    for (const Colormap& map : all()) {
        names.push_back(map.name());
    }
    return names;
}

std::string to_hex(Color color) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text = "#";
    for (const uint8_t byte : {color.red, color.green, color.blue}) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

}  // namespace backlight::report
