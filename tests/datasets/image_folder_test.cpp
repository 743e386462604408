#include <doctest/doctest.h>

#include "core/io/image.h"
#include "datasets/registry.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

/// A picture of one colour.
void write_picture(const std::filesystem::path& path, int width, int height, uint8_t value) {
    std::filesystem::create_directories(path.parent_path());
    write_png(path, Tensor::full({height, width, 3}, value, DType::u8));
}

}  // namespace

TEST_CASE("folder: train and test folders, classes and files in alphabetical order") {
    const TemporaryFolder folder;
    write_picture(folder.path() / "train/dog/b.png", 6, 4, 51);
    write_picture(folder.path() / "train/dog/a.png", 4, 6, 102);
    write_picture(folder.path() / "train/cat/deep/er.PNG", 4, 4, 0);
    write_picture(folder.path() / "test/dog/c.png", 9, 4, 255);
    write_text(folder.path() / "train/dog/notes.txt", "not a picture");
    write_picture(folder.path() / "train/.hidden/x.png", 4, 4, 0);
    const auto source = load_data("folder:" + folder.text() + "(size=4,normalize=none)");
    CHECK(source->train->class_names() == std::vector<std::string>{"cat", "dog"});
    CHECK(source->train->labels() == std::vector<int64_t>{0, 1, 1});
    CHECK(source->test->labels() == std::vector<int64_t>{1});
    CHECK(source->train->get(1).input.shape() == Shape{4, 4, 3});
    CHECK(source->train->get(1).input.to_vector<float>()[0] == doctest::Approx(0.4));
    CHECK(source->train->get(2).input.to_vector<float>()[0] == doctest::Approx(0.2));
    const auto grey = load_data("folder:" + folder.text() + "(size=4,channels=1)");
    CHECK(grey->train->get(1).input.shape() == Shape{4, 4, 1});
}

TEST_CASE("folder: one folder is split class by class, the same way every time") {
    const TemporaryFolder folder;
    for (int i = 0; i < 10; ++i) {
        write_picture(folder.path() / "a" / ("p" + std::to_string(i) + ".png"), 4, 4,
                      static_cast<uint8_t>(i));
        write_picture(folder.path() / "b" / ("p" + std::to_string(i) + ".png"), 4, 4,
                      static_cast<uint8_t>(100 + i));
    }
    const auto source = load_data("folder:" + folder.text() + "(normalize=none)");
    CHECK(source->train->class_counts() == std::vector<int64_t>{8, 8});
    CHECK(source->test->class_counts() == std::vector<int64_t>{2, 2});
    CHECK(source->test->get(0).input.to_vector<float>()[0] == 4.0f / 255.0f);  // the fifth of five
    CHECK(source->train->sample_shape() == Shape{4, 4, 3});  // without size: as the first picture
    const auto whole = load_data("folder:" + folder.text() + "(test_share=0,limit=4)");
    CHECK(whole->train->labels() == std::vector<int64_t>{0, 0, 1, 1});
    CHECK(whole->test->size() == 20);
}

TEST_CASE("folder: the share of test pictures does not suffer from rounding") {
    const TemporaryFolder folder;
    for (int i = 0; i < 100; ++i) {
        write_picture(folder.path() / "a" / ("p" + std::to_string(100 + i) + ".png"), 1, 1, 0);
    }
    CHECK(load_data("folder:" + folder.text() + "(test_share=0.29)")->test->size() == 29);  // 0.29 * 100 < 29
    CHECK(load_data("folder:" + folder.text() + "(test_share=0.5)")->test->size() == 50);
}

TEST_CASE("folder: a list of classes sets numbers and names") {
    const TemporaryFolder folder;
    write_picture(folder.path() / "n02/x.png", 4, 4, 1);
    write_picture(folder.path() / "n01/x.png", 4, 4, 2);
    write_text(folder.path() / "classes.txt", "n03 house cat\nn02 dog\nn01\n");
    const auto source = load_data("folder:" + folder.text() + "(classes=classes.txt,test_share=0)");
    CHECK(source->train->class_names() == std::vector<std::string>{"house cat", "dog", "n01"});
    CHECK(source->train->labels() == std::vector<int64_t>{1, 2});
    write_picture(folder.path() / "n04/x.png", 4, 4, 2);
    CHECK(contains(
        error_of([&] { (void)load_data("folder:" + folder.text() + "(classes=classes.txt,test_share=0)"); }),
        "n04 is not one of the classes"));
}

TEST_CASE("folder: what is missing is named") {
    const TemporaryFolder folder;
    const std::string spec = "folder:" + folder.text();
    CHECK(error_of([&] { (void)load_data(spec); }) == "folder: no class folders in " + folder.text());
    write_picture(folder.path() / "a/x.png", 4, 4, 0);
    CHECK(contains(error_of([&] { (void)load_data(spec); }), "too few pictures"));
    std::filesystem::create_directory(folder.path() / "b");
    CHECK(contains(error_of([&] { (void)load_data(spec); }), "no pictures in " + folder.text() + "/b"));
    write_picture(folder.path() / "train/a/x.png", 4, 4, 0);
    CHECK(contains(error_of([&] { (void)load_data(spec); }), "has train/, but neither test/ nor val/"));
    write_picture(folder.path() / "val/z/x.png", 4, 4, 0);
    CHECK(contains(error_of([&] { (void)load_data(spec); }), "val/z is not one of the classes"));
}

TEST_CASE("folder: a broken picture is named when it is read, pictures of other sizes too") {
    const TemporaryFolder folder;
    write_picture(folder.path() / "a/ok.png", 4, 4, 0);
    write_picture(folder.path() / "a/other.png", 5, 4, 0);
    write_text(folder.path() / "a/zz.jpg", "this is no picture");
    const auto source = load_data("folder:" + folder.text() + "(test_share=0)");
    CHECK_NOTHROW((void)source->train->get(0));
    CHECK(contains(error_of([&] { (void)source->train->get(1); }),
                   "sample 1 has shape (4, 5, 3), expected (4, 4, 3)"));
    CHECK(contains(error_of([&] { (void)source->train->get(2); }), "zz.jpg"));
}

TEST_CASE("folder: CIFAR-10 as pictures and ImageNet's synsets") {
    const auto cifar = shared_data("cifar-10-imagefolder");
    const auto imagenet = shared_data("imagenet-samples");
    if (cifar.empty() || imagenet.empty()) {
        return;
    }
    const auto source = load_data("folder:" + cifar.string());
    CHECK(source->train->class_counts() == std::vector<int64_t>(10, 500));
    CHECK(source->test->class_counts() == std::vector<int64_t>(10, 100));
    CHECK(source->train->get(4999).input.shape() == Shape{32, 32, 3});
    const auto photos =
        load_data("folder:" + imagenet.string() + "(classes=classes.txt,test_share=0,resize=256,size=224)");
    CHECK(photos->test->size() == 96);
    CHECK(photos->test->num_classes() == 1000);
    CHECK(photos->test->label(0) == 0);
    CHECK(photos->test->class_names()[0] == "tench");
    for (int64_t i = 0; i < 96; i += 19) {
        CHECK(photos->test->get(i).input.shape() == Shape{224, 224, 3});
    }
}
