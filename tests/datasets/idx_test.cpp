#include <doctest/doctest.h>

#include "datasets/sources.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

std::vector<uint8_t> idx(const std::vector<uint32_t>& extents, const std::vector<uint8_t>& values) {
    std::vector<uint8_t> bytes{0, 0, 8, static_cast<uint8_t>(extents.size())};
    for (const uint32_t extent : extents) {
        for (const int shift : {24, 16, 8, 0}) {
            bytes.push_back(static_cast<uint8_t>(extent >> shift));
        }
    }
    bytes.insert(bytes.end(), values.begin(), values.end());
    return bytes;
}

/// A folder with two training and one test image of 2x3.
void write_pairs(const std::filesystem::path& folder) {
    write_bytes(folder / "train-images-idx3-ubyte",
                idx({2, 2, 3}, {0, 51, 102, 153, 204, 255, 6, 5, 4, 3, 2, 1}));
    write_bytes(folder / "train-labels-idx1-ubyte", idx({2}, {3, 9}));
    write_bytes(folder / "t10k-images-idx3-ubyte.gz", gzip(idx({1, 2, 3}, {1, 1, 1, 1, 1, 1})));
    write_bytes(folder / "t10k-labels-idx1-ubyte.gz", gzip(idx({1}, {0})));
}

std::string failure(const TemporaryFolder& folder, const std::string& name, const std::vector<uint8_t>& bytes,
                    const std::string& kind = "mnist") {
    write_pairs(folder.path());
    write_bytes(folder.path() / name, bytes);
    return error_of([&] { (void)load_data(kind + ":" + folder.text()); });
}

}  // namespace

TEST_CASE("idx: plain and packed files give images and labels") {
    const TemporaryFolder folder;
    write_pairs(folder.path());
    const auto source = load_data("mnist:" + folder.text() + "(normalize=none)");
    CHECK(source->train->size() == 2);
    CHECK(source->test->size() == 1);
    CHECK(source->train->sample_shape() == Shape{2, 3, 1});
    CHECK(source->train->labels() == std::vector<int64_t>{3, 9});
    CHECK(source->train->get(0).input.to_vector<float>() == std::vector<float>{0, 0.2f, 0.4f, 0.6f, 0.8f, 1});
    CHECK(source->train->num_classes() == 10);
    const auto numbered = load_data("idx:" + folder.text());
    CHECK(numbered->train->num_classes() == 10);
    CHECK(numbered->test->num_classes() == 10);
}

TEST_CASE("idx: four axes are channels last, and a plain file goes before its packed twin") {
    const TemporaryFolder folder;
    write_bytes(folder.path() / "images", idx({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6}));
    write_bytes(folder.path() / "labels", idx({1}, {0}));
    CHECK(read_idx(folder.path() / "images", folder.path() / "labels").shape == Shape{1, 2, 3});
    write_pairs(folder.path());
    write_bytes(folder.path() / "train-labels-idx1-ubyte.gz", gzip(idx({2}, {1, 1})));
    CHECK(load_data("mnist:" + folder.text())->train->labels() == std::vector<int64_t>{3, 9});
}

TEST_CASE("idx: damaged files are refused by name") {
    const TemporaryFolder folder;
    const std::string images = "train-images-idx3-ubyte", labels = "train-labels-idx1-ubyte";
    CHECK(contains(failure(folder, images, {0, 0}), images + ": idx file is truncated: 2 bytes"));
    CHECK(contains(failure(folder, images, {}), images + ": idx file is truncated: 0 bytes"));
    CHECK(contains(failure(folder, images, {0, 0, 8, 3, 0, 0}),
                   images + ": idx file is truncated inside its header"));
    CHECK(contains(failure(folder, images, idx({2}, {1, 2})),
                   images + ": wrong idx magic 2049, expected 2051"));
    CHECK(contains(failure(folder, images, {0x89, 'P', 'N', 'G', 0, 0, 0, 0}), "wrong idx magic"));
    CHECK(contains(failure(folder, images, idx({2, 2, 3}, {1, 2, 3})),
                   images + ": idx header announces 12 values, the file has 3 (truncated?)"));
    CHECK(contains(failure(folder, images, idx({2, 2, 3}, std::vector<uint8_t>(13))),
                   "announces 12 values, the file has 13"));
    CHECK(contains(failure(folder, images, idx({0xffffffff, 0xffffffff, 0xffffffff}, {1})),
                   "impossible extents"));
    CHECK(contains(failure(folder, images, idx({1, 2, 3}, std::vector<uint8_t>(6))), "has 1 images, but"));
    CHECK(contains(failure(folder, images, idx({2, 2, 2}, std::vector<uint8_t>(8))),
                   "training images have shape (2, 2, 1), test images (2, 3, 1)"));
    write_pairs(folder.path());
    CHECK(contains(failure(folder, labels, idx({2}, {3, 10})), "mnist: label 10 of sample 1 is not in 0..9"));
    std::vector<uint8_t> packed = gzip(idx({1}, {0}));
    packed.resize(packed.size() - 6);
    CHECK(contains(failure(folder, "t10k-labels-idx1-ubyte.gz", packed), "gzip data is truncated"));
    packed = gzip(idx({1}, {0}));
    packed[12] ^= 0xff;
    CHECK(contains(failure(folder, "t10k-labels-idx1-ubyte.gz", packed),
                   "t10k-labels-idx1-ubyte.gz: damaged gzip data"));
}

