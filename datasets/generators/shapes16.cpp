// shapes16: coloured figures on 16x16x3, background 0.25, with an optional decoy or stamp.
//   figure k of K, size 6..9, at a uniform place where it fits; foreground g + 0.1 (U(0, 1) - 0.5) per
//   channel, one g ~ U(0.45, 0.9) an image; noise N(0, noise^2); clipped to [0, 1].
// Decoy: the 3x3 block in the top left corner is set, after the noise, to (d + 1) / K; d is the label (class)
// or uniform (random); figures stay off the first three rows and columns. With decoy=class the decoys of the
// test set are random; "in_distribution" has the training set's rule, "clean" no decoy.
// Stamp: a share of the training images of one class, chosen by seed, is stamped (generators/stamp.h). The
// test set is clean; "stamped" is the same test set with every image stamped.
// standardize=true: (x - mean) / deviation of the training set, by channel.
// Mask: the figure's pixels. Decoy mask: the 3x3 block, on every image, where decoys or stamps are used.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "datasets/generators/builder.h"
#include "datasets/generators/stamp.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 16, kBlock = 3;

enum class Decoy { none, of_class, random };

struct Recipe {
    uint64_t seed = 0;
    int64_t classes = 4;
    float noise = 0.15f;
    bool room_for_decoy = false;
};

/// `plan` holds a label per sample, or -1 for a uniform one.
std::shared_ptr<InMemoryDataset> generate(const Recipe& recipe, SplitId split,
                                          const std::vector<int64_t>& plan, Decoy decoy) {
    Builder builder(figure_names(recipe.classes));
    const int64_t lowest = recipe.room_for_decoy ? kBlock : 0;
    Image place(kSide, kSide, 1);
    fill_block(place, 0, 0, kBlock, kBlock, 1.0f);
    for (size_t i = 0; i < plan.size(); ++i) {
        RandomStream random =
            sample_stream(GeneratorId::shapes16, recipe.seed, split, static_cast<int64_t>(i));
        const int64_t uniform_label = random.below(recipe.classes);
        const int64_t label = plan[i] >= 0 ? plan[i] : uniform_label;
        const int64_t size = random.between(6, 9);
        const int64_t top = random.between(lowest, kSide - size);
        const int64_t left = random.between(lowest, kSide - size);
        const double grey = random.uniform(0.45, 0.9);
        float colour[3];
        for (float& channel : colour) {
            channel = static_cast<float>(grey + 0.1 * (random.uniform() - 0.5));
        }
        const int64_t random_code = random.below(recipe.classes);

        Image image(kSide, kSide, 3, 0.25f);
        Image mask(kSide, kSide, 1);
        for (int64_t row = 0; row < size; ++row) {
            for (int64_t column = 0; column < size; ++column) {
                if (covers(static_cast<Figure>(label), size, row, column)) {
                    fill_block(image, top + row, left + column, 1, 1, colour);
                    mask.at(top + row, left + column) = 1.0f;
                }
            }
        }
        add_noise(image, recipe.noise, random);
        const int64_t code = decoy == Decoy::of_class ? label : random_code;
        if (decoy != Decoy::none) {
            fill_block(image, 0, 0, kBlock, kBlock,
                       static_cast<float>(code + 1) / static_cast<float>(recipe.classes));
        }
        clip(image);
        builder.add(image, label, mask, recipe.room_for_decoy ? place : Image());
        builder.note("size", size);
        if (decoy != Decoy::none) {
            builder.note("decoy", code);
        }
    }
    return builder.finish();
}

/// A share of the images of one class, as exact as whole images allow.
std::vector<int64_t> choose_some(const Dataset& set, int64_t label, double share, RandomStream random) {
    std::vector<int64_t> members;
    for (int64_t i = 0; i < set.size(); ++i) {
        if (set.label(i) == label) {
            members.push_back(i);
        }
    }
    random.shuffle(members);
    members.resize(static_cast<size_t>(std::llround(share * static_cast<double>(members.size()))));
    return members;
}

