// idx: the files of MNIST and its relatives, plain or gzip.
//   big-endian 32-bit: magic 0x000008rr (bytes, rank rr), one extent an axis; then the bytes, row by row.
// Source: http://yann.lecun.com/exdb/mnist/
#include <algorithm>

#include "core/error.h"
#include "core/io/file.h"
#include "core/random.h"
#include "datasets/files.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

struct IdxArray {
    std::vector<int64_t> extents;
    std::vector<uint8_t> values;
};

IdxArray parse_idx(const std::filesystem::path& path, std::span<const int> ranks) {
    std::vector<uint8_t> bytes = read_gzip_or_plain(path);
    const std::string name = path.string();
    const auto word = [&](size_t i) {
        return int64_t{bytes[4 * i]} << 24 | int64_t{bytes[4 * i + 1]} << 16 |
               int64_t{bytes[4 * i + 2]} << 8 | int64_t{bytes[4 * i + 3]};
    };
    BACKLIGHT_CHECK(bytes.size() >= 4, name, ": idx file is truncated: ", bytes.size(), " bytes");
    const int64_t magic = word(0);
    const auto rank = static_cast<size_t>(magic & 0xff);
    BACKLIGHT_CHECK(
        (magic >> 8) == 0x08 && std::find(ranks.begin(), ranks.end(), static_cast<int>(rank)) != ranks.end(),
        name, ": wrong idx magic ", magic, ", expected ", 0x800 + ranks.front());
    BACKLIGHT_CHECK(bytes.size() >= 4 * (rank + 1), name, ": idx file is truncated inside its header");
    IdxArray array;
    const auto have = static_cast<int64_t>(bytes.size() - 4 * (rank + 1));
    int64_t expected = 1;
    for (size_t axis = 0; axis < rank; ++axis) {
        array.extents.push_back(word(axis + 1));
        BACKLIGHT_CHECK(!__builtin_mul_overflow(expected, array.extents.back(), &expected), name,
                        ": impossible extents in the idx header");
        BACKLIGHT_CHECK(axis == 0 || array.extents.back() > 0, name, ": extent 0 in the idx header");
    }
    BACKLIGHT_CHECK(have == expected, name, ": idx header announces ", expected, " values, the file has ",
                    have, have < expected ? " (truncated?)" : "");
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(4 * (rank + 1)));
    array.values = std::move(bytes);
    return array;
}

/// The one file of a folder whose name contains one of `parts`, "train-images" say; plain goes before .gz.
std::filesystem::path find_file(const std::filesystem::path& folder,
                                std::initializer_list<std::string> parts) {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        const bool fits = std::any_of(parts.begin(), parts.end(), [&](const std::string& part) {
            return name.find(part) != std::string::npos;
        });
        if (fits && !name.starts_with('.')) {
            found.push_back(entry.path());
        }
    }
    std::sort(found.begin(), found.end());
    BACKLIGHT_CHECK(!found.empty(), "idx: no file named *", *parts.begin(), "* in ", folder.string());
    const bool same =
        found.size() == 1 || (found.size() == 2 && found[0].string() + ".gz" == found[1].string());
    BACKLIGHT_CHECK(same, "idx: several files named *", *parts.begin(), "* in ", folder.string());
    return found.front();
}

// Decoy MNIST (Ross et al., "Right for the right reasons", 2017): a 4x4 patch of grey 255 - 25 label in a
// random corner; `random` draws the label of the grey.
void plant_decoys(LabelledBytes& data, std::vector<float>& masks, bool random_grey, uint64_t seed,
                  uint64_t split) {
    const int64_t height = data.shape[0], width = data.shape[1], channels = data.shape[2];
    masks.assign(data.labels.size() * static_cast<size_t>(height * width), 0.0f);
    for (size_t i = 0; i < data.labels.size(); ++i) {
        RandomStream random(RandomKey{
            .seed = seed, .purpose = purpose::kDataset, .step = split, .sample = static_cast<uint32_t>(i)});
        const int64_t top = random.below(2) * (height - 4);
        const int64_t left = random.below(2) * (width - 4);
        const int64_t code = random_grey ? random.below(10) : data.labels[i];
        for (int64_t pixel = 0; pixel < 16; ++pixel) {
            const auto place = static_cast<size_t>(
                (static_cast<int64_t>(i) * height + top + pixel / 4) * width + left + pixel % 4);
            masks[place] = 1.0f;
            std::fill_n(data.values.begin() + static_cast<std::ptrdiff_t>(place) * channels, channels,
                        static_cast<uint8_t>(255 - 25 * code));
        }
    }
}