TEST_CASE("idx: missing folders and files are refused") {
    const TemporaryFolder folder;
    CHECK(error_of([&] { (void)load_data("mnist:" + folder.text() + "/no"); }) ==
          "mnist: no such folder: " + folder.text() + "/no");
    CHECK(error_of([&] { (void)load_data("mnist:" + folder.text()); }) ==
          "idx: no file named *train-images* in " + folder.text());
    write_pairs(folder.path());
    write_bytes(folder.path() / "other-train-images", {});
    CHECK(contains(error_of([&] { (void)load_data("mnist:" + folder.text()); }), "several files named"));
    CHECK(error_of([] { (void)load_data("mnist"); }) == "mnist: expected a folder, as in mnist:DIR");
}

TEST_CASE("idx: decoys code the class in training and nothing in the test set") {
    const TemporaryFolder folder;
    const auto write = [&](const std::string& part, size_t n) {
        write_bytes(folder.path() / (part + "-images"),
                    idx({static_cast<uint32_t>(n), 10, 10}, std::vector<uint8_t>(n * 100)));
        std::vector<uint8_t> labels;
        for (size_t i = 0; i < n; ++i) {
            labels.push_back(static_cast<uint8_t>(i % 10));
        }
        write_bytes(folder.path() / (part + "-labels"), idx({static_cast<uint32_t>(n)}, labels));
    };
    write("train", 200);
    write("test", 200);
    const auto source = load_data("mnist:" + folder.text() + "(decoy=grey,normalize=none)");
    const auto greys = [](const Dataset& set) {
        int agree = 0;
        for (int64_t i = 0; i < set.size(); ++i) {
            const Example example = set.get(i);
            const std::vector<float> input = example.input.to_vector<float>(),
                                     mask = example.decoy_mask.to_vector<float>();
            float grey = -1, area = 0;
            for (size_t p = 0; p < mask.size(); ++p) {
                area += mask[p];
                grey = mask[p] != 0 ? input[p] : grey;
                REQUIRE((mask[p] != 0 || input[p] == 0));
            }
            REQUIRE(area == 16);
            agree += grey == static_cast<float>(255 - 25 * example.label) / 255.0f ? 1 : 0;
        }
        return agree;
    };
    CHECK(greys(*source->train) == 200);
    CHECK(greys(*source->test) < 50);
}

TEST_CASE("idx: MNIST and Fashion-MNIST as they are given out") {
    const auto mnist = shared_data("mnist");
    const auto fashion = shared_data("fashion-mnist");
    if (mnist.empty() || fashion.empty()) {
        return;
    }
    const auto source = load_data("mnist:" + mnist.string());
    CHECK(source->train->size() == 20'000);
    CHECK(source->test->size() == 2'000);
    CHECK(source->train->sample_shape() == Shape{28, 28, 1});
    const std::vector<int64_t> labels = source->test->labels();
    CHECK(std::vector<int64_t>(labels.begin(), labels.begin() + 10) ==
          std::vector<int64_t>{7, 2, 1, 0, 4, 1, 4, 9, 5, 9});
    const auto clothes = load_data("fashion_mnist:" + fashion.string() + "(limit=100,limit_test=50,size=32)");
    CHECK(clothes->train->size() == 100);
    CHECK(clothes->test->size() == 50);
    CHECK(clothes->train->get(0).input.shape() == Shape{32, 32, 1});
    CHECK(clothes->train->class_names()[static_cast<size_t>(clothes->train->label(0))] == "Ankle boot");
}
