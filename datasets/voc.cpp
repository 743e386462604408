// PASCAL VOC 2012 (Everingham et al.): JPEGImages/*.jpg, Annotations/*.xml with the objects of each image and
// their boxes, ImageSets/Main/*.txt with the images of each split, SegmentationClass/*.png. Multi-label: a
// class is present where the image shows an object of it, and ignored where it shows only objects marked
// difficult, as the official evaluation does.
#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/io/image.h"
#include "datasets/files.h"
#include "datasets/sources.h"
#include "datasets/transforms.h"
#include "datasets/voc_annotation.h"

namespace backlight {
namespace {

namespace fs = std::filesystem;

std::vector<VocImage> read_split(const fs::path& folder, const std::string& split) {
    const fs::path list = folder / "ImageSets" / "Main" / (split + ".txt");
    std::vector<VocImage> entries;
    for (const std::string& line : read_lines(list)) {
        BACKLIGHT_CHECK(line.find_first_of(" \t/") == std::string::npos, list.string(),
                        ": expected the name of an image a line, got \"", line, '"');
        entries.push_back(read_voc_annotation(folder, line));
    }
    BACKLIGHT_CHECK(!entries.empty(), list.string(), ": no images");
    return entries;
}

/// Colour of a value of the palette: its bits 0 3 6 make red, 1 4 7 green, 2 5 blue, the lowest first into
/// the highest place.
std::array<uint8_t, 3> palette_colour(int value) {
    std::array<uint8_t, 3> colour{};
    for (int place = 7; place >= 0; --place, value >>= 3) {
        for (int channel = 0; channel < 3; ++channel) {
            colour[static_cast<size_t>(channel)] |= static_cast<uint8_t>(((value >> channel) & 1) << place);
        }
    }
    return colour;
}

constexpr int kBorder = 255;

/// 0 background, 1 to 20 the classes, 255 the border around objects; -1: none of them. Plain gray files,
/// whose pixels are the values themselves, are understood too: apart from black no gray value below 21 is a
/// colour of these.
int palette_value(const std::array<uint8_t, 3>& pixel) {
    static const std::vector<std::array<uint8_t, 3>> colours = [] {
        std::vector<std::array<uint8_t, 3>> table;
        for (int value = 0; value <= 20; ++value) {
            table.push_back(palette_colour(value));
        }
        return table;
    }();
    const auto found = std::find(colours.begin(), colours.end(), pixel);
    if (found != colours.end()) {
        return static_cast<int>(found - colours.begin());
    }
    const bool gray = pixel[0] == pixel[1] && pixel[1] == pixel[2];
    if (pixel == palette_colour(kBorder) || (gray && pixel[0] == kBorder)) {
        return kBorder;
    }
    return gray && pixel[0] <= 20 ? pixel[0] : -1;
}

fs::path segmentation_file(const fs::path& folder, const VocImage& entry) {
    return folder / "SegmentationClass" / (entry.name + ".png");
}

enum class Masks { none, boxes, segmentation };

class Voc final : public Dataset {
public:
    /// Masks show `mask_class`, or all classes if it is -1.
    Voc(fs::path folder, std::vector<VocImage> entries, Masks masks, int64_t mask_class)
        : folder_(std::move(folder)), entries_(std::move(entries)), masks_(masks), mask_class_(mask_class) {
        info_.class_names = voc_classes();
        info_.multi_label = true;
        info_.has_mask = masks != Masks::none;
        info_.sample_shape = {0, 0, 3};  // until the transforms are set
        for (const VocImage& entry : entries_) {
            objects_.push_back(static_cast<int64_t>(entry.boxes.size()));
        }
    }
    [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
    [[nodiscard]] int64_t label(int64_t index) const override {
        check_index(index);
        throw_error("voc2012: an image has several labels");
    }
    [[nodiscard]] std::vector<Presence> presence(int64_t index) const override {
        check_index(index);
        std::vector<Presence> classes(info_.class_names.size(), Presence::absent);
        for (const VocBox& box : entries_[static_cast<size_t>(index)].boxes) {
            Presence& known = classes[static_cast<size_t>(box.class_number)];
            if (known != Presence::present) {
                known = box.difficult ? Presence::ignored : Presence::present;
            }
        }
        return classes;
    }
    [[nodiscard]] const std::vector<int64_t>& column(std::string_view name) const override {
        return name == "objects" ? objects_ : Dataset::column(name);
    }
    [[nodiscard]] std::vector<std::string> column_names() const override { return {"objects"}; }
    [[nodiscard]] RawSample load(int64_t index) const override { return load(index, mask_class_); }
    [[nodiscard]] Tensor class_mask(int64_t index, int64_t class_number) const override {
        if (masks_ == Masks::none) {
            return Dataset::class_mask(index, class_number);
        }
        BACKLIGHT_CHECK(class_number >= 0 && class_number < num_classes(), "voc2012: class ", class_number,
                        " is not in 0..", num_classes() - 1);
        RawSample plane{.input = load(index, class_number).mask};
        for (const auto& transform : info_.transforms) {
            transform->apply(plane, nullptr);
        }
        return Tensor::from(plane.input.values, mask_shape());
    }

private:
    /// With the mask of a class, or of all if it is -1.
    [[nodiscard]] RawSample load(int64_t index, int64_t of_class) const {
        check_index(index);
        const VocImage& entry = entries_[static_cast<size_t>(index)];
        RawSample sample{.picture = PictureFile::open(folder_ / "JPEGImages" / (entry.name + ".jpg"), 3)};
        if (masks_ != Masks::none) {
            sample.mask = Image(sample.picture->height(), sample.picture->width(), 1);
            (masks_ == Masks::boxes) ? draw_boxes(entry, of_class, sample.mask)
                                     : draw_segmentation(entry, of_class, sample.mask);
        }
        return sample;
    }

    /// 1 where the centre of a pixel lies in a box.
    static void draw_boxes(const VocImage& entry, int64_t of_class, Image& mask) {
        const auto first = [](double edge, int64_t extent) {
            return static_cast<int64_t>(std::clamp(std::ceil(edge - 0.5), 0.0, static_cast<double>(extent)));
        };
        for (const VocBox& box : entry.boxes) {
            if (of_class >= 0 && box.class_number != of_class) {
                continue;
            }
            const int64_t left = first(box.left, mask.width), right = first(box.right, mask.width);
            const int64_t bottom = first(box.bottom, mask.height);
            for (int64_t row = first(box.top, mask.height); row < bottom; ++row) {
                for (int64_t column = left; column < right; ++column) {
                    mask.at(row, column) = 1.0f;
                }
            }
        }
    }

    /// Object 1, background and other classes 0, the border around objects one half.
    void draw_segmentation(const VocImage& entry, int64_t of_class, Image& mask) const {
        const fs::path file = segmentation_file(folder_, entry);
        const Tensor pixels = read_image(file, 3);
        BACKLIGHT_CHECK(pixels.dim(0) == mask.height && pixels.dim(1) == mask.width, file.string(), ": ",
                        pixels.dim(0), " x ", pixels.dim(1), " pixels, the image has ", mask.height, " x ",
                        mask.width);
        const std::vector<uint8_t> bytes = pixels.to_vector<uint8_t>();
        for (size_t i = 0; i < mask.values.size(); ++i) {
            const int value = palette_value({bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2]});
            BACKLIGHT_CHECK(value >= 0, file.string(), ": pixel ", i, " is none of the palette's colours");
            const bool shown = of_class >= 0 ? value == of_class + 1 : value >= 1;
            mask.values[i] = value == kBorder ? 0.5f : (shown ? 1.0f : 0.0f);
        }
    }

