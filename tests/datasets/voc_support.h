// A VOC folder of four tiny pictures, with what real annotations hold: children in any order, <part>,
// <occluded>, fractional coordinates.
#pragma once

#include "core/io/image.h"
#include "tests/datasets/support.h"

namespace backlight::testing {

inline std::string voc_object(const std::string& name, int difficult, const std::string& box) {
    return "<object><name>" + name + "</name><difficult>" + std::to_string(difficult) +
           "</difficult><bndbox>" + box + "</bndbox></object>";
}

inline std::string voc_box(const std::string& left, const std::string& top, const std::string& right,
                           const std::string& bottom) {
    return "<xmin>" + left + "</xmin><ymin>" + top + "</ymin><xmax>" + right + "</xmax><ymax>" + bottom +
           "</ymax>";
}

inline std::string voc_annotation(const std::string& objects) {
    return "<annotation><size><width>12</width><height>8</height><depth>3</depth></size>" + objects +
           "</annotation>";
}

/// Pictures of 8 x 12 pixels. train: `a` a dog at rows 1..4, columns 2..5 and a difficult person at rows
/// 0..7, columns 9..11; `b` two persons, one of them difficult. val: `c` a cat that fills it; `d` a difficult
/// dog and a person. `a` has a segmentation.
inline void write_voc(const std::filesystem::path& folder) {
    std::filesystem::create_directories(folder / "JPEGImages");
    std::filesystem::create_directories(folder / "SegmentationClass");
    const std::string dog =
        "<object><part><name>head</name><bndbox>" + voc_box("4", "2", "4", "2") +
        "</bndbox></part><bndbox><ymax>5</ymax><xmax>6</xmax><ymin>2</ymin><xmin>3</xmin></bndbox>"
        "<occluded>1</occluded><difficult>0</difficult><actions><other>1</other></actions><name>dog</name></"
        "object>";
    const std::string all = voc_box("1", "1", "12", "8");
    const std::vector<std::pair<std::string, std::string>> images = {
        {"a", dog + voc_object("person", 1, voc_box("10.2", "0.9", "12.0", "8.0"))},
        {"b", voc_object("person", 1, all) + voc_object("person", 0, all)},
        {"c", voc_object("cat", 0, all)},
        {"d", voc_object("dog", 1, all) + voc_object("person", 0, all)}};
    for (const auto& [name, objects] : images) {
        write_text(folder / "Annotations" / (name + ".xml"), voc_annotation(objects));
        const double value = name == "c" ? 200 : 50 + 100 * (name[0] - 'a');
        write_png(folder / "JPEGImages" / (name + ".jpg"), Tensor::full({8, 12, 3}, value, DType::u8));
    }
    write_text(folder / "ImageSets/Main/train.txt", "a\nb\n");
    write_text(folder / "ImageSets/Main/val.txt", "c\nd\n");
    std::vector<uint8_t> pixels;
    for (int i = 0; i < 8 * 12; ++i) {
        // dog, its border, a person, background
        const std::vector<uint8_t> colour = i == 0   ? std::vector<uint8_t>{64, 0, 128}
                                            : i == 1 ? std::vector<uint8_t>{224, 224, 192}
                                            : i == 2 ? std::vector<uint8_t>{192, 128, 128}
                                                     : std::vector<uint8_t>{0, 0, 0};
        pixels.insert(pixels.end(), colour.begin(), colour.end());
    }
    write_png(folder / "SegmentationClass/a.png", Tensor::from(pixels, {8, 12, 3}));
}

}  // namespace backlight::testing
