#include <doctest/doctest.h>

#include "datasets/registry.h"
#include "tests/datasets/voc_support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

constexpr auto kAbsent = Presence::absent, kPresent = Presence::present, kIgnored = Presence::ignored;
constexpr int64_t kCat = 7, kDog = 11, kPerson = 14;

/// Rows of a mask (8, 8), the central window of 8 x 12: columns 2 to 9.
std::vector<float> row(const Tensor& mask, size_t index) {
    REQUIRE(mask.shape() == Shape{8, 8});
    const auto values = mask.to_vector<float>();
    return {values.begin() + static_cast<std::ptrdiff_t>(index * 8),
            values.begin() + static_cast<std::ptrdiff_t>(index * 8 + 8)};
}

}  // namespace

TEST_CASE("voc2012: classes are present, absent or only difficult; the folder is found from above") {
    const TemporaryFolder folder;
    write_voc(folder.path() / "VOCdevkit/VOC2012");
    for (const char* place : {"", "/VOCdevkit", "/VOCdevkit/VOC2012"}) {
        CAPTURE(place);
        const auto source = load_data("voc2012:" + folder.text() + place + "(size=8, normalize=none)");
        const Dataset& train = *source->train;
        const Dataset& test = *source->test;
        REQUIRE(train.size() == 2);
        REQUIRE(test.size() == 2);
        CHECK(train.is_multi_label());
        CHECK(train.num_classes() == 20);
        CHECK(train.presence(0)[kDog] == kPresent);
        CHECK(train.presence(0)[kPerson] == kIgnored);
        CHECK(train.presence(0)[kCat] == kAbsent);
        CHECK(train.presence(1)[kPerson] == kPresent);  // one of two counts
        CHECK(test.presence(1)[kDog] == kIgnored);
        CHECK(train.class_counts()[kPerson] == 1);
        CHECK(train.column("objects") == std::vector<int64_t>{2, 2});
        CHECK(contains(error_of([&] { (void)train.label(0); }), "several labels"));
        const Batch batch = train.all();
        CHECK_FALSE(batch.label.defined());
        REQUIRE(batch.target.shape() == Shape{2, 20});
        const auto target = batch.target.to_vector<float>(), weight = batch.target_weight.to_vector<float>();
        CHECK(target[kDog] == 1);
        CHECK(target[kPerson] == 0);
        CHECK(weight[kPerson] == 0);
        CHECK(weight[kDog] == 1);
        CHECK(target[20 + kPerson] == 1);
        CHECK(test.get(0).input.to_vector<float>()[0] == doctest::Approx(200.0 / 255));
    }
    const auto other = load_data("voc2012:" + folder.text() + "(size=8, train=val, test=train, limit=1)");
    CHECK(other->train->size() == 1);
    CHECK(other->train->presence(0)[kCat] == kPresent);
}

TEST_CASE("voc2012: boxes as masks, of all objects or of one class") {
    const TemporaryFolder folder;
    write_voc(folder.path());
    const auto source = load_data("voc2012:" + folder.text() + "(size=8)");
    const Tensor mask = source->train->get(0).mask;
    // The dog's columns 2..5 are the first four of the window, the person begins at column 9 (9.2 rounds
    // down).
    CHECK(row(mask, 0) == std::vector<float>{0, 0, 0, 0, 0, 0, 0, 1});
    CHECK(row(mask, 1) == std::vector<float>{1, 1, 1, 1, 0, 0, 0, 1});
    CHECK(row(mask, 4) == std::vector<float>{1, 1, 1, 1, 0, 0, 0, 1});
    CHECK(row(mask, 5) == std::vector<float>{0, 0, 0, 0, 0, 0, 0, 1});
    const auto of_dog = load_data("voc2012:" + folder.text() + "(size=8, mask_class=dog)");
    CHECK(row(of_dog->train->get(0).mask, 1) == std::vector<float>{1, 1, 1, 1, 0, 0, 0, 0});
    CHECK(row(source->train->class_mask(0, kDog), 1) == std::vector<float>{1, 1, 1, 1, 0, 0, 0, 0});
    CHECK(row(subset(source->train, {1, 0})->class_mask(1, kPerson), 1) ==
          std::vector<float>{0, 0, 0, 0, 0, 0, 0, 1});
    const auto none = load_data("voc2012:" + folder.text() + "(size=8, mask=none)");
    CHECK_FALSE(none->train->has_masks());
    CHECK_FALSE(none->train->all().mask.defined());
    CHECK(contains(error_of([&] { (void)none->train->class_mask(0, kDog); }), "no masks of single classes"));
}

