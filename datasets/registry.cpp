#include "datasets/registry.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/options.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr std::string_view kImageOptions =
    "normalize=dataset|imagenet|symmetric|none, mean=a:b:c, std=a:b:c, size=S, crop=PADDING, flip=false, "
    "limit=N, "
    "limit_test=N";

struct Row {
    DataEntry entry;
    Source (*load)(const std::string& place, const Options& options);
};

std::string with_image_options(std::string_view own) {
    return concat_text(own, own.empty() ? "" : ", ", kImageOptions);
}

// One line a data set.
const std::vector<Row>& table() {
    static const std::vector<Row> rows{
        {{"digits", false, "1,797 handwritten digits, 8x8x1, built in (UCI); optional Clever Hans mark",
          "split=4, size=8, mark=CLASS, mark_share=1, seed=0"},
         load_digits},
        {{"mnist", true, "MNIST idx files, plain or .gz, 28x28x1, 10 classes; decoy=grey: Decoy MNIST",
          with_image_options("decoy=none|grey, seed=0")},
         load_mnist},
        {{"fashion_mnist", true, "Fashion-MNIST idx files, 28x28x1, 10 classes",
          with_image_options("decoy=none|grey, seed=0")},
         load_fashion_mnist},
        {{"idx", true, "any idx pairs named like MNIST's; classes are numbered",
          with_image_options("decoy=none|grey, seed=0")},
         load_idx},
        {{"cifar10", true, "CIFAR-10, binary version, 32x32x3, 10 classes", with_image_options("")},
         load_cifar10},
        {{"cifar100", true, "CIFAR-100, binary version, 32x32x3, 100 classes or 20 coarse ones",
          with_image_options("labels=fine|coarse")},
         load_cifar100},
        {{"folder", true, "pictures in DIR/train/CLASS and DIR/test/CLASS, or in DIR/CLASS",
          with_image_options(
              "channels=3, resize=0, test_share=0.2, classes=FILE, augment=none|crop|resized_crop")},
         load_image_folder},
        {{"oxford_pets", true, "Oxford-IIIT Pet: 37 breeds or 2 species, trimaps as masks",
          with_image_options("size=224, resize=0, augment=none|crop|resized_crop, split=official|random, "
                             "test_share=0.25, target=breed|species, mask=trimap|none, seed=0")},
         load_oxford_pets},
        {{"voc2012", true, "PASCAL VOC 2012: multi-label, 20 classes; boxes or segmentations as masks",
          with_image_options("size=224, resize=0, augment=none|crop|resized_crop, train=train, test=val, "
                             "mask=boxes|segmentation|none, mask_class=NAME")},
         load_voc2012},
        {{"adience", true, "Adience faces: 8 age groups or 2 genders; fold K tests, the others train",
          with_image_options("size=224, resize=0, augment=none|crop|resized_crop, fold=0, target=age|gender, "
                             "ages=drop|map, faces=aligned|coarse")},
         load_adience},
        {{"toy1", false, "5 features, 2 tell the class, noisy labels; splits: fresh",
          "n=400, n_test=50, n_fresh=2000, noise=0.1, sep=1, seed=0"},
         load_toy1},
        {{"toy2", false, "4 features, 3 tell the class, one misleads; splits: fresh",
          "n=400, n_test=50, n_fresh=2000, noise=0.05, sep=1, seed=0"},
         load_toy2},
        {{"toy3", false, "2 features, the second is constant in the test set",
          "n=200, n_test=200, noise=0.3, seed=0"},
         load_toy3},
        {{"moons", false, "two half circles in the plane", "n=1000, n_test=1000, noise=0.1, seed=0"},
         load_moons},
        {{"circles", false, "two circles in the plane", "n=1000, n_test=1000, noise=0.1, seed=0"},
         load_circles},
        {{"spirals", false, "four spiral arms in the plane", "n=2000, n_test=2000, noise=0.2, seed=0"},
         load_spirals},
        {{"shapes16", false,
          "coloured figures, 16x16x3; splits with decoy: shifted, in_distribution, clean; with stamp: "
          "stamped",
          "n=2000, n_test=1000, classes=4, noise=0.15, decoy=none|class|random, counts=a:b:c:d, stamp=SHARE, "
          "stamp_class=0, standardize=false, seed=0"},
         load_shapes16},
        {{"context16", false,
          "grey figures beside a telling colour, 16x16x3; splits: in_distribution, shifted",
          "n=2000, n_test=800, rho=0.97, noise=0.12, seed=0"},
         load_context16},
        {{"zoom32", false, "classes that differ in one-pixel stripes, 32x32x3",
          "n=2000, n_test=600, noise=0.08, seed=0"},
         load_zoom32},
        {{"fewshot16", false,
          "12 base classes to train on, 6 novel ones to test on, 16x16x3; splits: shifted",
          "per_class=60, novel_per_class=40, noise=0.1, seed=0"},
         load_fewshot16},
        {{"shapes12", false, "four glyphs in noise, 12x12x1",
          "n=2000, n_test=2000, sigma=0.2, clip=false, symmetric=false, seed=0"},
         load_shapes12},
        {{"corner_decoy", false,
          "shapes12 with a bright corner that gives the class away; splits: shifted, in_distribution, clean",
          "n=600, n_test=2000, sigma=0.2, clip=false, symmetric=false, seed=0"},
         load_corner_decoy},
        {{"grey_decoy", false,
          "shapes12 with a corner whose grey gives the class away; splits: shifted, in_distribution, clean",
          "n=600, n_test=2000, sigma=0.2, clip=false, symmetric=false, seed=0"},
         load_grey_decoy},
        {{"shapes_imbalanced", false, "shapes12 with classes of 64, 22, 10 and 4 per cent, 12x12x1",
          "n=1000, n_test=1600, sigma=0.25, clip=false, symmetric=false, seed=0"},
         load_shapes_imbalanced},
        {{"toy_colours", false, "two rules that both separate two classes, 5x5x3",
          "n=4000, n_test=2000, seed=0"},
         load_toy_colours},
        {{"regions", false,
          "a target and a misleading pattern in a grid, 16x16x1; splits: shifted, in_distribution",
          "n=1500, n_test=1000, rho=0.9, sigma=0.15, seed=0"},
         load_regions},
    };
    return rows;
}

}  // namespace

