// shapes12 and its relatives: glyphs in noise, 12x12x1.
//   background N(0, sigma^2); a 5x5 glyph (plus, cross, ring, T) added with amplitude U(0.6, 1), its corner
//   uniform in 2..5 by row and by column; not clipped unless clip=true (then to [0, 1]).
// Mask: the glyph's pixels.
//
// corner_decoy       then one 2x2 corner is set to 1: corner k = label in training (0 top left, 1 top right,
//                    2 bottom left, 3 bottom right), a uniform one in the test set
// grey_decoy         then a uniform 2x2 corner is set to 1 - 0.25 y in training, to the reversed code
//                    0.25 + 0.25 y in the test set
// shapes_imbalanced  class probabilities 0.64, 0.22, 0.10, 0.04; the test set has classes of equal size
// With decoys the test set is "shifted" too, "in_distribution" has the training set's rule and "clean" no
// decoy; the decoy mask holds all four corners, on every image.
#include <array>

#include "core/error.h"
#include "datasets/generators/builder.h"
#include "datasets/sources.h"

namespace backlight {
namespace {

constexpr int64_t kSide = 12, kGlyph = 5, kClasses = 4, kCorner = 2;
constexpr std::array<std::string_view, kClasses> kGlyphs{
    "..#.."
    "..#.."
    "#####"
    "..#.."
    "..#..",
    "#...#"
    ".#.#."
    "..#.."
    ".#.#."
    "#...#",
    "#####"
    "#...#"
    "#...#"
    "#...#"
    "#####",
    "#####"
    "..#.."
    "..#.."
    "..#.."
    "..#.."};

enum class Decoy { none, corner_of_class, corner_at_random, grey_of_class, grey_reversed };

struct Recipe {
    uint64_t seed = 0;
    float sigma = 0.2f;
    bool clipped = false;
    bool symmetric = false;  // scaled to [-1, 1]
};

void plant(Image& image, Decoy decoy, int64_t label, int64_t random_corner) {
    const int64_t corner = decoy == Decoy::corner_of_class ? label : random_corner;
    float value = 1.0f;
    if (decoy == Decoy::grey_of_class) {
        value = 1.0f - 0.25f * static_cast<float>(label);
    } else if (decoy == Decoy::grey_reversed) {
        value = 0.25f + 0.25f * static_cast<float>(label);
    }
    if (decoy != Decoy::none) {
        fill_block(image, corner / 2 * (kSide - kCorner), corner % 2 * (kSide - kCorner), kCorner, kCorner,
                   value);
    }
}

/// `weights`: class probabilities. `plan`, unless empty, holds the label of each sample instead.
std::shared_ptr<InMemoryDataset> generate(const Recipe& recipe, SplitId split, int64_t n, Decoy decoy,
                                          bool annotate_corners, std::span<const double> weights,
                                          const std::vector<int64_t>& plan = {}) {
    Builder builder({"plus", "cross", "ring", "T"});
    Image corners(kSide, kSide, 1);
    for (const int64_t top : {int64_t{0}, kSide - kCorner}) {
        for (const int64_t left : {int64_t{0}, kSide - kCorner}) {
            fill_block(corners, top, left, kCorner, kCorner, 1.0f);
        }
    }
    for (int64_t i = 0; i < n; ++i) {
        RandomStream random = sample_stream(GeneratorId::shapes12, recipe.seed, split, i);
        const int64_t drawn = random.categorical(weights);
        const int64_t label = plan.empty() ? drawn : plan[static_cast<size_t>(i)];
        const auto amplitude = static_cast<float>(random.uniform(0.6, 1.0));
        const int64_t top = random.between(2, 5);
        const int64_t left = random.between(2, 5);
        const int64_t random_corner = random.below(4);

        Image image(kSide, kSide, 1);
        Image mask(kSide, kSide, 1);
        add_noise(image, recipe.sigma, random);
        for (int64_t cell = 0; cell < kGlyph * kGlyph; ++cell) {
            if (kGlyphs[static_cast<size_t>(label)][static_cast<size_t>(cell)] == '#') {
                image.at(top + cell / kGlyph, left + cell % kGlyph) += amplitude;
                mask.at(top + cell / kGlyph, left + cell % kGlyph) = 1.0f;
            }
        }
        plant(image, decoy, label, random_corner);
        if (recipe.clipped) {
            clip(image);
        }
        builder.add(image, label, mask, annotate_corners ? corners : Image());
    }
    return builder.finish();
}

void set_ranges(const Recipe& recipe, std::span<const std::shared_ptr<InMemoryDataset>> sets) {
    if (!recipe.clipped) {
        share_measured_range(sets);
    }
    for (const auto& set : sets) {
        if (recipe.symmetric) {
            set->set_normalization({.mean = {0.5f}, .std = {0.5f}});
        }
    }
}

Recipe recipe_from(const Options& options, double sigma) {
    Recipe recipe;
    recipe.seed = static_cast<uint64_t>(options.get("seed", 0));
    recipe.sigma = static_cast<float>(options.get_within("sigma", sigma, 0.0, 10.0));
    recipe.clipped = options.get("clip", false);
    recipe.symmetric = options.get("symmetric", false);
    return recipe;
}

constexpr std::array<double, kClasses> kEqual{1, 1, 1, 1};

Source load_decoys(const Options& options, Decoy of_train, Decoy of_test) {
    const Recipe recipe = recipe_from(options, 0.2);
    const int64_t n = options.get_within("n", 600, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 2000, 1, 10'000'000);
    options.finish();
    const std::array sets{generate(recipe, SplitId::train, n, of_train, true, kEqual),
                          generate(recipe, SplitId::test, n_test, of_test, true, kEqual),
                          generate(recipe, SplitId::test, n_test, of_train, true, kEqual),
                          generate(recipe, SplitId::test, n_test, Decoy::none, true, kEqual)};
    set_ranges(recipe, sets);
    auto source = std::make_unique<DataSource>();
    source->train = sets[0];
    source->test = sets[1];
    source->extra = {{"shifted", sets[1]}, {"in_distribution", sets[2]}, {"clean", sets[3]}};
    return source;
}

}  // namespace

Source load_shapes12(const std::string&, const Options& options) {
    const Recipe recipe = recipe_from(options, 0.2);
    const int64_t n = options.get_within("n", 2000, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 2000, 1, 10'000'000);
    options.finish();
    const std::array sets{generate(recipe, SplitId::train, n, Decoy::none, false, kEqual),
                          generate(recipe, SplitId::test, n_test, Decoy::none, false, kEqual)};
    set_ranges(recipe, sets);
    auto source = std::make_unique<DataSource>();
    source->train = sets[0];
    source->test = sets[1];
    return source;
}

Source load_shapes_imbalanced(const std::string&, const Options& options) {
    constexpr std::array<double, kClasses> kUnequal{0.64, 0.22, 0.10, 0.04};
    const Recipe recipe = recipe_from(options, 0.25);
    const int64_t n = options.get_within("n", 1000, 1, 10'000'000);
    const int64_t n_test = options.get_within("n_test", 1600, 1, 10'000'000);
    options.finish();
    const std::vector<int64_t> even = planned_labels(
        even_counts(n_test, kClasses), sample_stream(GeneratorId::shapes12, recipe.seed, SplitId::test, -1));
    const std::array sets{generate(recipe, SplitId::train, n, Decoy::none, false, kUnequal),
                          generate(recipe, SplitId::test, n_test, Decoy::none, false, kEqual, even)};
    set_ranges(recipe, sets);
    auto source = std::make_unique<DataSource>();
    source->train = sets[0];
    source->test = sets[1];
    return source;
}

Source load_corner_decoy(const std::string&, const Options& options) {
    return load_decoys(options, Decoy::corner_of_class, Decoy::corner_at_random);
}

Source load_grey_decoy(const std::string&, const Options& options) {
    return load_decoys(options, Decoy::grey_of_class, Decoy::grey_reversed);
}

}  // namespace backlight
