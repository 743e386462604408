// Adience (Eidinger, Enbar and Hassner, Age and gender estimation of unfiltered faces, 2014): fold_0_data.txt
// to fold_4_data.txt with a row a face, and the pictures that the rows name. Subjects do not mix between
// folds: one of them tests, the others train.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/error.h"
#include "datasets/files.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

namespace fs = std::filesystem;

struct AgeGroup {
    int low, high;
};
constexpr std::array<AgeGroup, 8> kGroups{
    {{0, 2}, {4, 6}, {8, 12}, {15, 20}, {25, 32}, {38, 43}, {48, 53}, {60, 100}}};

std::vector<std::string> age_names() {
    std::vector<std::string> names;
    for (const AgeGroup& group : kGroups) {
        names.push_back(concat_text(group.low, "-", group.high));
    }
    return names;
}

/// "35" or "(25, 32)"; two equal years for a single one. Throws Error on anything else.
AgeGroup parse_age(const std::string& text, const std::string& where) {
    std::vector<int> years;
    for (const char *at = text.data(), *const end = text.data() + text.size(); at != end;) {
        int year = 0;
        const auto [next, error] = std::from_chars(at, end, year);
        if (error == std::errc()) {
            years.push_back(year);
        }
        at = error == std::errc() ? next : at + 1;
    }
    BACKLIGHT_CHECK(years.size() == 1 || years.size() == 2, where, ": expected an age, got \"", text, '"');
    return {years.front(), years.back()};
}

/// The group that the middle of the years is in or next to; halfway the one with the nearer centre, then the
/// younger. That puts 35 to 38-43, 3 to 0-2, (27, 32) to 25-32, (8, 23) to 15-20.
int64_t nearest_group(const AgeGroup& years) {
    const double middle = (years.low + years.high) / 2.0;
    const auto distance = [middle](const AgeGroup& group) {
        const double outside = std::max({group.low - middle, middle - group.high, 0.0});
        return std::pair(outside, std::abs((group.low + group.high) / 2.0 - middle));
    };
    const auto nearest =
        std::min_element(kGroups.begin(), kGroups.end(),
                         [&](const AgeGroup& a, const AgeGroup& b) { return distance(a) < distance(b); });
    return nearest - kGroups.begin();
}

int64_t age_label(const std::string& text, bool map, const std::string& where) {
    if (text == "None") {
        return -1;
    }
    const AgeGroup years = parse_age(text, where);
    for (size_t k = 0; k < kGroups.size(); ++k) {
        if (kGroups[k].low == years.low && kGroups[k].high == years.high) {
            return static_cast<int64_t>(k);
        }
    }
    return map ? nearest_group(years) : -1;
}

int64_t gender_label(const std::string& text, const std::string& where) {
    BACKLIGHT_CHECK(text.empty() || text == "m" || text == "f" || text == "u", where,
                    ": expected gender m, f, u or nothing, got \"", text, '"');
    return text == "m" ? 0 : (text == "f" ? 1 : -1);
}

class Adience final : public Dataset {
public:
    Adience(fs::path folder, std::vector<AdienceRow> rows, std::vector<std::string> class_names)
        : folder_(std::move(folder)), rows_(std::move(rows)) {
        info_.class_names = std::move(class_names);
        info_.sample_shape = {0, 0, 3};  // until the transforms are set
    }
    [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
    [[nodiscard]] int64_t label(int64_t index) const override {
        check_index(index);
        return rows_[static_cast<size_t>(index)].label;
    }
    [[nodiscard]] RawSample load(int64_t index) const override {
        check_index(index);
        const fs::path file = folder_ / rows_[static_cast<size_t>(index)].picture;
        return {.picture = PictureFile::open(file, 3)};
    }

private:
    fs::path folder_;
    std::vector<AdienceRow> rows_;
};

}  // namespace

std::vector<AdienceRow> read_adience(const fs::path& fold, const AdienceOptions& options) {
    constexpr std::string_view kHeader = "user_id\toriginal_image\tface_id\tage\tgender";
    const std::vector<std::string> lines = read_lines(fold);
    BACKLIGHT_CHECK(!lines.empty() && lines[0].starts_with(kHeader), fold.string(),
                    ": expected a header that begins with user_id, original_image, face_id, age, gender");
    std::vector<AdienceRow> rows;
    for (size_t i = 1; i < lines.size(); ++i) {
        const std::string where = concat_text(fold.string(), ", line ", i + 1);
        std::vector<std::string> cells(1);
        for (const char c : lines[i]) {
            if (c == '\t') {
                cells.emplace_back();
            } else {
                cells.back() += c;
            }
        }
        BACKLIGHT_CHECK(cells.size() >= 5, where, ": expected at least 5 cells between tabs, got ",
                        cells.size());
        const int64_t label =
            options.gender ? gender_label(cells[4], where) : age_label(cells[3], options.map_ages, where);
        if (label >= 0) {
            const std::string face = cells[2] + '.' + cells[1];
            rows.push_back({options.coarse ? "faces/" + cells[0] + "/coarse_tilt_aligned_face." + face
                                           : "aligned/" + cells[0] + "/landmark_aligned_face." + face,
                            label});
        }
    }
    return rows;
}

Source load_adience(const std::string& place, const Options& options) {
    const PictureOptions picture = picture_options(options, 224);
    BACKLIGHT_CHECK(picture.image.size > 0, options.owner(), ": expected size > 0");
    const int64_t fold = options.get_within("fold", int64_t{0}, 0, 4);
    const AdienceOptions choice{
        .gender = options.choose("target", "age", {"age", "gender"}) == "gender",
        .map_ages = options.choose("ages", "drop", {"drop", "map"}) == "map",
        .coarse = options.choose("faces", "aligned", {"aligned", "coarse"}) == "coarse"};
    options.finish();
    const fs::path folder(place);
    check_folder(folder, options.owner());
    std::vector<AdienceRow> train, test;
    size_t missing = 0;
    std::string first_missing;
    for (int64_t k = 0; k < 5; ++k) {
        for (AdienceRow& row : read_adience(folder / concat_text("fold_", k, "_data.txt"), choice)) {
            if (!fs::exists(folder / row.picture)) {
                if (missing++ == 0) {
                    first_missing = row.picture;
                }
                continue;
            }
            (k == fold ? test : train).push_back(std::move(row));
        }
    }
    const std::string lost = concat_text(
        options.owner(), ": ", missing, " of ", missing + train.size() + test.size(),
        " rows name pictures that are not there, the first is ", (folder / first_missing).string());
    BACKLIGHT_CHECK(!train.empty() && !test.empty(), missing > 0 ? lost : options.owner() + ": no rows", "; ",
                    train.size(), " are left to train, ", test.size(), " to test");
    thin(train, picture.image.limit);
    thin(test, picture.image.limit_test);
    const std::vector<std::string> names = choice.gender ? std::vector<std::string>{"m", "f"} : age_names();
    auto source = std::make_unique<DataSource>();
    if (missing > 0) {
        source->notes.push_back(lost);
    }
    source->train = std::make_shared<Adience>(folder, std::move(train), names);
    source->test = std::make_shared<Adience>(folder, std::move(test), names);
    apply(picture, {picture.image.size, picture.image.size, 3}, *source);
    return source;
}

}  // namespace backlight