const std::shared_ptr<Dataset>& DataSource::split(std::string_view name) const {
    if (name == "train") {
        return train;
    }
    if (name == "test") {
        return test;
    }
    const auto it = extra.find(std::string(name));
    if (it == extra.end()) {
        throw_error(unknown_name("split", name, split_names()));
    }
    return it->second;
}

std::vector<std::string> DataSource::split_names() const {
    std::vector<std::string> names{"train", "test"};
    for (const auto& [name, set] : extra) {
        names.push_back(name);
    }
    return names;
}

std::unique_ptr<DataSource> load_data(std::string_view text) {
    const Spec spec = parse_spec(text);
    const auto row =
        std::find_if(table().begin(), table().end(), [&](const Row& r) { return r.entry.name == spec.name; });
    if (row == table().end()) {
        std::vector<std::string> known;
        for (const Row& r : table()) {
            known.push_back(r.entry.name);
        }
        throw_error(unknown_name("data set", spec.name, known));
    }
    BACKLIGHT_CHECK(row->entry.needs_place || spec.place.empty(), spec.name, ": takes no folder, got \"",
                    spec.place, "\"");
    BACKLIGHT_CHECK(!row->entry.needs_place || !spec.place.empty(), spec.name, ": expected a folder, as in ",
                    spec.name, ":DIR");
    const Options options(spec);
    std::unique_ptr<DataSource> source = row->load(spec.place, options);
    options.finish();
    source->spec = to_text(spec);
    return source;
}

const std::vector<DataEntry>& list_data() {
    static const std::vector<DataEntry> entries = [] {
        std::vector<DataEntry> list;
        for (const Row& row : table()) {
            list.push_back(row.entry);
        }
        return list;
    }();
    return entries;
}

}  // namespace backlight