/// All splits by mean and deviation of the training set.
void standardize_channels(DataSource& source) {
    const auto values = source.train->all().input.to_vector<float>();
    constexpr size_t kChannels = 3;
    const double count = static_cast<double>(values.size()) / kChannels;
    double mean[kChannels] = {}, square[kChannels] = {};
    for (size_t i = 0; i < values.size(); ++i) {
        mean[i % kChannels] += static_cast<double>(values[i]) / count;
    }
    for (size_t i = 0; i < values.size(); ++i) {
        const double difference = static_cast<double>(values[i]) - mean[i % kChannels];
        square[i % kChannels] += difference * difference / count;
    }
    Normalization scale;
    for (size_t c = 0; c < kChannels; ++c) {
        scale.mean.push_back(static_cast<float>(mean[c]));
        scale.std.push_back(static_cast<float>(std::sqrt(square[c])));
    }
    for (const std::string& name : source.split_names()) {
        source.split(name)->set_normalization(scale);
    }
}

}  // namespace

Source load_shapes16(const std::string&, const Options& options) {
    Recipe recipe;
    recipe.seed = static_cast<uint64_t>(options.get("seed", 0));
    recipe.classes = options.get_within("classes", 4, 2, kFigures);
    recipe.noise = static_cast<float>(options.get_within("noise", 0.15, 0.0, 10.0));
    const int64_t n = options.get_within("n", 2000, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 1000, 1, 10'000'000);
    const std::string decoy = options.choose("decoy", "none", {"none", "class", "random"});
    const std::vector<int64_t> counts = options.get("counts", std::vector<int64_t>{});
    const double stamp_share = options.get_within("stamp", 0.0, 0.0, 1.0);
    const int64_t stamp_class = options.get_within("stamp_class", 0, 0, recipe.classes - 1);
    const bool standardize = options.get("standardize", false);
    options.finish();
    BACKLIGHT_CHECK(counts.empty() || static_cast<int64_t>(counts.size()) == recipe.classes,
                    "shapes16: option counts expects ", recipe.classes, " numbers, got ", counts.size());
    BACKLIGHT_CHECK(counts.empty() || *std::min_element(counts.begin(), counts.end()) >= 0,
                    "shapes16: option counts expects numbers >= 0");
    BACKLIGHT_CHECK(counts.empty() || !options.has("n"), "shapes16: give either n or counts");
    BACKLIGHT_CHECK(stamp_share == 0 || decoy == "none", "shapes16: give either decoy or stamp");
    recipe.room_for_decoy = decoy != "none";

    std::vector<int64_t> train_plan(static_cast<size_t>(n), -1);
    std::vector<int64_t> test_plan(static_cast<size_t>(n_test), -1);
    if (!counts.empty()) {  // unequal classes are judged on equal ones
        train_plan =
            planned_labels(counts, sample_stream(GeneratorId::shapes16, recipe.seed, SplitId::train, -1));
        test_plan = planned_labels(even_counts(n_test, recipe.classes),
                                   sample_stream(GeneratorId::shapes16, recipe.seed, SplitId::test, -1));
    }
    auto source = std::make_unique<DataSource>();
    if (decoy == "none") {
        const auto train = generate(recipe, SplitId::train, train_plan, Decoy::none);
        source->train = train;
        source->test = generate(recipe, SplitId::test, test_plan, Decoy::none);
        if (stamp_share > 0) {
            source->train = stamp(
                *train, choose_some(*train, stamp_class, stamp_share,
                                    sample_stream(GeneratorId::shapes16, recipe.seed, SplitId::fresh, -1)));
            source->extra["stamped"] = stamp_all(*source->test);
        }
        if (standardize) {
            standardize_channels(*source);
        }
        return source;
    }
    const Decoy of_train = decoy == "class" ? Decoy::of_class : Decoy::random;
    source->train = generate(recipe, SplitId::train, train_plan, of_train);
    source->test = generate(recipe, SplitId::test, test_plan, Decoy::random);
    source->extra["shifted"] = source->test;
    source->extra["in_distribution"] = generate(recipe, SplitId::test, test_plan, of_train);
    source->extra["clean"] = generate(recipe, SplitId::test, test_plan, Decoy::none);
    if (standardize) {
        standardize_channels(*source);
    }
    return source;
}

}  // namespace backlight
