#include "datasets/voc_annotation.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <pugixml.hpp>

#include "core/error.h"

namespace backlight {
namespace {

double number_of(const pugi::xml_node& parent, const char* name, const std::filesystem::path& file) {
    std::string_view text = parent.child_value(name);
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
    while (!text.empty() && blank(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && blank(text.back())) {
        text.remove_suffix(1);
    }
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    BACKLIGHT_CHECK(error == std::errc() && end == text.data() + text.size() && std::isfinite(value),
                    file.string(), ": expected a number in <", name, "> of <", parent.name(), ">, got \"",
                    text, '"');
    return value;
}

}  // namespace

const std::vector<std::string>& voc_classes() {
    static const std::vector<std::string> names = {
        "aeroplane", "bicycle",     "bird",  "boat",        "bottle", "bus",      "car",
        "cat",       "chair",       "cow",   "diningtable", "dog",    "horse",    "motorbike",
        "person",    "pottedplant", "sheep", "sofa",        "train",  "tvmonitor"};
    return names;
}

int64_t voc_class(std::string_view name) {
    const auto found = std::find(voc_classes().begin(), voc_classes().end(), name);
    return found == voc_classes().end() ? -1 : found - voc_classes().begin();
}

// Children are found by name: their order differs between years, and a <part> has a name and a box of its
// own. The size is the picture's: of the official annotations one states another.
VocImage read_voc_annotation(const std::filesystem::path& folder, const std::string& name) {
    const std::filesystem::path file = folder / "Annotations" / (name + ".xml");
    pugi::xml_document document;
    const pugi::xml_parse_result parsed = document.load_file(file.c_str());
    BACKLIGHT_CHECK(parsed, file.string(), ": ", parsed.description());
    const pugi::xml_node root = document.child("annotation");
    BACKLIGHT_CHECK(root, file.string(), ": there is no <annotation>");
    VocImage image{.name = name, .boxes = {}};
    for (const pugi::xml_node& object : root.children("object")) {
        const pugi::xml_node bounds = object.child("bndbox");
        const VocBox box{.class_number = voc_class(object.child_value("name")),
                         .difficult = object.child("difficult").text().as_int() != 0,
                         .left = number_of(bounds, "xmin", file) - 1,
                         .top = number_of(bounds, "ymin", file) - 1,
                         .right = number_of(bounds, "xmax", file),
                         .bottom = number_of(bounds, "ymax", file)};
        BACKLIGHT_CHECK(box.class_number >= 0, file.string(), ": \"", object.child_value("name"),
                        "\" is not one of the 20 classes");
        BACKLIGHT_CHECK(box.left < box.right && box.top < box.bottom, file.string(), ": a box of ",
                        object.child_value("name"), " is empty");
        image.boxes.push_back(box);
    }
    return image;
}

}  // namespace backlight