TEST_CASE("voc2012: segmentations by their colours, for the images that have one") {
    const TemporaryFolder folder;
    write_voc(folder.path());
    const auto source = load_data("voc2012:" + folder.text() + "(size=8, mask=segmentation)");
    REQUIRE(source->train->size() == 1);
    CHECK(source->test->size() == 0);
    REQUIRE(source->notes.size() == 2);
    CHECK(contains(source->notes[0], "1 of the 2 images of train have a segmentation"));
    const RawSample sample = source->train->load(0);
    CHECK(std::vector<float>(sample.mask.values.begin(), sample.mask.values.begin() + 4) ==
          std::vector<float>{1, 0.5f, 1, 0});
    const auto of_dog =
        load_data("voc2012:" + folder.text() + "(size=8, mask=segmentation, mask_class=dog)")->train->load(0);
    CHECK(std::vector<float>(of_dog.mask.values.begin(), of_dog.mask.values.begin() + 4) ==
          std::vector<float>{1, 0.5f, 0, 0});
    // Plain values instead of the palette.
    std::vector<uint8_t> values(8 * 12, 0);
    values[0] = 12, values[1] = 255, values[2] = 15;
    write_png(folder.path() / "SegmentationClass/a.png", Tensor::from(values, {8, 12, 1}));
    CHECK(source->train->load(0).mask.values == sample.mask.values);
    write_png(folder.path() / "SegmentationClass/a.png", Tensor::from(values, {12, 8, 1}));
    CHECK(contains(error_of([&] { (void)source->train->load(0); }), "12 x 8 pixels, the image has 8 x 12"));
    values[5] = 21;
    write_png(folder.path() / "SegmentationClass/a.png", Tensor::from(values, {8, 12, 1}));
    CHECK(contains(error_of([&] { (void)source->train->load(0); }),
                   "pixel 5 is none of the palette's colours"));
}

TEST_CASE("voc2012: what is wrong with the files is said with the file's name") {
    const TemporaryFolder folder;
    CHECK(contains(error_of([&] { (void)load_data("voc2012:" + folder.text()); }), "has ImageSets/Main"));
    const auto failure = [&](const std::string& file, const std::string& text,
                             const std::string& options = "") {
        write_voc(folder.path());
        write_text(folder.path() / file, text);
        return error_of(
            [&] { (void)load_data("voc2012:" + folder.text() + "(size=8" + options + ")")->train->get(0); });
    };
    const std::string box = voc_box("1", "1", "2", "2");
    const std::string a = "Annotations/a.xml";
    CHECK(contains(failure("ImageSets/Main/train.txt", "a\nx\n"), "x.xml"));
    CHECK(
        contains(failure("ImageSets/Main/train.txt", "a  1\n"), "train.txt: expected the name of an image"));
    CHECK(contains(failure("ImageSets/Main/train.txt", "\n"), "train.txt: no images"));
    CHECK(contains(failure(a, "<annotation>"), "a.xml: "));
    CHECK(contains(failure(a, ""), "a.xml: "));
    CHECK(contains(failure(a, "<html/>"), "a.xml: there is no <annotation>"));
    CHECK(contains(failure(a, voc_annotation(voc_object("dragon", 0, box))),
                   "\"dragon\" is not one of the 20"));
    CHECK(contains(failure(a, voc_annotation(voc_object("dog", 0, "<xmin>9x</xmin>"))),
                   "expected a number in <xmin> of <bndbox>, got \"9x\""));
    CHECK(contains(failure(a, voc_annotation(voc_object("dog", 0, voc_box("5", "1", "2", "2")))),
                   "a box of dog is empty"));
    CHECK(contains(failure("JPEGImages/a.jpg", "no picture"), "a.jpg"));
    CHECK(contains(failure(a, voc_annotation(""), ", mask_class=dogg"), "did you mean dog?"));
    CHECK(contains(failure(a, voc_annotation(""), ", test=test"), "test.txt"));
    write_voc(folder.path());
    std::filesystem::remove_all(folder.path() / "SegmentationClass");
    CHECK(contains(
        error_of([&] { (void)load_data("voc2012:" + folder.text() + "(size=8, mask=segmentation)"); }),
        "no image has a segmentation"));
}

TEST_CASE("voc2012: real images, their palettes, and the labels of the lists of each class") {
    const auto folder = shared_data("VOCdevkit");
    if (folder.empty()) {
        return;
    }
    const auto source = load_data("voc2012:" + folder.string() + "(size=64)");
    CHECK(source->train->size() == 50);
    CHECK(source->test->size() == 25);
    for (const auto& [set, split] : {std::pair(source->train, "train"), std::pair(source->test, "val")}) {
        CHECK(set->all().mask.shape() == Shape{set->size(), 64, 64});
        for (size_t k = 0; k < 20; ++k) {
            std::ifstream list(folder / "VOC2012/ImageSets/Main" /
                               (set->class_names()[k] + "_" + split + ".txt"));
            std::string name;
            int flag = 0;
            for (int64_t i = 0; i < set->size(); ++i) {
                REQUIRE((list >> name >> flag));
                CHECK(set->presence(i)[k] == (flag == 1 ? kPresent : (flag == 0 ? kIgnored : kAbsent)));
            }
        }
    }
    const auto masks = load_data("voc2012:" + folder.string() + "(size=64, mask=segmentation)")->test;
    REQUIRE(masks->size() == 1);
    // 2007_000129: bicycles and persons, in the proportions of its palette's indices.
    double border = 0, object = 0;
    const RawSample sample = masks->load(0);
    for (const float value : sample.mask.values) {
        border += value == 0.5f ? 1 : 0;
        object += value == 1.0f ? 1 : 0;
    }
    CHECK(border == 17285);
    CHECK(object == 95326);
}
