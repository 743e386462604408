// Oxford-IIIT Pet (Parkhi et al., Cats and Dogs, 2012): images/*.jpg, annotations/{list,trainval,test}.txt
// with lines `image class-id species breed-id`, annotations/trimaps/*.png as masks, which mask=none does not
// open. Files are known by these lists and by their first bytes: of the official images some are PNG or GIF
// under the name of a JPEG, and some are in no list.
#include <algorithm>
#include <charconv>
#include <map>

#include "core/error.h"
#include "core/io/image.h"
#include "core/random.h"
#include "datasets/files.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBreeds = 37;

struct Entry {
    std::string name;
    int64_t breed = 0, species = 0;  // from 0
};

int64_t number(const std::string& text, int64_t high, const fs::path& list, size_t line) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    BACKLIGHT_CHECK(error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= high,
                    list.string(), ", line ", line, ": expected a number from 1 to ", high, ", got \"", text,
                    '"');
    return value - 1;
}

std::vector<Entry> read_list(const fs::path& list) {
    std::vector<Entry> entries;
    size_t line_number = 0;
    for (const std::string& line : read_lines(list)) {
        ++line_number;
        if (line.starts_with('#')) {
            continue;
        }
        std::vector<std::string> words(1);
        for (const char c : line) {
            if (c == ' ' || c == '\t') {
                words.emplace_back();
            } else {
                words.back() += c;
            }
        }
        BACKLIGHT_CHECK(words.size() == 4, list.string(), ", line ", line_number,
                        ": expected `image class-id species breed-id`, got \"", line, '"');
        entries.push_back(
            {words[0], number(words[1], kBreeds, list, line_number), number(words[2], 2, list, line_number)});
    }
    BACKLIGHT_CHECK(!entries.empty(), list.string(), ": no images");
    return entries;
}

/// "american_bulldog_12" shows an american_bulldog. A breed of no image keeps its number.
std::vector<std::string> breed_names(const std::vector<Entry>& entries) {
    std::vector<std::string> names;
    for (int64_t breed = 1; breed <= kBreeds; ++breed) {
        names.push_back(concat_text("breed ", breed));
    }
    for (const Entry& entry : entries) {
        names[static_cast<size_t>(entry.breed)] = entry.name.substr(0, entry.name.rfind('_'));
    }
    return names;
}

class OxfordPets final : public Dataset {
public:
    OxfordPets(fs::path folder, std::vector<Entry> entries, std::vector<std::string> class_names,
               bool species, bool has_masks)
        : folder_(std::move(folder)), entries_(std::move(entries)), species_(species) {
        info_.class_names = std::move(class_names);
        info_.has_mask = has_masks;
        info_.sample_shape = {0, 0, 3};  // until the transforms are set
        for (const Entry& entry : entries_) {
            columns_["breed"].push_back(entry.breed);
            columns_["species"].push_back(entry.species);
        }
    }
    [[nodiscard]] int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
    [[nodiscard]] int64_t label(int64_t index) const override {
        check_index(index);
        const Entry& entry = entries_[static_cast<size_t>(index)];
        return species_ ? entry.species : entry.breed;
    }
    [[nodiscard]] const std::vector<int64_t>& column(std::string_view name) const override {
        const auto found = columns_.find(name);
        return found != columns_.end() ? found->second : Dataset::column(name);
    }
    [[nodiscard]] std::vector<std::string> column_names() const override { return {"breed", "species"}; }
    [[nodiscard]] RawSample load(int64_t index) const override {
        check_index(index);
        const std::string& name = entries_[static_cast<size_t>(index)].name;
        RawSample sample{.picture = PictureFile::open(folder_ / "images" / (name + ".jpg"), 3)};
        if (!info_.has_mask) {
            return sample;
        }
        const fs::path trimap = folder_ / "annotations" / "trimaps" / (name + ".png");
        sample.mask = mask_of(trimap);
        const PictureFile& picture = *sample.picture;
        BACKLIGHT_CHECK(sample.mask.height == picture.height() && sample.mask.width == picture.width(),
                        trimap.string(), ": ", sample.mask.height, " x ", sample.mask.width,
                        " pixels, the image has ", picture.height(), " x ", picture.width());
        return sample;
    }

private:
    /// Pet 1, background 0, the unclassified border one half.
    static Image mask_of(const fs::path& trimap) {
        const Tensor values = read_image(trimap, 1);
        Image mask(values.dim(0), values.dim(1), 1);
        const std::vector<uint8_t> bytes = values.to_vector<uint8_t>();
        for (size_t i = 0; i < bytes.size(); ++i) {
            BACKLIGHT_CHECK(bytes[i] >= 1 && bytes[i] <= 3, trimap.string(),
                            ": expected 1 (pet), 2 (background) or 3 (border), got ",
                            static_cast<int>(bytes[i]));
            mask.values[i] = bytes[i] == 1 ? 1.0f : (bytes[i] == 2 ? 0.0f : 0.5f);
        }
        return mask;
    }

    fs::path folder_;
    std::vector<Entry> entries_;
    std::map<std::string, std::vector<int64_t>, std::less<>> columns_;
    bool species_;
};

}  // namespace

Source load_oxford_pets(const std::string& place, const Options& options) {
    const PictureOptions picture = picture_options(options, 224);
    BACKLIGHT_CHECK(picture.image.size > 0, options.owner(),
                    ": the images differ in size; expected size > 0");
    const std::string split = options.choose("split", "official", {"official", "random"});
    const std::string target = options.choose("target", "breed", {"breed", "species"});
    const bool has_masks = options.choose("mask", "trimap", {"trimap", "none"}) == "trimap";
    const double share = options.get_within("test_share", 0.25, 0.01, 0.9);
    const int64_t seed = options.get_within("seed", int64_t{0}, 0, int64_t{1} << 62);
    options.finish();
    const fs::path folder(place);
    const fs::path annotations = folder / "annotations";
    check_folder(annotations, options.owner());
    std::vector<Entry> all = read_list(annotations / "list.txt");
    std::vector<Entry> train, test;
    if (split == "official") {
        train = read_list(annotations / "trainval.txt");
        test = read_list(annotations / "test.txt");
    } else {
        const auto order =
            RandomStream(RandomKey{.seed = static_cast<uint64_t>(seed), .purpose = purpose::kDataset})
                .permutation(static_cast<int64_t>(all.size()));
        const auto tests = static_cast<size_t>(share * static_cast<double>(all.size()) + 0.5);
        for (size_t i = 0; i < order.size(); ++i) {
            (i < tests ? test : train).push_back(all[static_cast<size_t>(order[i])]);
        }
        BACKLIGHT_CHECK(!train.empty() && !test.empty(), options.owner(),
                        ": too few images for test_share=", share);
    }
    thin(train, picture.image.limit);
    thin(test, picture.image.limit_test);
    const bool species = target == "species";
    const std::vector<std::string> names =
        species ? std::vector<std::string>{"cat", "dog"} : breed_names(all);
    auto source = std::make_unique<DataSource>();
    source->train = std::make_shared<OxfordPets>(folder, std::move(train), names, species, has_masks);
    source->test = std::make_shared<OxfordPets>(folder, std::move(test), names, species, has_masks);
    apply(picture, {picture.image.size, picture.image.size, 3}, *source);
    return source;
}

}  // namespace backlight
