// Annotations/*.xml of PASCAL VOC: which objects an image shows, and where.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace backlight {

/// The 20 classes in alphabetical order, as their numbers in segmentations are, less one.
[[nodiscard]] const std::vector<std::string>& voc_classes();
/// -1 if there is none of this name.
[[nodiscard]] int64_t voc_class(std::string_view name);

/// In pixels from 0, right and lower edge excluded. The files count from 1 and include them.
struct VocBox {
    int64_t class_number = 0;
    bool difficult = false;
    double left = 0, top = 0, right = 0, bottom = 0;
};

struct VocImage {
    std::string name;
    std::vector<VocBox> boxes;
};

/// Annotations/NAME.xml of the folder. Throws Error that names the file when it cannot be read, knows another
/// class, or has a number that is none.
[[nodiscard]] VocImage read_voc_annotation(const std::filesystem::path& folder, const std::string& name);

}  // namespace backlight
