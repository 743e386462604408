// A network trained on ImageNet meets photographs: what it takes them for, and where it looks.
#pragma once

#include <filesystem>
#include <ostream>

#include "report/page.h"

namespace backlight {

struct Photographs {
    report::Table classes;         // a row a photograph: its name and the five likeliest classes
    report::FigureGrid explained;  // photograph | Grad-CAM | LRP | ..., for the likeliest class
};

/// Classifies and explains every picture in `folder`, in alphabetical order, and prints a line for each.
/// `weights` are those of efficientnet_lite0, as scripts/efficientnet_lite0.py writes them, names of classes
/// included. Throws Error on weights without them, and where there are no pictures.
[[nodiscard]] Photographs explain_photographs(const std::filesystem::path& weights,
                                              const std::filesystem::path& folder, std::ostream& out);

/// A section of the page.
void add_photographs(report::Page& page, const Photographs& photographs);

}  // namespace backlight
