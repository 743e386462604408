#include <doctest/doctest.h>

#include <algorithm>

#include "core/io/image.h"
#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

const char* const kHeader = "#Image CLASS-ID SPECIES BREED ID\n";

/// Four images of 4 x 6 pixels: their left half is pet, one column border, the rest background.
void write_pets(const TemporaryFolder& folder) {
    const std::vector<std::string> lines = {"Abyssinian_1 1 1 1\n", "american_bulldog_7 2 2 1\n",
                                            "Abyssinian_2 1 1 1\n", "american_bulldog_8 2 2 1\n"};
    std::filesystem::create_directories(folder.path() / "images");
    std::filesystem::create_directories(folder.path() / "annotations/trimaps");
    const std::vector<uint8_t> row{1, 1, 1, 3, 2, 2};
    std::vector<uint8_t> trimap;
    for (int i = 0; i < 4; ++i) {
        trimap.insert(trimap.end(), row.begin(), row.end());
    }
    for (const std::string& line : lines) {
        const std::string name = line.substr(0, line.find(' '));
        // A PNG under a JPEG's name, as some of the official images are.
        write_png(folder.path() / "images" / (name + ".jpg"), Tensor::full({4, 6, 3}, 51, DType::u8));
        write_png(folder.path() / "annotations/trimaps" / (name + ".png"), Tensor::from(trimap, {4, 6, 1}));
    }
    write_text(folder.path() / "images/Abyssinian_34.jpg", "in no list");
    write_text(folder.path() / "annotations/list.txt", kHeader + lines[0] + lines[2] + lines[1] + lines[3]);
    write_text(folder.path() / "annotations/trainval.txt", lines[0] + lines[1] + lines[2]);
    write_text(folder.path() / "annotations/test.txt", lines[3]);
}

}  // namespace

TEST_CASE("oxford_pets: official split, breeds and species, trimaps as masks") {
    const TemporaryFolder folder;
    write_pets(folder);
    const auto source = load_data("oxford_pets:" + folder.text() + "(size=4, normalize=none)");
    CHECK(source->train->num_classes() == 37);
    CHECK(source->train->class_names()[1] == "american_bulldog");
    CHECK(source->train->class_names()[36] == "breed 37");
    CHECK(source->train->labels() == std::vector<int64_t>{0, 1, 0});
    CHECK(source->test->labels() == std::vector<int64_t>{1});
    const Example example = source->train->get(0);
    CHECK(example.input.to_vector<float>()[0] == doctest::Approx(0.2));
    // The central window of 4 columns out of 6 begins with the second.
    const auto mask = example.mask.to_vector<float>();
    CHECK(std::vector<float>(mask.begin(), mask.begin() + 4) == std::vector<float>{1, 1, 0.5f, 0});
    const auto species = load_data("oxford_pets:" + folder.text() + "(size=4, target=species)");
    CHECK(species->train->class_names() == std::vector<std::string>{"cat", "dog"});
    CHECK(species->train->labels() == std::vector<int64_t>{0, 1, 0});
}

TEST_CASE("oxford_pets: the random split takes every image once and depends on the seed") {
    const TemporaryFolder folder;
    write_pets(folder);
    const auto source = load_data("oxford_pets:" + folder.text() + "(size=4, split=random)");
    CHECK(source->train->size() == 3);
    CHECK(source->test->size() == 1);
    auto labels = source->train->labels();
    labels.push_back(source->test->label(0));
    std::sort(labels.begin(), labels.end());
    CHECK(labels == std::vector<int64_t>{0, 0, 1, 1});
}

TEST_CASE("oxford_pets: what is wrong with the files is said with the file's name") {
    const TemporaryFolder folder;
    write_pets(folder);
    const std::string spec = "oxford_pets:" + folder.text() + "(size=4)";
    write_text(folder.path() / "annotations/test.txt", "Abyssinian_1 38 1 1\n");
    CHECK(contains(error_of([&] { (void)load_data(spec); }),
                   "test.txt, line 1: expected a number from 1 to 37, got \"38\""));
    write_text(folder.path() / "annotations/test.txt", "Abyssinian_1 1\n");
    CHECK(contains(error_of([&] { (void)load_data(spec); }), "expected `image class-id species breed-id`"));
    write_text(folder.path() / "annotations/test.txt", "Abyssinian_1 1 1 1\n");
    write_png(folder.path() / "annotations/trimaps/Abyssinian_1.png", Tensor::full({4, 6, 1}, 9, DType::u8));
    CHECK(contains(error_of([&] { (void)load_data(spec)->test->get(0); }), "or 3 (border), got 9"));
    write_png(folder.path() / "annotations/trimaps/Abyssinian_1.png", Tensor::full({4, 5, 1}, 1, DType::u8));
    CHECK(contains(error_of([&] { (void)load_data(spec)->test->get(0); }), "4 x 5 pixels"));
}

TEST_CASE("oxford_pets: without masks a trimap that is missing or damaged does not matter") {
    const TemporaryFolder folder;
    write_pets(folder);
    std::filesystem::remove(folder.path() / "annotations/trimaps/Abyssinian_1.png");
    write_text(folder.path() / "annotations/trimaps/Abyssinian_2.png", "no picture");
    const std::string spec = "oxford_pets:" + folder.text() + "(size=4, normalize=none";
    const auto with = load_data(spec + ")");
    CHECK(contains(error_of([&] { (void)with->train->get(0); }), "trimaps/Abyssinian_1.png"));
    CHECK(contains(error_of([&] { (void)with->train->get(2); }), "trimaps/Abyssinian_2.png"));
    const auto without = load_data(spec + ", mask=none)");
    CHECK_FALSE(without->train->has_masks());
    CHECK_FALSE(without->train->get(0).mask.defined());
    CHECK(without->train->all().input.shape() == Shape{3, 4, 4, 3});
    CHECK(load_data(spec + ", mask=trimap)")->test->get(0).mask.defined());
    CHECK(contains(error_of([&] { (void)load_data(spec + ", mask=boxes)"); }), "mask"));
}

TEST_CASE("oxford_pets: real images, a PNG with alpha under a JPEG's name among them") {
    const auto folder = shared_data("oxford-iiit-pet");
    if (folder.empty()) {
        return;
    }
    const auto source = load_data("oxford_pets:" + folder.string() + "(size=64)");
    CHECK(source->train->size() + source->test->size() == 135);
    for (const auto& set : {source->train, source->test}) {
        for (int64_t i = 0; i < set->size(); ++i) {
            CHECK(set->get(i).mask.shape() == Shape{64, 64});
        }
    }
}
