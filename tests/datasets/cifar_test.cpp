#include <doctest/doctest.h>

#include <numeric>

#include "datasets/sources.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

/// A record whose pixel p of plane c is 80 c + p mod 80.
std::vector<uint8_t> record(const std::vector<uint8_t>& labels) {
    std::vector<uint8_t> bytes = labels;
    for (int c = 0; c < 3; ++c) {
        for (int p = 0; p < 1024; ++p) {
            bytes.push_back(static_cast<uint8_t>(80 * c + p % 80));
        }
    }
    return bytes;
}

const std::string kNames = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

void write_cifar10(const std::filesystem::path& folder) {
    for (int i = 1; i <= 5; ++i) {
        write_bytes(folder / ("data_batch_" + std::to_string(i) + ".bin"), record({static_cast<uint8_t>(i)}));
    }
    std::vector<uint8_t> two = record({9});
    const std::vector<uint8_t> second = record({0});
    two.insert(two.end(), second.begin(), second.end());
    write_bytes(folder / "test_batch.bin", two);
    write_text(folder / "batches.meta.txt", kNames);
}

std::string names(int n) {
    std::string text;
    for (int i = 0; i < n; ++i) {
        text += "class" + std::to_string(i) + "\n";
    }
    return text;
}

}  // namespace

TEST_CASE("cifar: planes become channels, counts come from the file size, names from the text") {
    const TemporaryFolder folder;
    write_cifar10(folder.path());
    const auto source = load_data("cifar10:" + folder.text() + "(normalize=none)");
    CHECK(source->train->labels() == std::vector<int64_t>{1, 2, 3, 4, 5});
    CHECK(source->test->labels() == std::vector<int64_t>{9, 0});
    CHECK(source->train->class_names()[9] == "truck");
    const std::vector<float> values = source->train->get(0).input.to_vector<float>();
    CHECK(values[0] == 0.0f);
    CHECK(values[1] == 80.0f / 255.0f);
    CHECK(values[2] == 160.0f / 255.0f);
    CHECK(values[3 * 33] == 33.0f / 255.0f);  // row 1, column 1, red
    CHECK(load_data("cifar10:" + folder.text() + "(limit=2)")->train->size() == 2);
}

TEST_CASE("cifar: the hundred have fine and coarse labels") {
    const TemporaryFolder folder;
    write_bytes(folder.path() / "train.bin", record({19, 99}));
    write_bytes(folder.path() / "test.bin", record({4, 55}));
    write_text(folder.path() / "fine_label_names.txt", names(100));
    write_text(folder.path() / "coarse_label_names.txt", names(20));
    const auto fine = load_data("cifar100:" + folder.text());
    CHECK(fine->train->num_classes() == 100);
    CHECK(fine->train->label(0) == 99);
    CHECK(fine->train->column("coarse") == std::vector<int64_t>{19});
    const auto coarse = load_data("cifar100:" + folder.text() + "(labels=coarse)");
    CHECK(coarse->train->num_classes() == 20);
    CHECK(coarse->test->label(0) == 4);
}

TEST_CASE("cifar: normalisation, crops and flips are options") {
    const TemporaryFolder folder;
    write_cifar10(folder.path());
    const auto source = load_data("cifar10:" + folder.text() + "(flip=true,crop=4)");
    CHECK(source->train->input_range().low[0] == doctest::Approx(-0.4914 / 0.2470));
    CHECK(source->train->input_range().high[2] == doctest::Approx((1 - 0.4465) / 0.2616));
    CHECK_FALSE(source->train->is_quick());
    CHECK(source->test->is_quick());
    CHECK(source->train->get(0, RandomDraw{1, 1}).input.to_vector<float>() !=
          source->train->get(0, RandomDraw{1, 2}).input.to_vector<float>());
    const auto symmetric = load_data("cifar10:" + folder.text() + "(normalize=symmetric)");
    CHECK(symmetric->train->input_range().low == std::vector<float>{-1, -1, -1});
    const auto own = load_data("cifar10:" + folder.text() + "(mean=0.5:0.25:0,std=2)");
    CHECK(own->train->input_range().high == std::vector<float>{0.25f, 0.375f, 0.5f});
    CHECK(contains(error_of([&] { (void)load_data("cifar10:" + folder.text() + "(mean=1,normalize=none)"); }),
                   "give either normalize or mean and std"));
    CHECK(contains(error_of([&] { (void)load_data("cifar10:" + folder.text() + "(mean=1:2)"); }),
                   "mean expects 1 or 3 values, got 2"));
}

TEST_CASE("cifar: damaged and missing files are refused by name") {
    const TemporaryFolder folder;
    const auto failure = [&](const std::string& name, const std::vector<uint8_t>& bytes) {
        write_cifar10(folder.path());
        write_bytes(folder.path() / name, bytes);
        return error_of([&] { (void)load_data("cifar10:" + folder.text()); });
    };
    std::vector<uint8_t> cut = record({1});
    cut.pop_back();
    CHECK(contains(failure("data_batch_3.bin", cut),
                   "data_batch_3.bin: 3072 bytes are not a whole number of 3073-byte records (truncated?)"));
    CHECK(contains(failure("test_batch.bin", {}), "test_batch.bin: 0 bytes"));
    CHECK(contains(failure("data_batch_5.bin", record({10})),
                   "data_batch_5.bin: label 10 of record 0 is not in 0..9"));
    CHECK(contains(failure("batches.meta.txt", {'c', 'a', 't'}),
                   "batches.meta.txt: expected 10 class names, got 1"));
    write_cifar10(folder.path());
    std::filesystem::remove(folder.path() / "data_batch_2.bin");
    CHECK(contains(error_of([&] { (void)load_data("cifar10:" + folder.text()); }),
                   "data_batch_2.bin: No such file"));
    std::filesystem::create_directory(folder.path() / "data_batch_2.bin");
    CHECK(contains(error_of([&] { (void)load_data("cifar10:" + folder.text()); }),
                   "data_batch_2.bin: it is a folder"));

    const TemporaryFolder hundred;
    write_bytes(hundred.path() / "train.bin", record({20, 3}));
    write_bytes(hundred.path() / "test.bin", record({1, 3}));
    write_text(hundred.path() / "fine_label_names.txt", names(100));
    CHECK(contains(error_of([&] { (void)load_data("cifar100:" + hundred.text()); }),
                   "coarse label 20 of record 0"));
}

TEST_CASE("cifar: the official test images have their labels") {
    const auto sample = shared_data("cifar-10-official-test-sample");
    const auto ten = shared_data("cifar-10-batches-bin");
    const auto hundred = shared_data("cifar-100-binary");
    if (sample.empty() || ten.empty() || hundred.empty()) {
        return;
    }
    const LabelledBytes official = read_cifar({sample / "test_batch.bin"}, 1, 10);
    CHECK(official.labels ==
          std::vector<int64_t>{3, 8, 8, 0, 6, 6, 1, 6, 3, 1, 0, 9, 5, 7, 9, 8, 5, 7, 8, 6, 9});
    const auto source = load_data("cifar10:" + ten.string());
    CHECK(source->train->size() == 3000);
    CHECK(source->test->size() == 500);
    const auto fine = load_data("cifar100:" + hundred.string());
    CHECK(fine->train->class_counts() == std::vector<int64_t>(100, 80));
    CHECK(fine->test->class_counts() == std::vector<int64_t>(100, 20));
    CHECK(load_data("cifar100:" + hundred.string() + "(labels=coarse)")->train->class_counts() ==
          std::vector<int64_t>(20, 400));
}
