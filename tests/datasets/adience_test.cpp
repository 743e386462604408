#include <doctest/doctest.h>

#include <map>

#include "core/io/image.h"
#include "datasets/registry.h"
#include "datasets/sources.h"
#include "tests/datasets/support.h"

using namespace backlight;
using namespace backlight::testing;

namespace {

const std::string kHeader =
    "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\ttilt_ang\tfiducial_yaw_angle\tfiducial_"
    "score\n";

std::string line(const std::string& image, const std::string& age, const std::string& gender) {
    return "7@N01\t" + image + ".jpg\t3\t" + age + '\t' + gender + "\t0\t0\t9\t9\t0\t0\t50\n";
}

/// Fold k has one face of age group k, men in even folds; fold 0 also what the authors leave out.
void write_adience(const TemporaryFolder& folder) {
    const std::vector<std::string> ages = {"(0, 2)", "(4, 6)", "(8, 12)", "(15, 20)", "(25, 32)"};
    for (size_t k = 0; k < 5; ++k) {
        const std::string name = "p" + std::to_string(k);
        std::string text = kHeader + line(name, ages[k], k % 2 == 0 ? "m" : "f");
        if (k == 0) {
            text += line(name, "35", "u") + line(name, "None", "") + line(name, "(8, 23)", "f");
        }
        write_text(folder.path() / ("fold_" + std::to_string(k) + "_data.txt"), text);
        for (const char* kind :
             {"aligned/7@N01/landmark_aligned_face", "faces/7@N01/coarse_tilt_aligned_face"}) {
            const auto file = folder.path() / (std::string(kind) + ".3." + name + ".jpg");
            std::filesystem::create_directories(file.parent_path());
            const double value = kind[0] == 'a' ? 51 : 102;
            write_png(file, Tensor::full({6, 6, 3}, value, DType::u8));
        }
    }
}

}  // namespace

TEST_CASE("adience: one fold tests, the others train; ages in eight groups, gender m and f") {
    const TemporaryFolder folder;
    write_adience(folder);
    const auto source = load_data("adience:" + folder.text() + "(size=4, normalize=none)");
    CHECK(source->notes.empty());
    CHECK(source->train->class_names().size() == 8);
    CHECK(source->train->class_names()[5] == "38-43");
    CHECK(source->test->labels() == std::vector<int64_t>{0});
    CHECK(source->train->labels() == std::vector<int64_t>{1, 2, 3, 4});
    CHECK(source->test->get(0).input.to_vector<float>()[0] == doctest::Approx(0.2));
    const auto third =
        load_data("adience:" + folder.text() + "(size=4, fold=3, ages=map, faces=coarse, normalize=none)");
    CHECK(third->test->labels() == std::vector<int64_t>{3});
    CHECK(third->train->labels() == std::vector<int64_t>{0, 5, 3, 1, 2, 4});  // 35 and (8, 23) among them
    CHECK(third->test->get(0).input.to_vector<float>()[0] == doctest::Approx(0.4));
    const auto gender = load_data("adience:" + folder.text() + "(size=4, target=gender)");
    CHECK(gender->train->class_names() == std::vector<std::string>{"m", "f"});
    CHECK(gender->test->labels() == std::vector<int64_t>{0, 1});
    CHECK(gender->train->labels() == std::vector<int64_t>{1, 0, 1, 0});
}

TEST_CASE("adience: rows without a picture are left out and counted") {
    const TemporaryFolder folder;
    write_adience(folder);
    std::filesystem::remove(folder.path() / "aligned/7@N01/landmark_aligned_face.3.p2.jpg");
    const auto source = load_data("adience:" + folder.text() + "(size=4)");
    CHECK(source->train->labels() == std::vector<int64_t>{1, 3, 4});
    REQUIRE(source->notes.size() == 1);
    CHECK(contains(source->notes[0], "1 of 5 rows name pictures that are not there"));
    CHECK(contains(source->notes[0], "landmark_aligned_face.3.p2.jpg"));
    std::filesystem::remove_all(folder.path() / "aligned");
    CHECK(contains(error_of([&] { (void)load_data("adience:" + folder.text() + "(size=4)"); }),
                   "5 of 5 rows name pictures that are not there"));
}

TEST_CASE("adience: what is wrong with a fold file is said with its line") {
    const TemporaryFolder folder;
    const auto failure = [&](const std::string& text, const std::string& options = "") {
        write_adience(folder);
        write_text(folder.path() / "fold_4_data.txt", text);
        return error_of([&] { (void)load_data("adience:" + folder.text() + "(size=4" + options + ")"); });
    };
    CHECK(contains(failure("user_id,age\n"), "fold_4_data.txt: expected a header"));
    CHECK(contains(failure(kHeader + "a\tb\t1\n"), "line 2: expected at least 5 cells between tabs, got 3"));
    CHECK(contains(failure(kHeader + line("p", "old", "f")), "line 2: expected an age, got \"old\""));
    CHECK(
        contains(failure(kHeader + line("p", "35", "x"), ", target=gender"), "line 2: expected gender m, f"));
    std::filesystem::remove(folder.path() / "fold_1_data.txt");
    CHECK(contains(error_of([&] { (void)load_data("adience:" + folder.text()); }), "fold_1_data.txt"));
}

TEST_CASE("adience: the authors' fold files give the counts of the authors' lists") {
    const auto folder = shared_data("adience");
    if (folder.empty()) {
        return;
    }
    const auto counts = [&](const AdienceOptions& options) {
        std::map<int64_t, int64_t> of_label;
        for (int fold = 0; fold < 5; ++fold) {
            for (const AdienceRow& row :
                 read_adience(folder / ("fold_" + std::to_string(fold) + "_data.txt"), options)) {
                ++of_label[row.label];
            }
        }
        return of_label;
    };
    using Counts = std::map<int64_t, int64_t>;
    CHECK(counts({}) ==
          Counts{{0, 2519}, {1, 2163}, {2, 2132}, {3, 1655}, {4, 4950}, {5, 2300}, {6, 830}, {7, 875}});
    // 2 3 | | 13 | 22 (8, 23) | 23 29 32 34 (25, 23) (27, 32) | 35 36 42 45 (38, 42) (38, 48) | 46 55 56 | 57
    // 58
    CHECK(counts({.map_ages = true}) == Counts{{0, 2519 + 21},
                                               {1, 2163},
                                               {2, 2132 + 169},
                                               {3, 1655 + 150},
                                               {4, 4950 + 365},
                                               {5, 2300 + 496},
                                               {6, 830 + 80},
                                               {7, 875 + 29}});
    CHECK(counts({.gender = true}) == Counts{{0, 8192}, {1, 9411}});
    CHECK(contains(error_of([&] { (void)load_data("adience:" + folder.string()); }),
                   "17424 of 17424 rows name pictures that are not there"));
}