void keep_first(LabelledBytes& data, int64_t limit) {
    if (limit > 0 && limit < static_cast<int64_t>(data.labels.size())) {
        data.labels.resize(static_cast<size_t>(limit));
        data.values.resize(static_cast<size_t>(limit * data.shape.numel()));
    }
}

/// `names` may be empty: then the classes are 0..largest label.
Source load_pair(const std::string& place, const Options& options, std::vector<std::string> names,
                 const Normalization& own) {
    const ImageOptions image = image_options(options, own);
    const std::string decoy = options.choose("decoy", "none", {"none", "grey"});
    const auto seed = static_cast<uint64_t>(options.get("seed", 0));
    options.finish();
    const std::filesystem::path folder(place);
    check_folder(folder, options.owner());

    const auto train_images = find_file(folder, {"train-images"});
    const auto train_labels = find_file(folder, {"train-labels"});
    const auto test_images = find_file(folder, {"t10k-images", "test-images"});
    const auto test_labels = find_file(folder, {"t10k-labels", "test-labels"});
    LabelledBytes train = read_idx(train_images, train_labels);
    LabelledBytes test = read_idx(test_images, test_labels);
    BACKLIGHT_CHECK(train.shape == test.shape, options.owner(), ": training images have shape ", train.shape,
                    ", test images ", test.shape, " in ", place);
    if (names.empty()) {
        int64_t largest = 0;
        for (const auto* labels : {&train.labels, &test.labels}) {
            for (const int64_t label : *labels) {
                largest = std::max(largest, label);
            }
        }
        names = numbered_classes(largest + 1);
    }
    keep_first(train, image.limit);
    keep_first(test, image.limit_test);

    auto source = std::make_unique<DataSource>();
    const auto finish = [&](LabelledBytes& data, bool random_grey, uint64_t split) {
        const auto largest = static_cast<int64_t>(names.size()) - 1;
        for (size_t i = 0; i < data.labels.size(); ++i) {
            BACKLIGHT_CHECK(data.labels[i] <= largest, options.owner(), ": label ", data.labels[i],
                            " of sample ", i, " is not in 0..", largest, " in ", place);
        }
        std::vector<float> masks;
        if (decoy == "grey") {
            BACKLIGHT_CHECK(names.size() <= 10 && data.shape[0] >= 8 && data.shape[1] >= 8, options.owner(),
                            ": decoys need at most 10 classes and images of 8x8 or more");
            plant_decoys(data, masks, random_grey, seed, split);
        }
        auto set = std::make_shared<InMemoryDataset>(data.shape, std::move(data.values),
                                                     std::move(data.labels), names);
        if (!masks.empty()) {
            set->set_decoy_masks(std::move(masks));
        }
        return set;
    };
    source->train = finish(train, false, 0);
    source->test = finish(test, true, 1);
    apply(image, *source);
    return source;
}

}  // namespace

LabelledBytes read_idx(const std::filesystem::path& images, const std::filesystem::path& labels) {
    constexpr std::array<int, 2> kImageRanks{3, 4};
    constexpr std::array<int, 1> kLabelRanks{1};
    IdxArray pixels = parse_idx(images, kImageRanks);
    const IdxArray classes = parse_idx(labels, kLabelRanks);
    BACKLIGHT_CHECK(pixels.extents[0] == classes.extents[0], images.string(), " has ", pixels.extents[0],
                    " images, but ", labels.string(), " has ", classes.extents[0], " labels");
    return {
        .shape = {pixels.extents[1], pixels.extents[2], pixels.extents.size() == 4 ? pixels.extents[3] : 1},
        .values = std::move(pixels.values),
        .labels = {classes.values.begin(), classes.values.end()},
        .coarse_labels = {}};
}

Source load_mnist(const std::string& place, const Options& options) {
    return load_pair(place, options, numbered_classes(10), {.mean = {0.1307f}, .std = {0.3081f}});
}

Source load_fashion_mnist(const std::string& place, const Options& options) {
    return load_pair(place, options,
                     {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
                      "Bag", "Ankle boot"},
                     {.mean = {0.2860f}, .std = {0.3530f}});
}

Source load_idx(const std::string& place, const Options& options) {
    return load_pair(place, options, {}, {});
}

}  // namespace backlight