    fs::path folder_;
    std::vector<VocImage> entries_;
    Masks masks_;
    int64_t mask_class_;
    std::vector<int64_t> objects_;
};

/// DIR, DIR/VOC2012 or DIR/VOCdevkit/VOC2012: the first that has ImageSets/Main.
fs::path find_folder(const std::string& place, std::string_view who) {
    check_folder(place, who);
    for (const fs::path& folder :
         {fs::path(place), fs::path(place) / "VOC2012", fs::path(place) / "VOCdevkit" / "VOC2012"}) {
        if (fs::is_directory(folder / "ImageSets" / "Main")) {
            return folder;
        }
    }
    throw_error(
        concat_text(who, ": neither ", place, " nor VOC2012 or VOCdevkit/VOC2012 in it has ImageSets/Main"));
}

}  // namespace

Source load_voc2012(const std::string& place, const Options& options) {
    const PictureOptions picture = picture_options(options, 224);
    BACKLIGHT_CHECK(picture.image.size > 0, options.owner(),
                    ": the images differ in size; expected size > 0");
    const std::string train = options.get("train", "train"), test = options.get("test", "val");
    const std::string kind = options.choose("mask", "boxes", {"none", "boxes", "segmentation"});
    const std::string class_name = options.get("mask_class", "");
    options.finish();
    const Masks masks = kind == "none" ? Masks::none : (kind == "boxes" ? Masks::boxes : Masks::segmentation);
    const int64_t mask_class = class_name.empty() ? -1 : voc_class(class_name);
    if (!class_name.empty() && mask_class < 0) {
        throw_error(unknown_name("class", class_name, voc_classes()));
    }
    const fs::path folder = find_folder(place, options.owner());
    auto source = std::make_unique<DataSource>();
    const auto load = [&](const std::string& split, int64_t limit) {
        std::vector<VocImage> entries = read_split(folder, split);
        if (masks == Masks::segmentation) {
            const size_t all = entries.size();
            std::erase_if(entries, [&](const VocImage& entry) {
                return !fs::exists(segmentation_file(folder, entry));
            });
            source->notes.push_back(concat_text(options.owner(), ": ", entries.size(), " of the ", all,
                                                " images of ", split,
                                                " have a segmentation; the others are left out"));
        }
        thin(entries, limit);
        return std::make_shared<Voc>(folder, std::move(entries), masks, mask_class);
    };
    source->train = load(train, picture.image.limit);
    source->test = load(test, picture.image.limit_test);
    BACKLIGHT_CHECK(source->train->size() + source->test->size() > 0, options.owner(),
                    ": no image has a segmentation in SegmentationClass");
    apply(picture, {picture.image.size, picture.image.size, 3}, *source);
    return source;
}

}  // namespace backlight
